"""What the jobs of a run cost, from their logs."""

import re
from pathlib import Path

COST = re.compile(r"used ([\d.]+) s of CPU and (\d+) MB$")
BATCH = re.compile(r"\d+-\d+")


def read_jobs(results: Path) -> list[dict]:
    """Return name, stage, CPU and wall seconds, MB, and whether it is one batch of many, of each job."""
    logs = results / "logs"
    return [read_job(path, logs) for path in sorted(logs.rglob("*.log"))]


def read_job(path: Path, logs: Path) -> dict:
    """Read one log, and the wall time that Snakemake kept beside it."""
    told = COST.search(path.read_text(encoding="utf-8").rstrip())
    if not told:
        raise ValueError(f"{path}: does not say what its job cost")
    name = path.relative_to(logs).with_suffix("")
    kept = (logs.parent / "benchmarks" / name).with_suffix(".tsv").read_text(encoding="utf-8")
    return {
        "name": str(name),
        "stage": name.parts[0],
        "batch": BATCH.fullmatch(name.name) is not None,
        "cpu": float(told[1]),
        "memory": float(told[2]),
        "wall": float(kept.splitlines()[1].split("\t")[0]),
    }
