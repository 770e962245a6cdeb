"""A real Slurm on this machine: the same bytes as on one machine, also when nodes and jobs are lost."""

import asyncio
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from test_faults import BATCHES, assert_whole, running, wait_until
from test_workflow import TINY, checksums, complete, new_project, run

from hsc_pipeline.manifest import verify
from hsc_pipeline.slurm import keep_asking

CLUSTER = Path(__file__).parent / "slurm/cluster.sh"
QUICK = CLUSTER.with_name("sitecustomize.py")
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
    shutil.copy(QUICK, project)  # a folder of PYTHONPATH, and copied with the project
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
    """Cancel a job; or lose its node and all on it."""
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


def controller_log(slurm):
    return (slurm / "log/slurmctld.log").read_text()


# Rules of batches, and the rule that gathers each one's.
GATHERING = {
    "make_products": "gather_product",
    "engraft": "gather_engraftment",
    "bleed": "gather_blood",
    "assess": "gather_immunity",
}
SMALL = ("--set-resources", "bleed:mem_mb=200 * attempt ** 2")


@pytest.mark.slow
def test_a_job_cancelled_a_node_lost_and_too_little_memory_in_one_run(slurm, fresh, local):
    output = taken_away(slurm, fresh, {"engraft": "scancel", "assess": "lose"}, "--slurm-no-requeue", *SMALL)
    assert "SLURM status is: 'CANCELLED'" in output
    assert "SLURM status is: 'NODE_FAIL'" in output
    assert_killed_for_memory(slurm)
    assert ARM.removeprefix(f"{RESULTS}/") in assert_whole(fresh, local)


@pytest.fixture(scope="module")
def before(request, local, tmp_path_factory):
    """A rule, and the project with all that the rule reads, made on this machine, and no more."""
    project = tmp_path_factory.mktemp("before") / "project"
    unused = shutil.ignore_patterns("results", ".snakemake")
    shutil.copytree(local, project, symlinks=True, ignore=unused)
    complete(project, *BATCHES, "--omit-from", request.param, "--", ARM)
    return request.param, project


@pytest.fixture
def prepared(before, tmp_path):
    """A rule, the options for its stage alone, and a copy of the project made so far."""
    rule, made = before
    project = tmp_path / "project"
    shutil.copytree(made, project, symlinks=True)
    return rule, ("--until", GATHERING[rule]), project


def assert_ends_whole(project, local):
    """What Slurm left is whole, and this machine goes on from it to the same bytes."""
    assert_whole(project, local)
    complete(project, *BATCHES, "--", ARM)
    assert ARM.removeprefix(f"{RESULTS}/") in assert_whole(project, local)


# A stage and its gathering are on Slurm here; what comes before and after, on this machine, to save time.
@pytest.mark.slow
@pytest.mark.parametrize("before", GATHERING, indirect=True)
@pytest.mark.parametrize(
    ("fault", "arguments", "sign"),
    [
        ("scancel", (), "SLURM status is: 'CANCELLED'"),
        ("lose", ("--slurm-no-requeue",), "SLURM status is: 'NODE_FAIL'"),
        ("lose", (), "requeue job"),
    ],
    ids=["cancelled", "lost", "lost-and-requeued-by-slurm"],
)
def test_a_job_taken_away_runs_again(slurm, prepared, local, fault, arguments, sign):
    rule, stage, project = prepared
    seen = len(controller_log(slurm))
    output = taken_away(slurm, project, {rule: fault}, *arguments, *stage)
    # Else the fault came too late, and the test would show nothing.
    assert sign in output + controller_log(slurm)[seen:]
    assert_ends_whole(project, local)


def at_work(project, rule):
    """Process, job and node of each script of a rule that is at work on a node, by /proc."""
    found = []
    for folder in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError, IndexError, KeyError):
            script = Path(f"/proc/{folder}/cmdline").read_text().split("\0")[1]
            if script.startswith(f"{project}/.snakemake/scripts/") and script.endswith(f".{rule}.py"):
                words = Path(f"/proc/{folder}/environ").read_text().split("\0")
                values = dict(word.split("=", 1) for word in words if "=" in word)
                found.append((int(folder), values["SLURM_JOB_ID"], values["SLURMD_NODENAME"]))
    return found


def submitted(project):
    """Snakemake's number of each job that it submitted, by Slurm's number."""
    output = (project / "output.txt").read_text()
    found = re.findall(r"Job (\d+) has been submitted with SLURM jobid (\d+)", output)
    return {number: step for step, number in found}


def successors(project, rule, job):
    """Jobs at work that were submitted anew in place of a job."""
    step_of = submitted(project)
    others = {other for _, other, _ in at_work(project, rule)} - {job}
    return [other for other in others if step_of.get(other) == step_of[job]]


def is_there(pid):
    return Path(f"/proc/{pid}").exists()


