"""SQLite databases of trackers, opened to read only, also while the run that writes them goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaelab.errors import LogError
from vaelab.readers.source import Source
from vaelab.run import ReadNote

MAGIC = b"SQLite format 3\0"
LOCK_SECONDS = 3.0  # to wait for a writer that holds the whole file
_WAL = b"\x02\x02"  # bytes 18 and 19 of the header: new rows are in the file ending in -wal until a checkpoint


def sniff_tables(head: bytes, source: Source, tables: frozenset[str]) -> float:
    """How sure it is that a log which begins with ``head`` is a database with these tables."""
    if not head.startswith(MAGIC):
        return 0.0
    try:
        with opened(source) as database:
            return 1.0 if tables <= table_names(database) else 0.0
    except LogError:
        return 0.1  # read() says what is wrong with it


@contextmanager
def opened(source: Source) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. Raises LogError, for the statements in the block too, where SQLite fails."""
    with source.local_file() as path:
        connection: sqlite3.Connection | None = None
        try:
            connection = _connect(path, source)
            connection.text_factory = lambda text: text.decode("utf-8", "replace")
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
        except sqlite3.Error as error:
            raise LogError(_sentence(source.name, error)) from error
        finally:
            if connection is not None:
                connection.close()


def table_names(database: sqlite3.Connection) -> frozenset[str]:
    """The tables, views not counted: a view can hide a query without end."""
    return frozenset(name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))


def column_names(database: sqlite3.Connection, table: str) -> frozenset[str]:
    return frozenset(name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,)))


def _connect(path: Path, source: Source) -> sqlite3.Connection:
    uri = path.resolve().as_uri()
    wal = path.with_name(path.name + "-wal")
    in_wal_mode = source.head(20)[18:20] == _WAL
    if in_wal_mode and not wal.exists():
        return _open(f"{uri}?immutable=1")  # nobody writes to it; an ordinary connection would leave files beside it
    try:
        return _open(f"{uri}?mode=ro")
    except sqlite3.OperationalError:
        if not in_wal_mode:
            raise
    # the folder may not be written to, and SQLite wants a file for shared memory beside the database
    if wal.stat().st_size:
        text = f"the newest rows are in {wal.name}, which can be read only from a folder that may be written to"
        source.notes.append(ReadNote("left_aside", 1, text))
    return _open(f"{uri}?immutable=1")


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS)
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
