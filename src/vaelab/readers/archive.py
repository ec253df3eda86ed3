"""Zip archives in which trackers put an offline run: members read line by line, within limits."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from vaelab.errors import LogError
from vaelab.readers.magic import ZIP
from vaelab.readers.source import Source

MOST_UNPACKED = 2 << 30  # bytes of one member
MOST_LINE = 64 << 20  # bytes of one line
_FAILURES = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


def sniff_members(head: bytes, source: Source, names: frozenset[str]) -> float:
    """How sure it is that a log which begins with ``head`` is a zip archive with these files in it."""
    if not head.startswith(ZIP):
        return 0.0
    try:
        with opened(source) as archive:
            return 1.0 if names <= set(archive.namelist()) else 0.0
    except LogError:
        return 0.1  # read() says what is wrong with it


@contextmanager
def opened(source: Source) -> Iterator[zipfile.ZipFile]:
    """The archive. Raises LogError, for what is done in the block too, where it is not whole or not readable."""
    try:
        with source.local_file() as path, zipfile.ZipFile(path) as archive:
            yield archive
    except _FAILURES as error:
        raise LogError(
            f"{source.name} is not a whole zip archive ({error}): trackers write it when the run ends, so the run may have"
            " been killed. Copy it again, or give the folder that the tracker was writing to."
        ) from error


def lines(archive: zipfile.ZipFile, name: str, source: Source) -> Iterator[bytes]:
    """The lines of the member ``name``, without their ends. Raises LogError where it unpacks to more than the limits."""
    size = archive.getinfo(name).file_size
    if size > MOST_UNPACKED:
        raise LogError(
            f"{source.name}: {name} unpacks to {size / 2**30:,.1f} GiB, more than vaelab reads from an archive "
            f"({MOST_UNPACKED >> 30} GiB): unpack it, and give the folder."
        )
    rest = b""
    with archive.open(name) as member:
        while chunk := member.read(1 << 20):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            if len(rest) > MOST_LINE:
                raise LogError(f"{source.name}: {name} has a line of more than {MOST_LINE >> 20} MiB: it is no log.")
    if rest:
        yield rest
