"""Source: the bytes of one log, plain, gzipped or piped in, in bounded memory."""

from __future__ import annotations

import codecs
import stat
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from vaelab.errors import LogError
from vaelab.run import ReadNote

GZIP_MAGIC = b"\x1f\x8b"
UTF8_BOM = b"\xef\xbb\xbf"
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_NOT_IN_TEXT = bytes(set(range(32)) - set(b"\t\n\r\x08\x1b"))

SMALLEST_READ = 4096  # bytes; the first piece must show what kind of file it is
INFLATE_STEP = 4096  # compressed bytes at a time: no more than this is lost where the data is damaged

MOST_UNPACKED = 8 << 30  # bytes of what is compressed or piped in
MOST_WHOLE = 1 << 30  # bytes of a log that can be read only as a whole
MOST_LINE = 16 << 20  # bytes of a line of text

Progress = Callable[[int], None]

HEAD_SIZE = 65536
"""Bytes of a log that show what it is."""


class Source:
    """The bytes of one log file or of standard input.

    name: what the user gave, ``<stdin>`` for ``-``. path: None for standard input. size: bytes as stored (compressed),
    None if unknown. notes: what was met while reading (a cut gzip file). Gzip is recognised by its first bytes;
    UTF-16 text (Windows PowerShell redirects write it), with its mark or without, is given out as UTF-8; a UTF-8 byte order mark is dropped.
    piped: a pipe is read too (``<(zcat log.gz)``): the user named it. Else it would be waited on for ever.

    Raises LogError if the file is missing, empty, a folder, a device, a pipe that nobody named, or may not be read.
    """

    def __init__(self, path: str | Path, progress: Progress | None = None, piped: bool = False) -> None:
        self.notes: list[ReadNote] = []
        self.path: Path | None = None
        self.size: int | None = None
        self._spool: BinaryIO | None = None
        self._progress = progress
        self._head = b""
        self._whole_head = False
        if str(path) == "-":
            self.name = "<stdin>"
            self._copy_to_disk(sys.stdin.buffer)
        else:
            self.name = str(path)
            self._open_path(Path(path), piped)
        if self.size == 0:
            raise LogError(f"{self.name} is empty: there is nothing to read yet.")

    def __getstate__(self) -> dict[str, Any]:
        """For another process, where no progress can be told."""
        return {**self.__dict__, "_progress": None}

    def _open_path(self, path: Path, piped: bool) -> None:
        try:
            mode = path.stat().st_mode
            if stat.S_ISREG(mode):
                self.path, self.size = path, path.stat().st_size
                path.open("rb").close()  # whether it may be read
            elif stat.S_ISDIR(mode):
                raise LogError(f"{self.name} is a folder, not a log file.")
            elif stat.S_ISFIFO(mode) and piped:
                with path.open("rb") as file:
                    self._copy_to_disk(file)
            else:
                raise LogError(f"{self.name} is a {'pipe' if stat.S_ISFIFO(mode) else 'device'}, not a log file.")
        except FileNotFoundError:
            raise LogError(f"{self.name} does not exist: check the path.") from None
        except OSError as error:
            raise LogError(f"{self.name} cannot be read: {error.strerror or error}.") from error
        except ValueError as error:  # a null byte in the name
            raise LogError(f"{self.name!r} is not a file name: {error}.") from error

    def _copy_to_disk(self, stream: BinaryIO) -> None:
        """Keep what can be read only once."""
        import tempfile

        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the source
        self.size = 0
        while piece := stream.read(1 << 20):
            if not self.size and len(piece) == 1 << 20 and not any(piece):
                raise LogError(f"{self.name} begins with a million zero bytes: it is not a log.")
            self.size += len(piece)
            if self.size > MOST_UNPACKED:
                raise LogError(f"{self.name} has more than {MOST_UNPACKED >> 30} GiB: write it to a file first.")
            self._spool.write(piece)

    def head(self, n: int = HEAD_SIZE) -> bytes:
        """The first ``n`` bytes (fewer if the log is shorter). Does not consume anything."""
        if len(self._head) < n and not self._whole_head:
            parts: list[bytes] = []
            have = 0
            for chunk in self._decoded(min(n, 1 << 20), None):
                parts.append(chunk)
                have += len(chunk)
                if have >= n:
                    break
            else:
                self._whole_head = True
            self._head = b"".join(parts)
        return self._head[:n]

    def chunks(self, size: int = 8 << 20) -> Iterator[bytes]:
        """The whole log from its start, in pieces of about ``size`` bytes (4 KiB or more) that may end anywhere in a line.

        Raises LogError where a line of text has more than ``MOST_LINE`` bytes: no reader could keep it in memory.
        """
        open_line = 0  # bytes since the last line end
        for piece in self.raw_chunks(size):
            last = piece.rfind(b"\n")
            if last < 0:
                last = piece.rfind(b"\r")  # progress bars are redrawn in one line
            open_line = open_line + len(piece) if last < 0 else len(piece) - last
            if open_line > MOST_LINE:
                raise LogError(f"{self.name} has a line of more than {MOST_LINE >> 20} MiB: it is no training log.")
            yield piece

    def raw_chunks(self, size: int = 8 << 20) -> Iterator[bytes]:
        """As :meth:`chunks`, of a log that has no lines."""
        self.notes.clear()
        return self._decoded(size, self._progress)

    def read(self) -> bytes:
        """The whole log at once. Raises LogError where it has more than ``MOST_WHOLE`` bytes."""
        parts, size = [], 0
        for piece in self.raw_chunks():
            parts.append(piece)
            size += len(piece)
            if size > MOST_WHOLE:
                raise LogError(
                    f"{self.name} has more than {MOST_WHOLE >> 30} GiB in one piece: write its rows as JSON lines."
                )
        return b"".join(parts)

    @contextmanager
    def local_file(self) -> Iterator[Path]:
        """The path of the log as a plain file, for formats that are not read from front to back.

        What is compressed or piped in is copied to a temporary file first, at most ``MOST_UNPACKED`` bytes of it.
        """
        if self.path is not None and not self._is_gzip():
            yield self.path
            if self._progress and self.size:
                self._progress(self.size)
            return
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "log")
            with copy.open("wb") as file:
                file.writelines(self.raw_chunks())
            yield copy

    def _is_gzip(self) -> bool:
        return next(self._stored(SMALLEST_READ, None), b"").startswith(GZIP_MAGIC)

    def _decoded(self, size: int, progress: Progress | None) -> Iterator[bytes]:
        """Pieces as UTF-8 (or as they are, where no byte order mark says otherwise)."""
        pieces = self._inflated(size, progress)
        first = next(pieces, b"")
        if not first:
            return
        if encoding := _utf16(first):
            decoder = codecs.getincrementaldecoder(encoding)("replace")
            yield decoder.decode(first).encode("utf-8", "replace")
            for piece in pieces:
                yield decoder.decode(piece).encode("utf-8", "replace")
            return
        yield first.removeprefix(UTF8_BOM)
        yield from pieces

    def _inflated(self, size: int, progress: Progress | None) -> Iterator[bytes]:
        pieces = self._stored(size, progress)
        first = next(pieces, b"")
        if first.startswith(GZIP_MAGIC):
            return self._gunzip(_chain(first, pieces), size)
        return _chain(first, pieces)

    def _stored(self, size: int, progress: Progress | None) -> Iterator[bytes]:
        """Pieces of the file as it is stored."""
        size = max(size, SMALLEST_READ)
        try:
            if self._spool is not None:
                position = 0
                while True:
                    self._spool.seek(position)  # head() may have moved it
                    if not (piece := self._spool.read(size)):
                        break
                    position += len(piece)
                    if progress:
                        progress(len(piece))
                    yield piece
            elif self.path is not None:
                with self.path.open("rb") as file:
                    while piece := file.read(size):
                        if progress:
                            progress(len(piece))
                        yield piece
        except OSError as error:
            raise LogError(f"{self.name} cannot be read: {error.strerror or error}.") from error

    def _gunzip(self, pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
        """Decompress, keeping all that can be had from a file that was cut or damaged."""
        given, ready, waiting = 0, 0, list[bytes]()
        try:
            for out in _inflate(pieces, size):
                waiting.append(out)
                ready += len(out)
                given += len(out)
                if given > MOST_UNPACKED:
                    raise LogError(
                        f"{self.name} unpacks to more than {MOST_UNPACKED >> 30} GiB: it is no training log."
                    )
                if ready >= size:
                    yield b"".join(waiting)
                    ready, waiting = 0, []
        except EOFError:
            self._note_cut(f"the gzip file is cut short; the {given:,} bytes of text before the cut were read")
        except zlib.error as error:
            self._note_cut(f"the gzip data is damaged after {given:,} bytes of text ({error}); they were read")
        if waiting:
            yield b"".join(waiting)
        if not given:
            raise LogError(f"{self.name} is a gzip file with no readable content.")

    def _note_cut(self, text: str) -> None:
        self.notes.append(ReadNote("truncated_gzip", 1, text))


def _utf16(first: bytes) -> str:
    """The codec of text with two bytes for each character, told by its mark or by its zeros; empty for other bytes.

    Without a mark, one byte of nearly every pair is zero and the other one that stands in text.
    """
    if first[:2] in UTF16_BOMS:
        return "utf-16"
    low, high = first[:SMALLEST_READ:2], first[1:SMALLEST_READ:2]
    for text, zeros, codec in ((low, high, "utf-16-le"), (high, low, "utf-16-be")):
        if (
            len(zeros) > 8
            and zeros.count(0) > 0.9 * len(zeros)
            and len(text.translate(None, _NOT_IN_TEXT)) == len(text)
        ):
            return codec
    return ""


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _inflate(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Decompressed pieces of at most ``size`` bytes. Raises EOFError if the last member has no end, zlib.error."""
    inflate, started = zlib.decompressobj(wbits=31), False
    for piece in pieces:
        for first in range(0, len(piece), INFLATE_STEP):
            rest, out = piece[first : first + INFLATE_STEP], b""
            while rest or len(out) == size:
                if inflate.eof:  # a gzip file may be several members one after the other
                    inflate = zlib.decompressobj(wbits=31)
                out = inflate.decompress(rest, size)
                if out:
                    yield out
                started = not inflate.eof
                rest = inflate.unused_data.lstrip(b"\0") if inflate.eof else inflate.unconsumed_tail
    if started:
        raise EOFError
