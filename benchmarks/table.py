"""The findings as a page of Markdown."""

import os
import platform
import re
import statistics
from collections.abc import Iterator
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import psutil
from checks import LEAST_P, LIMIT, RMS_Z
from tasks import MEMORY_AT_MOST, ROWS, START_AT_MOST, TASKS, Row

PACKAGES = ("numpy", "numba", "rebop", "python-copasi", "copasi-basico", "libroadrunner", "pyarrow")
WORSE = 1.2  # a ratio that got worse by more is said to
AIMS_HEAD = ("ratio of CPU times, median of rounds", "aim", "measured", "range", "wall", "before", "verdict")


def render(found, effort, before: dict[str, float], seconds: float) -> str:
    """Return the page.

    Parameters
    ----------
    found : run.Findings
    effort : run.Effort
    before : dict of str to float
        Measured ratios of the page that this one replaces, by title.
    seconds : float
        That the run took.
    """
    aims = [*_ratios(found, before), *_slopes(found, before), *_others(found, before)]
    missed = [row for row in aims if "missed" in row[-1]]
    parts = [
        "# Speed, measured",
        _machine(effort, seconds),
        "## Aims",
        _markdown(AIMS_HEAD, aims),
        "Missed: " + ("; ".join(f"{row[0]} ({row[2]} against {row[1]})" for row in missed) or "none") + ".",
        _NOTES,
        *_pages_of_tasks(found),
        "## Do they agree",
        _AGREEMENT,
        _markdown(("task", "engine", "deviations, standard errors", ""), list(_agreement(found))),
        "## Everything",
        _markdown(
            ("task", "engine", "CPU ms", "wall ms", "first result, CPU s", "memory MB"),
            list(_everything(found)),
        ),
        *_costs(found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_NOTES = """\
Each engine runs in a process of its own, in rounds that go in turn through the engines; a ratio is taken
within each round, and the median over rounds stands here with the range beside it. CPU times are of the
process, for one replicate (one patient), the model already built. Wall times are of a shared machine and
carry no verdict. `before` is the previous page's value; where a ratio is worse by more than 20 %, it is
said: on a quiet machine that is a defect."""

_AGREEMENT = f"""\
Before it is timed each engine is held against known values: task A against closed forms (mean, variance
and extinction of critical branching, at years 1 and 5), task B against our event-by-event reference (mean
and variance of the total and of the third class, at years 2.5 and 5). Beyond {LIMIT} standard errors an
engine is named and not timed."""


def measured_before(page: Path) -> dict[str, float]:
    """Return the measured ratios of an earlier page by title."""
    if not page.exists():
        return {}
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.read_text().splitlines()]
    return {row[0]: float(row[2]) for row in cells if len(row) == len(AIMS_HEAD) and _is_number(row[2])}


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) is not None


def _machine(effort, seconds: float) -> str:
    """Name machine and versions."""
    info = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(_with_version(name) for name in PACKAGES)
    return (
        f"{date.today()}, on {models[0] if models else platform.processor()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB; Python {platform.python_version()}, {packages}. "
        f"{effort.rounds} rounds, {seconds / 60:.0f} minutes, load {psutil.getloadavg()[0]:.1f} at the end."
    )


def _with_version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"  # a peer that the tasks asked for may not need


def _ratios(found, before) -> Iterator[tuple]:
    for row in ROWS:
        above, below = (_times(found, *place) for place in (row.above, row.below))
        if above and below:
            ratios = [a.cpu / b.cpu for a, b in zip(above, below, strict=True)]
            wall = statistics.median(a.wall / b.wall for a, b in zip(above, below, strict=True))
            middle = statistics.median(ratios)
            yield _aim_row(
                row.title,
                _aim(row),
                middle,
                f"{_short(min(ratios))}-{_short(max(ratios))}",
                _short(wall),
                before,
                row.at_least,
                row.at_most,
            )


def _aim(row: Row) -> str:
    if row.at_least is not None:
        return f"at least {row.at_least:g}"
    return f"at most {row.at_most:g}" if row.at_most is not None else "report"


def _slopes(found, before) -> Iterator[tuple]:
    for sweep, slope, _ in found.slopes:
        title = f"slope of log cost on log {sweep.title}"
        yield _aim_row(title, f"at most {sweep.at_most:g}", slope, "", "", before, at_most=sweep.at_most)


