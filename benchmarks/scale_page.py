"""The page of benchmarks/scale.py: what was measured, the cost model fitted to it, and a million patients."""

import numpy as np
import pandas as pd

from hsc_pipeline.models import early, surrogates

MILLION = 1_000_000
WORKERS = 1000
NAMES = {"local": "two cores", "slurm": "a Slurm of two cores"}
# Patients of one arm beyond which a job learns from a part of them.
LEARNS_FROM = {
    "models/early": early.MOST_ROWS,
    "models/surrogates": surrogates.MOST_ROWS * surrogates.UNTOUCHED,
    "CPU s of models": early.MOST_ROWS,
}
SPREAD = ("product", "engraftment", "blood", "immunity")
MEASURES = ("jobs", "wall s", "CPU s", "CPU s of jobs", "memory MB", "files", "MB")
SINGLE = "wall s of job "
OF_STAGE = "CPU s of "
MEMORY_OF_STAGE = "memory MB of "


def page(measured: pd.DataFrame) -> str:
    """Return benchmarks/scale.md.

    Parameters
    ----------
    measured : pandas.DataFrame
        Columns ``kind`` (local, slurm or plan), ``patients``, ``what`` and ``value``.
    """
    table = measured.pivot_table(index=["kind", "patients"], columns="what", values="value")
    runs = table[table.index.get_level_values("kind") != "plan"]
    local = table.loc["local"]
    return "\n".join(
        [
            "# Scale: cost against patients",
            "",
            "`benchmarks/scale.py` measures, and writes this page from scale.csv. One arm of Wiskott-Aldrich",
            "syndrome, 11 visits to month 60, models and report as in any study; jobs of two minutes",
            "(`minutes_per_job`). CPU s holds Snakemake and the start of every job; CPU s of jobs is that",
            "of these alone. The machine had other work beside at times, which wall times show. On Slurm a",
            "small study in jobs of two minutes is mostly the start of jobs: see those of ten minutes below.",
            "",
            *_measured(runs),
            "",
            *_missing(runs),
            "## Cost model",
            "",
            *_model(local),
            "",
            "## Memory",
            "",
            *_memory(local),
            "",
            "## Jobs of ten minutes on a cluster",
            "",
            *_planned(local, table.loc["plan"], _slurm_job(table.loc["slurm"])),
            "",
            "## A million patients",
            "",
            *_million(local, table.loc["plan"], _slurm_job(table.loc["slurm"])),
            "",
        ]
    )


def fit(values: pd.Series) -> tuple[float, float]:
    """Return start and slope a patient of a cost, by least squares of relative error, neither below 0."""
    from scipy.optimize import nnls

    patients, cost = values.index.to_numpy(float), values.to_numpy(float)
    design = np.column_stack([1 / cost, patients / cost])
    start, slope = nnls(design, np.ones(len(cost)))[0]
    return float(start), float(slope)


def _row(*cells: object) -> str:
    return (
        "| " + " | ".join(f"{cell:,.3g}" if isinstance(cell, float) else str(cell) for cell in cells) + " |"
    )


def _rule(columns: int) -> str:
    return "|" + " --- |" * columns


def _measured(runs: pd.DataFrame) -> list[str]:
    lines = [_row("on", "patients", *MEASURES, "not the jobs' work"), _rule(3 + len(MEASURES))]
    for (kind, patients), row in runs.iterrows():
        over = f"{100 * (row['CPU s'] / row['CPU s of jobs'] - 1):.0f} %"
        lines.append(_row(NAMES[kind], f"{patients:,}", *(_number(row[name]) for name in MEASURES), over))
    return lines


def _missing(runs: pd.DataFrame) -> list[str]:
    wanted = [(kind, patients) for kind in NAMES for patients in (100, 1000, 10_000)]
    missing = [
        f"{patients:,} on {NAMES[kind]}" for kind, patients in wanted if (kind, patients) not in runs.index
    ]
    return [f"Not run yet: {'; '.join(missing)}.", ""] if missing else []


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _stages(local: pd.DataFrame) -> list[str]:
    return [name for name in local if name.startswith(OF_STAGE) and name != "CPU s of jobs"]


def _model(local: pd.DataFrame) -> list[str]:
    lines = [
        "Cost = start + slope x patients, by least squares of relative errors, on two cores.",
        "",
        _row("cost", "start", "slope, a patient", "of 1,000 patients"),
        _rule(4),
    ]
    for name in ("CPU s", "MB", "files", *_stages(local)):
        start, slope = fit(local[name].dropna())
        lines.append(_row(name, start, slope, start + 1000 * slope))
    return lines


