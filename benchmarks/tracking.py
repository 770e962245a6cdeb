"""Cost of a tracking run against the rows of its table; writes its section of benchmarks/results.md.

Each size has a process of its own, which reads a table and makes every topic.  Verdicts are on slopes
of log cost on log rows, taken in one run; nothing is asserted.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).with_name("results.md")
HEADING = "## Tracking: a table of clones, every topic"
SUBJECTS = (1, 2, 4, 8)
CLONES, FRAGMENTS = 6_000, 4_000  # of a subject; of a sample
MONTHS, MARKERS = (6, 12, 24, 36), ("CD15", "CD19", "CD3")
MOST_SLOPE, MOST_MEMORY_SLOPE = 1.1, 1.1
CONSTANT = ("operating", "see_change")  # simulate one study, whatever the rows
SHOWN = 6  # topics with a row of their own


def write_table(path: Path, subjects: int) -> int:
    """Write a long table of log-normal clones in three lineages at four months; return its rows."""
    rng, rows = np.random.default_rng(1), []
    for subject in range(subjects):
        size = np.exp(1.2 * rng.standard_normal(CLONES))
        for marker in MARKERS:
            own = size * rng.gamma(2.0, 0.5, CLONES)
            for month in MONTHS:
                counts = rng.poisson(FRAGMENTS * own / own.sum())
                seen = np.flatnonzero(counts)
                rows += [f"s{subject},{month},PB,{marker},c{clone},{counts[clone]}" for clone in seen]
    path.write_text("\n".join(["subject,month,tissue,marker,clone,fragments", *rows]) + "\n")
    return len(rows)


def measure(path: str) -> dict:
    """Read a table and make every topic in this process; return CPU seconds by step, and MB."""
    from hsc_pipeline.tracking.run import Run
    from hsc_pipeline.tracking.series import read_tables
    from hsc_pipeline.tracking.settings import TOPIC_KEYS, load_tracking
    from hsc_pipeline.tracking.topics import measure as make

    content = {"kind": "tracking", "schema_version": 1, "name": "benchmark", "tables": [{"path": path}]}
    settings = load_tracking(content).as_dict()
    steps, start = {}, time.process_time()
    run = Run(read_tables(settings)[0], settings)
    steps["reading"] = time.process_time() - start
    for topic in TOPIC_KEYS:
        start = time.process_time()
        make(topic, run)
        steps[topic] = time.process_time() - start
    return {"steps": steps, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measured(subjects: int) -> dict:
    """Measure one size in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clones.csv"
        rows = write_table(path, subjects)
        command = [sys.executable, __file__, "--measure", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"rows": rows, "subjects": subjects, **json.loads(done.stdout.splitlines()[-1])}


def slope(rows: list[float], cost: list[float]) -> float:
    """Return the slope of log cost on log rows."""
    return float(np.polyfit(np.log(rows), np.log(cost), 1)[0])


def render(found: list[dict]) -> str:
    """Return the section: aims, then cost by step and size."""
    rows = [one["rows"] for one in found]
    total = [sum(one["steps"].values()) for one in found]
    constant = [sum(one["steps"][name] for name in CONSTANT) for one in found]
    growing = [x - y for x, y in zip(total, constant, strict=True)]
    memory = [one["memory"] for one in found]
    aims = [
        ("slope of log CPU on log rows, all topics", MOST_SLOPE, slope(rows, total)),
        (
            f"the same without {' and '.join(f'`{name}`' for name in CONSTANT)}",
            MOST_SLOPE,
            slope(rows, growing),
        ),
        ("slope of log largest memory on log rows", MOST_MEMORY_SLOPE, slope(rows, memory)),
    ]
    lines = [HEADING, "", "| slope | aim | measured | verdict |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | at most {aim} | {value:.3g} | {'met' if value <= aim else '**missed**'} |"
        for name, aim, value in aims
    ]
    largest = sorted(found[-1]["steps"], key=found[-1]["steps"].get, reverse=True)
    lines += ["", "CPU seconds, one process, engines compiled; the largest steps first.", ""]
    lines += [_row("step", (f"{n:,} rows" for n in rows)), "| --- |" + " --- |" * len(rows)]
    for name in largest[:SHOWN]:
        lines.append(_row(name, (f"{one['steps'][name]:.3g}" for one in found)))
    rest = [sum(one["steps"][name] for name in largest[SHOWN:]) for one in found]
    lines.append(_row(f"the other {len(largest) - SHOWN}", (f"{x:.3g}" for x in rest)))
    lines.append(_row("all", (f"{x:.3g}" for x in total)))
    lines.append(_row("largest memory, MB", (f"{x:.0f}" for x in memory)))
    each = f"{len(MARKERS)} lineages at {len(MONTHS)} months, {CLONES:,} clones"
    each = f"{each}, {FRAGMENTS:,} fragments a sample"
    lines += ["", f"Simulated tables of {', '.join(str(n) for n in SUBJECTS)} subjects: {each}."]
    return "\n".join(lines) + "\n"


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Measure every size and write the section in place of the one before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", metavar="TABLE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    section = render([measured(subjects) for subjects in SUBJECTS])
    print(section)
    before = RESULTS.read_text(encoding="utf-8").partition(HEADING)[0].rstrip("\n")
    RESULTS.write_text(f"{before}\n\n{section}", encoding="utf-8")


if __name__ == "__main__":
    main()
