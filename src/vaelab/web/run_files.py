"""What a run of ``vaelab train`` has beside its log: previews and the validation table."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaelab.files import read_text
from vaelab.run import Run

OWN_FORMATS = ("vaelab_run", "vaelab_console")
KINDS = {"png": "image/png", "mp4": "video/mp4"}
VALIDATION, EVENTS = "validation.md", "events.jsonl"
MOST_PREVIEWS = 2000
LARGEST_TEXT = 8 << 20  # bytes of events.jsonl and of validation.md

_PREVIEW = re.compile(r"preview_(\d{1,12})\.(png|mp4)")


@dataclass(frozen=True)
class RunFiles:
    """previews: step -> kind (``png``, ``mp4``) -> file. table: rows of cells of validation.md, its heading first, and
    remarks under it. baselines: title -> scores of simple predictors on the same samples."""

    previews: dict[int, dict[str, Path]] = field(default_factory=dict)
    table: list[list[str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)


def folder_of(run: Run | None) -> Path | None:
    """The folder of a run of ``vaelab train``; None for a log of another trainer."""
    if run is None or run.format not in OWN_FORMATS:
        return None
    path = Path(run.source)
    return path if path.is_dir() else path.parent


def signature(folder: Path) -> tuple[int, ...]:
    """Changes whenever the files may hold something new; costs three looks at the disk."""
    return tuple(map(_changed_at, (folder / "previews", folder / VALIDATION, folder / EVENTS)))


def run_files(folder: Path) -> RunFiles:
    """The files in a run's folder. Never raises: what cannot be read is left out."""
    table, remarks = _table(_text(folder / VALIDATION))
    return RunFiles(_previews(folder / "previews"), table, remarks, _baselines(_text(folder / EVENTS)))


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _previews(folder: Path) -> dict[int, dict[str, Path]]:
    """Complete previews by step. A link that leads out of the folder is left out."""
    found: dict[int, dict[str, Path]] = {}
    try:
        home = folder.resolve(strict=True)
        for path in sorted(folder.iterdir()):
            match = _PREVIEW.fullmatch(path.name)
            if match and path.is_file() and path.resolve().parent == home:
                found.setdefault(int(match[1]), {})[match[2]] = path
    except OSError:
        return found
    newest = sorted(found)[-MOST_PREVIEWS:]
    # a video comes with its picture; one that is alone is still being written
    return {step: found[step] for step in newest if "png" in found[step]}


def _table(text: str) -> tuple[list[list[str]], list[str]]:
    """Cells of the Markdown table, and the lines under it."""
    rows: list[list[str]] = []
    remarks: list[str] = []
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                rows.append(cells)
        elif line.strip():
            remarks.append(line.strip().removeprefix("- "))
    width = len(rows[0]) if rows else 0
    return [row for row in rows if len(row) == width], remarks


def _baselines(text: str) -> dict[str, dict[str, float]]:
    for line in text.splitlines():
        if '"baselines"' in line:
            record = _loads(line)
            if isinstance(record, dict) and record.get("event") == "baselines":
                return {
                    str(title): {str(k): float(v) for k, v in scores.items() if isinstance(v, int | float)}
                    for title, scores in record.items()
                    if isinstance(scores, dict)
                }
    return {}


def _loads(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _text(path: Path) -> str:
    try:
        return read_text(path, errors="replace", limit=LARGEST_TEXT)
    except OSError:
        return ""
