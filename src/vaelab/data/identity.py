"""One identity for each real file, so that nothing is on both sides of the split under two names.

Names differ where links, ``./a`` and ``a``, or absolute and relative paths lead to one file; copies have the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from stat import S_ISLNK

from vaelab.data.files import MediaFile
from vaelab.files import open_regular

SAMPLE = 4 << 10
"""Bytes at the start, in the middle and at the end that are compared before the whole of two files is."""

Same = tuple[MediaFile, MediaFile]
"""A file and the earlier one that it is the same as."""


def one_of_each(files: Sequence[MediaFile], cache: Path | None = None) -> tuple[list[MediaFile], list[Same]]:
    """``files`` with every content once, the first that has it, in their order; and those that are left out.

    Only files of one size are opened, and read whole only where their samples agree. cache: a JSON file that keeps the sample's
    digest by path, size and time of change, so that 50,000 files are opened once. A file that cannot be read stays: the loader
    says what is wrong with it.
    """
    kept: list[MediaFile] = []
    left: list[Same] = []
    places: dict[tuple[str, int], MediaFile] = {}
    sizes: defaultdict[int, list[tuple[MediaFile, os.stat_result]]] = defaultdict(list)
    real_folder = functools.cache(os.path.realpath)
    for file in files:
        path = str(file.path)
        folder, name = os.path.split(path)
        try:
            stat = os.lstat(path)
            is_link = S_ISLNK(stat.st_mode)
            if is_link:
                stat = os.stat(path)  # noqa: PTH116 - as the line above: one call of the system for each of many files
        except OSError:
            stat, is_link = None, True
        real = os.path.realpath(path) if is_link or name in ("", "..") else f"{real_folder(folder)}{os.sep}{name}"
        first = places.setdefault((real, file.offset), file)
        if first is not file:
            left.append((file, first))
            continue
        kept.append(file)
        if stat is not None:
            sizes[stat.st_size if file.size is None else file.size].append((file, stat))
    digests = _Digests(cache)
    sizes.pop(0, None)  # an empty file is a damaged one, not a copy
    for group in sizes.values():
        samples: defaultdict[str, list[MediaFile]] = defaultdict(list)
        for file, stat in group if len(group) > 1 else ():
            samples[digests.sample(file, stat)].append(file)
        for key, alike in samples.items():
            if key and len(alike) > 1:
                left += _copies(alike)
    digests.keep()
    copies = {id(file) for file, _ in left}
    return [file for file in kept if id(file) not in copies], left


def _copies(files: Iterable[MediaFile]) -> list[Same]:
    contents: dict[str, MediaFile] = {}
    found = []
    for file in files:
        try:
            digest = hashlib.sha256(file.read()).hexdigest()
        except OSError:
            continue
        first = contents.setdefault(digest, file)
        if first is not file:
            found.append((file, first))
    return found


class _Digests:
    """Digests of samples of files, kept from one start to the next."""

    def __init__(self, cache: Path | None) -> None:
        self.cache, self.changed = cache, False
        self.known: dict[str, list[str | int]] = {}
        if cache is not None:
            try:
                known = json.loads(cache.read_text())
            except (OSError, ValueError):
                known = {}
            self.known = known if isinstance(known, dict) else {}

    def sample(self, file: MediaFile, stat: os.stat_result) -> str:
        """A digest of some bytes of ``file``; empty where it cannot be read."""
        key, stamp = f"{file.path.absolute()}:{file.offset}", [stat.st_size, stat.st_mtime_ns]
        known = self.known.get(key)
        if known is not None and known[:2] == stamp:
            return str(known[2])
        size = stat.st_size if file.size is None else file.size
        digest = hashlib.sha256()
        try:
            with open_regular(file.path) as opened:
                for place in sorted({0, max(0, size // 2 - SAMPLE // 2), max(0, size - SAMPLE)}):
                    opened.seek(file.offset + place)
                    digest.update(opened.read(min(SAMPLE, size)))
        except OSError:
            return ""
        self.known[key], self.changed = [*stamp, digest.hexdigest()], True
        return digest.hexdigest()

    def keep(self) -> None:
        """Write what is new; a cache that cannot be written costs only time."""
        if self.cache is None or not self.changed:
            return
        try:
            self.cache.parent.mkdir(parents=True, exist_ok=True)
            beside = self.cache.with_name(f"{self.cache.name}.{os.getpid()}")
            beside.write_text(json.dumps(self.known))
            beside.replace(self.cache)
        except OSError:
            return
