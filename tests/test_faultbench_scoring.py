"""The fault bench counts what it says it counts: truth files, replay, scores, peers."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vaelab

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "benchmarks/faultbench"
CASES = ROOT / "tests/data/cases"
sys.path.insert(0, str(BENCH))

import count  # noqa: E402
import harm  # noqa: E402
import limits  # noqa: E402
import measures  # noqa: E402
import peer_drivers  # noqa: E402
import peers  # noqa: E402
import score  # noqa: E402
import splits  # noqa: E402
import tables  # noqa: E402
from measures import Share, delay, in_time, scores  # noqa: E402
from replay import AFTER_ONSET, EVEN, Judged, Verdict, first_rows, judge, replay_rows  # noqa: E402
from truth import FILE, Planted, Truth, TruthError, load, save  # noqa: E402

FAULT = Planted("lr-high", 0.5, 200, 600, ("E1",), ("D7",))
FAULTY = Truth(
    name="own-100", kind="faulty", split="tune", faults=(FAULT,), steps=600, system="rgb", dialect="lightning",
    log="log.csv", costs=(("dB", 4.0),), lost_db=4.0, worst_db=5.0,
)  # fmt: skip
HEALTHY = replace(FAULTY, name="own-101", kind="healthy", faults=(), costs=(), lost_db=0.0, worst_db=0.0)
HARMLESS = replace(FAULTY, name="own-102", kind="harmless", lost_db=0.1, costs=())
PASSED = replace(HARMLESS, name="own-103", kind="passed")
TWO = replace(FAULTY, name="own-104", faults=(FAULT, Planted("black-data", 0.5, 400, 500, ("A4",), ())))


def said(step: int, status: str = "healthy", causes: str = "", onset: int | None = None) -> Verdict:
    return Verdict(step, status, 0.8, tuple((c, 0.4) for c in causes.split()), onset)


def judged(truth: Truth, *points: Verdict) -> Judged:
    return Judged(truth, points, tuple(range(0, truth.steps, 20)))


def test_truths_come_back_as_they_were_written(tmp_path: Path) -> None:
    save([HEALTHY, FAULTY, TWO], tmp_path / "t.gz")
    assert load(tmp_path / "t.gz") == [FAULTY, HEALTHY, TWO]
    before = (tmp_path / "t.gz").read_bytes()
    save([TWO, FAULTY, HEALTHY], tmp_path / "t.gz")
    assert (tmp_path / "t.gz").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [{"kind": "odd"}, {"faults": ()}, {"kind": "healthy"}, {"faults": (replace(FAULT, onset=600),)}, {"steps": 500}],
)
def test_a_truth_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(TruthError, match="own-100"):
        replace(FAULTY, **change)  # type: ignore[arg-type]


def test_the_truths_of_the_repository_are_valid_and_both_parts_are_filled() -> None:
    truths = load(FILE)
    assert len({t.name for t in truths}) == len(truths) > 1000
    for part in ("tune", "final"):
        kinds = {t.kind for t in truths if t.split == part}
        assert {"faulty", "harmless", "healthy"} <= kinds
    tuned = {f.mechanism for t in truths if t.split == "tune" and t.name.startswith("own") for f in t.faults}
    assert not any(splits.final_mechanism(mechanism) for mechanism in tuned)
    assert all(t.split == "final" for t in truths if t.dialect in splits.FINAL_TRAINERS)


def test_labels_agree_with_what_was_lost() -> None:
    for truth in load(FILE):
        if truth.kind == "faulty":
            assert harm.matters(dict(truth.costs) or {"dB": truth.lost_db})
        elif truth.kind == "harmless":
            assert truth.lost_db < harm.COSTS["dB"]


def test_detection_causes_and_false_alarms_are_counted() -> None:
    right = judged(FAULTY, said(590, "act", "E1 C2", onset=220))
    third = judged(FAULTY, said(590, "stop", "C2 A2 D7", onset=260))
    watched = judged(FAULTY, said(590, "watch", "E1"))
    wrong = judged(replace(FAULTY, lost_db=1.0), said(590, "act", "A2 C2 B8 E1", onset=100))
    alarmed = judged(HEALTHY, said(300, "stop", "E1"), said(590, "healthy"))
    stopped = judged(HEALTHY, said(590, "stop", "E1"))
    harmless, passed = judged(HARMLESS, said(590, "act", "E1")), judged(PASSED, said(300, "act", "E1"), said(590))
    s = scores([right, third, watched, wrong, alarmed, stopped, harmless, passed])
    assert (s.detection, s.severe, s.seen) == (Share(3, 4), Share(2, 3), Share(4, 4))
    assert s.top1 == Share(1, 4)  # a right cause without an alarm does not count
    assert s.top3 == Share(2, 4)
    assert (s.false_act, s.false_any_time) == (Share(1, 2), Share(2, 2))
    assert (s.harmless_act, s.passed_act) == (Share(1, 1), Share(1, 1))
    # events: three right ones and the passed one, against two healthy and one harmless
    assert s.event_precision == Share(4, 7)
    assert s.event_recall == Share(3, 4)


def test_two_faults_want_a_cause_each() -> None:
    assert scores([judged(TWO, said(590, "act", "E1 A4"))]).both_named == Share(1, 1)
    assert scores([judged(TWO, said(590, "act", "E1 D7"))]).both_named == Share(0, 1)


def test_the_delay_is_the_first_right_alarm_after_the_onset() -> None:
    run = judged(
        FAULTY, said(100, "act", "E1"), said(240, "act", "C2"), said(280, "watch", "E1"), said(300, "act", "E1 C2")
    )
    assert delay(run, right=True) == pytest.approx(0.25)
    assert delay(run, right=False) == pytest.approx(0.1)
    never = judged(FAULTY, said(590))
    assert delay(never, right=True) == math.inf
    assert scores([run, never, never]).delay == math.inf


def test_a_threshold_lets_so_many_healthy_runs_through() -> None:
    healthy = [judged(HEALTHY, replace(said(590, "watch"), confidence=1 - i / 100)) for i in range(100)]
    for rate, expected in ((0.0, 0), (0.01, 1), (0.05, 5)):
        threshold = measures.threshold_at(healthy, rate)
        assert sum(measures.score(r.final) >= threshold for r in healthy) == expected
    assert measures.score(said(1, "act")) > measures.score(said(1, "watch")) > measures.score(said(1, "healthy"))


@pytest.mark.parametrize(("doubled", "alarm", "expected"), [(260, 240, True), (250, 260, False), (250, 250, False)])
def test_a_divergence_is_caught_in_time(doubled: int, alarm: int, expected: bool) -> None:
    run = judged(replace(FAULTY, doubled_step=doubled), said(210), said(alarm, "act", "D7"))
    assert measures.room_before_doubling(run) and in_time(run) is expected
    assert not measures.room_before_doubling(judged(replace(FAULTY, doubled_step=200), said(210)))


def test_detection_is_told_by_what_was_lost() -> None:
    runs = [judged(FAULTY, said(590, "act")), judged(HARMLESS, said(590)), judged(PASSED, said(590, "act"))]
    table = measures.by_severity(runs, lambda r: r.final.alarm)
    assert [(low, s.hits, s.n) for low, _, s in table if s.n] == [(0.0, 0, 1), (3.0, 1, 1)]


def test_the_interval_holds_the_share_and_narrows() -> None:
    low, high = Share(19, 20).interval
    assert low == pytest.approx(0.764, abs=0.002) and high == pytest.approx(0.991, abs=0.002)
    assert Share(0, 0).interval == (0.0, 1.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.1, 2)), max_size=60))
def test_every_verdict_is_in_one_bin_of_the_reliability_table(stated: list[tuple[float, bool, float]]) -> None:
    bins = measures.reliability(stated)
    assert sum(b.n for b in bins) == len(stated)
    assert all(b.low - 1e-9 <= b.stated <= b.high + 1e-9 and 0 <= b.right <= 1 + 1e-9 for b in bins)


def test_risk_falls_where_the_unsure_are_left_out() -> None:
    curve = measures.risk_coverage([(0.9, True, 1.0), (0.8, True, 1.0), (0.3, False, 2.0)])
    assert curve == [(0.25, 0.0), (0.5, 0.0), (1.0, 0.5)]


def test_a_watched_run_states_that_nothing_is_wrong() -> None:
    sure, unsure = (replace(said(590, "watch"), confidence=c) for c in (0.9, 0.4))
    assert measures.score(sure) < measures.score(unsure) < measures.score(said(590, "act"))
    assert [right for _, right, _ in measures.wrong_or_right([judged(HEALTHY, sure), judged(FAULTY, sure)])] == [
        True,
        False,
    ]


def test_calibration_counts_faulty_runs_as_a_part_of_all() -> None:
    stated = measures.wrong_or_right([judged(FAULTY, said(590, "act"))] * 3 + [judged(HEALTHY, said(590))])
    assert sum(w for _, ok, w in stated if ok) == pytest.approx(1)
    assert stated[0][2] == pytest.approx(0.1) and stated[-1][2] == pytest.approx(0.7)


def test_a_prefix_is_the_log_as_it_stood_then() -> None:
    run = vaelab.read(CASES / "pyramid_flow-run-f48a16.log.gz")
    part = first_rows(run, 10)
    assert len(part) == 10
    np.testing.assert_array_equal(part["rec_loss"], run["rec_loss"][:10])
    assert [e.kind for e in run.events if e.kind == "non_finite_stop"]
    assert not [e for e in part.events if e.kind == "non_finite_stop"]
    assert vaelab.diagnose(part).status != "stop"
    assert len(first_rows(run, len(run)).events) == len(run.events)


def test_replay_is_dense_after_the_onset_and_ends_with_the_whole_log() -> None:
    steps = list(range(600))
    rows = replay_rows(steps, FAULTY)
    assert rows == sorted(set(rows)) and rows[-1] == 600
    assert [r - 200 for r in rows if 200 < r <= 220] == [4, 8, 12, 20]
    assert len(replay_rows(steps, HEALTHY)) == EVEN
    assert len(rows) == len(AFTER_ONSET) + 3 and len(replay_rows(steps, TWO)) > len(rows)
    assert replay_rows([0, 300], FAULTY) == [2]


def logs(tmp_path: Path) -> list[Truth]:
    """Two logs of tests/data/cases as runs of the bench: one with a fault in mid-run, one healthy."""
    truths = []
    for truth, name in ((FAULTY, "radiodiff-run-1b848f.log.gz"), (HEALTHY, "ldm_lightning-run-7732f9.csv.gz")):
        steps = int(vaelab.read(CASES / name).steps[-1]) + 1
        onset = json.loads((CASES / f"{name.split('.')[0]}.json").read_text())["fault_onset_step"]
        faults = (replace(FAULT, onset=onset, end=steps),) if truth.faults else ()
        truths.append(replace(truth, log=name, steps=steps, faults=faults))
        (tmp_path / truth.name).mkdir()
        (tmp_path / truth.name / name).write_bytes((CASES / name).read_bytes())
    return truths


def test_real_logs_are_judged_saved_and_come_back(tmp_path: Path) -> None:
    truths = logs(tmp_path)
    runs = score.judge_all(truths, tmp_path, jobs=1)
    s = scores(runs)
    assert (s.detection, s.top1, s.false_any_time) == (Share(1, 1), Share(1, 1), Share(0, 1))
    score.save(runs, tmp_path / "results.gz")
    again = score.load_results(truths, tmp_path / "results.gz")
    assert scores(again) == s and [r.final.findings for r in again] == [r.final.findings for r in runs]


def test_a_look_at_the_final_part_is_written_down(tmp_path: Path) -> None:
    assert splits.count_look("the first", tmp_path / "looks.json") == 1
    assert splits.count_look("another", tmp_path / "looks.json") == 2
    assert [look["why"] for look in json.loads((tmp_path / "looks.json").read_text())] == ["the first", "another"]


def test_each_run_belongs_to_one_part_and_the_second_draw_is_what_was_made_later() -> None:
    parts = {t.name: splits.part_of(t) for t in load(FILE)}
    assert set(parts.values()) == set(splits.PARTS)
    assert {parts[f"own-{100 * group}"] for group in (15, 20, 25)} == {"final, second draw"}
    assert {parts[f"own-{100 * group}"] for group in (0, 5, 10, 40)} == {"final, first draw"}
    assert (
        parts["misha_vqvae/healthy-10"] == "final, second draw"
        and parts["misha_vqvae/healthy-0"] == "final, first draw"
    )


def test_a_limit_lets_so_many_healthy_runs_through_and_is_checked_elsewhere() -> None:
    sizes = [i / 100 for i in range(100)]
    for rate in (0.0, 0.01, 0.05):
        limit = limits.counted_limit(sizes, rate)
        assert sum(size >= limit for size in sizes) == round(100 * rate)
    assert limits.counted_limit([], 0.01) == math.inf
    # no system knows how large the other's are
    assert limits.elsewhere({"video": [1.0] * 50, "rgb": [2.0] * 50}, 0.01) == pytest.approx(0.5)
    assert limits.elsewhere({"video": sizes, "rgb": sizes}, 0.01) == pytest.approx(0.01)


def test_a_limit_is_counted_from_whole_logs(tmp_path: Path) -> None:
    found = [limits.sizes(truth, tmp_path) for truth in logs(tmp_path)]
    assert found[0] is not None and found[1] is not None and found[0].kinds
    table = {row[0]: row for row in limits.rows([found[0], found[1]])}
    assert set(table) == {*found[0].kinds, *found[1].kinds}
    code, size = max(found[0].kinds.items(), key=lambda item: item[1] * (item[0] not in found[1].kinds))
    assert table[code][3] == "any" and table[code][7] == "0, 1", (code, size)


def test_what_is_common_in_healthy_runs_is_counted() -> None:
    def run(*findings: tuple[str, str, int | None]) -> Judged:
        return judged(HEALTHY, replace(said(590), findings=findings))

    loud = run(("ADV303", "warn", 1), ("MET1003:kl", "warn", 2), ("KL207", "info", 3), ("REC103", "critical", 3))
    runs = [loud] * 5 + [run(("KL207", "info", 3))] * 5 + [run()] * 10 + [judged(FAULTY, said(590))]
    assert count.common(runs) == {"ADV303 warn": 0.25, "KL207 info": 0.5, "MET1003 warn": 0.25}


def test_a_peer_is_timed_at_a_rate_of_false_alarms() -> None:
    loud = scores([judged(HEALTHY, said(300, "act")), judged(FAULTY, said(240, "act"))])
    quiet = scores([judged(HEALTHY, said(300)), judged(FAULTY, said(400, "act"))])
    assert peers.soonest([loud, quiet], 0.05) == pytest.approx(0.5)
    assert peers.soonest([loud], 0.05) is None


def test_a_log_that_cannot_be_read_is_a_miss_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("no numbers here\n")
    run = judge(tmp_path / "log.csv", FAULTY)
    assert run.error and not run.final.alarm
    assert "not read" in tables.misses([run])


def test_a_peer_gets_one_loss_under_the_name_it_looks_for() -> None:
    run = vaelab.read(CASES / "radiodiff-run-1b848f.log.gz")
    columns = peers.columns_of(run, "total_loss")
    assert {"step", "loss"} <= set(columns) and len({len(v) for v in columns.values()}) == 1
    np.testing.assert_array_equal(columns["loss"], run["total_loss"][run.rows("total_loss")])


def test_a_peers_findings_count_from_a_severity_on_and_its_labels_stand_for_causes() -> None:
    answers = [[], [("spikes", "info", 3), ("Divergence", "warning", 9)], [("lr_too_high", "error", 9)]]
    runs = {least: peers.as_judged(FAULTY, list(range(600)), [100, 300, 600], answers, least) for least in (1, 2)}
    assert [[p.alarm for p in r.points] for r in runs.values()] == [[False, True, True], [False, False, True]]
    assert delay(runs[1], right=True) == pytest.approx(99 / 400)
    assert scores([runs[2]]).top1 == Share(1, 1)
    refused = peers.as_judged(FAULTY, [0], [1], [{"error": "ValueError: too short"}], 1)
    assert not refused.final.alarm


def test_a_peer_that_refuses_a_log_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fussy(columns: peer_drivers.Columns, folder: Path) -> peer_drivers.Found:
        if len(columns["loss"]) < 3:
            raise ValueError("too short")
        return [("spike", "Warning", np.float64(2.0))]

    monkeypatch.setitem(peer_drivers.ADAPTORS, "fussy", fussy)
    run = {"columns": {"step": [0, 1, 2], "loss": [1.0, 0.5, 0.4]}, "cuts": [2, 3]}
    assert peer_drivers.answer("fussy", run) == [{"error": "ValueError: too short"}, [("spike", "warning", 2)]]


def test_every_peer_of_the_list_has_an_adaptor() -> None:
    named = {line.split("==")[0] for line in (BENCH / "peers.txt").read_text().split()}
    assert set(peer_drivers.ADAPTORS) == set(peers.NAMES) == named
