"""Hugging Face ``trainer_state.json``: the ``log_history`` list that ``transformers.Trainer`` saves at checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.json_records import loads
from vaelab.readers.record_columns import RecordColumns
from vaelab.readers.source import Source


class TrainerStateReader:
    name = "trainer_state"
    title = "Hugging Face trainer_state.json"

    def sniff(self, head: bytes, source: Source) -> float:
        return 0.99 if head.lstrip().startswith(b"{") and b'"log_history"' in head else 0.0

    def read(self, source: Source) -> list[RawLog]:
        """One log. Raises LogError if the file is cut or has no history."""
        state = loads(source.read())
        if state is None:
            raise LogError(f"{source.name} is not whole JSON: it may still be being written, or was cut.")
        history = state.get("log_history") if isinstance(state, dict) else None
        if not isinstance(history, list):
            raise LogError(f"{source.name} has no 'log_history' list: it is not a trainer_state.json.")
        columns = RecordColumns()
        numbered = [(i, record) for i, record in enumerate(history, start=1) if isinstance(record, Mapping)]
        columns.add([number for number, _ in numbered], [record for _, record in numbered])
        config = {key: value for key, value in state.items() if isinstance(value, (int, float, str))}
        log = columns.table.to_log(source.name, self.name, config=config, notes=columns.notes())
        return [log]


READER = TrainerStateReader()
