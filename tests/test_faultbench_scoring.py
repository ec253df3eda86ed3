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

import measures  # noqa: E402
import peer_drivers  # noqa: E402
import peers  # noqa: E402
import score  # noqa: E402
import tables  # noqa: E402
from measures import Share, delay, half, in_time, scores  # noqa: E402
from replay import Judged, Verdict, first_rows, judge, replay_rows  # noqa: E402
from truth import Truth, TruthError, Verified, load, load_all  # noqa: E402

FAULTY = Truth(
    id="lr-too-high",
    kind="faulty",
    causes=("E1",),
    also_accepted=("D7",),
    onset_step=200,
    steps=600,
    system="rgb",
    dialect="lightning",
    seed=0,
    log="log.csv",
    verified=Verified("held-out MSE", 0.9, 0.1, 9.0, True),
)
HEALTHY = replace(FAULTY, id="plain", kind="healthy", causes=(), also_accepted=(), onset_step=None)


def said(step: int, status: str = "healthy", causes: str = "", onset: int | None = None) -> Verdict:
    return Verdict(step, status, 0.8, tuple((c, 0.4) for c in causes.split()), onset)


def judged(truth: Truth, *points: Verdict) -> Judged:
    return Judged(truth, points[-1], points, "gan", "gan", tuple(range(0, truth.steps, 20)))


def test_a_truth_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    endless = replace(FAULTY, verified=replace(FAULTY.verified, fault_value=math.inf, ratio=math.nan))
    endless.save(tmp_path / endless.name)
    assert load(tmp_path / endless.name) == replace(
        FAULTY, verified=replace(FAULTY.verified, fault_value=None, ratio=None)
    )
    HEALTHY.save(tmp_path / HEALTHY.name)
    assert [t.id for _, t in load_all(tmp_path)] == ["lr-too-high", "plain"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "odd"},
        {"dialect": "odd"},
        {"causes": ()},
        {"onset_step": None},
        {"onset_step": 600},
        {"kind": "healthy"},
        {"verified": Verified("held-out MSE", 0.1, 0.1, 1.0, False)},
    ],
)
def test_a_truth_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(TruthError, match="lr-too-high"):
        replace(FAULTY, **change)


def test_every_truth_file_of_the_bench_is_valid_and_its_log_is_there() -> None:
    for folder, truth in load_all(BENCH / "logs"):
        assert folder.name == truth.name
        assert (folder / truth.log).exists()


def test_the_halves_never_change_and_seeds_stay_together() -> None:
    known = {"lr-too-high": "tune", "kl-collapse": "tune", "plain": "tune", "kl-too-big": "held-out"}
    assert {name: half(name) for name in known} == known
    held_out = [half(str(i)) == "held-out" for i in range(1000)]
    assert 200 < sum(held_out) < 300


def test_detection_causes_and_false_alarms_are_counted() -> None:
    right = judged(FAULTY, said(590, "act", "E1 C2", onset=220))
    third = judged(FAULTY, said(590, "stop", "C2 A2 D7", onset=260))
    watched = judged(FAULTY, said(590, "watch", "E1"))
    wrong = judged(FAULTY, said(590, "act", "A2 C2 B8 E1", onset=100))
    alarmed = judged(HEALTHY, said(300, "stop", "E1"), said(590, "healthy"))
    stopped = judged(HEALTHY, said(590, "stop", "E1"))
    harmless = judged(replace(HEALTHY, kind="harmless"), said(590, "act", "E1"))
    s = scores([right, third, watched, wrong, alarmed, stopped, harmless])
    assert s.detection == Share(3, 4)
    assert s.top1 == Share(1, 4)  # a right cause without an alarm does not count
    assert s.top3 == Share(2, 4)
    assert (s.false_act, s.false_stop, s.false_any_time) == (Share(1, 2), Share(1, 2), Share(2, 2))
    assert s.false_points == Share(2, 3)
    assert s.onset_error == pytest.approx(60 / 600)
    assert s.harmless_alarms == Share(1, 1)


def test_the_delay_is_the_first_right_alarm_after_the_onset() -> None:
    run = judged(
        FAULTY, said(100, "act", "E1"), said(240, "act", "C2"), said(280, "watch", "E1"), said(300, "act", "E1 C2")
    )
    assert delay(run, right=True) == pytest.approx(0.25)
    assert delay(run, right=False) == pytest.approx(0.1)
    never = judged(FAULTY, said(590))
    assert delay(never, right=True) == math.inf
    assert scores([run, never, never]).delay == math.inf
    assert scores([judged(FAULTY, said(100, "act", "E1"), said(590))]).false_points == Share(1, 1)


