"""The screen of ``vaelab watch``: what it says, that it fits, and that nothing from a log can break it."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from live_runs import head, healthy_rows, write
from synthetic_runs import healthy
from vaelab.diagnosis import diagnose
from vaelab.facts import infer
from vaelab.live import WatchedRun, Watcher
from vaelab.live.alerts import Alert, Alerts
from vaelab.live.changes import Change
from vaelab.live.milestones import duration, milestones
from vaelab.live.screen import page, short_names, worst_run
from vaelab.live.views import print_once
from vaelab.report.sparkline import ASCII, BLOCKS, sparkline
from vaelab.run import Run

LOGS = Path(__file__).parents[1] / "examples/logs"


def frozen() -> float:
    return 0.0


def watched(*paths: str | Path) -> list[WatchedRun]:
    watcher = Watcher(list(paths), clock=frozen)
    watcher.poll()
    return list(watcher.runs.values())


def taken(run: Run, run_id: str = "run-a") -> WatchedRun:
    one = WatchedRun.new(run_id, run.source)
    one.take(run, time.time(), diagnose)
    one.look_at_the_time()
    return one


def shown(runs: list[WatchedRun], width: int = 80, height: int = 24, alerts: Alerts | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True)
    lines = page(runs, console, width, height, alerts)
    assert len(lines) <= height
    assert all(cell_len(line.plain) <= width and "\n" not in line.plain for line in lines)
    return [line.plain for line in lines]


@pytest.fixture(scope="module")
def all_runs() -> list[WatchedRun]:
    return watched(LOGS)


@pytest.mark.parametrize(
    "expected",
    [
        "SHOULD HAVE STOPPED  The latent carries almost no information",
        "radiodiff-collapse/train.log",
        "99%, step 890 of 900, 0.3 s a step, finished",
        "- VAE only from 0  # GAN from 450",
        "GAN start at 450",
        "kl_loss",
        "bad, posterior collapse (KL201)",
        "critical KL201 posterior-collapse",
        "Why     The KL weight is too big for its reduction (over 99%",
        "Change  kl_weight: 100 -> 1e-6   paste: model.lossconfig.kl_weight: 1e-06",
        "last change",
    ],
)
def test_a_screen_of_80_by_24_says_what_matters(expected: str) -> None:
    assert expected in "\n".join(shown(watched(LOGS / "radiodiff-collapse")))


def test_several_runs_are_listed_the_worst_first_and_that_one_is_shown_in_full(all_runs: list[WatchedRun]) -> None:
    for width, height in ((80, 24), (120, 40)):
        lines = shown(all_runs, width=width, height=height)
        assert lines[0] == "5 runs: 1 stop, 2 act, 1 watch, 1 healthy"
        names = ("STOP", "ACT", "WATCH", "HEALTHY")
        listed = [word for line in lines[1:12] for word in line.lstrip("> ").split()[:1] if word in names]
        assert listed == ["STOP", "ACT", "ACT", "WATCH", "HEALTHY"]
        assert lines[1].startswith("> STOP") and any(line.startswith("SHOULD HAVE STOPPED") for line in lines)
    assert worst_run(all_runs).source.endswith("radiodiff-collapse/train.log")


def test_one_look_tells_every_verdict_in_full(all_runs: list[WatchedRun]) -> None:
    for width in (80, 120):
        printed = io.StringIO()
        print_once(all_runs, Console(file=printed, width=width, height=24))
        table = " ".join(printed.getvalue().split("SHOULD HAVE")[0].split())
        assert "no rule found anything to change" in table and "1,000 planned steps." in table
        assert "before the GAN (0.07225 to 0.873) at step 599." in table


def test_the_screen_and_the_report_agree_that_a_run_has_ended(all_runs: list[WatchedRun]) -> None:
    """Its last row is the last for which there is room: step 890 of 900, ten steps a row."""
    run = next(run for run in all_runs if "radiodiff-collapse" in run.source)
    assert run.diagnosis is not None and run.finished and run.diagnosis.facts.ended
    assert run.diagnosis.headline.startswith("Ended; it should have been stopped")


def test_of_many_runs_the_worst_are_listed(all_runs: list[WatchedRun]) -> None:
    healthy_one = next(run for run in all_runs if run.status == "healthy")
    many = [
        WatchedRun(f"run-{i}", f"runs/{i}/train.log", healthy_one.stable, healthy_one.run, healthy_one.diagnosis)
        for i in range(40)
    ]
    lines = shown([*many, *all_runs])
    assert lines[0] == "45 runs: 1 stop, 2 act, 1 watch, 41 healthy"
    assert any(line.startswith("> STOP") for line in lines) and "more that are no worse" in "\n".join(lines)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("height", [3, 10, 24, 60])
def test_it_fits_into_any_terminal(all_runs: list[WatchedRun], width: int, height: int) -> None:
    for runs in (all_runs, all_runs[:1], []):
        assert shown(runs, width, height)


def test_a_log_of_other_peoples_text_cannot_break_it(tmp_path: Path) -> None:
    name = "\x1b[2J\x07[red]日本語の指標\u202e<b>"
    folder = tmp_path / "[bold]runs\x1b[31m\nmore"
    folder.mkdir()
    rows = [json.loads(row) for row in healthy_rows(0, 300)]
    write(folder / "metrics.jsonl", (json.dumps({**row, name: 1e300, "x" * 300: -1}) for row in rows))
    for runs in (watched(folder), watched(folder, LOGS)):
        text = "\n".join(shown(runs, 250, 60))  # wide: where the tests' folder lies is long
        assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text and "[bold]runs" in text


def test_before_the_first_row_it_says_what_is_waited_for(tmp_path: Path) -> None:
    assert shown(watched(tmp_path / "train.log"))[0].startswith("WAITING")
    assert shown([]) == ["reading the logs ..."]


def test_what_is_ahead_is_shown_with_its_time() -> None:
    draft = healthy("radiodiff", rows=300, every=20)
    draft.columns["step_time"] = np.full(300, 1.5)
    lines = shown([taken(head(draft.run(), 100))])
    assert "next: GAN start at 3,000 in 26 min, end of the run at 6,000 in 1.7 h" in lines
    assert any("33%, step 1,980 of 6,000, 1.5 s a step, last row just now" in line for line in lines)


def test_the_strip_has_room_for_the_steps_that_are_planned() -> None:
    run = healthy("radiodiff", rows=300, every=20).run()
    (strip,) = [line for line in shown([taken(head(run, 100))]) if line.endswith("·")]
    assert len(strip) == 80 and 26 <= len(strip.rstrip("·")) <= 27


@pytest.mark.parametrize(("width", "height"), [(120, 40), (80, 24)])
def test_the_change_to_make_never_falls_off(all_runs: list[WatchedRun], width: int, height: int) -> None:
    for runs in (all_runs, watched(LOGS / "radiodiff-collapse")):
        assert any(line.startswith("Change  kl_weight: 100 -> 1e-6") for line in shown(runs, width, height))


def test_only_a_run_that_goes_on_is_told_to_stop_or_to_change() -> None:
    run = watched(LOGS / "radiodiff-collapse")[0].run
    assert run is not None
    going = taken(head(run, 60))
    going.stable.update(600, going.diagnosis, final=True)  # type: ignore[arg-type]
    assert shown([going])[0].startswith("ACT  Change something. With kl_weight 100")
    assert "Stop this run" not in "\n".join(shown(watched(LOGS / "radiodiff-collapse")))


@pytest.mark.parametrize(("width", "expected"), [(80, "silent 40 min: kl_loss"), (140, "silent 40 min  kl_loss")])
def test_the_silence_of_a_log_stands_beside_its_verdict(all_runs: list[WatchedRun], width: int, expected: str) -> None:
    silent = next(run for run in all_runs if run.id.startswith("run-ldm"))
    silent.stalled, silent.stale = True, 2400.0
    (line,) = [line for line in shown(all_runs, width=width) if line.startswith("  ACT") and "ldm-lightning-lr" in line]
    assert expected in line


def test_the_second_line_of_the_reason_stands_under_the_first() -> None:
    lines = shown(watched(LOGS / "radiodiff-collapse"))
    at = next(i for i, line in enumerate(lines) if line.startswith("Why"))
    assert lines[at + 1].startswith(" " * 8 + "KL weighs")


def test_words_are_not_broken(all_runs: list[WatchedRun]) -> None:
    for width in (80, 120):
        cut = [line for line in shown(all_runs, width=width, height=40) if line.endswith("…")]
        assert cut and all(line.endswith(" …") for line in cut)


def test_the_keys_are_named_and_choose_the_run(all_runs: list[WatchedRun]) -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    lines = [line.plain for line in page(all_runs, console, 80, 24, None, all_runs[0], "q leave")]
    assert lines[-1] == "q leave" and any(line.startswith("> ACT      ldm") for line in lines)


def test_findings_that_are_gone_are_shown_for_a_while() -> None:
    run = healthy("radiodiff", rows=300).run()
    one = taken(run)
    one.stable.update(int(run.steps[-1]) + 1, diagnose(run))
    tracked = watched(LOGS / "radiodiff-collapse")[0]
    tracked.stable.update(900, one.diagnosis, final=True)  # type: ignore[arg-type]
    assert any(line.startswith("gone: KL201 posterior-collapse, last seen at step 890") for line in shown([tracked]))


def test_the_last_alert_and_its_trouble_are_at_the_foot(all_runs: list[WatchedRun]) -> None:
    alerts = Alerts([])
    change = Change("run-a", 10, "status", "watch", "act", "act at step 10: so it is")
    alerts.last = Alert("run-a", "a.log", "alarm", "act", 10, "act at step 10: so it is\nmore", 0, (change,))
    alerts.problems.append("the webhook at example.org answered 500 (error).")
    *_, sent, trouble = shown(all_runs, alerts=alerts)
    assert sent.startswith("last alert") and sent.endswith("alarm: act at step 10: so it is")
    assert trouble == "alerts: the webhook at example.org answered 500 (error)."


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a/train.log", "runs/b/train.log"], ["a", "b"]),
        (["runs/a.log", "runs/b.log"], ["a.log", "b.log"]),
        (["runs/a/x/train.log", "runs/a/y/metrics.csv"], ["x", "y"]),
        (["train.log"], ["train.log"]),
        (["runs/a"], ["a"]),
        (["a.log", "x/a.log"], ["a.log", "x/a.log"]),
    ],
)
def test_runs_are_called_by_what_tells_them_apart(paths: list[str], names: list[str]) -> None:
    runs = [WatchedRun.new(f"run-{i}", path) for i, path in enumerate(paths)]
    assert list(short_names(runs).values()) == names


# Milestones -----------------------------------------------------------------------------------------------------------


def test_every_planned_change_is_a_milestone_in_its_order() -> None:
    draft = healthy("radiodiff", rows=300, every=20)
    draft.config |= {"disc_warmup": 500, "disc_ramp": 200, "kl_warmup": 2500, "warmup_steps": 2200}
    found = milestones(infer(head(draft.run(), 100)), seconds_per_step=2.0)
    assert [(m.name, m.step) for m in found] == [
        ("end of the learning-rate warm-up", 2200),
        ("end of the KL warm-up", 2500),
        ("discriminator starts to train", 2500),
        ("GAN start", 3000),
        ("end of the GAN ramp", 3200),
        ("end of the run", 6000),
    ]
    assert all(m.steps_ahead == m.step - 1980 and m.seconds == 2.0 * m.steps_ahead for m in found)


def test_what_is_over_is_no_milestone() -> None:
    assert milestones(infer(healthy("radiodiff").run()))[1:] == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (90, "2 min"), (2040, "34 min"), (12600, "3.5 h"), (181440, "2.1 days")]
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# Sparklines -----------------------------------------------------------------------------------------------------------

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FLOATS, min_size=1, max_size=100), st.integers(1, 40), st.booleans())
def test_a_sparkline_has_its_width_and_its_characters(values: list[float], width: int, ascii_only: bool) -> None:
    line = sparkline(np.array(values), width, ascii_only)
    assert len(line) == min(width, len(values))
    assert set(line) <= set(ASCII if ascii_only else BLOCKS)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40, unique=True))
def test_a_sparkline_keeps_the_order_of_the_values(values: list[float]) -> None:
    line = sparkline(np.array(values), len(values))
    for a, b in zip(range(len(values)), range(1, len(values)), strict=False):
        if values[a] <= values[b]:
            assert BLOCKS.index(line[a]) <= BLOCKS.index(line[b])
    assert line[int(np.argmax(values))] == BLOCKS[-1] and line[int(np.argmin(values))] == BLOCKS[0]


def test_a_fall_over_many_powers_of_ten_is_not_one_peak() -> None:
    line = sparkline(np.geomspace(1e4, 1e-2, 8), 8)
    assert line == BLOCKS[::-1]
    assert sparkline(np.ones(5), 5) == BLOCKS[0] * 5 and sparkline(np.empty(0), 5) == ""
