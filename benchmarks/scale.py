"""Cost of a study against its patients, on this machine and on a Slurm of its own; writes scale.md.

    python benchmarks/scale.py run local 100 1000 10000
    python benchmarks/scale.py run slurm 100 1000
    python benchmarks/scale.py plan 10000 100000 1000000
    python benchmarks/scale.py page

`run` and `plan` keep what they measured in scale.csv; `page` fits the cost model to it.  Nothing is
asserted.  Slurm needs root and Debian's packages: tests/slurm/cluster.sh.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import yaml
from jobs import read_jobs  # the module beside this one

REPOSITORY, MEASURED = Path(__file__).parents[1], Path(__file__).with_name("scale.csv")
PAGE = MEASURED.with_suffix(".md")
PARTS = ("Snakefile", "workflow", "profiles", "config", "hsc_pipeline")
CLUSTER = REPOSITORY / "tests/slurm/cluster.sh"
CORES, MINUTES_PER_JOB, MINUTES_PER_JOB_OF_A_CLUSTER = 2, 2, 10
ON_SLURM = (
    *("--workflow-profile", "profiles/slurm", "--latency-wait", "10", "--jobs", "100"),
    *("--slurm-init-seconds-before-status-checks", "5", "--seconds-between-status-checks", "5"),
)
STUDY = {
    "kind": "study",
    "schema_version": 1,
    "name": "scale",
    "seed": 1,
    "disease": "was",
    "visits_months": [1, 2, 3, 6, 9, 12, 18, 24, 36, 48, 60],
    "arms": [{"name": "trial"}],
    "uncertainty": {"draws": 0},
}


def project(folder: Path, patients: int, minutes: float) -> Path:
    """Copy the workflow and write the study."""
    for part in PARTS:
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    (folder / "study.yaml").write_text(
        yaml.safe_dump({**STUDY, "patients": patients, "minutes_per_job": minutes})
    )
    return folder


def snakemake(folder: Path, *arguments: str) -> None:
    """Run the workflow in a folder."""
    command = [sys.executable, "-m", "snakemake", "all", *arguments, "--quiet", "all"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run([*command, "--configfile", "study.yaml"], cwd=folder, env=environment, check=True)


def spent(executor: str) -> float:
    """Return CPU seconds so far: of all that this process started, or, with a Slurm, of the whole machine."""
    if executor == "local":
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def run(executor: str, patients: int) -> dict:
    """Run the study once from nothing; with a Slurm, on a machine that does nothing else."""
    arguments = ON_SLURM if executor == "slurm" else ("--cores", str(CORES))
    with tempfile.TemporaryDirectory(dir=os.environ.get("SCALE_FOLDER")) as name:
        folder = project(Path(name), patients, MINUTES_PER_JOB)
        start, before = time.perf_counter(), spent(executor)
        snakemake(folder, *arguments)
        wall, cpu = time.perf_counter() - start, spent(executor) - before
        results = folder / "results/scale"
        jobs = read_jobs(results)
        files = [path for path in results.rglob("*") if path.is_file()]
        stages = pd.DataFrame(jobs).groupby("stage").agg({"cpu": "sum", "memory": "max"})
        return {
            "jobs": len(jobs),
            "wall s": wall,
            "CPU s": cpu,
            "CPU s of jobs": float(stages["cpu"].sum()),
            "memory MB": max(job["memory"] for job in jobs),
            "files": len(files),
            "MB": sum(path.stat().st_size for path in files) / 1e6,
            **{f"CPU s of {stage}": float(spent) for stage, spent in stages["cpu"].items()},
            **{f"memory MB of {stage}": float(most) for stage, most in stages["memory"].items()},
            # Jobs that are one whatever the cohort: they end the gain from more machines.
            **{f"wall s of job {job['name']}": job["wall"] for job in jobs if not job["batch"]},
        }


def plan(patients: int) -> dict:
    """Let Snakemake say what it would run, with jobs as long as a cluster likes them."""
    with tempfile.TemporaryDirectory() as name:
        folder = project(Path(name), patients, MINUTES_PER_JOB_OF_A_CLUSTER)
        start = time.perf_counter()
        command = [sys.executable, "-m", "snakemake", "all", "-n", "--configfile", "study.yaml"]
        said = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            check=True,
            capture_output=True,
            text=True,
        )
        wall = time.perf_counter() - start
    total = next(line for line in reversed(said.stdout.splitlines()) if line.startswith("total"))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    return {"jobs": int(total.split()[1]), "wall s": wall, "memory MB": memory}


def keep(kind: str, patients: int, measured: dict[str, float]) -> None:
    """Put measurements in place of those of the same kind and size."""
    rows = pd.DataFrame(measured.items(), columns=["what", "value"]).assign(kind=kind, patients=patients)
    if MEASURED.exists():
        known = pd.read_csv(MEASURED)
        others = known[(known["kind"] != kind) | (known["patients"] != patients)]
        rows = pd.concat([others, rows], ignore_index=True)
    rows = rows.sort_values(["kind", "patients"], kind="stable")
    rows.to_csv(MEASURED, index=False, float_format="%.4g")
    print(kind, patients, {name: float(f"{value:.4g}") for name, value in measured.items()}, flush=True)


def main() -> None:
    """Do what the command line says."""
    what, *rest = sys.argv[1:]
    if what == "page":
        from scale_page import page  # the module beside this one

        PAGE.write_text(page(pd.read_csv(MEASURED)), encoding="utf-8")
    elif what == "plan":
        for patients in rest:
            keep("plan", int(patients), plan(int(patients)))
    else:
        executor, *sizes = rest
        with tempfile.TemporaryDirectory() as slurm:
            try:
                if executor == "slurm":
                    subprocess.run([str(CLUSTER), "start", slurm], check=True)
                for patients in sizes:
                    keep(executor, int(patients), run(executor, int(patients)))
            finally:
                if executor == "slurm":
                    subprocess.run([str(CLUSTER), "stop", slurm], check=True)


if __name__ == "__main__":
    main()
