"""Real logs as they grew: the shown status rarely changes, and in the end it is what ``diagnose`` says."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

import vaelab
from live_runs import head
from vaelab.live import Change, StableStatus
from vaelab.live.hysteresis import CLEAR_ROWS, STATUS_ORDER

CASES = sorted((Path(__file__).parent / "data/cases").glob("*.gz"))
# what diagnose says of these changes for a row or two, again and again
UNSTEADY = [p for p in CASES if any(name in p.name for name in ("7732f9", "ff0aa9", "d055f1"))]


def replay(log: Path, every: int) -> tuple[StableStatus, list[Change], vaelab.Diagnosis]:
    """The whole log in pieces that are ``every`` rows longer each time."""
    run = vaelab.read(log)
    stable = StableStatus("run", log.name)
    told: list[Change] = []
    for rows in [*range(1, len(run), every), len(run)]:
        part = head(run, rows)
        diagnosis = vaelab.diagnose(part)
        told += stable.update(int(part.steps[-1]), diagnosis)
    return stable, told, diagnosis


def changes_of_status(told: Iterable[Change]) -> list[str]:
    return [change.new for change in told if change.kind == "status" and change.new]


@pytest.mark.parametrize("log", CASES, ids=lambda log: log.name.split(".")[0])
def test_the_last_status_is_that_of_diagnose(log: Path) -> None:
    stable, told, diagnosis = replay(log, every=9)
    assert len(changes_of_status(told)) <= 5
    stable.update(int(diagnosis.run.steps[-1]), diagnosis, final=True)
    assert stable.status == diagnosis.status
    shown = {(s.finding.code, s.finding.severity) for s in stable.findings if s.active}
    assert shown == {(f.code, f.severity) for f in diagnosis.findings}
    assert stable.cause == (diagnosis.causes[0].id if diagnosis.causes else None)


@pytest.mark.parametrize("log", UNSTEADY, ids=lambda log: log.name.split(".")[0])
def test_row_by_row_nothing_flickers(log: Path) -> None:
    stable, told, diagnosis = replay(log, every=1)
    assert stable.status == diagnosis.status
    shown = [STATUS_ORDER[status] for status in changes_of_status(told)]  # type: ignore[index]
    assert len(shown) <= 4
    assert sum(after < before for before, after in pairwise(shown)) <= 1
    for key in {(c.new or c.old or "").split()[0] for c in told if c.kind == "finding"}:
        about = [c for c in told if c.kind == "finding" and (c.new or c.old or "").startswith(key)]
        assert len(about) <= 4, f"{key} comes and goes: {[(c.step, c.new) for c in about]}"
    rows_of_causes = [c.step for c in told if c.kind == "cause"]
    spacing = int(diagnosis.run.steps[-1] - diagnosis.run.steps[0]) // (len(diagnosis.run) - 1)
    assert all(b - a > (CLEAR_ROWS - 2) * spacing for a, b in pairwise(s for s in rows_of_causes[1:] if s is not None))
