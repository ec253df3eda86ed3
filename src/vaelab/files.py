"""Files that others wrote: only regular ones are opened, and no more of them is read than their kind can hold."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

SETTINGS_LIMIT = 16 << 20
"""Bytes of settings or a small record: such files have some pages."""

LIST_LIMIT = 1 << 30
"""Bytes of a list of files."""


def open_regular(path: str | Path) -> BinaryIO:
    """Open a file to read its bytes. A pipe would be waited on for ever, and a device such as /dev/zero has no end.

    Raises OSError, whose ``strerror`` says why: missing, no permission, a folder, a pipe or a device.
    """
    path = Path(path)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a device"
        raise OSError(errno.EINVAL, f"it is {kind} and not a file", str(path))
    return path.open("rb")


def read_bytes(path: str | Path, limit: int = SETTINGS_LIMIT) -> bytes:
    """All bytes of a regular file. Raises OSError as :func:`open_regular`, and where it has more than ``limit`` bytes."""
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit >> 20} MiB, which is not a file of this kind", str(path))
    return content


def read_start(path: str | Path, count: int) -> bytes:
    """The first ``count`` bytes of a regular file, fewer if it is shorter. Raises OSError as :func:`open_regular`."""
    with open_regular(path) as file:
        return file.read(count)


def read_text(path: str | Path, encoding: str = "utf-8", errors: str = "strict", limit: int = SETTINGS_LIMIT) -> str:
    """The text of a regular file, line ends as ``\\n``. Raises OSError as :func:`read_bytes`, UnicodeDecodeError."""
    return read_bytes(path, limit).decode(encoding, errors).replace("\r\n", "\n")


def cache_folder() -> Path:
    """The folder ``vaelab`` in the user's cache; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaelab"
