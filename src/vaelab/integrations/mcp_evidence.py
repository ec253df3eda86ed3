"""The rows of a log behind a finding, or of any metric -> the answer of the MCP tool ``evidence``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaelab.errors import ConfigError
from vaelab.integrations import mcp_answers as answers
from vaelab.integrations.mcp_layout import line, number_of
from vaelab.integrations.mcp_runs import KnownRun
from vaelab.integrations.mcp_text import LogText, name_of, path_of
from vaelab.report.downsample import keep_extremes
from vaelab.report.layout import evidence_text
from vaelab.rules.base import Finding
from vaelab.run import IntArray, Run

MOST_COLUMNS = 8
_NON_FINITE_ROWS = 3
_ROW_COUNTS = (150, 100, 75, 50, 35, 20, 10, 4)
_ROW_DIGITS = 10  # rows are compared with the log, which may print as many


def evidence_answer(
    known: KnownRun, log: str, findings: Sequence[Finding], metrics: Sequence[str], first: int | None,
    last: int | None, most: int,
) -> answers.EvidenceAnswer:  # fmt: skip
    """The numbers that ``findings`` rest on, and rows of ``metrics`` (columns of the run) from step ``first`` to ``last``.

    Raises ConfigError if no row lies there.
    """
    run, text = known.run, LogText([known.run])
    columns = [m for m in metrics if m in run][:MOST_COLUMNS]
    if findings and first is None and last is None:
        at = _rows_of(run, columns, findings)
    else:
        at = _rows_between(run, columns, first, last)
    answer = answers.EvidenceAnswer(
        run=known.id,
        log=path_of(log),
        findings=[line(answers.FindingLine, f, text) for f in findings],
        evidence=[
            answers.EvidenceLine(text=text.sentence(evidence_text(e), 250), step=e.step, line=e.line)
            for f in findings
            for e in f.evidence
        ],
        columns=[name_of(c) for c in columns],
        rows_in_range=len(at),
        first_step=int(run.steps[at[0]]) if len(at) else None,
        last_step=int(run.steps[at[-1]]) if len(at) else None,
    )
    # fewer rows of the whole range say more than the first rows of it
    for rows in (most, *(count for count in _ROW_COUNTS if count < most)):
        answer.rows = [_row(run, columns, int(row)) for row in at[_telling_rows(run, columns, at, rows)]]
        if len(answer.rows) < len(at):
            answer.chosen = f"both ends, the lowest and highest {answer.columns[0]} of equal pieces, first NaN or inf"
        if answers.size(answer) <= answers.ANSWER_LIMIT:
            break
    asked = f'finding="{findings[0].code}"' if findings else f'metric="{name_of(columns[0])}"'
    narrower = f'evidence(run="{known.id}", {asked}, first_step=..., last_step=...) with a narrower range of steps'
    return answers.fit(answer, {"rows": narrower, "evidence": narrower, "findings": narrower})


def _rows_of(run: Run, columns: Sequence[str], findings: Sequence[Finding]) -> IntArray:
    """Rows of the steps that ``findings`` speak of; where that is one row or none, the rows around it too."""
    at = _rows_with(run, columns)
    first = min((f.first_step for f in findings if f.first_step is not None), default=None)
    last = max((f.last_step for f in findings if f.last_step is not None), default=None)
    start = 0 if first is None else int(np.searchsorted(run.steps[at], first))
    stop = len(at) if last is None else int(np.searchsorted(run.steps[at], last, side="right"))
    return at[start:stop] if stop - start > 1 else at[max(start - 1, 0) : stop + 1]


def _rows_with(run: Run, columns: Sequence[str]) -> IntArray:
    """Rows that hold one of ``columns``."""
    return np.flatnonzero(np.logical_or.reduce([run.columns[c].logged for c in columns] or [np.zeros(len(run), bool)]))


def _rows_between(run: Run, columns: Sequence[str], first: int | None, last: int | None) -> IntArray:
    """Rows from step ``first`` to ``last`` that hold one of ``columns``. Raises ConfigError if there are none."""
    at = _rows_with(run, columns)
    low = run.steps[0] if first is None else first
    high = run.steps[-1] if last is None else last
    at = at[(run.steps[at] >= low) & (run.steps[at] <= high)]
    if not len(at):
        raise ConfigError(
            f"No row of {', '.join(map(name_of, columns)) or 'this finding'} lies from step {low:,} to {high:,}: the log goes from"
            f" {run.steps[0]:,} to {run.steps[-1]:,}."
        )
    return at


def _telling_rows(run: Run, columns: Sequence[str], at: IntArray, most: int) -> IntArray:
    """Positions in ``at``, at most ``most`` (4 or more), that show the extremes and the first non-finite rows."""
    if len(at) <= most:
        return np.arange(len(at))
    values = run[columns[0]][at]
    odd = np.flatnonzero(run.columns[columns[0]].logged[at] & ~np.isfinite(values))[:_NON_FINITE_ROWS]
    odd = odd[: most - 4] if most > 4 else odd[:0]
    finite = np.flatnonzero(np.isfinite(values))
    finite = finite if len(finite) else np.arange(len(at))
    kept = finite[keep_extremes(np.nan_to_num(values[finite]), most - len(odd))]
    return np.union1d(kept, odd)


def _row(run: Run, columns: Sequence[str], row: int) -> answers.EvidenceRow:
    values = [number_of(float(run[c][row]), _ROW_DIGITS) if run.columns[c].logged[row] else None for c in columns]
    line = next((line for c in columns if (line := run.line(c, row)) is not None), None)
    return answers.EvidenceRow(step=int(run.steps[row]), line=line, values=values)
