"""Whole small runs: what they write, how they are watched, and how they end."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import vaelab
from small_runs import SETTINGS, events, rows, small, written
from vaelab.cli.app import app
from vaelab.config import OptimConfig
from vaelab.config.load import load_config
from vaelab.data import Undecodable
from vaelab.data.moving_shapes import open_source
from vaelab.errors import CheckpointError, DataError, TrainError
from vaelab.training import train
from vaelab.training import trainer as training_trainer
from vaelab.training.distributed import Ranks, checksum
from vaelab.training.rollback import changed_options, prescribe
from vaelab.training.run_log import console_line
from vaelab.training.schedule import disc_learning_rate, learning_rate
from vaelab.training.screen import Terminal
from vaelab.training.trainer import Trainer
from vaelab.training.watch import Judgement, Watch

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    config = small(run__trackers=["tensorboard"], run__preview_samples=2, run__diagnose_every=15)
    assert train(config, folder).reason == "finished"
    return folder


def test_the_folder_holds_the_run(finished: Path) -> None:
    steps = [row["step"] for row in rows(finished)]
    assert steps == sorted({*range(0, 30, 3), 9, 19, 29})
    kinds = [event["event"] for event in events(finished)]
    assert kinds[0] == "start" and kinds[-1] == "finished" and "checkpoint" in kinds and "baselines" in kinds
    assert (finished / "previews" / "preview_00000030.png").stat().st_size > 1000
    assert sum(1 for _ in (finished / "tensorboard").glob("*tfevents*")) == 1


def test_rows_close_the_identities_of_the_loss(finished: Path) -> None:
    settings = SETTINGS["loss"]
    for row in rows(finished):
        logvar = row["logvar"]
        nll = row["rec_loss"] / np.exp(logvar) + logvar
        assert row["nll_loss"] == pytest.approx(nll, rel=1e-5, abs=1e-6)
        total = row["nll_loss"] + settings["kl_weight"] * row["kl_loss"] + row.get("g_loss_weighted", 0.0)
        assert row["total_loss"] == pytest.approx(total, rel=1e-5, abs=1e-6)
        if row["step"] >= settings["disc_start"]:
            weighted = row["d_weight"] * row["disc_factor"] * row["g_loss"]
            assert row["g_loss_weighted"] == pytest.approx(weighted, rel=1e-4, abs=1e-7)


def test_phases_are_in_the_rows(finished: Path) -> None:
    for row in rows(finished):
        trains_disc = row["step"] >= SETTINGS["loss"]["disc_start"] - SETTINGS["loss"]["disc_warmup"]
        assert ("disc_loss" in row) == trains_disc
        assert (row["disc_factor"] > 0) == (row["step"] >= SETTINGS["loss"]["disc_start"])


def test_vaelab_reads_its_own_run(finished: Path) -> None:
    run = vaelab.read(finished)
    assert run.trainer == "vaelab"
    assert run["rec_loss"][0] == rows(finished)[0]["rec_loss"]
    assert vaelab.diagnose(run).status in ("healthy", "watch", "act", "stop", "cannot-tell")


def test_console_lines_hold_the_values_of_the_rows(finished: Path) -> None:
    lines = (finished / "console.log").read_text().splitlines()
    assert len(lines) == len(rows(finished))
    assert lines[0].startswith("Epoch: [0]  [ 0/12]  lr: 0.00025  total_loss: ")
    line = console_line(25, 2, {"lr": 1e-3, "rec_loss": 0.5, "step_time": 0.25, "data_time": 0.125}, 12)
    assert line == "Epoch: [2]  [ 1/12]  lr: 0.001  rec_loss: 0.5  time: 0.2500  data: 0.1250"


def not_finite(at: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels of these steps become NaN."""
    original = training_trainer.from_uint8
    calls = iter(range(10**6))

    def spoiled(pixels: torch.Tensor) -> torch.Tensor:
        x = original(pixels)
        return x * float("nan") if next(calls) in at else x

    monkeypatch.setattr(training_trainer, "from_uint8", spoiled)


def test_a_step_that_is_not_finite_is_skipped_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    not_finite({5, 14}, monkeypatch)
    outcome = train(small(run__validate_every=1000), tmp_path / "run")
    assert outcome.reason == "finished"
    bad = [event for event in events(tmp_path / "run") if event["event"] == "non_finite"]
    assert [event["at"] for event in bad] == [5, 14]
    assert all(len(event["batch"]) == 2 for event in bad)
    assert np.isfinite(rows(tmp_path / "run")[-1]["rec_loss"])