def _memory(local: pd.DataFrame) -> list[str]:
    sizes = list(local.index)
    lines = [
        "MB of the largest job of a stage, on two cores. Jobs that simulate hold fifty patients at a time,",
        "the summary of an arm (`outcomes`) five hundred; `models`, `trials` and `report` hold a row per",
        f"patient, and early prediction the visits of {early.MOST_ROWS:,} at most.",
        "",
        _row("stage", *(f"{patients:,} patients" for patients in sizes)),
        _rule(1 + len(sizes)),
    ]
    stages = local[[name for name in local.columns if name.startswith(MEMORY_OF_STAGE)]]
    stages = stages.T.sort_values(sizes[-1], ascending=False)
    return lines + [
        _row(name.removeprefix(MEMORY_OF_STAGE), *(f"{value:,.0f}" for value in row))
        for name, row in zip(stages.index, stages.to_numpy(), strict=True)
    ]


def _slurm_job(slurm: pd.DataFrame) -> float:
    """Return CPU seconds that Slurm and both Snakemakes add to a job, from the largest run."""
    largest = slurm.loc[slurm.index.max()]
    return float((largest["CPU s"] - largest["CPU s of jobs"]) / largest["jobs"])


def _planned(local: pd.DataFrame, plans: pd.DataFrame, slurm_job: float) -> list[str]:
    lines = [
        f"What Slurm adds to a job, {slurm_job:.1f} s of CPU, is that of the largest run above: the",
        "Snakemake that waits, the one in the job, the daemons of the controller and of three nodes.",
        "",
        _row("patients", "jobs", "planned in s", "with MB", "CPU hours of the jobs", "Slurm adds"),
        _rule(6),
    ]
    for patients, plan in plans.iterrows():
        cpu = sum(_at(local, name, patients) for name in _stages(local))
        adds = f"{100 * slurm_job * plan['jobs'] / cpu:.2g} %"
        known = (f"{plan['jobs']:,.0f}", f"{plan['wall s']:.0f}", f"{plan['memory MB']:.0f}")
        lines.append(_row(f"{patients:,}", *known, f"{cpu / 3600:,.3g}", adds))
    return lines


def _at(local: pd.DataFrame, name: str, patients: int) -> float:
    """Return a cost by its fit, of those that learn from a part at the size of that part."""
    most = LEARNS_FROM.get(name.removeprefix(SINGLE), patients)
    return float(np.dot(fit(local[name].dropna()), (1, min(patients, most))))


def _million(local: pd.DataFrame, plans: pd.DataFrame, slurm_job: float) -> list[str]:
    cpu = sum(_at(local, name, MILLION) for name in _stages(local))
    storage, files = (_at(local, name, MILLION) for name in ("MB", "files"))
    single = {
        name.removeprefix(SINGLE): _at(local, name, MILLION) / 3600
        for name in local
        if name.startswith(SINGLE)
    }
    slowest = sorted(single, key=single.get, reverse=True)[:6]
    plan = plans.loc[MILLION]
    overhead = slurm_job * plan["jobs"]
    spread = sum(_at(local, f"{OF_STAGE}{stage}", MILLION) for stage in SPREAD) / 3600
    lines = [
        f"Extrapolated from the fits, {MILLION // local.index.max():,} times beyond what was run; the plan",
        "itself was made (`snakemake -n`, jobs of ten minutes). Models learn from "
        f"{early.MOST_ROWS:,} patients at most.",
        "",
        _row("", "a million patients"),
        _rule(2),
        _row("core-hours", f"{cpu / 3600:,.0f}, of them {spread:,.0f} in batches"),
        _row("storage", f"{storage / 1e6:,.2f} TB, {files:,.0f} files"),
        _row("jobs", f"{plan['jobs']:,.0f}"),
        _row(
            "Snakemake plans them in",
            f"{plan['wall s']:.0f} s, {plan['memory MB']:.0f} MB",
        ),
        _row(
            "Slurm's cost of jobs",
            f"{overhead / 3600:.1f} core-hours, {100 * overhead / cpu:.2g} % of the work",
        ),
        _row(
            "controller",
            "at most 2 submissions a second and one squeue every 20 s, as the profile says",
        ),
        _row(f"its batches on {WORKERS:,} cores", f"{60 * spread / WORKERS:.0f} min"),
        "",
        "What breaks first is what does not spread: jobs that are one an arm or a study, however many the",
        "cores. At their slopes they would last as long as this, beyond the time that their rules ask for.",
        "Remedy: several studies of some ten thousand patients each, which differ in `seed`, and their",
        "`outcomes.parquet` read together.",
        "",
        _row("job", "hours"),
        _rule(2),
        *(_row(name, single[name]) for name in slowest),
    ]
    return lines
