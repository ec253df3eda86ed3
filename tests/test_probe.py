"""``vaelab probe`` on small trained models: each planted fault is named by its code and cause, healthy twins are not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from probe_models import DONE, FAULTS, GAN_FROM, saved_run, settings, trained, winner, with_own_discriminator
from thin_vgg16 import in_slices, thin_vgg16
from vaelab.config import TrainConfig
from vaelab.diagnosis import Diagnosis
from vaelab.losses import Perceptual
from vaelab.probing import ProbeResult, probe, training_part
from vaelab.probing.render import judge
from vaelab.training.step import TrainingStep


@pytest.fixture(autouse=True)
def small_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few updates, and a flat picture of 64 pixels: test_probe_parts has it in full."""
    monkeypatch.setattr(training_part, "UPDATES", 4)
    monkeypatch.setattr("vaelab.probing.flat_field._PIXELS", 64)


@pytest.fixture(scope="module")
def image_step() -> TrainingStep:
    return trained(settings())


@pytest.fixture(scope="module")
def image_run(image_step: TrainingStep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_run(tmp_path_factory.mktemp("image") / "run", image_step, settings())


@pytest.fixture(scope="module")
def video_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = settings(video=True, disc="patch3d")
    return saved_run(tmp_path_factory.mktemp("video") / "run", trained(config), config)


def severities(diagnosis: Diagnosis) -> dict[str, str]:
    return {f.code: f.severity for f in diagnosis.findings}


def probed(checkpoint: Path, **options: Any) -> tuple[ProbeResult, Diagnosis]:
    result = probe(checkpoint, **{"clips": 8, **options})
    return result, judge(result)


# --- healthy twins --------------------------------------------------------------------------------------------------------


def test_a_healthy_image_model_has_no_fault_and_its_numbers_agree_with_the_latents(image_run: Path) -> None:
    result, diagnosis = probed(image_run, discriminator=True, clips=32)
    assert diagnosis.status == "healthy", diagnosis.findings
    assert set(severities(diagnosis).values()) <= {"info"}
    assert {"KL232", "REC137"} <= set(severities(diagnosis))
    # generated data make as many held-out clips as are asked for
    assert result.clips == 32 and result.measured["probe.clips"] == 32
    assert result.step == DONE and result.measured["probe.disc_updates"] == DONE - GAN_FROM
    low, high = result.intervals["probe.latent_std"]
    assert low < result.measured["probe.latent_std"] < high
    assert result.scale["all"]["scaling_factor"] == pytest.approx(1 / result.measured["probe.latent_std"], rel=1e-4)
    assert len(result.scale["all"]["latents_std"]) == 4
    parts = result.measured["probe.kl_mean_part"] + result.measured["probe.kl_logvar_part"]
    assert parts == pytest.approx(result.measured["probe.kl_nats_per_element"])
    # the adaptive weight gives the GAN half the reconstruction's gradient: a third of the sum
    assert result.measured["probe.gradient_share_gan"] == pytest.approx(1 / 3, abs=0.01)
    assert not result.cannot_tell


def test_a_healthy_video_model_is_causal_and_its_frames_are_scaled_apart(video_run: Path) -> None:
    result, diagnosis = probed(video_run)
    assert diagnosis.status == "healthy", diagnosis.findings
    assert result.measured["probe.decoder_to_past"] == result.measured["probe.encoder_to_past"] == 0
    assert set(result.scale) == {"all", "first", "rest", "image"}
    # in a causal model a single image and the first frame of a clip have one latent
    for name in ("shift_factor", "scaling_factor"):
        assert result.scale["image"][name] == pytest.approx(result.scale["first"][name], rel=1e-3, abs=1e-4)


def test_probing_changes_no_weight_and_no_file_of_the_run(image_run: Path) -> None:
    before = {path: path.read_bytes() for path in image_run.rglob("*") if path.is_file()}
    first, _ = probed(image_run, discriminator=True)
    second, _ = probed(image_run, discriminator=True)
    assert {path: path.read_bytes() for path in image_run.rglob("*") if path.is_file()} == before
    assert first.measured == second.measured


# --- planted faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_latent_or_decoder_is_named(name: str, image_step: TrainingStep, tmp_path: Path) -> None:
    plant, code, cause = FAULTS[name]
    autoencoder = copy.deepcopy(image_step.autoencoder)
    plant(autoencoder)
    autoencoder.save(tmp_path / "vae")
    (tmp_path / "data.yaml").write_text("data: {source: moving-shapes, frames: 1, resolution: [16, 16], length: 400}\n")
    result, diagnosis = probed(tmp_path / "vae", data=str(tmp_path / "data.yaml"))
    assert severities(diagnosis).get(code) in ("warn", "critical"), (severities(diagnosis), result.measured)
    assert diagnosis.causes[0].id == cause, [(c.id, c.score) for c in diagnosis.causes]
    others = {other for _, other, _ in FAULTS.values()} - {code}
    # a collapsed latent is a dead decoder's input: that finding follows from it
    follows = {f.code for f in diagnosis.findings if f.explained_by == code}
    assert not others & {c for c, s in severities(diagnosis).items() if s != "info"} - follows


def test_a_scale_factor_of_the_user_is_checked(image_run: Path) -> None:
    right = probed(image_run)[0].measured["probe.scale_factor"]
    assert "KL227" not in severities(probed(image_run, scale=right)[1])
    assert severities(probed(image_run, scale=5 * right)[1])["KL227"] == "critical"


def test_a_useless_discriminator_is_told_from_a_young_one(image_step: TrainingStep, tmp_path: Path) -> None:
    step = with_own_discriminator(image_step)
    assert step.discriminator is not None
    torch.manual_seed(1)
    for parameter in step.discriminator.parameters():  # noise: it has learned nothing
        parameter.data = torch.randn_like(parameter) * 1e-3
    run = saved_run(tmp_path / "old", step, settings())
    result, diagnosis = probed(run, discriminator=True, clips=32)
    assert severities(diagnosis)["ADV331"] == "critical", result.measured
    assert diagnosis.causes[0].id == "D3"
    young = saved_run(tmp_path / "young", step, settings(), done=GAN_FROM + 50)
    result, diagnosis = probed(young, discriminator=True, clips=32)
    assert severities(diagnosis)["ADV331"] == "info" and not diagnosis.causes


def test_a_discriminator_that_has_won_is_named(image_step: TrainingStep, tmp_path: Path) -> None:
    run = saved_run(tmp_path / "run", winner(image_step), settings())
    result, diagnosis = probed(run, discriminator=True, clips=32)
    assert severities(diagnosis)["ADV334"] == "warn", result.measured
    assert diagnosis.causes[0].id == "D4" and "ADV331" not in severities(diagnosis)


@pytest.fixture
def perceptual_settings(tmp_path: Path) -> TrainConfig:
    torch.save(in_slices(thin_vgg16()), tmp_path / "vgg.pth")
    return settings(perceptual_weight=1.0, perceptual_weights=str(tmp_path / "vgg.pth"))


def test_a_perceptual_loss_under_no_grad_is_named_and_a_living_one_is_not(
    image_step: TrainingStep, perceptual_settings: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = saved_run(tmp_path / "run", image_step, perceptual_settings)
    result, diagnosis = probed(run, discriminator=True)
    assert result.measured["probe.perceptual_gradient"] > 0.01
    assert "REC136" not in severities(diagnosis)
    monkeypatch.setattr(Perceptual, "forward", torch.no_grad()(Perceptual.forward))
    result, diagnosis = probed(run, discriminator=True)
    assert severities(diagnosis)["REC136"] == "critical", result.measured
    assert diagnosis.causes[0].id == "B2"


def test_a_run_in_half_precision_is_probed_on_a_cpu(image_step: TrainingStep, tmp_path: Path) -> None:
    config = settings()
    half = config.model_copy(update={"optim": config.optim.model_copy(update={"precision": "fp16"})})
    result, _ = probed(saved_run(tmp_path / "run", image_step, half), discriminator=True)
    assert result.measured["probe.grad_norm_median"] > 0


# --- what cannot be told --------------------------------------------------------------------------------------------------


def test_few_clips_are_shown_and_not_judged(image_run: Path) -> None:
    result, diagnosis = probed(image_run, clips=4, discriminator=True)
    assert diagnosis.status == "cannot-tell" or "probe.dead_channels" not in result.measured
    assert "4 clips were measured and 8 are needed" in " ".join(result.cannot_tell)
    assert "4 held-out clips were scored and 16 are needed" in " ".join(result.cannot_tell)
    assert not {"KL221", "KL232", "REC131", "REC137", "ADV331"} & set(severities(diagnosis))
    assert [table for table in result.tables if table.title == "Channels of the latent"]


def test_a_discriminator_that_was_never_trained_is_not_judged(image_step: TrainingStep, tmp_path: Path) -> None:
    run = saved_run(tmp_path / "run", image_step, settings(), done=GAN_FROM - 500)
    result, diagnosis = probed(run, discriminator=True)
    assert any("trained from step 1,000 on, and this checkpoint is of step 500" in text for text in result.cannot_tell)
    assert not [code for code in severities(diagnosis) if code.startswith("ADV")]


def test_missing_weights_of_the_perceptual_network_are_said(image_step: TrainingStep, tmp_path: Path) -> None:
    config = settings(perceptual_weight=1.0, perceptual_weights=str(tmp_path / "nowhere.pth"))
    result, _ = probed(saved_run(tmp_path / "run", image_step, config), discriminator=True)
    assert any("perceptual" in text and "nowhere.pth" in text for text in result.cannot_tell)
    assert not [name for name in result.measured if "gradient" in name]
    assert [table for table in result.tables if table.title.startswith("Discriminator")]
