"""The run that a job belongs to: what an earlier run left at work cannot spoil a later one's files.

When Snakemake is killed its jobs work on, here or on a node.  Started again, perhaps on another study
file, the workflow would take a late file of theirs for its own.  So every run leaves a mark, each
job remembers the mark that it found, and a job whose mark is gone puts no file in its place.
"""

import os
import time
import uuid
from pathlib import Path

from hsc_pipeline.errors import UserError

MARK = "logs/run.txt"

_joined: tuple[Path, str] | None = None


class Superseded(RuntimeError):
    """A later run has begun in this folder, so this job's files are no longer wanted."""


def begin(folder: str | Path) -> None:
    """Leave a new mark in a result folder; to be called where the workflow starts, under its lock.

    Raises
    ------
    UserError
        If the folder cannot be written to.
    """
    mark = Path(folder) / MARK
    aside = mark.with_name(f".{mark.name}.part-{uuid.uuid4().hex}")
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {uuid.uuid4().hex}\n", encoding="utf-8")
        os.replace(aside, mark)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written to ({error.strerror})") from None


def join(log_file: str | Path) -> None:
    """Remember the mark of the run that this job belongs to, by the job's log in ``<folder>/logs``."""
    global _joined
    logs = next((folder for folder in Path(log_file).absolute().parents if folder.name == "logs"), None)
    mark = logs.parent / MARK if logs else None
    _joined = (mark, mark.read_text(encoding="utf-8")) if mark and mark.exists() else None


def check() -> None:
    """Fail if a later run has begun; a process that joined no run passes.

    Raises
    ------
    Superseded
    """
    if _joined is None:
        return
    mark, found = _joined
    if not mark.exists() or mark.read_text(encoding="utf-8") != found:
        raise Superseded(f"{mark}: another run has begun since this job started, so it writes nothing")
