"""Watcher: logs that appear, grow, are rotated, cut, replaced and resumed; folders; problems in one sentence; bounded cost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import vaelab
from live_runs import healthy_rows, write
from vaelab.errors import LogError
from vaelab.live import Change, WatchedRun, Watcher
from vaelab.live import watched as watched_module
from vaelab.live.joining import is_continuation, is_other_run, join
from vaelab.live.watcher import BUDGET, run_id
from vaelab.readers import read_all

LOGS = Path(__file__).parents[1] / "examples/logs"


def only(watcher: Watcher) -> WatchedRun:
    (run,) = watcher.runs.values()
    return run


def frozen() -> float:
    """A clock that stands still: reading costs nothing, so every poll may read."""
    return 0.0


def kinds(changes: list[Change]) -> list[str]:
    return [change.kind for change in changes]


# Files that grow ------------------------------------------------------------------------------------------------------


def test_a_path_may_appear_later(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    watcher = Watcher([log], clock=frozen)
    assert watcher.poll() == []
    waiting = only(watcher)
    assert waiting.run is None and waiting.status == "cannot-tell"
    assert waiting.problem == f"{log} does not exist yet: waiting for it."
    assert kinds(watcher.poll()) == ["problem"]
    assert watcher.poll() == []
    write(log, healthy_rows(0, 600))
    assert kinds(watcher.poll()) == ["recovered", "status"]
    run = only(watcher)
    assert run is waiting and run.problem is None
    assert (run.status, run.step, len(run.run or ())) == ("healthy", 590, 60)


def test_the_verdict_is_that_of_diagnose() -> None:
    watcher = Watcher([LOGS], clock=frozen)
    watcher.poll()
    said = {run.source: run for run in watcher.runs.values()}
    expected = (
        {run.source: vaelab.diagnose(run) for run in vaelab.read_all(LOGS)} if hasattr(vaelab, "read_all") else {}
    )
    assert len(said) == len(expected) == 5
    for source, diagnosis in expected.items():
        assert (said[source].status, said[source].cause) == (
            diagnosis.status,
            diagnosis.causes[0].id if diagnosis.causes else None,
        )


def test_rows_that_come_are_judged_and_an_unchanged_file_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 300))
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    reads = []
    monkeypatch.setattr("vaelab.live.places.read_all", lambda *a: reads.append(a) or read_all(*a))
    assert watcher.poll() == [] and reads == []
    before = only(watcher).diagnosis
    write(log, healthy_rows(300, 400))
    watcher.poll()
    assert len(reads) == 1 and only(watcher).step == 390 and only(watcher).diagnosis is not before


def test_a_line_that_is_still_being_written_does_no_harm(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    rows = healthy_rows(0, 410)
    watcher = Watcher([log], clock=frozen)
    text = "".join(f"{row}\n" for row in rows)
    for end in range(len(text) - 120, len(text) + 1, 7):
        log.write_text(text[:end])
        assert not [c for c in watcher.poll() if c.kind in ("problem", "restarted", "finding")]
    log.write_text(text)
    watcher.poll()
    assert only(watcher).step == 400 and only(watcher).problem is None


def test_reading_takes_no_more_than_its_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 200))
    now, reads = [0.0], []

    def slow(*args: object) -> list[vaelab.Run]:
        now[0] += 3.0  # a big log
        reads.append(now[0])
        return read_all(*args)

    monkeypatch.setattr("vaelab.live.places.read_all", slow)
    watcher = Watcher([log], clock=lambda: now[0])
    for step in range(200, 3200, 10):
        write(log, healthy_rows(step, step + 10))
        watcher.poll()
        now[0] += 1.0
    assert 2 <= len(reads) <= BUDGET * now[0] / 3.0 + 1
    assert only(watcher).step > 2500


# Rotated, cut, replaced, resumed --------------------------------------------------------------------------------------


def test_a_rotated_log_keeps_its_earlier_rows(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 600))
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    log.rename(tmp_path / "metrics.jsonl.1")
    assert watcher.poll() == []
    assert only(watcher).problem == f"{log} is gone: waiting for it to come back." and only(watcher).status == "healthy"
    write(log, healthy_rows(600, 700))
    assert kinds(watcher.poll()) == []
    run = only(watcher).run
    assert run is not None and (int(run.steps[0]), int(run.steps[-1]), len(run)) == (0, 690, 70)
    assert np.isfinite(run["rec_loss"]).all()
    write(log, healthy_rows(700, 800))
    watcher.poll()
    assert len(only(watcher).run or ()) == 80


def test_a_rotated_log_in_a_folder_is_still_one_run(tmp_path: Path) -> None:
    log = tmp_path / "run/metrics.jsonl"
    log.parent.mkdir()
    write(log, healthy_rows(0, 600))
    watcher = Watcher([tmp_path], clock=frozen)
    watcher.poll()
    known = list(watcher.runs)
    log.rename(log.with_name("metrics.jsonl.1"))
    assert watcher.poll() == [] and list(watcher.runs) == known
    write(log, healthy_rows(600, 700))
    told = watcher.poll()
    assert known[0] in watcher.runs and "restarted" not in kinds(told)
    assert len(watcher.runs[known[0]].run or ()) == 70
    assert list(watcher.runs) == known


def test_a_log_that_is_truncated_in_place_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 600))
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    os.truncate(log, 0)
    assert watcher.poll() == []
    assert "is empty" in (only(watcher).problem or "") and only(watcher).status == "healthy"
    write(log, healthy_rows(600, 650))
    watcher.poll()
    assert only(watcher).problem is None and len(only(watcher).run or ()) == 65


def test_another_run_in_the_same_place_starts_anew(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    shutil.copy(LOGS / "radiodiff-collapse/train.log", log)
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    assert only(watcher).status == "stop"
    write(log, healthy_rows(0, 150), "w")
    told = watcher.poll()
    assert kinds(told)[:2] == ["restarted", "status"]
    run = only(watcher)
    assert (run.status, run.step) == ("healthy", 140) and not [
        s for s in run.findings if s.finding.severity == "critical"
    ]
    assert len(run.history) > len(told)  # what happened before is still known


def test_a_run_that_begins_again_in_the_same_file_is_the_one_that_is_watched(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 500))
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    write(log, healthy_rows(0, 200, seed=1))
    told = watcher.poll()
    assert "restarted" in kinds(told)
    assert only(watcher).step == 190 and only(watcher).id == run_id(str(log))


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 600))
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    write(log, healthy_rows(500, 520))  # from the checkpoint of step 500
    told = watcher.poll()
    (back,) = [change for change in told if change.kind == "resumed"]
    assert back.text == "the run went back from step 590 to step 510"
    write(log, healthy_rows(520, 800))
    watcher.poll()
    run = only(watcher)
    assert run.step == 790 and run.status == "healthy" and len(run.run or ()) == 80


WRITER = """
import json, os, sys, time
from pathlib import Path

