"""Rows: what a run has logged so far, in memory and in a metrics.jsonl that ``vaelab diagnose`` and ``watch`` read.

Every line is one row with full precision, ``{"step": 10, "timestamp": 1795271234.1, "rec_loss": 0.031, ...}``. The first one
carries the settings under ``config``, a later one carries those that have become known since. Lines are only ever appended:
where a resumed run logs steps again, the reader uses the later ones.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vaelab import __version__
from vaelab.errors import LogError, VaelabError
from vaelab.files import open_regular
from vaelab.readers.building import build_runs
from vaelab.readers.counters import LARGEST_STEP, step_rank
from vaelab.readers.record_columns import numbers_in
from vaelab.readers.table import Table
from vaelab.run import Run, Smoothing

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = "metrics.jsonl"
FORMAT = "json_lines"
WRITER = "written_by"


class Rows:
    """The rows of one run.

    path: a file, opened by ``open``; what it holds already, from a run that goes on, belongs to the run. None keeps the rows in
    memory only. settings: flat, plain values. shared: another Monitor has the file open, here or in another process.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = dict(settings)
        self._unwritten = dict(settings)
        self._table = Table()
        self._lines = 0
        self._file: BinaryIO | None = None
        self.shared = False

    def __len__(self) -> int:
        return len(self._table)

    def open(self) -> None:
        """Open the file and read what it holds. Raises LogError if that is no file of a Monitor, or it cannot be written."""
        if self.path is None:
            return
        try:
            if self.path.exists() and not self.path.is_file():
                raise LogError(f"{self.path} is no file. The run is judged from memory: give Monitor another path.")
            whole = self._read(self.path) if self.path.exists() else True
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
            self.shared = not _locked(self._file)
            if not whole:
                self._file.write(b"\n")  # the last line was cut off
        except OSError as error:
            raise LogError(
                f"{self.path} cannot be written: {error.strerror or error}. The run is judged from memory; give Monitor"
                " another path."
            ) from None

    def declare(self, settings: Mapping[str, Any]) -> None:
        """Settings that have become known; they are written with the next row."""
        changed = {
            key: value for key, value in settings.items() if key not in self.settings or self.settings[key] != value
        }
        self.settings |= changed
        self._unwritten |= changed

    def add(self, rows: Sequence[tuple[int, float, Mapping[str, float]]]) -> None:
        """Rows of ``(step, seconds since 1970, values)``. Raises LogError if the file cannot take them; memory does."""
        text = []
        for step, time, values in rows:
            self._lines += 1
            # a count among the metrics would be taken for the step
            kept = {name: value for name, value in values.items() if step_rank(name) is None}
            self._table.add_row(self._lines, [("step", float(step)), *kept.items()])
            text.append(self._line({"step": step, "timestamp": round(time, 3), **kept}))
        if self._file is None or not text:
            return
        try:
            self._file.write("".join(text).encode("utf-8", "replace"))
        except OSError as error:
            self.close()
            raise LogError(
                f"{self.path} can no longer be written: {error.strerror or error}. The run is judged from memory; make room and"
                " start again."
            ) from None

    def run(self) -> Run | None:
        """The rows as a Run, as a reader makes it of the file (the last one if steps began again from 0); None without any."""
        if not len(self._table):
            return None
        source = str(self.path) if self.path else "Monitor"
        raw = self._table.to_log(source, FORMAT, config=self.settings, smoothing=Smoothing())
        self._table.lines = array(
            "q", self._table.lines
        )  # the run keeps a view on the old one, which can no longer grow
        try:
            return build_runs(raw)[-1]
        except VaelabError:
            return None  # rows without a metric

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def state_dict(self) -> dict[str, Any] | None:
        """Steps and values as plain lists (None where a row has no value); None where a file holds the rows."""
        if self._file is not None:
            return None
        columns = {}
        for name in self._table.names:
            values, logged = self._table.column(name)
            columns[name] = [v if there else None for v, there in zip(values.tolist(), logged.tolist(), strict=True)]
        return columns

    def load_state_dict(self, columns: Mapping[str, Sequence[float | None]]) -> None:
        """Take the rows of ``state_dict`` in the place of those in memory."""
        self._table = Table()
        names = list(columns)
        if names:
            logged = np.array([[v is not None for v in columns[name]] for name in names]).T
            values = np.array([[np.nan if v is None else v for v in columns[name]] for name in names]).T
            self._table.add_block(np.arange(1, len(values) + 1), names, values, logged)
        self._lines = len(self._table)

    def _line(self, record: dict[str, Any]) -> str:
        if self._unwritten or self._lines == 1:
            record["config"], self._unwritten = self._unwritten, {}
        if self._lines == 1:
            record[WRITER] = f"vaelab.Monitor {__version__}"
        return json.dumps(record) + "\n"

    def _read(self, path: Path) -> bool:
        """Whether the last line is whole. Raises LogError if the file is not one of a Monitor; it is left as it is."""
        line = b"\n"
        with open_regular(path) as file:
            for line in file:
                self._lines += 1
                record = _record(line)
                if self._lines == 1 and WRITER not in record:
                    self._lines = 0
                    raise LogError(
                        f"{path} is not a file of vaelab.Monitor and is left as it is. The run is judged from memory: give"
                        " Monitor another path."
                    )
                config = record.pop("config", None)
                if isinstance(config, dict):
                    self.settings = {**config, **self.settings}
                numbers = [(name, value) for name, value in numbers_in(record) if name != "timestamp"]
                if len(numbers) > 1:
                    self._table.add_row(self._lines, numbers)
        return line.endswith(b"\n")


def file_of(path: str | Path | None) -> Path | None:
    """The file of a Monitor's ``path``: itself if it ends in ``.jsonl``, else ``metrics.jsonl`` in that folder."""
    if path is None:
        return None
    return Path(path) if Path(path).suffix == ".jsonl" else Path(path, FILE)


def usable_step(step: int) -> bool:
    """Whether a reader can count with ``step``."""
    return 0 <= step < LARGEST_STEP


def _locked(file: BinaryIO) -> bool:
    """Whether ``file`` is ours alone until it is closed; True too where a system or its file system has no such locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
