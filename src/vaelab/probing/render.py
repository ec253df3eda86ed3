"""A probe's result for a person: on the screen and as Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.probing.result import Cell, ProbeResult, Table
from vaelab.report.layout import plain, sentence
from vaelab.report.markdown import escape_cell, escape_markdown
from vaelab.report.terminal import screen
from vaelab.rules import ALL_RULES
from vaelab.run import Run

SHOWN_ROWS = 16


def judge(result: ProbeResult) -> Diagnosis:
    """The diagnosis of what was measured, without a log, by the rules and causes of ``vaelab diagnose``."""
    trainer = "vaelab" if result.step is not None else "unknown"
    reason = "a checkpoint of vaelab train" if result.step is not None else "a checkpoint alone"
    run = Run(
        source=result.checkpoint,
        format="probe",
        trainer=trainer,
        trainer_confidence=1.0 if result.step is not None else 0.0,
        trainer_reason=reason,
        steps=np.empty(0, np.int64),
        columns={},
        measured=result.measured,
    )
    diagnosis = diagnose(run)
    of_probe = {r.code for r in ALL_RULES if any(need.startswith("probe.") for need in r.needs)}
    skipped = tuple(s for s in diagnosis.skipped if s.code in of_probe)
    return replace(diagnosis, skipped=skipped, would_change=())


def show(result: ProbeResult, diagnosis: Diagnosis, console: Console) -> None:
    """Tables, then the verdict."""
    console.print(Text(title_of(result), style="bold"))
    for table in result.tables:
        console.print()
        console.print(_rich(table))
    if result.statements or result.cannot_tell:
        console.print()
    for text in result.statements:
        console.print(Text(plain(text)))
    for text in result.cannot_tell:
        console.print(Text(f"Not judged: {sentence(text)}", style="yellow"))
    console.print()
    console.print(screen(diagnosis, console.width))


def title_of(result: ProbeResult) -> str:
    """What was probed: checkpoint, model, step, clips."""
    step = "" if result.step is None else f", step {result.step:,}"
    step += f" ({result.which})" if result.which else ""
    size = " x ".join(map(str, result.size))
    files = f" (cut from {result.files} files)" if result.files < result.clips else ""
    return plain(f"{result.checkpoint}: {result.model}{step}; {result.clips} clips of {size} from {result.data}{files}")


def _rich(table: Table) -> RenderableType:
    out = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, column in enumerate(table.columns):
        left = number == 0 or not all(_is_number(row[number]) for row in table.rows)
        out.add_column(column, justify="left" if left else "right")
    for row in _shown(table):
        out.add_row(*(Text(cell_text(cell)) for cell in row))
    parts: list[RenderableType] = [Text(table.title, style="bold"), Padding(out, (0, 0, 0, 2))]
    if len(table.rows) > SHOWN_ROWS:
        parts.append(Text(f"  and {len(table.rows) - SHOWN_ROWS} more rows in probe.json", style="dim"))
    if table.note:
        parts.append(Padding(Text(table.note, style="dim"), (0, 0, 0, 2)))
    return Group(*parts)


def _is_number(cell: Cell) -> bool:
    """Whether the cell is a number, perhaps with its interval or unit, or empty."""
    return not isinstance(cell, str) or re.fullmatch(r"(-?[\d.,e+-]+%?( \(.*\))?)?", cell) is not None


def _shown(table: Table) -> Sequence[Sequence[Cell]]:
    """All rows, or with very many the first of them and those whose last cell is not the usual one."""
    if len(table.rows) <= SHOWN_ROWS:
        return table.rows
    usual = table.rows[0][-1]
    odd = [row for row in table.rows if row[-1] != usual][:SHOWN_ROWS]
    rest = [row for row in table.rows if row not in odd][: SHOWN_ROWS - len(odd)]
    return [row for row in table.rows if row in odd or row in rest]


def cell_text(cell: Cell) -> str:
    """A cell of a table as it is shown."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "-"
    return f"{cell:.4g}" if isinstance(cell, float) else plain(cell)


def to_markdown(result: ProbeResult, diagnosis: Diagnosis) -> str:
    """One page: the verdict, the tables, the pictures."""
    return "\n".join(_markdown(result, diagnosis)) + "\n"


def _markdown(result: ProbeResult, diagnosis: Diagnosis) -> Iterator[str]:
    yield from (
        "# Probe",
        "",
        escape_markdown(title_of(result)) + ".",
        "",
        f"**{escape_markdown(diagnosis.headline)}**",
        "",
    )
    if diagnosis.findings:
        yield from ("## Findings", "")
        for finding in diagnosis.findings:
            yield f"- {finding.severity} {finding.code} {finding.name}: {escape_markdown(finding.message)}"
        yield ""
    if diagnosis.causes:
        yield from ("## Possible causes", "")
        for cause in diagnosis.causes:
            codes = ", ".join(cause.findings)
            yield f"- {cause.score:.0%} {cause.id} {escape_markdown(cause.title)} (for {codes}). {escape_markdown(cause.fix.text)}"
        yield ""
    for table in result.tables:
        yield from (f"## {escape_markdown(table.title)}", "")
        yield f"| {' | '.join(map(escape_cell, table.columns))} |"
        yield f"|{' --- |' * len(table.columns)}"
        for row in table.rows:
            yield f"| {' | '.join(escape_cell(cell_text(cell)) for cell in row)} |"
        yield from ("", escape_markdown(table.note), "") if table.note else ("",)
    for text in result.cannot_tell:
        yield f"Not judged: {escape_markdown(sentence(text))}\n"
    for text in result.statements:
        yield f"{escape_markdown(text)}\n"
    for path in result.pictures:
        yield f"![{path.stem}]({path.name})\n"