def test_many_in_a_row_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    not_finite(set(range(9, 100)), monkeypatch)
    outcome = train(small(optim__max_non_finite=4, run__validate_every=1000), tmp_path / "run")
    assert outcome.reason == "stopped"
    assert outcome.done <= 9 + 4 + SETTINGS["run"]["log_every"]
    last = events(tmp_path / "run")[-1]
    assert last["event"] == "stopped" and "4 steps in a row" in last["text"]


def judged(statuses: dict[int, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The diagnosis says ``act`` or ``stop`` after these updates, else ``healthy``; each status is given once."""
    left = dict(statuses)

    def judge(self: Watch, step: int) -> Judgement:
        status = left.pop(step, "healthy")
        return Judgement(
            step,
            status,
            f"a {status} of the test",
            None,
            critical=status == "stop",
            healthy=status == "healthy",
            changed=True,
        )

    monkeypatch.setattr(Watch, "judge", judge)
    monkeypatch.setattr(Watch, "due", lambda self, done: done % 5 == 0)


def test_rollback_goes_back_with_half_the_learning_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged({15: "stop"}, monkeypatch)
    config = small(run__on_critical="rollback", run__diagnose_every=5, run__log_every=1)
    assert train(config, tmp_path / "run").reason == "finished"
    found = [event for event in events(tmp_path / "run") if event["event"] == "rollback"]
    assert len(found) == 1
    assert found[0]["step"] == 8 and found[0]["came_from"] == 15  # checkpoints every 4, judged healthy after 10
    assert found[0]["change"] == "optim.lr 0.001 -> 0.0005, because no cause is known"
    written_rows = rows(tmp_path / "run")
    assert [row["step"] for row in written_rows] == list(range(30))
    optim = OptimConfig(**SETTINGS["optim"])
    for row in written_rows:
        factor = 1.0 if row["step"] < 8 else 0.5
        assert row["lr"] == pytest.approx(learning_rate(optim, row["step"], 30) * factor)
    assert len((tmp_path / "run" / "discarded.jsonl").read_text().splitlines()) == 7


def test_rollbacks_are_bounded_and_survive_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged({15: "stop", 20: "stop", 25: "stop"}, monkeypatch)
    config = small(run__on_critical="rollback", run__diagnose_every=5, run__rollback_tries=2)
    outcome = train(config, tmp_path / "run")
    assert outcome.reason == "stopped"
    assert "after 2 rollbacks" in events(tmp_path / "run")[-1]["text"]
    judged({}, monkeypatch)
    again = train(config, tmp_path / "run", resume=True, after_stop=True)
    assert again.reason == "finished"
    assert rows(tmp_path / "run")[-1]["lr"] == pytest.approx(
        learning_rate(OptimConfig(**SETTINGS["optim"]), 29, 30) * 0.25
    )


def test_on_critical_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged({10: "stop"}, monkeypatch)
    outcome = train(small(run__on_critical="stop", run__diagnose_every=5), tmp_path / "run")
    assert outcome.reason == "stopped" and outcome.done == 10
    assert (tmp_path / "run" / "checkpoints" / "step-00000010").is_dir()


def test_a_decided_stop_stays_until_a_person_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged({10: "stop"}, monkeypatch)
    config, folder = small(run__on_critical="stop", run__diagnose_every=5), tmp_path / "run"
    assert train(config, folder).reason == "stopped"
    judged({}, monkeypatch)
    words = r"was stopped after 10 steps: Stopped by the diagnosis.*--after-stop"
    with pytest.raises(TrainError, match=words):
        train(config, folder, resume=True)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    for after_stop in (False, True):  # the flag was given for an earlier stop: torchrun repeats it at every restart
        with pytest.raises(TrainError, match=words):
            train(config, folder, after_stop=after_stop)
    monkeypatch.delenv("TORCHELASTIC_RESTART_COUNT")
    assert train(config, folder, resume=True, after_stop=True).reason == "finished"
    assert train(small(run__steps=31), folder, resume=True).done == 31


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_rollback_is_not_forgotten_where_the_run_dies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    judged({15: "stop"}, monkeypatch)
    config = small(run__on_critical="rollback", run__diagnose_every=5, run__log_every=1)
    whole, folder = tmp_path / "whole", tmp_path / "run"
    train(config, whole)

    class KilledError(Exception):
        pass

    original = Trainer._go_back

    def killed(self: Trainer, plan: dict[str, Any]) -> None:
        if moment == "after":
            original(self, plan)
        raise KilledError

    judged({15: "stop"}, monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(Trainer, "_go_back", killed)
        train(config, folder)
    judged({}, monkeypatch)
    assert train(config, folder, resume=True).reason == "finished"
    assert rows(folder) == rows(whole), "the setting and the place in the data are those of the rollback"
    told = [event for event in events(folder) if event["event"] == "rollback"]
    assert [event["attempt"] for event in told] == [1]


def test_settings_changed_at_a_resume_are_written_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(small(run__steps=20), folder)
    train(small(run__steps=30, loss__kl_weight=1e-3), folder, resume=True)
    assert load_config(str(folder / "config.yaml")).loss.kl_weight == 1e-3
    resumed = next(event for event in events(folder) if event["event"] == "resume")
    assert resumed["changed"] == "loss.kl_weight 1e-06 -> 0.001, run.steps 20 -> 30"
    shown = [event.text for event in vaelab.read(folder).events if event.kind == "resume"]
    assert shown == ["resumed at step 20 with other settings: loss.kl_weight 1e-06 -> 0.001, run.steps 20 -> 30"]


@pytest.mark.parametrize("cut", ["moved aside", "both there"])
def test_a_checkpoint_that_was_moved_aside_for_a_newer_one_comes_back(tmp_path: Path, cut: str) -> None:
    train(small(run__steps=8), tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    aside = folder / ".unfinished-replaced-step-00000008"
    if cut == "moved aside":
        (folder / "step-00000008").rename(aside)
    else:
        shutil.copytree(folder / "step-00000008", aside)
    shutil.rmtree(folder / "step-00000004", ignore_errors=True)
    assert train(small(run__steps=12), tmp_path / "run", resume=True).done == 12
    assert any(event["event"] == "resume" and event["step"] == 8 for event in events(tmp_path / "run"))
    assert not aside.exists()


@pytest.mark.parametrize(
    ("cause", "values", "change"),
    [
        ("C2", {"kl_weight": 1e-8}, "loss.kl_weight 1e-06 -> 1e-08"),
        ("C3", {}, "loss.kl_weight 1e-06 -> 3e-05"),  # too small: it must not become smaller
        ("D4", {}, "loss.disc_weight 0.5 -> 0.1"),
        ("D18", {"disc_weight": 0.7}, "loss.disc_weight 0.5 -> 0.7"),
        ("E2", {"lr": 0.005}, "optim.lr 0.001 -> 0.005"),
        ("A5", {}, "optim.lr 0.001 -> 0.0005, because A5 names no other change that a running trainer can take"),
        ("B13", {"perceptual_weight": 1.0}, "optim.lr 0.001 -> 0.0005, because B13 names no other change that a running trainer can take"),
        ("E1", {"lr": 1e-5, "warmup_steps": 14}, "optim.lr 0.001 -> 1e-05, optim.warmup_steps 4 -> 14"),
        (None, {}, "optim.lr 0.001 -> 0.0005, because no cause is known"),
    ],
)  # fmt: skip
def test_the_prescribed_change(cause: str | None, values: dict[str, float], change: str) -> None:
    config = small(loss__perceptual_weight=0.0, optim__min_lr=1e-4)
    after, text = prescribe(config, cause, values)
    assert text == change
    section, option = change.split(" ")[0].split(".")
    value = getattr(getattr(after, section), option)
    assert changed_options(config, after, {})[section][option] == value != getattr(getattr(config, section), option)


def test_a_row_holds_the_largest_rec_loss_since_the_row_before(finished: Path, tmp_path: Path) -> None:
    train(small(run__log_every=1, run__diagnose_every=15), tmp_path / "run")
    single = [row["rec_loss"] for row in rows(tmp_path / "run")]
    seen = [(row["step"], row["rec_loss_max"]) for row in rows(finished)]
    before = 0
    for step, largest in seen:
        assert largest == max(single[before : step + 1])
        before = step + 1


def test_diagnoses_keep_within_their_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vaelab.training import watch as module

    clock = iter(np.arange(0, 1000, 1.0))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    run = small(run__diagnose_every=1, run__diagnose_budget=0.25).run
    watch = Watch(tmp_path, run)  # no log there: a diagnosis fails, costs one tick, and is counted
    made = sum(watch.judge(done) is None for done in range(1, 200) if watch.due(done))
    ticks = next(clock)
    assert 0.2 * ticks < made == watch.spent <= 0.25 * ticks + 1


def test_files_that_cannot_be_decoded_are_named_and_end_a_run_only_beyond_their_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = type(open_source(small().data, 0, False))
    original = source.sample

    def sample(self: Any, i: int, *args: Any) -> Any:
        if i in bad:
            raise Undecodable("planted")
        return original(self, i, *args)

    monkeypatch.setattr(source, "sample", sample)
    bad = {3}
    assert train(small(data__max_bad_share=0.2), tmp_path / "few").reason == "finished"
    named = [event for event in events(tmp_path / "few") if event["event"] == "quarantined"]
    assert len(named) == 1 and named[0]["reason"] == "planted"
    bad = set(range(0, 24, 2))
    with pytest.raises(DataError, match="planted"):
        train(small(data__max_bad_share=0.2), tmp_path / "many")


def test_a_run_that_never_trains_a_gan_says_so(tmp_path: Path) -> None:
    train(small(run__steps=6, loss__disc_start=6, loss__disc_warmup=0), tmp_path / "run")
    assert any("never trains a GAN" in event.get("text", "") for event in events(tmp_path / "run"))


def test_a_missing_tracker_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(TrainError, match=r"run\.trackers names trackio, but trackio is not installed"):
        train(small(run__trackers=["trackio"]), tmp_path / "run")


def test_an_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainError, match=r"cannot write in .*Choose another folder"):
        train(small(), tmp_path / "file" / "run")


def test_a_full_disk_is_one_sentence_and_the_older_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(small(run__steps=5, optim__warmup_steps=0), tmp_path / "run")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(CheckpointError, match=r"No space left on device.*vaelab resume"):
            train(small(run__steps=9), tmp_path / "run", resume=True)
    assert train(small(run__steps=9), tmp_path / "run", resume=True).reason == "finished"


def test_from_the_command_line(tmp_path: Path) -> None:
    config = written(tmp_path / "small.yaml", small())
    done = CliRunner().invoke(app, ["train", str(config), "run.steps=6", "disc_start=4", "-o", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    assert "6 of 6 steps (finished)" in done.output and "| psnr (dB)" in done.output
    assert (tmp_path / "run" / "report" / "report.html").exists()
    assert (tmp_path / "run" / "validation.md").read_text().startswith("| score")
    again = CliRunner().invoke(app, ["train", str(config), "-o", str(tmp_path / "run")])
    assert again.exit_code == 2 and "already holds a run" in again.stderr
    wrong = CliRunner().invoke(app, ["train", str(config), "kl_wieght=1"])
    assert wrong.exit_code == 2 and "kl_weight" in wrong.stderr
    nothing = CliRunner().invoke(app, ["resume", str(tmp_path / "nothing")])
    assert nothing.exit_code == 2 and "config.yaml" in nothing.stderr


def test_help_explains_every_setting() -> None:
    from vaelab.config.options import options_table

    for section, name, *_ in options_table():
        text = CliRunner().invoke(app, ["train", "--help", section or name]).output
        assert name in text


@given(
    steps=st.integers(2, 300),
    warmup=st.integers(0, 100),
    schedule=st.sampled_from(["constant", "cosine", "linear"]),
    data=st.data(),
)
def test_the_learning_rate_is_within_its_bounds(steps: int, warmup: int, schedule: Any, data: st.DataObject) -> None:
    warmup = min(warmup, steps - 1)
    optim = OptimConfig(lr=1e-3, min_lr=1e-4, schedule=schedule, warmup_steps=warmup)
    rates = [learning_rate(optim, step, steps) for step in range(steps)]
    assert all(0 < rate <= 1e-3 * (1 + 1e-12) for rate in rates), "the first step is no step of rate 0"
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    if schedule != "constant" and steps - warmup > 1:
        assert rates[-1] == pytest.approx(1e-4)
    first = data.draw(st.integers(0, steps - 1))
    disc = optim.model_copy(update={"disc_warmup_steps": 3, "disc_lr": 5e-4})
    assert disc_learning_rate(disc, first, first, steps) == pytest.approx(5e-4 / 3)


def test_checksums_see_swapped_weights() -> None:
    a, b = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    b.load_state_dict(a.state_dict())
    assert torch.equal(checksum(a), checksum(b))
    with torch.no_grad():
        b.weight[0], b.weight[1] = a.weight[1].clone(), a.weight[0].clone()
    assert not torch.equal(checksum(a), checksum(b))
    Ranks().check_equal([("one process", a)])


def test_resolved_settings_repeat_the_run(finished: Path) -> None:
    from vaelab.config.load import load_config

    assert load_config(str(finished / "config.yaml")) == small(
        run__trackers=["tensorboard"], run__preview_samples=2, run__diagnose_every=15
    )
    derived = (finished / "derived.yaml").read_text()
    assert "latent_shape: 4x1x16x16" in derived and "compression: 1x2x2" in derived
    assert json.loads((finished / "checkpoints" / "index.json").read_text())


def test_a_line_of_training_says_the_pace_and_the_time_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Terminal()
    screen.start(0, 4000)
    screen.row(399, "VAE only", {"rec_loss": 0.25, "step_time": 0.5})
    screen.stop()
    assert capsys.readouterr().out.rstrip() == "step  399  rec_loss 0.25  0.5 s/step, 0:30:00 left"
