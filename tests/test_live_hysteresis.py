"""StableStatus: alarms are raised when confirmed, lowered when their reason stays away, and never flicker."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live_runs import diagnosis
from vaelab.live.changes import Change
from vaelab.live.hysteresis import CLEAR_ROWS, CONFIRM_ROWS, STATUS_ORDER, StableStatus

STATUSES = st.lists(st.sampled_from(list(STATUS_ORDER)), min_size=1, max_size=60)
FIRST = 20  # rows that the log has when it is opened


def play(statuses: list[str], stable: StableStatus | None = None, first: int = FIRST) -> list[str]:
    """The shown status after each of ``statuses``, one new row apart."""
    stable = stable or StableStatus()
    shown = []
    for row, status in enumerate(statuses, start=first):
        stable.update(row * 10, diagnosis(status, row))
        shown.append(stable.status)
    return shown


@given(STATUSES)
def test_a_worse_status_was_confirmed_and_a_better_one_has_lasted(raw: list[str]) -> None:
    shown = play(raw)
    order = [STATUS_ORDER[s] for s in raw]
    assert shown[0] == raw[0]
    for i in range(1, len(raw)):
        before, now = STATUS_ORDER[shown[i - 1]], STATUS_ORDER[shown[i]]  # type: ignore[index]
        if now > before and raw[i] != "stop" and (shown[i - 1], shown[i]) != ("cannot-tell", "healthy"):
            assert min(order[i - CONFIRM_ROWS : i + 1]) >= now
        if now < before:
            assert i >= CLEAR_ROWS and max(order[i - CLEAR_ROWS + 1 : i + 1]) <= now


@given(STATUSES)
def test_stop_is_shown_at_once(raw: list[str]) -> None:
    assert all(seen == "stop" for said, seen in zip(raw, play(raw), strict=True) if said == "stop")


@given(STATUSES)
def test_a_status_is_lowered_at_most_once_in_a_stretch_of_rows(raw: list[str]) -> None:
    shown = [STATUS_ORDER[s] for s in play(raw)]  # type: ignore[index]
    lowered = [i for i in range(1, len(shown)) if shown[i] < shown[i - 1]]
    assert len(lowered) <= len(raw) / CLEAR_ROWS
    # between two raises to the same level it was lowered once: nothing flips to and fro
    raised = [i for i in range(1, len(shown)) if shown[i] > shown[i - 1]]
    assert len(raised) <= (len(lowered) + 1) * len(STATUS_ORDER)


@given(STATUSES, st.sampled_from(list(STATUS_ORDER)))
def test_what_stays_is_shown_in_the_end(raw: list[str], last: str) -> None:
    stable = StableStatus()
    play(raw, stable)
    play([last] * CLEAR_ROWS * len(STATUS_ORDER), stable, first=FIRST + len(raw))
    assert stable.status == last and stable.confirmed


@given(STATUSES)
def test_the_end_of_a_run_shows_the_last_diagnosis_as_it_is(raw: list[str]) -> None:
    stable = StableStatus()
    play(raw, stable)
    rows = FIRST + len(raw) - 1
    stable.update(rows * 10, diagnosis(raw[-1], rows), final=True)
    assert stable.status == raw[-1] and stable.confirmed


@given(STATUSES, st.integers(0, 60))
def test_it_goes_on_from_its_plain_state_at_any_time(raw: list[str], cut: int) -> None:
    whole = StableStatus("run-a", "a.log")
    play(raw, whole)
    first = StableStatus("run-a", "a.log")
    play(raw[:cut], first)
    again = StableStatus("run-a", "a.log")
    again.load_state_dict(json.loads(json.dumps(first.state_dict())))
    play(raw[cut:], again, first=FIRST + len(raw[:cut]))
    assert (again.status, again.findings, again.cause, again.headline) == (
        whole.status, whole.findings, whole.cause, whole.headline,
    )  # fmt: skip


PRESENCE = st.lists(
    st.lists(st.sampled_from(["", "info", "warn", "critical"]), min_size=2, max_size=2), min_size=1, max_size=50
)


@given(PRESENCE)
def test_findings_come_and_go_once_in_a_stretch_of_rows(raw: list[list[str]]) -> None:
    stable = StableStatus()
    told: list[Change] = []
    for row, (a, b) in enumerate(raw, start=FIRST):
        found = [(code, severity) for code, severity in (("AAA101", a), ("BBB202", b)) if severity]
        told += stable.update(row * 10, diagnosis("watch", row, found))
        shown = {s.finding.code: s for s in stable.findings if s.active}
        assert len(shown) == sum(s.active for s in stable.findings)
        for code, column in (("AAA101", 0), ("BBB202", 1)):
            recent = [r[column] for r in raw[max(0, row - FIRST - CLEAR_ROWS + 1) : row - FIRST + 1]]
            if code in shown and row - FIRST >= CLEAR_ROWS:
                assert any(recent)
            if len(recent) > CONFIRM_ROWS and all(recent[-CONFIRM_ROWS - 1 :]):
                assert code in shown
    for code in ("AAA101", "BBB202"):
        changes = [c for c in told if c.kind == "finding" and (c.new or c.old or "").startswith(code)]
        assert all(before.new == after.old for before, after in pairwise(changes) if before.new and after.old)
        gone = [c.step for c in changes if c.new is None]
        assert all(b - a > 10 * CLEAR_ROWS for a, b in pairwise(gone) if a is not None and b is not None)


def test_a_flicker_of_one_row_is_never_told() -> None:
    stable = StableStatus()
    told = stable.update(10, diagnosis("healthy", FIRST - 1))
    for row in range(FIRST, FIRST + 60):
        blip = row % 4 == 0
        told += stable.update(row * 10, diagnosis("act" if blip else "healthy", row, cause="C2" if blip else None))
    assert [(c.kind, c.new) for c in told] == [("status", "healthy")]
    assert stable.findings == [] and stable.cause is None


def test_a_long_run_keeps_an_alarm_for_a_share_of_itself() -> None:
    stable = StableStatus()
    stable.update(10_000, diagnosis("act", 1001))
    play(["healthy"] * 49, stable, first=1002)
    assert stable.status == "act"
    play(["healthy"] * 5, stable, first=1051)
    assert stable.status == "healthy"


def test_few_polls_of_many_rows_confirm_at_the_second_diagnosis() -> None:
    stable = StableStatus()
    for rows, status in ((100, "healthy"), (200, "act")):
        stable.update(rows * 10, diagnosis(status, rows))
    assert stable.status == "healthy"
    change = stable.update(3000, diagnosis("act", 300))[0]
    assert (change.kind, change.old, change.new, change.step) == ("status", "healthy", "act", 3000)


def test_a_diagnosis_without_a_new_row_confirms_nothing() -> None:
    stable = StableStatus()
    stable.update(1000, diagnosis("healthy", 100))
    for _ in range(5):
        stable.update(1010, diagnosis("act", 101))
    assert stable.status == "healthy"


def test_a_run_that_goes_back_keeps_its_status_and_counts_again() -> None:
    stable = StableStatus()
    play(["healthy", "act", "act"], stable)
    stable.update(50, diagnosis("act", 6))
    assert stable.status == "healthy" and stable.step == 50
    play(["act", "act"], stable, first=7)
    assert stable.status == "act"


def test_an_alarm_of_the_first_diagnosis_is_not_confirmed_until_rows_repeat_it() -> None:
    stable = StableStatus()
    stable.update(1000, diagnosis("act", 100))
    assert stable.status == "act" and not stable.confirmed
    stable.update(1010, diagnosis("act", 101))
    assert stable.confirmed
    at_once = StableStatus()
    at_once.update(1000, diagnosis("stop", 100))
    assert at_once.confirmed


def test_the_headline_is_that_of_the_shown_status() -> None:
    stable = StableStatus()
    stable.update(1000, diagnosis("healthy", 100))
    stable.update(1010, diagnosis("act", 101))
    assert stable.status == "healthy" and stable.headline == "so it is"


def test_what_stops_a_run_comes_with_its_finding_and_its_cause() -> None:
    stable = StableStatus("run-a", "a.log")
    stable.update(1000, diagnosis("healthy", 100))
    told = stable.update(1010, diagnosis("stop", 101, [("NUM501", "critical"), ("MET1001", "warn")], "F1"))
    assert [(c.kind, c.new) for c in told] == [("status", "stop"), ("finding", "NUM501 critical"), ("cause", "F1")]
    assert [s.finding.code for s in stable.findings] == ["NUM501"]


def test_findings_that_are_gone_are_remembered_with_where_they_were() -> None:
    stable = StableStatus()
    for row in range(100, 140):
        found = 110 <= row < 120
        stable.update(row * 10, diagnosis("watch" if found else "healthy", row, [("ADV306", "warn")] if found else []))
    (seen,) = stable.findings
    assert (seen.active, seen.since_step, seen.last_seen_step) == (False, 1100, 1190)


def test_a_change_is_plain_json_and_holds_no_terminal_escape() -> None:
    stable = StableStatus("run-a", "a.log")
    hostile = diagnosis("act", 100, [("KL201", "critical")])
    object.__setattr__(hostile.findings[0], "message", "\x1b[31mred\x1b[0m <b>")
    told = stable.update(1000, hostile)
    for change in told:
        text = json.dumps(change.as_json())
        assert json.loads(text)["run"] == "run-a" and "\\u001b" not in text


def test_findings_that_take_turns_raise_the_status_only_if_that_lasts() -> None:
    def turns(rows: int) -> StableStatus:
        stable = StableStatus()
        stable.update(10, diagnosis("healthy", FIRST - 1))
        for row in range(FIRST, FIRST + rows):
            stable.update(row * 10, diagnosis("watch", row, [(f"AAA10{row % 2}", "warn")]))
        return stable

    assert turns(CLEAR_ROWS // 2).status == "healthy"
    assert turns(CLEAR_ROWS + 1).status == "watch"


@pytest.mark.parametrize("rows", [1, 2])
def test_the_first_rows_of_a_run_are_enough_to_work_with(rows: int) -> None:
    stable = StableStatus()
    stable.update(0, diagnosis("cannot-tell", rows))
    play(["cannot-tell", "healthy"], stable, first=rows + 1)
    assert stable.status == "healthy"
