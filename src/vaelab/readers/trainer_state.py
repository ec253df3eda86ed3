"""Hugging Face ``trainer_state.json``: the ``log_history`` list that ``transformers.Trainer`` saves at checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping

from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.json_lines import numbers_in
from vaelab.readers.source import Source
from vaelab.readers.table import Table


class TrainerStateReader:
    name = "trainer_state"
    title = "Hugging Face trainer_state.json"

    def sniff(self, head: bytes, source: Source) -> float:
        return 0.99 if head.lstrip().startswith(b"{") and b'"log_history"' in head else 0.0

    def read(self, source: Source) -> list[RawLog]:
        try:
            state = json.loads(source.read())
        except (ValueError, RecursionError) as error:
            raise LogError(f"{source.name} is not whole JSON ({error}): it may still be being written.") from error
        history = state.get("log_history") if isinstance(state, dict) else None
        if not isinstance(history, list):
            raise LogError(f"{source.name} has no 'log_history' list: it is not a trainer_state.json.")
        table = Table()
        for number, record in enumerate(history, start=1):
            if isinstance(record, Mapping) and (numbers := numbers_in(record)):
                table.add_row(number, numbers)
        config = {key: value for key, value in state.items() if isinstance(value, (int, float, str))}
        return [table.to_log(source.name, self.name, config=config, row_unit="record")]


READER = TrainerStateReader()
