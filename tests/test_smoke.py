"""vaelab smoke: sound training passes, and each planted fault fails the check that is there for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from small_runs import ROOT, environment, small, written
from vaelab.cli import smoke as cli_smoke
from vaelab.cli.app import app
from vaelab.config import preset, presets
from vaelab.errors import ConfigError
from vaelab.losses import Objective
from vaelab.training import smoke as smoke_module
from vaelab.training import smoke_settings
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.distributed import Ranks
from vaelab.training.ema import EMA
from vaelab.training.smoke import Check, smoke
from vaelab.training.smoke_settings import short_settings
from vaelab.training.step import TrainingStep
from vaelab.training.update import Updater

STEPS = 5
runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


PERCEPTUAL = {"loss__perceptual": "stlpips-alex", "loss__perceptual_weight": 0.5, "data__resolution": (40, 40)}


def checks(tmp_path: Path, **changes: Any) -> dict[str, Check]:
    torch.set_num_threads(1)
    short, _ = short_settings(small(**changes), steps=STEPS)
    return {check.name: check for check in smoke(short, tmp_path / "run", Ranks())}


def failed(found: dict[str, Check]) -> set[str]:
    return {name for name, check in found.items() if check.passed is False}


def test_sound_training_passes_every_check(tmp_path: Path) -> None:
    found = checks(tmp_path, **PERCEPTUAL)
    assert failed(found) == set(), [found[name].text for name in failed(found)]
    assert {name for name, check in found.items() if check.passed is None} == {"ranks-equal"}
    assert found["discriminator-learns"].values["accuracy"] > 0.65 and found["identities"].values["rows"] == STEPS
    assert "5 of 5 updates" in found["steps"].text and "over 5 rows" in found["identities"].text


@pytest.mark.parametrize(
    "changes",
    [
        {"loss__nll_reduction": "sum", "loss__kl_reduction": "channel_mean", "loss__kl_warmup": 50, "optim__clip_grad": 1e4},
        {"optim__accumulate": 2, "loss__disc_weight_mode": "fixed", "loss__logvar": "off"},
        {"loss__disc_loss": "non-saturating", "loss__disc_norm": "spectral", "loss__disc_ramp": 100},
    ],
    ids=["sum", "accumulate", "spectral"],
)  # fmt: skip
def test_other_sound_settings_pass_too(changes: dict[str, Any], tmp_path: Path) -> None:
    found = checks(tmp_path, **changes)
    assert failed(found) == set(), [found[name].text for name in failed(found)]


def test_what_is_not_asked_for_is_not_checked(tmp_path: Path) -> None:
    off = {
        "loss__perceptual_weight": 0.0,
        "loss__disc": "none",
        "optim__clip_grad": None,
        "optim__disc_clip_grad": None,
    }
    found = checks(tmp_path, **off, optim__ema_decay=None)
    assert failed(found) == set()
    assert {name for name, check in found.items() if check.passed} == {"steps", "identities", "checkpoint"}


# -- planted faults


@pytest.mark.parametrize("settings", [{"optim__precision": "bf16", "loss__disc": "patch3d"}, {"loss__disc": "patch2d"}])
def test_gradients_of_nan_are_found_and_torchs_own_fault_is_named(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch's Conv3d makes them in bf16 on a CPU: now and then, in one layer."""
    real, calls = TrainingStep._discriminator_pass, iter(range(10**6))

    def sometimes_nan(self: TrainingStep, *args: Any) -> Any:
        measured = real(self, *args)
        if next(calls) % 3 == 1:
            next(self.discriminator.parameters()).grad.fill_(float("nan"))
        return measured

    monkeypatch.setattr(TrainingStep, "_discriminator_pass", sometimes_nan)
    found = checks(tmp_path, **settings)
    assert {"steps", "discriminator-learns"} <= failed(found)
    assert found["discriminator-learns"].values["skipped"] >= 3
    for name in ("steps", "discriminator-learns"):
        names_it = "torch's Conv3d does so in bf16" in found[name].text and "optim.precision=fp32" in found[name].text
        assert names_it is (settings["loss__disc"] == "patch3d"), found[name].text


def lpips_without_gradient(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Objective, "_perceptual", torch.no_grad()(Objective._perceptual))


def frozen_discriminator(patch: pytest.MonkeyPatch) -> None:
    real = Updater.apply

    def apply(self: Updater, lr: float) -> Any:
        weights = [p.detach().clone() for p in self.parameters]
        applied = real(self, lr)
        if self.optimizer.param_groups[0]["betas"] == (0.5, 0.9):  # the discriminator's
            for p, w in zip(self.parameters, weights, strict=True):
                p.data.copy_(w)
        return applied

    patch.setattr(Updater, "apply", apply)


def wrong_total(patch: pytest.MonkeyPatch) -> None:
    real = TrainingStep._generator_pass

    def without_kl(self: TrainingStep, *args: Any) -> Any:
        measured, r = real(self, *args)
        return measured | {"total_loss": measured["total_loss"] * 1.001}, r

    patch.setattr(TrainingStep, "_generator_pass", without_kl)


def wrong_nll(patch: pytest.MonkeyPatch) -> None:
    real = Objective.reconstruction
    patch.setattr(
        Objective, "reconstruction", lambda *a, **kw: (t := real(*a, **kw))._replace(perceptual=t.perceptual * 1.01)
    )


def clip_after_the_step(patch: pytest.MonkeyPatch) -> None:
    real = Updater.apply

    def late(self: Updater, lr: float) -> Any:
        clip, self.clip = self.clip, None
        applied = real(self, lr)
        self.clip = clip
        if clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, clip)
        return applied

    patch.setattr(Updater, "apply", late)


