"""Files that fsspec reaches: a bucket, an SSH server, a Hugging Face repository, a web server.

Of a large file only the head is fetched before it is known to be a log, in ranges of ``BLOCK`` bytes after that. Settings
beside a log come with it. Nothing is fetched again that has not changed, and of a file that has grown only what was added.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vaelab.errors import LogError
from vaelab.files import SETTINGS_LIMIT
from vaelab.readers import folder as folders
from vaelab.readers.addresses import failure, scheme_of, shown
from vaelab.readers.magic import SQLITE, ZIP
from vaelab.readers.mlflow_files import META
from vaelab.readers.registry import detect
from vaelab.readers.remote import Copy, Progress
from vaelab.readers.source import MOST_UNPACKED, Source

BLOCK = 8 << 20  # bytes of one ranged read
HEAD = 65536  # bytes that show what a file is
SMALL = 1 << 20  # bytes; a file of no more is fetched at once
TAIL = 4096  # bytes at the end of a copy that tell whether a file has grown or was written anew
MOST_FETCHED = MOST_UNPACKED  # bytes of one address at a time
MOST_FILES = 20_000  # in one folder
WORKERS = 8
PATIENCE = 30  # seconds to wait for a server

_SETTINGS = (".yaml", ".yml", ".json", ".jsonl")
_NOT_APPENDED = (SQLITE, ZIP)  # these are changed in the middle


@dataclass(frozen=True)
class Entry:
    """One remote file. name: as its file system calls it. size: bytes, None if the server does not say. stamp: changes
    when the file may have changed, empty if the server says nothing. changed: seconds since 1970, None if unknown."""

    name: str
    size: int | None
    stamp: tuple[str, ...]
    changed: float | None

    @classmethod
    def of(cls, info: dict[str, Any]) -> Entry:
        times = [info.get(key) for key in ("mtime", "LastModified", "updated", "last_modified", "created")]
        changed = next((seconds for time in times if (seconds := _seconds(time)) is not None), None)
        marks = [info.get(key) for key in ("size", "ETag", "etag", "generation", "blob_id")]
        stamp = tuple(f"{mark}" for mark in (*marks, changed)) if any(m is not None for m in (*marks, changed)) else ()
        return cls(str(info["name"]), info.get("size"), stamp, changed)


@dataclass
class Found:
    """What an address names: files, folders with the files below them, and files that may say more of the former."""

    named: list[Entry]
    folders: list[str]
    below: list[Entry]
    beside: list[Entry]


class FilesCopy(Copy):
    """A file, a folder or a pattern. Raises ImportError, or what the client of the service raises."""

    def __init__(self, address: str, all_of_it: bool) -> None:
        self._scheme, self._all_of_it = scheme_of(address), all_of_it
        self._web = self._scheme in ("http", "https")
        self._fs, self._remote = _connect(address, self._scheme)
        name = self._relative(self._remote)
        super().__init__(address, _prefix(address, name, self._web), name)
        self._fetched: dict[str, tuple[tuple[str, ...], bool]] = {}  # stamp, and whether it is a log
        self._lock = threading.Lock()
        self._bytes = 0

    def _fetch(self, progress: Progress | None) -> None:
        self._progress, self._bytes = progress, 0
        if self._fs is None:
            self._fs, self._remote = _connect(self.address, self._scheme)
        self._fs.invalidate_cache()
        try:
            self._bring_all()
        except (FileNotFoundError, LogError):
            raise
        except Exception:
            self._fs = None  # a connection that broke does not come back by itself
            raise

    def _bring_all(self) -> None:
        self.problems.clear()
        found = self._look()
        own = {name: (entry, self._all_of_it) for entry in found.named if (name := self._local_name(entry.name))}
        wanted = self._chosen(found)
        wanted |= {name: (entry, True) for entry in found.beside if (name := self._local_name(entry.name))}
        rest = [(name, *what) for name, what in wanted.items() if name not in own]
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda part: self._bring(*part), [(name, *what) for name, what in own.items()]))
            self.problems += filter(None, pool.map(lambda part: self._try(*part), rest))
        for name in self._fetched.keys() - own.keys() - wanted.keys():
            Path(self.folder, name).unlink(missing_ok=True)
            del self._fetched[name]

    def _look(self) -> Found:
        if self._is_pattern():
            infos = list(self._fs.glob(self._remote, detail=True).values())
        elif self._web and self.address.endswith("/"):
            infos = [{"name": self._remote, "type": "directory"}]
        else:
            infos = [self._fs.info(self._remote)]
        named = [Entry.of(info) for info in infos if info.get("type") != "directory"]
        inside = [str(info["name"]) for info in infos if info.get("type") == "directory"]
        found = Found(named, inside, [entry for folder in inside for entry in self._below(folder)], [])
        if not found.named and not found.below:
            raise FileNotFoundError(self._remote)
        if len(found.below) > MOST_FILES:
            raise LogError(
                f"{self.shown} holds {len(found.below):,} files, more than {MOST_FILES:,}: name a folder further down."
            )
        for parent in dict.fromkeys(entry.name.rpartition("/")[0] for entry in named):
            found.beside += self._beside(parent)
        for entry in named:
            folder, _, name = entry.name.rpartition("/")
            if name == META:  # a run of MLflow's file store
                found.beside += [e for part in ("metrics", "params") for e in self._below(f"{folder}/{part}")]
        return found

    def _is_pattern(self) -> bool:
        if self._web and urlsplit(self.address).query:
            return False
        return any(c in self._remote for c in ("*[" if self._web else "*?[")) and not self._fs.exists(self._remote)

    def _below(self, folder: str) -> list[Entry]:
        depth = 8 if self._web else folders.MOST_DEPTH  # pages may link to each other
        inside = f"{folder.rstrip('/')}/"
        found = self._fs.find(folder, maxdepth=depth, detail=True)
        files = {name: info for name, info in found.items() if info.get("type") != "directory"}
        return [Entry.of({**files[name], "name": name}) for name in files if name.startswith(inside) and name != inside]

    def _beside(self, folder: str) -> list[Entry]:
        """Small settings in a folder, and in the one above where the folder holds one view of a run."""
        if self._web:
            return self._settings_of_the_web(folder)
        found = list[Entry]()
        above, _, name = folder.rpartition("/")
        for place in (folder, above) if above and folders.VIEW_FOLDERS.match(name) else (folder,):
            with suppress(Exception):  # the log may be read without them, as by a key that may not list
                infos = [info for info in self._fs.ls(place, detail=True) if info.get("type") != "directory"]
                found += [entry for entry in map(Entry.of, infos) if _is_settings(entry)]
        return found

    def _settings_of_the_web(self, folder: str) -> list[Entry]:
        found = []
        for name in folders.CONFIG_NAMES if not urlsplit(self.address).query else ():
            with suppress(Exception):  # most of them are not there
                found.append(Entry.of(self._fs.info(f"{folder}/{name}")))
        return found

    def _chosen(self, found: Found) -> dict[str, tuple[Entry, bool]]:
        """Which files of the folders are fetched, and whether as a whole or only if they look like a log.

        Empty files stand in for the remote ones while the rules for local folders choose.
        """
        tree: dict[str, Entry] = {}
        stand_ins = []
        for entry in found.below:
            name = self._local_name(entry.name)
            if not name or self._is_left_out(entry.name, found.folders):
                continue
            path = Path(self.folder, name)
            with suppress(OSError):  # in a bucket, one name may be a file and a folder
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    path.touch()
                    stand_ins.append(path)
                tree[name] = entry
        tops = [Path(self.folder, self._relative(folder)) for folder in found.folders]
        names = {str(path.relative_to(self.folder)) for top in tops for path in folders.candidates(top)}
        for path in stand_ins:
            path.unlink()
        runs = [name.removesuffix(META) for name in names if name.rpartition("/")[2] == META]
        values = tuple(f"{run}{part}/" for run in runs for part in ("metrics", "params"))
        whole = {name: name.startswith(values) or _is_settings(entry) for name, entry in tree.items()}
        return {name: (entry, whole[name]) for name, entry in tree.items() if whole[name] or name in names}

    def _is_left_out(self, name: str, tops: list[str]) -> bool:
        """Whether a file is in a hidden folder, or in one of pictures or checkpoints, below the folder that was named."""
        top = max((top for top in tops if name.startswith(f"{top.rstrip('/')}/")), key=len, default="")
        inside = self._relative(name).removeprefix(self._relative(top)).strip("/").split("/")[:-1]
        return any(part.startswith(".") or part.lower() in folders.SKIPPED_FOLDERS for part in inside)

    def _try(self, name: str, entry: Entry, whole: bool) -> str:
        """Fetch a file that was not named; what is wrong with it, if anything is. Raises LogError at the limit."""
        try:
            self._bring(name, entry, whole, named=False)
        except LogError:
            raise
        except Exception as error:  # the other files can still be read
            return str(failure(error, shown(self._prefix + name)))
        return ""

    def _bring(self, name: str, entry: Entry, whole: bool, named: bool = True) -> None:
        """Fetch what is new of one file; a large one that is no log is left out, or its head is kept if it was named."""
        path, before = Path(self.folder, name), self._fetched.get(name)
        if before is not None and entry.stamp and before[0] == entry.stamp:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = whole or (before is not None and before[1]) or (entry.size is not None and entry.size <= SMALL)
        if not whole:
            path.unlink(missing_ok=True)
            self._append(path, entry, HEAD)
            whole = _is_log(path)
            if not whole and not named:
                path.unlink()
        if whole:
            self._append(path, entry, None)
        if path.exists() and entry.changed is not None:
            os.utime(path, (entry.changed, entry.changed))
        self._fetched[name] = (entry.stamp, whole)

    def _append(self, path: Path, entry: Entry, end: int | None) -> None:
        """Add what ``path`` has not yet of a remote file, up to byte ``end``; all of it where it was written anew."""
        path.touch()
        with path.open("r+b") as file:
            have = file.seek(0, os.SEEK_END)
            file.seek(0)
            has_grown = (entry.size is None or entry.size >= have) and not file.read(16).startswith(_NOT_APPENDED)
            start = max(0, have - TAIL) if has_grown else 0
            file.seek(start)
            known = file.read(TAIL) if has_grown else b""
            blocks = self._blocks(entry, start, end)
            first = next(blocks, b"")
            if not first.startswith(known):
                start, blocks = 0, self._blocks(entry, 0, end)
                first = next(blocks, b"")
            file.seek(start)
            file.truncate()
            while first:
                file.write(first)
                first = next(blocks, b"")

    def _blocks(self, entry: Entry, start: int, end: int | None) -> Iterator[bytes]:
        """The bytes from ``start`` on, up to ``end`` or to the end of the file, in ranges."""
        options: dict[str, Any] = {}
        if self._scheme != "sftp":  # there, ranges are asked for as they are read
            options = {"block_size": BLOCK, "cache_type": "none"}
        with self._fs.open(entry.name, "rb", **options) as file:
            passed = start
            try:
                file.seek(start)
            except ValueError:  # a web server that gives a file as a whole only
                passed = 0
            while end is None or passed < end:
                piece = file.read(BLOCK if end is None else min(BLOCK, end - passed))
                if not piece:
                    return
                self._count(len(piece))
                if passed + len(piece) > start:
                    yield piece[max(0, start - passed) :]
                passed += len(piece)

    def _count(self, more: int) -> None:
        with self._lock:
            self._bytes += more
            if self._bytes > MOST_FETCHED:
                raise LogError(
                    f"{self.shown} holds more than {MOST_FETCHED >> 30} GiB of logs: name one of its runs, or copy it here."
                )
            if self._progress:
                self._progress(self._bytes, None)

    def _relative(self, name: str) -> str:
        """A remote name as a path below the copy."""
        return (unquote(urlsplit(name).path) if self._web else name).strip("/")

    def _local_name(self, name: str) -> str:
        """The path below the copy; empty where no file can have it, or it would lead out."""
        relative = self._relative(name)
        parts = relative.split("/")
        odd = any(
            part in ("", ".", "..") or "\0" in part or len(part.encode("utf-8", "replace")) > 255 for part in parts
        )
        return "" if odd else relative


def _connect(address: str, scheme: str) -> tuple[Any, str]:
    """The file system of an address and the name that the address has there. Credentials are those of the environment."""
    import fsspec

    if scheme == "sftp":  # this client goes by ~/.ssh/config and known_hosts, as ssh does
        from sshfs import SSHFileSystem

        login = SSHFileSystem._get_kwargs_from_urls(address)
        options = {
            "known_hosts": (),
            "connect_timeout": PATIENCE,
            "login_timeout": PATIENCE,
            "keepalive_interval": PATIENCE,
        }
        return SSHFileSystem(skip_instance_cache=True, **login, **options), SSHFileSystem._strip_protocol(address)
    options = {}
    if scheme == "gs":  # its client warns where a bucket is read without a login, which is no fault
        logging.getLogger("gcsfs").setLevel(logging.ERROR)
    if scheme == "s3":
        retries = {"total_max_attempts": 1}  # s3fs tries again by itself
        options["config_kwargs"] = {"connect_timeout": PATIENCE, "read_timeout": PATIENCE, "retries": retries}
    elif scheme in ("http", "https"):
        from aiohttp import ClientTimeout

        options["client_kwargs"] = {"timeout": ClientTimeout(total=None, sock_connect=PATIENCE, sock_read=PATIENCE)}
    try:
        files, name = fsspec.url_to_fs(address, skip_instance_cache=True, **options)
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise
        raise LogError(f"{shown(address)} has a scheme that nothing here can read: '{scheme}' is not known.") from None
    if scheme == "s3":
        files.retries = 2
    return files, str(name)


def _prefix(address: str, name: str, web: bool) -> str:
    """What stands before ``name`` in the address as it is shown."""
    scheme, _, there = shown(address).rstrip("/").partition("://")
    if web:
        return f"{scheme}://{there.partition('/')[0]}/"
    return f"{scheme}://{there.removesuffix(name) if name and there.endswith(name) else ''}"


def _seconds(time: Any) -> float | None:
    if isinstance(time, str):
        with suppress(ValueError):
            time = datetime.fromisoformat(time.replace("Z", "+00:00"))
    if isinstance(time, datetime):
        return time.timestamp()
    return float(time) if isinstance(time, int | float) else None


def _is_settings(entry: Entry) -> bool:
    return entry.name.endswith(_SETTINGS) and entry.size is not None and entry.size <= SETTINGS_LIMIT


def _is_log(path: Path) -> bool:
    """Whether a file may be a log, from its head; a database or an archive must be whole for that."""
    with path.open("rb") as file:
        if file.read(16).startswith(_NOT_APPENDED):
            return True
    try:
        return bool(detect(Source(path)))
    except LogError:
        return False
