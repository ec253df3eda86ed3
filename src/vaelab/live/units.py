"""What is read together: a log file, or the folder of one run; and whether it has changed since it was last read."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from vaelab.readers import folder as folders
from vaelab.readers.mlflow_files import META

Signature = tuple[tuple[str, int, int, int], ...]
"""(path, inode, bytes, time of change in ns) of every file that belongs together."""

EVENTS = "events.jsonl"
"""What happened in a run of ``vaelab train`` stands beside its rows."""


def find_units(path: str) -> dict[str, Signature]:
    """The units below ``path`` (a file, a folder, a pattern) with the state of their files; empty if there is nothing yet."""
    if Path(path).is_dir():
        return _folder_units(Path(path))
    if any(c in path for c in "*?[") and not Path(path).exists():
        units: dict[str, Signature] = {}
        for match in sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 - the pattern may be absolute
            units.update(find_units(match))
        return units
    signature = _signature([Path(path)])
    return {path: signature} if signature and signature[0][0] == path else {}


def _folder_units(top: Path) -> dict[str, Signature]:
    """The folders below ``top`` that may hold a run of their own."""
    files: dict[Path, list[Path]] = {}
    for path in folders.candidates(top):
        files.setdefault(folders.run_folder(path, top)[0], []).append(path)
    return {str(folder): _signature(paths) for folder, paths in sorted(files.items(), key=lambda item: item[0].parts)}


def _signature(paths: Iterable[Path]) -> Signature:
    """Of those of ``paths``, and of the files that belong to them, that can be looked at."""
    entries = []
    for path in dict.fromkeys(part for given in paths for part in _parts(given)):
        try:
            stat = path.stat()
        except (OSError, ValueError):
            continue
        entries.append((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(entries)


def _parts(path: Path) -> Iterator[Path]:
    """``path`` and the files in which its new rows may stand."""
    yield path
    if path.name == META:
        yield from sorted(path.with_name("metrics").rglob("*"))
    elif path.suffix in (".db", ".sqlite", ".sqlite3"):
        yield path.with_name(f"{path.name}-wal")
    else:
        yield path.with_name(EVENTS)