def ema_that_nothing_moves(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(EMA, "update", lambda self, network: None)


def ema_that_copies(patch: pytest.MonkeyPatch) -> None:
    def copy(self: EMA, network: nn.Module) -> None:
        self.updates += 1
        self.network.load_state_dict(network.state_dict())

    patch.setattr(EMA, "update", copy)


def ema_is_not_restored(patch: pytest.MonkeyPatch) -> None:
    real = Checkpoints.restore

    def restore(self: Checkpoints, step: TrainingStep, path: Path) -> Any:
        ema, step.ema = step.ema, None
        try:
            return real(self, step, path)
        finally:
            step.ema = ema

    patch.setattr(Checkpoints, "restore", restore)


def gradients_of_nan(patch: pytest.MonkeyPatch) -> None:
    real = Updater.apply

    def apply(self: Updater, lr: float) -> Any:
        self.parameters[0].grad.fill_(torch.nan)  # type: ignore[union-attr]
        return real(self, lr)

    patch.setattr(Updater, "apply", apply)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (lpips_without_gradient, "perceptual-gradient"),
        (frozen_discriminator, "discriminator-learns"),
        (wrong_total, "identities"),
        (wrong_nll, "identities"),
        (clip_after_the_step, "clip-before-step"),
        (ema_that_nothing_moves, "ema-moves"),
        (ema_that_copies, "ema-moves"),
        (ema_is_not_restored, "checkpoint"),
        (gradients_of_nan, "steps"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_planted_fault_fails_its_check(
    fault: Callable[[pytest.MonkeyPatch], None], check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if check != "discriminator-learns":  # which the others need not wait for
        for name, value in (("DISC_STEPS", 1), ("ABOVE_CHANCE", 0.0), ("LOSS_FALLS", float("inf"))):
            monkeypatch.setattr(smoke_module, name, value)
    fault(monkeypatch)
    perceptual = fault in (lpips_without_gradient, wrong_nll)
    found = checks(tmp_path, **(PERCEPTUAL if perceptual else {}))
    assert check in failed(found), found[check].text
    if fault is not gradients_of_nan:  # which stops everything
        assert failed(found) == {check}


def test_two_real_processes_pass_and_are_found_when_they_drift_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes, started by the command: a sound run passes, then a discriminator that is not synchronised fails."""
    path = written(tmp_path / "small.yaml", small())
    monkeypatch.setattr(cli_smoke, "WORKER", "smoke_worker_with_fault")
    environ = {**environment(), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}
    done = runner.invoke(app, ["smoke", str(path), "--ranks", "2", "-f", "json"], env=environ)
    assert done.exit_code == 1, done.output
    found = json.loads(done.stdout)
    assert [c["name"] for c in found["checks"] if c["passed"] is False] == ["ranks-equal"]


# -- the short run's settings


def out_of_reach(*_: Any) -> None:
    raise ConfigError("the weights could not be fetched")


@pytest.mark.parametrize("name", presets())
def test_every_preset_has_a_short_run_with_all_phases(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke_settings, "build_autoencoder", out_of_reach)
    short, notes = short_settings(preset(name), small=True)
    loss, run = short.loss, short.run
    assert run.steps == 24 and run.log_every == 1 and not run.trackers
    if loss.disc != "none":
        assert loss.disc_start - loss.disc_warmup >= 0 and loss.disc_start + loss.disc_ramp < run.steps
    given = preset(name)
    assert (loss.kl_weight, loss.disc_weight, short.optim.lr, short.optim.clip_grad) == (
        given.loss.kl_weight, given.loss.disc_weight, given.optim.lr, given.optim.clip_grad,
    )  # fmt: skip
    assert short.model.pretrained is None
    if given.data.source in ("videos", "images", "annotations", "radiomapseer"):
        assert any("stand in" in note for note in notes)


def test_the_sizes_stay_unless_asked() -> None:
    given = small(data__resolution=(128, 128))
    assert short_settings(given)[0].data.resolution == (128, 128)
    short, notes = short_settings(given, small=True)
    assert short.data.resolution == (64, 64) and any("sizes are cut" in note for note in notes)


# -- the command


def test_the_command_prints_a_line_for_each_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "small.yaml", small())
    fake = [Check("steps", True, "24 of 24 updates"), Check("identities", False, "largest difference 1"), Check("ranks-equal", None, "one process")]  # fmt: skip
    monkeypatch.setattr(smoke_module, "smoke", lambda *_: fake)
    shown = runner.invoke(app, ["smoke", str(path)])
    assert shown.exit_code == 1 and "FAIL  identities" in shown.stdout and "1 of 2 checks failed" in shown.stdout
    found = json.loads(runner.invoke(app, ["smoke", str(path), "-f", "json"]).stdout)
    assert found["format"] == "vaelab.smoke-1" and "values" in found["checks"][0]
    assert found["passed"] is False and [c["passed"] for c in found["checks"]] == [True, False, None]


def test_bad_settings_end_with_one_sentence(tmp_path: Path) -> None:
    for arguments in (
        ["nothing"],
        ["video-tiny", "loss.kl=1"],
        ["video-tiny", "-f", "xml"],
        ["video-tiny", "data.frames=4"],
    ):
        shown = runner.invoke(app, ["smoke", *arguments])
        assert shown.exit_code == 2 and "Traceback" not in shown.stderr and shown.stderr.strip()
