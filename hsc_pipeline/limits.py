"""Limits on what a file from a stranger may unpack to, and on the length of its lines."""

import gzip
import io
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, TextIO

MOST_LINE = 1 << 24  # characters; a matrix of ten thousand samples takes a hundredth of it
MOST_TIMES = 200  # a table of clones packs to a fifth or a twentieth; zeros to a thousandth
FREE_BYTES = 1 << 27  # a small file may unpack to this, whatever its ratio


class TooLarge(OSError):
    """A file is beyond a limit; readers say it as they say that a file cannot be read."""


class Unpacked(io.RawIOBase):
    """The bytes of a packed file, up to a limit.

    Parameters
    ----------
    file : binary file
        That unpacks what it reads.
    packed : int
        Bytes of the packed file.
    most : int, optional
        Bytes it may unpack to; by default `MOST_TIMES` the packed, or `FREE_BYTES` if that is more.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile, packed: int, most: int | None = None):
        self._file, self._packed = file, packed
        self._most = max(FREE_BYTES, MOST_TIMES * packed) if most is None else most
        self._read = 0

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer) -> int:
        """Read into a buffer, and fail beyond the limit."""
        data = self._file.read(len(buffer))
        self._read += len(data)
        if self._read > self._most:
            raise TooLarge(f"{self._packed:,} bytes unpack to more than {self._most:,}, the limit")
        buffer[: len(data)] = data
        return len(data)


def unpacked_gz(raw: BinaryIO, packed: int, most: int | None = None) -> io.BufferedReader:
    """Return the content of a gz file within the limits of `Unpacked`."""
    return io.BufferedReader(Unpacked(gzip.GzipFile(fileobj=raw), packed, most), 1 << 16)


def regular_size(path: str | Path) -> int:
    """Return the size of a file; a device or a pipe, which may never end, is refused.

    Raises
    ------
    OSError
    """
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode):
        raise TooLarge("this is not a file")
    return found.st_size


def exists(path: str | Path) -> bool:
    """Whether there is a file or folder; a path too long for the system names nothing."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def bounded_lines(text: TextIO) -> Iterator[str]:
    """Yield lines, and fail on one that does not end."""
    while line := text.readline(MOST_LINE):
        if len(line) == MOST_LINE and not line.endswith("\n"):
            raise TooLarge(f"a line is longer than {MOST_LINE:,} characters, the limit")
        yield line
