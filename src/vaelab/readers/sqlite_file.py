"""SQLite databases of trackers, opened to read only, also while the run that writes them goes on."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from vaelab.errors import LogError
from vaelab.files import read_start
from vaelab.readers.magic import SQLITE
from vaelab.readers.source import Source

LOCK_SECONDS = 2.0  # to wait for a writer that holds the whole file
_WAL = b"\x02\x02"  # bytes 18 and 19 of the header: new rows are in the file ending in -wal until a checkpoint


def sniff_tables(head: bytes, source: Source, tables: frozenset[str]) -> float:
    """How sure it is that a log which begins with ``head`` is a database with these tables."""
    if not head.startswith(SQLITE):
        return 0.0
    try:
        with opened(source) as database:
            return 1.0 if tables <= table_names(database) else 0.0
    except LogError:
        return 0.1  # read() says what is wrong with it


@contextmanager
def opened(source: Source) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. Raises LogError, for the statements in the block too, where SQLite fails."""
    with ExitStack() as stack:
        path = stack.enter_context(source.local_file())
        try:
            connection = stack.enter_context(closing(_connect(path, stack)))
            connection.text_factory = lambda text: text.decode("utf-8", "replace")
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
        except sqlite3.Error as error:
            raise LogError(_sentence(source.name, error)) from error
        except OSError as error:
            raise LogError(f"{source.name} cannot be read: {error.strerror or error}.") from error


def table_names(database: sqlite3.Connection) -> frozenset[str]:
    """The tables, views not counted: a view can hide a query without end."""
    return frozenset(name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))


def column_names(database: sqlite3.Connection, table: str) -> frozenset[str]:
    return frozenset(name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,)))


def _connect(path: Path, stack: ExitStack) -> sqlite3.Connection:
    """Connect so that nothing is written beside the database, where SQLite would keep its shared memory."""
    in_wal_mode = read_start(path, 20)[18:20] == _WAL
    wal, shared, journal = (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))
    for part in (wal, shared, journal):
        if part.exists() and not part.is_file():  # SQLite would wait for a pipe
            raise LogError(f"{part} is not a file: it stands where SQLite keeps a part of the database.")
    if not in_wal_mode:
        return _open(path, "mode=ro")
    if shared.exists():  # a writer is at work, or was killed
        try:
            return _open(path, "mode=ro")
        except sqlite3.OperationalError:
            pass  # the folder may not be written to
    if not wal.exists() or not wal.stat().st_size:
        return _open(path, "immutable=1")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for part in (path, wal):
        shutil.copyfile(part, folder / part.name)
    return _open(folder / path.name, "mode=ro")


def _open(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=LOCK_SECONDS)
    try:
        connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _sentence(name: str, error: sqlite3.Error) -> str:
    said = str(error)
    if "locked" in said or "busy" in said:
        return f"{name} is locked by the program that writes it: try again in a moment, or read a copy of the file."
    if isinstance(error, sqlite3.OperationalError):
        return f"{name} cannot be read as an SQLite database: {said}."
    return (
        f"{name} is a damaged SQLite database ({said}): mend a copy of it with the command .recover of the sqlite3 "
        "program, or let the tracker export the runs."
    )