log = Path(sys.argv[1])

def rows(first, last):
    with log.open("a", buffering=1) as file:
        for step in range(first, last, 10):
            rec = 0.02 + 0.2 / (1 + step / 100)
            file.write(json.dumps({"step": step, "rec_loss": rec, "kl_loss": 30 + step / 100}) + "\\n")
            time.sleep(0.002)
    sys.stdin.readline()  # until the last row was seen

rows(0, 600)
log.rename(log.with_suffix(".jsonl.1"))
rows(600, 900)
os.truncate(log, 0)
rows(900, 1200)
part = log.with_suffix(".part")
part.write_bytes(log.read_bytes())
part.replace(log)
rows(1200, 1500)
"""


def test_a_writer_in_another_process_that_rotates_truncates_and_replaces(tmp_path: Path) -> None:
    log, script = tmp_path / "metrics.jsonl", tmp_path / "writer.py"
    script.write_text(WRITER)
    watcher = Watcher([log], clock=frozen)
    told: list[Change] = []
    with subprocess.Popen([sys.executable, str(script), str(log)], stdin=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        for last in (590, 890, 1190, 1490):
            while not watcher.runs or only(watcher).step != last:
                assert writer.poll() is None
                told += watcher.poll()
                time.sleep(0.01)
            writer.stdin.write("seen\n")
            writer.stdin.flush()
        assert writer.wait(60) == 0
    told += watcher.poll()
    run = only(watcher)
    assert run.problem is None and run.status == "healthy"
    assert run.run is not None and run.run.steps.tolist() == list(range(0, 1500, 10))
    assert not [c for c in told if c.kind in ("restarted", "resumed", "finding")]
    assert [c.new for c in told if c.kind == "status"] in (["cannot-tell", "healthy"], ["healthy"])


def test_joining_keeps_values_and_events_and_drops_line_numbers(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 400))
    earlier = vaelab.read(log)
    write(log, [row.replace("kl_loss", "kl") for row in healthy_rows(300, 500)], "w")
    later = vaelab.read(log)
    assert is_continuation(earlier, later) and not is_other_run(earlier, later)
    joined = join(earlier, later)
    assert joined.steps.tolist() == list(range(0, 500, 10))
    assert np.array_equal(joined["rec_loss"][:30], earlier["rec_loss"][:30])
    assert joined.line("rec_loss", 0) is None and joined.line("rec_loss", 30) == 1
    assert not is_continuation(later, earlier)


# Folders and patterns -------------------------------------------------------------------------------------------------


def test_runs_of_a_folder_come_one_after_the_other(tmp_path: Path) -> None:
    watcher = Watcher([tmp_path], clock=frozen)
    watcher.poll()
    assert "there is no training log in the folder" in (only(watcher).problem or "")
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "metrics.jsonl", healthy_rows(0, 300))
    (tmp_path / "notes.txt").write_text("nothing to read here\n")
    write(tmp_path / "metrics.jsonl", healthy_rows(0, 200, seed=3))
    watcher.poll()
    assert [run.source for run in watcher.runs.values()] == [
        str(tmp_path / name / "metrics.jsonl") for name in (".", "a", "b")
    ]
    assert all(run.problem is None for run in watcher.runs.values())
    shutil.rmtree(tmp_path / "a")
    watcher.poll()
    assert [run.source for run in watcher.runs.values()] == [
        str(tmp_path / name / "metrics.jsonl") for name in (".", "b")
    ]


def test_only_the_run_that_has_grown_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).mkdir()
        write(tmp_path / name / "metrics.jsonl", healthy_rows(0, 300))
    watcher = Watcher([tmp_path], clock=frozen)
    watcher.poll()
    reads = []
    monkeypatch.setattr("vaelab.live.places.read_all", lambda *a: reads.append(a[0]) or read_all(*a))
    write(tmp_path / "b/metrics.jsonl", healthy_rows(300, 330))
    watcher.poll()
    assert reads == [str(tmp_path / "b")]


def test_a_pattern_is_looked_up_at_every_poll(tmp_path: Path) -> None:
    watcher = Watcher([str(tmp_path / "*.jsonl")], clock=frozen)
    watcher.poll()
    assert "no file matches" in (only(watcher).problem or "")
    for name in ("one", "two"):
        write(tmp_path / f"{name}.jsonl", healthy_rows(0, 300))
    watcher.poll()
    assert [Path(run.source).stem for run in watcher.runs.values()] == ["one", "two"]


def test_ids_are_stable_and_fit_urls_and_html(tmp_path: Path) -> None:
    sources = [
        tmp_path / "Läufe & more/1.log",
        tmp_path / "a/train.log",
        tmp_path / "b/train.log",
        tmp_path / "b" / ("x" * 200),
    ]
    ids = [run_id(str(source)) for source in sources]
    assert len(set(ids)) == len(ids) and ids == [run_id(str(source)) for source in sources]
    assert all(re.fullmatch(r"run-[a-z0-9-]+", i) and len(i) <= 60 for i in ids)
    assert run_id("train.log") == run_id(str(Path.cwd() / "train.log"))


# Problems -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (os.urandom(3000).replace(b"\n", b"") + b"\0" * 300, "looks like"),
        (b"hello there\nnothing to see\n", "looks like text"),
        (b"step,rec_loss\n", "looks like"),
    ],
    ids=["empty", "binary", "prose", "header only"],
)
def test_what_cannot_be_read_is_one_sentence_and_told_once(tmp_path: Path, content: bytes, said: str) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(content)
    watcher = Watcher([log], clock=frozen)
    told = [change for _ in range(4) for change in watcher.poll()]
    assert kinds(told) == ["problem"] and said in told[0].text
    write(log, ["step,rec_loss", *(f"{s},{0.02 + 1 / (s + 10)}" for s in range(0, 300, 10))], "w")
    assert kinds(watcher.poll())[0] == "recovered" and only(watcher).problem is None


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, said in ((pipe, "is no file that can be read again"), ("x" * 5000, "File name too long")):
        watcher = Watcher([path], clock=frozen)
        watcher.poll()
        assert said in (only(watcher).problem or "")


def test_a_log_that_goes_away_and_comes_back_as_it_was(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 600))
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    log.rename(tmp_path / "away")
    assert [kinds(watcher.poll()) for _ in range(3)] == [[], ["problem"], []]
    (tmp_path / "away").rename(log)
    assert kinds(watcher.poll()) == ["recovered"] and only(watcher).problem is None


def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    log = Path(os.fsdecode(os.fsencode(tmp_path) + b"/run-\xff.jsonl"))
    write(log, healthy_rows(0, 600))
    watcher = Watcher([log], clock=frozen)
    told = watcher.poll()
    json.dumps([only(watcher).as_json(), *(c.as_json() for c in told)], ensure_ascii=False).encode("utf-8")
    assert only(watcher).status == "healthy"


@pytest.mark.parametrize("folder", [".", "other"])
def test_a_log_of_a_folder_that_cannot_be_read_has_a_row(tmp_path: Path, folder: str) -> None:
    (tmp_path / "good").mkdir()
    write(tmp_path / "good" / "metrics.jsonl", healthy_rows(0, 300))
    (tmp_path / folder).mkdir(exist_ok=True)
    write(tmp_path / folder / "a.jsonl", healthy_rows(0, 300))
    cut = tmp_path / folder / "train.log"
    cut.write_text("Epoch: [0]  [ 10/100]  eta: 0:00:01  loss: 0.5 (0")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "config.yaml").write_text("kl_weight: 1e-6\n")
    if folder == "other":
        (tmp_path / folder / "a.jsonl").unlink()
    watcher = Watcher([tmp_path], clock=frozen)
    watcher.poll()
    (bad,) = [run for run in watcher.runs.values() if run.run is None]
    assert str(cut) in (bad.problem or "") and "no training line" in (bad.problem or "")
    cut.unlink()
    write(cut, healthy_rows(0, 400))
    watcher.poll()
    assert all(run.problem is None and run.run is not None for run in watcher.runs.values())


def test_a_reader_that_fails_does_not_end_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 300))
    watcher = Watcher([log], clock=frozen)
    monkeypatch.setattr("vaelab.live.places.read_all", lambda *_: 1 / 0)
    watcher.poll()
    assert "an error of vaelab's own (ZeroDivisionError" in (only(watcher).problem or "")


def test_a_problem_of_a_moment_is_not_told(tmp_path: Path) -> None:
    log = tmp_path / "trainer_state.json"
    history = [{"step": s, "loss": 1 / (s + 1), "epoch": 0.1} for s in range(1, 40)]
    whole = json.dumps({"log_history": history, "global_step": 39})
    log.write_text(whole)
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    log.write_text(whole[: len(whole) // 2])
    assert watcher.poll() == [] and only(watcher).problem is not None
    log.write_text(whole)
    assert watcher.poll() == [] and only(watcher).problem is None


def test_a_rule_that_fails_does_not_end_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 300))
    watcher = Watcher([log], clock=frozen)
    with monkeypatch.context() as broken:
        broken.setattr("vaelab.live.watcher.diagnose", lambda *_, **__: 1 / 0)
        watcher.poll()
        assert "an error of vaelab's own (ZeroDivisionError" in (only(watcher).problem or "")
        told = []
        for step in range(300, 400, 10):
            write(log, healthy_rows(step, step + 10))
            told += watcher.poll()
        assert kinds(told) == ["problem"]
    write(log, healthy_rows(400, 410))
    assert kinds(watcher.poll())[0] == "recovered" and only(watcher).step == 400


@pytest.mark.parametrize(
    ("paths", "options", "said"),
    [
        ([], {}, "no log"),
        (["-"], {}, "standard input"),
        (["x.log"], {"format": "nonsense"}, "no log format or trainer"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_once(paths: list[str], options: dict[str, str], said: str) -> None:
    with pytest.raises(LogError, match=said):
        Watcher(paths, **options)  # type: ignore[arg-type]


def test_declared_values_and_chosen_rules_are_used(tmp_path: Path) -> None:
    log = LOGS / "radiodiff-collapse/train.log"
    watcher = Watcher([log], config={"latent_shape": [3, 8, 8]}, select=("KL",), clock=frozen)
    watcher.poll()
    run = only(watcher)
    assert run.run is not None and run.run.config["latent_shape"] == [3, 8, 8]
    assert run.findings and all(seen.finding.code.startswith("KL") for seen in run.findings)


# The end of a run, and runs that stand still --------------------------------------------------------------------------


def test_a_run_of_vaelab_train_ends_with_its_event(tmp_path: Path) -> None:
    write(tmp_path / "metrics.jsonl", [r.replace("rec_loss", "rec_mse") for r in healthy_rows(0, 300)])
    watcher = Watcher([tmp_path / "metrics.jsonl"], clock=frozen)
    watcher.poll()
    assert not only(watcher).finished and not watcher.all_finished
    rows = [json.loads(r) for r in healthy_rows(0, 300)]
    write(
        tmp_path / "metrics.jsonl",
        (json.dumps({**r, "rec_mse": r["rec_loss"], "clip_coefficient": 1.0}) for r in rows),
        "w",
    )
    write(tmp_path / "events.jsonl", [json.dumps({"step": 290, "event": "finished", "time": 1.0})])
    told = watcher.poll()
    assert only(watcher).finished and watcher.all_finished
    (end,) = [change for change in told if change.kind == "finished"]
    assert "has finished at step 290" in end.text


@pytest.mark.parametrize("path", ["pyramid-flow-healthy/train.log", "pyramid-flow-healthy", "pyramid-flow-healthy/"])
def test_a_run_ends_at_its_planned_steps(path: str) -> None:
    watcher = Watcher([f"{LOGS}/{path}"], clock=frozen)
    watcher.poll()
    assert only(watcher).finished and watcher.all_finished


def test_a_run_that_goes_on_after_its_planned_end_has_not_finished(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 1000))
    for planned, finished in ((1000, True), (995, True), (980, False), (1200, False)):
        watcher = Watcher([log], config={"total_steps": planned}, clock=frozen)
        watcher.poll()
        assert only(watcher).finished == finished, planned


def test_more_runs_may_come_to_a_folder_of_runs(tmp_path: Path) -> None:
    shutil.copytree(LOGS / "pyramid-flow-healthy", tmp_path / "first")
    watcher = Watcher([tmp_path], clock=frozen)
    watcher.poll()
    assert only(watcher).finished and not watcher.all_finished


def test_a_run_without_new_rows_stands_still_until_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "metrics.jsonl"
    now = [time.time()]
    monkeypatch.setattr(watched_module.time, "time", lambda: now[0])
    watcher = Watcher([log], clock=frozen)
    write(log, healthy_rows(0, 300))
    os.utime(log, (now[0], now[0]))
    watcher.poll()
    now[0] += 300
    assert watcher.poll() == [] and only(watcher).stale == pytest.approx(300)
    now[0] += 400
    (change,) = watcher.poll()
    assert (change.kind, change.new) == ("stalled", "12 minutes") and only(watcher).stalled
    assert watcher.poll() == []
    write(log, healthy_rows(300, 320))
    os.utime(log, (now[0], now[0]))
    assert kinds(watcher.poll()) == ["recovered"]
    now[0] += 1000  # this run has shown that 700 seconds without a row are nothing unusual for it
    assert watcher.poll() == []


def test_an_old_log_that_is_opened_is_no_news(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 600))
    os.utime(log, (1e9, 1e9))
    watcher = Watcher([log], clock=frozen)
    assert kinds(watcher.poll()) == ["status"]
    assert only(watcher).stalled and only(watcher).stable.confirmed


def test_the_pace_is_measured_while_rows_come(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write(log, healthy_rows(0, 300))
    os.utime(log, (1e9, 1e9))
    watcher = Watcher([log], clock=frozen)
    watcher.poll()
    assert only(watcher).seconds_per_step is None
    write(log, healthy_rows(300, 400))
    os.utime(log, (1e9 + 50, 1e9 + 50))
    watcher.poll()
    assert only(watcher).seconds_per_step == pytest.approx(0.5)


def test_a_state_is_plain_json() -> None:
    watcher = Watcher([LOGS / "radiodiff-collapse"], clock=frozen)
    watcher.poll()
    state = json.loads(json.dumps(only(watcher).as_json()))
    assert (state["kind"], state["status"], state["rows"], state["cause"]) == ("state", "stop", 90, "C2")
    assert "KL201 critical" in state["findings"]
