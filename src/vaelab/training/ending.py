"""What stands in a run's folder when it has ended: the diagnosis of its own log and the validation table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.errors import LogError
from vaelab.evaluation import validation_table
from vaelab.files import open_regular
from vaelab.readers import read
from vaelab.report import write_report

COLUMNS = {"val": "raw", "val_ema": "EMA"}


@dataclass(frozen=True)
class Ending:
    """diagnosis: None if the log is too short to be read. table: Markdown; empty if nothing was validated."""

    diagnosis: Diagnosis | None
    table: str
    files: list[Path]


def write_ending(folder: Path, perceptual: str | None = None) -> Ending:
    """Write ``report/`` and ``validation.md`` into the run's folder, from its log alone."""
    files: list[Path] = []
    diagnosis: Diagnosis | None = None
    try:
        diagnosis = diagnose(read(folder))
        files += write_report([diagnosis], folder / "report")
    except LogError:
        pass  # too short to be read
    rows = last_scores(folder)
    table = validation_table(rows, perceptual) if rows else ""
    if table:
        path = folder / "validation.md"
        path.write_text(table, encoding="utf-8")
        files.append(path)
    return Ending(diagnosis, table, files)


def last_scores(folder: Path) -> dict[str, dict[str, float]]:
    """Title -> scores of the last validation, raw and EMA, and of the baselines."""
    found: dict[str, dict[str, float]] = {}
    for record in _records(folder / "metrics.jsonl"):
        for prefix, title in COLUMNS.items():
            scores = {name.split("/", 1)[1]: value for name, value in record.items() if name.startswith(f"{prefix}/")}
            if scores:
                found[title] = scores
    for record in _records(folder / "events.jsonl"):
        if record.get("event") == "baselines":
            baselines = {name: scores for name, scores in record.items() if isinstance(scores, Mapping)}
            samples = next((scores.get("n") for scores in baselines.values()), None)
            for scores in found.values():
                if samples is not None:
                    scores.setdefault("n", samples)
            found |= {name: dict(scores) for name, scores in baselines.items()}
    return found


def _records(path: Path) -> list[dict]:
    if not path.exists():
        return []
    records = []
    with open_regular(path) as file:
        for line in file:
            try:
                records.append(json.loads(line))
            except ValueError:  # a line that a crash cut off
                continue
    return records
