"""Logs of jobs: a file for each, with how far and how long; one numerical thread."""

import atexit
import logging
import os
import re
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import TracebackType

from hsc_pipeline import runs

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PROCESS_STATUS = Path("/proc/self/status")
# In kB on Linux, in bytes on macOS.
MAXRSS_IN_A_MB = 1e6 if sys.platform == "darwin" else 1e3

logger = logging.getLogger("hsc_pipeline")


class _NoPandas(MetaPathFinder):
    """Lets nothing import pandas: pyarrow would, for its first array, and that is half the start of a job."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Refuse pandas, leave all else to others."""
        if fullname == "pandas":
            raise ImportError("this job was started without pandas")


def start(log_file: str, pandas: bool = True) -> None:
    """Begin a job: log to its file, one numerical thread, tracebacks into the log, part of its run.

    To be called before numpy is imported: threaded sums depend on the number of threads.

    Parameters
    ----------
    log_file : str
    pandas : bool
        Whether the job uses pandas.
    """
    if not pandas:
        sys.meta_path.insert(0, _NoPandas())
    for name in THREAD_SETTINGS:
        os.environ[name] = "1"
    logging.basicConfig(
        filename=log_file, filemode="w", level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    sys.excepthook = _log_exception
    atexit.register(_log_cost)
    runs.join(log_file)


def progress(items: Iterable, total: int, what: str, every_seconds: float = 10) -> Iterator:
    """Pass items on, and say now and then how many of `total` are done, and the seconds taken."""
    begun = said = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if done == total or now - said >= every_seconds:
            said = now
            logger.info("%s: %d of %d done in %.1f s", what, done, total, now - begun)


def _log_cost() -> None:
    """Say what the whole process cost; Snakemake's benchmark misses what it used after its last look."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    memory = max(_peak_mb(own), children.ru_maxrss / MAXRSS_IN_A_MB)
    logger.info("used %.2f s of CPU and %.0f MB", seconds, memory)


def _peak_mb(own: resource.struct_rusage) -> float:
    """Return the largest resident memory of this process.

    On Linux ru_maxrss starts at what the parent held when it started us (exec keeps it); VmHWM does not.
    """
    if not PROCESS_STATUS.exists():
        return own.ru_maxrss / MAXRSS_IN_A_MB
    peak = re.search(r"^VmHWM:\s*(\d+) kB$", PROCESS_STATUS.read_text(encoding="ascii"), re.MULTILINE)
    return int(peak[1]) / 1e3 if peak else 0.0


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("failed", exc_info=(kind, error, trace))
    sys.__excepthook__(kind, error, trace)