def _others(found, before) -> Iterator[tuple]:
    if found.starts:
        least = {name: min(time.cpu for time in times) for name, times in found.starts.items()}
        wall = {name: min(time.wall for time in times) for name, times in found.starts.items()}
        yield _aim_row(
            "first result of the engine / `import numpy`, least of starts",
            f"at most {START_AT_MOST:g}",
            least["first result"] / least["import numpy"],
            "",
            _short(wall["first result"] / wall["import numpy"]),
            before,
            at_most=START_AT_MOST,
        )
    if found.memory:
        (few, least), (many, most) = sorted(found.memory.items())
        yield _aim_row(
            f"largest memory, {many} / {few} patients in blocks of {few}",
            f"at most {MEMORY_AT_MOST:g}",
            most / least,
            f"{least:.0f} MB",
            "",
            before,
            at_most=MEMORY_AT_MOST,
        )
    if found.panel:
        rms, least_p, size = found.panel
        title = f"`fast` against `events`, panel of {size} statistics: rms z"
        yield _aim_row(title, f"at most {RMS_Z:g}", rms, "", "", {}, at_most=RMS_Z)
        yield _aim_row(
            "the same: least KS p times statistics",
            f"at least {LEAST_P:g}",
            least_p * size,
            "",
            "",
            {},
            at_least=LEAST_P,
        )


def _aim_row(title, aim, value, spread, wall, before, at_least=None, at_most=None) -> tuple[str, ...]:
    earlier = before.get(title)
    return (
        title,
        aim,
        _short(value),
        spread,
        wall,
        "" if earlier is None else _short(earlier),
        _verdict(value, earlier, at_least, at_most),
    )


def _verdict(value: float, earlier: float | None, at_least: float | None, at_most: float | None) -> str:
    if at_least is None and at_most is None:
        return "reported"
    good = value >= at_least if at_least is not None else value <= at_most
    verdict = "met" if good else "**missed**"
    if earlier is not None and earlier > 0 and value > 0:
        worse = earlier / value if at_least is not None else value / earlier
        verdict += f", {worse:.2f} times worse than before" if worse > WORSE else ""
    return verdict


def _times(found, task: str, engine: str) -> list:
    measured = found.tasks.get(task, {}).get(engine)
    return measured.times if measured else []


def _pages_of_tasks(found) -> Iterator[str]:
    """Yield tasks A and B: CPU time per replicate and ratio to `fast`, one column per size."""
    for letter, heading in (
        ("A", "## Task A: K clones at equal constant rates, 5 years, 10 outputs"),
        ("B", "## Task B: three classes under logistic competition, 5 years, 10 outputs"),
    ):
        names = [
            task.name for task in TASKS if task.name.startswith(f"{letter},") and task.name in found.tasks
        ]
        if not names:
            continue
        engines = list(dict.fromkeys(engine for name in names for engine in found.tasks[name]))
        rows = [[engine, *(_cell(found.tasks[name], engine) for name in names)] for engine in engines]
        yield heading
        yield "CPU ms per replicate; in brackets the median ratio to `fast`."
        yield _markdown(["engine", *(name.partition(", ")[2] for name in names)], rows)


def _cell(measured: dict, engine: str) -> str:
    if engine not in measured:
        return ""
    one, ours = measured[engine], measured["fast"]
    if one.note:
        return one.note
    if not ours.times:
        return _milliseconds(one.times, "cpu")
    ratio = statistics.median(a.cpu / b.cpu for a, b in zip(one.times, ours.times, strict=True))
    cpu = _milliseconds(one.times, "cpu")
    return cpu if engine == "fast" else f"{cpu} ({_short(ratio)})"


def _milliseconds(times: list, clock: str) -> str:
    return _short(1e3 * statistics.median(getattr(time, clock) for time in times))


def _agreement(found) -> Iterator[tuple]:
    for task, engines in found.tasks.items():
        for engine, measured in engines.items():
            if measured.z or measured.note:
                z = ", ".join(f"{name} {value:+.1f}" for name, value in measured.z.items())
                yield task, engine, z, measured.note


def _everything(found) -> Iterator[tuple]:
    for task, engines in found.tasks.items():
        for engine, measured in engines.items():
            if measured.times:
                yield (
                    task,
                    engine,
                    _milliseconds(measured.times, "cpu"),
                    _milliseconds(measured.times, "wall"),
                    _short(measured.first.cpu),
                    f"{measured.memory:.0f}",
                )


def _costs(found) -> Iterator[str]:
    """Yield what slopes and start-up were made of."""
    if found.slopes:
        yield "## Cost of one call along each quantity"
        rows = [
            (
                sweep.title,
                ", ".join(f"{value:,}" for value in sweep.values),
                ", ".join(_short(1e3 * cost) for cost in costs),
            )
            for sweep, _, costs in found.slopes
        ]
        yield _markdown(("quantity", "values", "CPU ms of a call"), rows)
    if found.starts:
        yield "## Start of a process"
        rows = [
            (
                name,
                _short(1e3 * min(time.cpu for time in times)),
                _short(1e3 * min(time.wall for time in times)),
            )
            for name, times in found.starts.items()
        ]
        yield _markdown(("program", "CPU ms", "wall ms"), rows)


def _short(value: float) -> str:
    """Write a number with three digits."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{min(digits, 6)}f}"


def _markdown(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