def test_a_late_alarm_is_listed_with_what_was_said_until_then() -> None:
    prompt = judged(FAULTY, said(210, "act", "E1"))
    late = judged(FAULTY, said(100, "stop"), said(210, "watch"), said(220, "watch"), said(300, "act", "E1"))
    assert tables.late([prompt, late, judged(HEALTHY, said(590))]) == (
        "lr-too-high-0: onset 200, right at 25%; 210 watch -; 300 act E1"
    )


@pytest.mark.parametrize(
    ("doubled", "alarm", "expected"), [(260, 240, True), (250, 260, False), (250, 280, False), (205, 220, True)]
)
def test_a_divergence_is_caught_in_time_if_the_log_allowed_it(doubled: int, alarm: int, expected: bool) -> None:
    truth = replace(FAULTY, diverges=True, doubled_step=doubled, onset_step=201)
    run = judged(truth, said(210), said(alarm, "act", "D7"))
    assert in_time(run) is expected
    assert in_time(run, rows_after=1) is (alarm <= 260)


def test_the_interval_holds_the_share_and_narrows() -> None:
    low, high = Share(19, 20).interval
    assert low == pytest.approx(0.764, abs=0.002) and high == pytest.approx(0.991, abs=0.002)
    assert Share(0, 0).interval == (0.0, 1.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60))
def test_every_verdict_is_in_one_bin_of_the_reliability_table(pairs: list[tuple[float, bool]]) -> None:
    bins = measures.reliability(pairs)
    assert sum(b.n for b in bins) == len(pairs)
    assert all(b.low <= b.stated <= b.high and 0 <= b.right <= 1 for b in bins)


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
    assert [r - 200 for r in rows if 200 < r <= 220] == [4, 8, 12, 16, 20]
    assert len(replay_rows(steps, HEALTHY)) == 25
    assert replay_rows([0, 300], FAULTY) == [1, 2]


def cases(tmp_path: Path) -> Path:
    """Two logs of tests/data/cases as entries of the bench: one with a fault in mid-run, one healthy."""
    for truth, name in ((FAULTY, "radiodiff-run-1b848f.log.gz"), (HEALTHY, "ldm_lightning-run-7732f9.csv.gz")):
        steps = int(vaelab.read(CASES / name).steps[-1]) + 1
        label = json.loads((CASES / f"{name.split('.')[0]}.json").read_text())
        onset = label["fault_onset_step"]
        replace(truth, log=str(CASES / name), steps=steps, onset_step=onset).save(tmp_path / truth.name)
    return tmp_path


def test_real_logs_are_judged_and_the_page_is_written(tmp_path: Path) -> None:
    runs = score.judge_all(load_all(cases(tmp_path)), jobs=1)
    s = scores(runs)
    assert (s.detection, s.top1, s.false_any_time) == (Share(1, 1), Share(1, 1), Share(0, 1))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- goals -->\nold\n<!-- /goals -->\nafter\n")
    score.write_page(page, score.sections(runs))
    text = page.read_text()
    assert text.startswith("before\n<!-- goals -->\n") and text.endswith("<!-- /goals -->\nafter\n")
    assert "old" not in text and "| detected (act or stop) | ≥ 95% |" in text
    json.dumps(tables.as_data(runs), allow_nan=False)
    assert tables.misses(runs) == ""


def test_a_log_that_cannot_be_read_is_a_miss_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("no numbers here\n")
    run = judge(tmp_path, FAULTY)
    assert run.error and not run.final.alarm
    assert "not read" in tables.misses([run])


def test_the_confusion_matrix_counts_every_run_once() -> None:
    runs = [
        judged(FAULTY, said(590, "act", "D7")),
        judged(FAULTY, said(590, "act", "C2")),
        judged(FAULTY, said(590, "act")),
        judged(FAULTY, said(590, "watch", "E1")),
        judged(HEALTHY, said(590, "act", "D5")),
        judged(HEALTHY, said(590)),
    ]
    assert measures.confusion(runs) == {
        ("E", "E"): 1,
        ("E", "C"): 1,
        ("E", "?"): 1,
        ("E", "none"): 1,
        ("none", "-"): 1,
        ("none", "none"): 1,
    }
    assert "| E optimisation | 1 | 1 |" in tables.confusion_table(measures.confusion(runs))


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