# The job must be at work when its node is cut off: a job whose step is still to start merely fails.
@pytest.mark.slow
@pytest.mark.parametrize("before", GATHERING, indirect=True)
def test_an_orphan_on_a_node_cut_off_writes_beside_its_successor(slurm, prepared, local):
    """It is held until another job makes the same files, then goes on: each may end first."""
    rule, stage, project = prepared
    orphan = node = None
    try:
        with running(project, *PROFILE, "--slurm-no-requeue", *stage, "--", ARM) as process:
            assert wait_until(lambda: at_work(project, rule), process)
            orphan, job, node = at_work(project, rule)[0]
            os.kill(orphan, signal.SIGSTOP)
            assert cluster("cut", slurm, node).returncode == 0
            assert wait_until(lambda: successors(project, rule, job), process)
            assert is_there(orphan), "two copies of the job at once, or the test shows nothing"
            os.kill(orphan, signal.SIGCONT)
            assert process.wait(900) == 0, (project / "output.txt").read_text()[-5000:]
            output = (project / "output.txt").read_text()
    finally:
        if orphan and is_there(orphan):
            os.kill(orphan, signal.SIGCONT)
        if node:
            assert cluster("node", slurm, node).returncode == 0
    assert "SLURM status is: 'NODE_FAIL'" in output
    assert_ends_whole(project, local)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["engraft"], indirect=True)
def test_snakemake_killed_and_its_jobs_on_the_nodes_left_to_themselves(slurm, prepared, local):
    rule, stage, project = prepared
    with running(project, *PROFILE, *stage, "--", ARM) as process:
        assert wait_until(lambda: job_of(rule), process)
        process.kill()
        process.wait()
    assert run(project, "--unlock")[0] == 0
    code, output = run(project, *PROFILE, *BATCHES, *stage, "--", ARM)
    assert code == 0, output[-5000:]
    assert_ends_whole(project, local)


def known(jobs):
    """Those of the jobs that Slurm knows, ended or not."""
    queue = subprocess.run(["squeue", "-h", "-t", "all", "-o", "%i"], capture_output=True, text=True)
    assert queue.returncode == 0, queue.stderr
    return set(jobs) & set(queue.stdout.split())


def kill_controller(slurm):
    os.kill(int((slurm / "run/slurmctld.pid").read_text()), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["make_products"], indirect=True)
def test_a_controller_gone_for_a_while_loses_nothing(slurm, prepared, local):
    """It has saved that the job runs: slurmctld writes its records down within some five seconds.

    Without `keep_asking` the plugin drops its jobs in that time, and Snakemake waits for ever.
    """
    rule, stage, project = prepared
    saved, held = slurm / "state/job_state", None
    try:
        with running(project, *PROFILE, *stage, "--", ARM) as process:
            assert wait_until(lambda: at_work(project, rule), process)
            held = at_work(project, rule)[0][0]
            os.kill(held, signal.SIGSTOP)
            since = time.time()
            assert wait_until(lambda: saved.exists() and saved.stat().st_mtime > since, process)
            kill_controller(slurm)
            time.sleep(10)
            assert cluster("controller", slurm).returncode == 0
            os.kill(held, signal.SIGCONT)
            assert process.wait(900) == 0, (project / "output.txt").read_text()[-5000:]
            # Else the plugin did not ask in that time, and the test would show nothing.
            assert "Falling back to 'sacct'" in (project / "output.txt").read_text()
    finally:
        if held and is_there(held):
            os.kill(held, signal.SIGCONT)
    assert_ends_whole(project, local)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["make_products"], indirect=True)
def test_jobs_the_controller_forgot_are_made_by_the_same_command_said_again(slurm, prepared, local):
    """It comes back with its records of before the submission, as when killed before it wrote them down.

    Snakemake waits for jobs that nobody knows until it is interrupted.  A lock left by that, or half a file
    by a forgotten job, would stop or spoil the second run.  The jobs are held, because Slurm gives their
    numbers again, and a node does not take the number of a job that ended there while nobody knew it.
    """
    rule, stage, project = prepared
    records = {path: path.read_bytes() for path in (slurm / "state").glob("job_state*")}
    held = set()

    def both_held():
        for script, _, _ in at_work(project, rule):
            os.kill(script, signal.SIGSTOP)
            held.add(script)
        return len(held) == 2

    try:
        with running(project, *PROFILE, *stage, "--", ARM) as process:
            assert wait_until(both_held, process)
            kill_controller(slurm)
            for path in (slurm / "state").glob("job_state*"):
                path.unlink()
            for path, content in records.items():
                path.write_bytes(content)
            time.sleep(10)
            assert cluster("controller", slurm).returncode == 0
            time.sleep(20)
            assert not known(submitted(project)), "the controller forgot, or the test shows nothing"
            assert process.poll() is None, "it no longer waits: correct docs/howto_cluster.md"
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(120) == 1, (project / "output.txt").read_text()[-5000:]
    finally:
        for script in filter(is_there, held):
            os.kill(script, signal.SIGCONT)
    code, output = run(project, *PROFILE, *BATCHES, *stage, "--", ARM)
    assert code == 0, output[-5000:]
    assert_ends_whole(project, local)


def test_a_question_that_slurm_does_not_answer_tells_of_no_job(monkeypatch):
    """The plugin's own answer, None, has it drop its jobs; renamed there, the name is missed here."""
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm", reason="NOT TESTED: say make slurm")
    ask, logger = plugin.query_job_status, logging.getLogger()
    monkeypatch.setattr(plugin, "query_job_status", ask)
    assert asyncio.run(ask("false", logger)) == (None, None)
    keep_asking()
    assert asyncio.run(plugin.query_job_status("false", logger)) == ({}, 0.0)
    assert asyncio.run(plugin.query_job_status("echo '7|RUNNING'", logger))[0] == {"7": "RUNNING"}
