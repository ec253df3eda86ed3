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


def look_up(path: str) -> tuple[dict[str, Signature], str]:
    """The units below ``path`` (a file, a folder, a pattern) with the state of their files, and a sentence that says why there
    are none, or why they hold no run."""
    try:
        if Path(path).is_dir():
            return _folder_units(Path(path)), f"there is no training log in the folder {path} yet: waiting for one."
        if Path(path).exists() and not Path(path).is_file():
            return {}, f"{path} is no file that can be read again: write the log to a file and watch that."
        if any(c in path for c in "*?[") and not Path(path).exists():
            matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - the pattern may be absolute
            units = {unit: state for match in matches for unit, state in look_up(match)[0].items()}
            return units, f"no file matches {path} yet: waiting for one."
        signature = _signature([Path(path)])
        there = bool(signature) and signature[0][0] == path
        waits = "holds no row yet: waiting for the first" if there else "does not exist yet: waiting for it"
        return ({path: signature} if there else {}), f"{path} {waits}."
    except OSError as error:
        return {}, f"{path} cannot be looked at: {error.strerror or error}."


def exists(path: str) -> bool:
    """Whether something is there; False where that cannot be seen."""
    try:
        return Path(path).exists()
    except OSError:
        return False


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
