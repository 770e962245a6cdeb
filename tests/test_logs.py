"""Jobs: one numerical thread, how far and how long in the log, tracebacks kept."""

import re
import subprocess
import sys

JOB = """
from hsc_pipeline.logs import progress, start
start({log!r})
import numpy, threadpoolctl
assert all(pool["num_threads"] == 1 for pool in threadpoolctl.threadpool_info())
list(progress(range(3), 3, "patients"))
{end}
"""


def job(log, end=""):
    code = JOB.format(log=str(log), end=end)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_a_job_has_one_numerical_thread_and_says_how_far_it_is(tmp_path):
    held_by_the_parent = b"x" * 2_000_000_000
    done = job(tmp_path / "a.log")
    del held_by_the_parent
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "a.log").read_text()
    assert "patients: 3 of 3 done in" in told
    seconds, memory = map(float, re.search(r"used ([\d.]+) s of CPU and (\d+) MB$", told.strip()).groups())
    assert 0 < seconds < 60
    assert 10 < memory < 500


def test_a_job_without_pandas_makes_arrow_arrays_and_has_none(tmp_path):
    code = f"""
import sys
from hsc_pipeline.logs import start
start({str(tmp_path / "a.log")!r}, pandas=False)
import numpy, pyarrow
assert pyarrow.array(["+", "-"]).to_pylist() == ["+", "-"]
assert pyarrow.array(numpy.array([1.0, numpy.nan]), from_pandas=True).null_count == 1
assert "pandas" not in sys.modules
import pandas
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.rstrip().endswith("ImportError: this job was started without pandas")


def test_a_failure_is_in_the_log_and_in_the_exit_code(tmp_path):
    done = job(tmp_path / "a.log", "raise ArithmeticError('no such marrow')")
    assert done.returncode != 0
    assert "no such marrow" in done.stderr
    assert "ArithmeticError: no such marrow" in (tmp_path / "a.log").read_text()
