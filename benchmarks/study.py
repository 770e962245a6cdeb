"""Cost of the default study by stage, and of starting its jobs; writes its section of benchmarks/results.md.

The study runs once from nothing, in a folder of its own.  Shares are of one run; nothing is asserted.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from jobs import read_jobs  # the module beside this one

REPOSITORY, RESULTS = Path(__file__).parents[1], Path(__file__).with_name("results.md")
HEADING = "## A study: the default one, from nothing to its report"
PARTS = ("Snakefile", "workflow", "profiles", "config", "hsc_pipeline")
CORES = 2
SIMULATION = ("plan", "product", "engraftment", "blood", "immunity", "outcomes")
ANSWERS = ("models", "trials")


def run_default(folder: Path) -> tuple[float, dict[str, list[tuple[float, float]]]]:
    """Run the default study; return its wall time, and wall and CPU seconds of the jobs of each stage."""
    for part in PARTS:
        source = REPOSITORY / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    command = [sys.executable, "-m", "snakemake", "--cores", str(CORES), "--quiet", "all"]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, check=True)
    wall = time.perf_counter() - start
    jobs: dict[str, list[tuple[float, float]]] = {}
    [results] = (path.parent for path in folder.glob("results/*/logs"))
    for job in read_jobs(results):
        jobs.setdefault(job["stage"], []).append((job["wall"], job["cpu"]))
    return wall, jobs


def start_of_a_job() -> float:
    """Return the CPU seconds of a Python that imports what a job of points imports and does nothing."""
    code = "import time, hsc_pipeline.points; print(time.process_time())"
    spent = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(3)]
    return min(float(one.stdout) for one in spent)


def render(wall: float, jobs: dict[str, list[tuple[float, float]]], start: float) -> str:
    """Return the section: shares, then cost by stage."""
    cpu = {stage: sum(own for _, own in rows) for stage, rows in jobs.items()}
    everything, number = sum(cpu.values()), sum(len(rows) for rows in jobs.values())
    arms = sum(cpu.get(stage, 0) for stage in SIMULATION)
    points = cpu.get("sweep", 0) + cpu.get("uncertainty", 0)
    answers = sum(cpu.get(stage, 0) for stage in ANSWERS)
    shares = [
        (f"wall time of {CORES} cores / CPU time of all jobs", CORES * wall / everything),
        ("CPU of all jobs / CPU of the arms' simulation", everything / arms),
        ("points of the sweep and of uncertainty / the arms' simulation", points / arms),
        ("models and trials / simulation of arms and points", answers / (arms + points)),
        (
            f"start of a job ({start:.2f} s) times {number} jobs / CPU of all jobs",
            start * number / everything,
        ),
    ]
    lines = [HEADING, "", "| ratio, in one run | measured |", "| --- | --- |"]
    lines += [f"| {name} | {value:.3g} |" for name, value in shares]
    lines += ["", f"{wall:.0f} s of wall time on {CORES} cores, {number} jobs.", ""]
    lines += [_row("stage", ("jobs", "CPU s", "wall s of its jobs")), "| --- | --- | --- | --- |"]
    for stage in sorted(cpu, key=cpu.get, reverse=True):
        spent = sum(own for own, _ in jobs[stage])
        lines.append(_row(stage, (str(len(jobs[stage])), f"{cpu[stage]:.3g}", f"{spent:.3g}")))
    return "\n".join(lines) + "\n"


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Run the study and write the section in place of the one before."""
    with tempfile.TemporaryDirectory() as folder:
        wall, jobs = run_default(Path(folder))
    section = render(wall, jobs, start_of_a_job())
    print(section)
    before = RESULTS.read_text(encoding="utf-8").partition(HEADING)[0].rstrip("\n")
    RESULTS.write_text(f"{before}\n\n{section}", encoding="utf-8")


if __name__ == "__main__":
    main()
