"""A real Slurm on this machine: the same bytes as on one machine, also when nodes and jobs are lost."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from test_faults import BATCHES, assert_whole, running, wait_until
from test_workflow import TINY, checksums, complete, new_project, run

from hsc_pipeline.manifest import verify

CLUSTER = Path(__file__).parent / "slurm/cluster.sh"
RESULTS = "results/tiny"
STUDY = {**TINY, "patients": 4, "sweep": None, "uncertainty": {"draws": 0}}
# The faults are to one arm, in two batches, and compared by the checksums of the whole study's manifest.
ARM = "results/tiny/outcomes/full/outcomes.parquet"
CANNOT = 77
# Jobs of seconds on a controller of our own: ask it often, and wait for no shared file system.
PROFILE = (
    *("--workflow-profile", "profiles/slurm", "--latency-wait", "10"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
)

pytestmark = pytest.mark.slurm


def cluster(*arguments):
    return subprocess.run([str(CLUSTER), *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Three nodes, each of two cores by its own account."""
    pytest.importorskip(
        "snakemake_executor_plugin_slurm", reason="NOT TESTED: say make slurm for the executor plugin"
    )
    folder = tmp_path_factory.mktemp("slurm")
    try:
        started = cluster("start", folder)
        if started.returncode == CANNOT:
            pytest.skip(f"NOT TESTED. {started.stderr.strip()}")
        assert started.returncode == 0, started.stderr
        yield folder
    finally:
        cluster("stop", folder)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The study, run on this machine without Slurm."""
    project = new_project(tmp_path_factory.mktemp("local") / "project", STUDY)
    complete(project)
    return project


@pytest.fixture
def fresh(local, tmp_path):
    """The same project before it ran."""
    project = tmp_path / "project"
    unused = shutil.ignore_patterns("results", ".snakemake")
    shutil.copytree(local, project, symlinks=True, ignore=unused)
    return project


def test_thirty_jobs_of_a_study_end_in_the_same_bytes_as_on_one_machine(slurm, fresh, local):
    code, output = run(fresh, *PROFILE)
    assert code == 0, output[-5000:]
    jobs = re.findall(r"has been submitted with SLURM jobid (\d+)", output)
    assert len(jobs) >= 25
    assert verify(fresh / RESULTS) == []
    assert checksums(fresh) == checksums(local)


def job_of(rule):
    """Number and node of a running job of a rule; nothing while there is none."""
    queue = subprocess.run(
        ["squeue", "-h", "-t", "RUNNING", "-o", "%i %N %k"], capture_output=True, text=True
    ).stdout
    jobs = (line.split(maxsplit=2) for line in queue.splitlines())
    return next(((job, node) for job, node, comment in jobs if f"rule_{rule}_" in comment), None)


def take_away(slurm, fault, job, node):
    """Cancel a job; or lose its node and all on it; or cut the node off while its jobs run on."""
    if fault == "scancel":
        subprocess.run(["scancel", job], check=True)
    else:
        done = cluster(fault, slurm, node)
        assert done.returncode == 0, done.stderr


def taken_away(slurm, project, faults, *arguments):
    """Run on the cluster with a fault to a job of each named rule; return what the run said."""
    lost = []
    try:
        with running(project, *PROFILE, *arguments, "--", ARM) as process:
            for rule, fault in faults.items():
                assert wait_until(lambda rule=rule: job_of(rule), process), rule
                job, node = job_of(rule)
                take_away(slurm, fault, job, node)
                lost += [node] * (fault != "scancel")
            code = process.wait(900)
            output = (project / "output.txt").read_text()
    finally:
        for node in lost:
            assert cluster("node", slurm, node).returncode == 0
    assert code == 0, output[-5000:]
    return output


def assert_killed_for_memory(slurm):
    logs = [path.read_text() for path in (slurm / "log").glob("slurmd.n*.log")]
    assert any("exceeded memory limit" in log or "oom" in log.lower() for log in logs), "the limit was real"


SMALL = ("--set-resources", "bleed:mem_mb=200 * attempt ** 2")


@pytest.mark.slow
def test_a_job_cancelled_a_node_lost_and_too_little_memory_in_one_run(slurm, fresh, local):
    output = taken_away(slurm, fresh, {"engraft": "scancel", "assess": "lose"}, "--slurm-no-requeue", *SMALL)
    assert "SLURM status is: 'CANCELLED'" in output
    assert "SLURM status is: 'NODE_FAIL'" in output
    assert_killed_for_memory(slurm)
    assert ARM.removeprefix(f"{RESULTS}/") in assert_whole(fresh, local)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["make_products", "engraft", "bleed", "assess"])
@pytest.mark.parametrize(
    ("fault", "arguments"),
    [("scancel", ()), ("lose", ("--slurm-no-requeue",)), ("lose", ()), ("cut", ("--slurm-no-requeue",))],
    ids=["cancelled", "lost", "lost-and-requeued-by-slurm", "split-brain"],
)
def test_a_job_taken_away_runs_again(slurm, fresh, local, rule, fault, arguments):
    taken_away(slurm, fresh, {rule: fault}, *arguments)
    assert ARM.removeprefix(f"{RESULTS}/") in assert_whole(fresh, local)


@pytest.mark.slow
def test_snakemake_killed_and_its_jobs_on_the_nodes_left_to_themselves(slurm, fresh, local):
    with running(fresh, *PROFILE, "--", ARM) as process:
        assert wait_until(lambda: job_of("engraft"), process)
        process.kill()
        process.wait()
    assert run(fresh, "--unlock")[0] == 0
    code, output = run(fresh, *PROFILE, *BATCHES, "--", ARM)
    assert code == 0, output[-5000:]
    assert ARM.removeprefix(f"{RESULTS}/") in assert_whole(fresh, local)


@pytest.mark.slow
def test_a_controller_gone_for_a_while_loses_nothing(slurm, fresh, local):
    with running(fresh, *PROFILE, "--", ARM) as process:
        assert wait_until(lambda: job_of("make_products"), process)
        os.kill(int((slurm / "run/slurmctld.pid").read_text()), signal.SIGKILL)
        time.sleep(10)
        assert cluster("controller", slurm).returncode == 0
        assert process.wait(900) == 0, (fresh / "output.txt").read_text()[-5000:]
    assert ARM.removeprefix(f"{RESULTS}/") in assert_whole(fresh, local)
