"""Presets: each is whole, sensible and described; the page of the docs is that of the YAML files."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from vaelab.cli.presets import presets as command
from vaelab.config import TrainConfig, load_config, preset, presets, yaml_text
from vaelab.config.describe import PARTS, paragraphs
from vaelab.config.presets import OWN_WEIGHTS, load_preset, own_weights, preset_text
from vaelab.errors import ConfigError
from vaelab.rules.evaluated import is_local_grid

NAMES = (
    "autoencoder-mode",
    "demo",
    "finetune-decoder",
    "finetune-sd-vae",
    "finetune-wan",
    "image-kl-f8",
    "radio-map",
    "radio-map-small",
    "video-causal-256",
    "video-tiny",
)
every_preset = pytest.mark.parametrize("config", presets().values(), ids=presets())


def test_these_presets_exist() -> None:
    assert tuple(presets()) == NAMES


@every_preset
def test_the_description_has_its_parts_and_says_what_was_not_run(config: TrainConfig) -> None:
    known = paragraphs(config.description)
    assert set(known) <= set(PARTS) and {"What", "Needs", "Memory", "Healthy", "Limits"} <= set(known)
    assert all(len(text) > 20 for text in known.values())
    if config.name not in ("demo", "video-tiny", "radio-map-small"):
        assert "not run here" in known["Limits"].lower()


@every_preset
def test_a_gan_is_reached_and_its_discriminator_is_not_new_when_the_decoder_meets_it(config: TrainConfig) -> None:
    loss, steps = config.loss, config.run.steps
    assert config.uses_gan == (loss.disc != "none")
    if config.uses_gan:
        assert 0 < loss.disc_warmup <= loss.disc_start
        assert loss.disc_start + loss.disc_ramp < 0.9 * steps, "the GAN needs time to recover"
        assert config.optim.disc_warmup_steps <= loss.disc_warmup


@every_preset
def test_rates_and_intervals_are_sensible(config: TrainConfig) -> None:
    optim, run = config.optim, config.run
    assert optim.min_lr < optim.lr and optim.clip_grad is not None
    assert (optim.schedule == "constant") == (optim.min_lr == 0), "min_lr is read by cosine and linear only"
    assert (optim.disc_schedule == "constant") == (optim.disc_min_lr == 0)
    assert run.steps % run.validate_every == 0 and run.steps % run.checkpoint_every == 0, (
        "the last step is validated and saved"
    )


@every_preset
def test_nothing_is_set_that_nothing_reads(config: TrainConfig) -> None:
    own = load_preset(config.name)
    if config.loss.disc == "none":
        assert not [k for k in own["loss"] if k.startswith("disc_")] and not [
            k for k in own["optim"] if k.startswith("disc_")
        ]
    assert not (config.model.pretrained and config.model.config), "config is ignored when pretrained is set"
    assert "path" not in own["data"], "a path is the user's"


@every_preset
def test_changes_of_a_preset_load(config: TrainConfig) -> None:
    assert load_config(config.name, ["batch_size=1"]).run.batch_size == 1
    assert load_config(config.name) == config


def test_the_small_presets_fit_a_cpu() -> None:
    for name in ("video-tiny", "radio-map-small"):
        config = preset(name)
        assert config.data.resolution == (64, 64) and config.run.steps <= 2000 and config.optim.precision == "fp32"
        assert config.loss.perceptual == "stlpips-alex", "its weights come inside a package"


def test_the_recipes_are_those_of_the_papers_code() -> None:
    pf, rd, ldm = preset("video-causal-256"), preset("radio-map"), preset("image-kl-f8")
    assert (pf.loss.pixelloss_weight, pf.loss.perceptual_weight, pf.loss.disc_weight, pf.loss.disc_layers) == (
        10.0,
        1.0,
        0.5,
        4,
    )
    assert (pf.optim.lr, pf.optim.min_lr, pf.optim.betas, pf.optim.weight_decay, pf.run.steps) == (
        1e-4,
        1e-5,
        (0.9, 0.95),
        1e-3,
        200_000,
    )
    assert (rd.loss.pixel_loss, rd.loss.nll_reduction, rd.loss.kl_weight, rd.loss.disc_start) == (
        "l1+mse",
        "sum",
        1e-6,
        50_001,
    )
    assert (rd.optim.lr, rd.optim.min_lr, rd.run.steps, rd.data.channels) == (5e-6, 5e-7, 150_000, 1)
    assert (ldm.optim.lr, ldm.run.batch_size, ldm.optim.accumulate) == (pytest.approx(4.5e-6 * 12 * 2), 12, 2)
    mode = preset("autoencoder-mode")
    assert mode.loss.kl_weight == 1e-12 and mode.loss.kl_reduction == pf.loss.kl_reduction and mode.model == pf.model


@every_preset
def test_the_model_can_be_built_and_takes_the_clips(config: TrainConfig) -> None:
    torch, diffusers = pytest.importorskip("torch"), pytest.importorskip("diffusers")
    if config.model.pretrained and config.model.pretrained.startswith(OWN_WEIGHTS):
        assert Path(own_weights(config.model.pretrained)).is_dir()
        return
    if config.model.pretrained:
        assert hasattr(diffusers, config.model.type)
        return
    own = config.model.type == "CausalVideoVAE"
    module = importlib.import_module("vaelab.models.causal_video") if own else diffusers
    frames, (height, width) = config.data.frames, config.data.resolution
    with torch.device("meta"):
        model = getattr(module, config.model.type)(**config.model.config)
        x = (
            torch.empty(1, config.data.channels, frames, height, width)
            if own
            else torch.empty(1, config.data.channels, height, width)
        )
        posterior = model.encode(x).latent_dist
        assert model.decode(posterior.mode()).sample.shape == x.shape
    if config.name == "video-causal-256":
        assert posterior.mode().shape[1:] == (16, 3, 32, 32)
    if config.name == "radio-map":
        assert posterior.mode().shape[1:] == (3, 64, 64)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean radio-map"):
        preset("radiomap")
    with pytest.raises(ConfigError, match="there are autoencoder-mode"):
        preset("xyz")


def shown(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}).invoke(
        app, list(arguments), catch_exceptions=False
    )
    assert result.exit_code == 0
    return result.output


def test_the_command_lists_all() -> None:
    screen = shown()
    assert all(name in screen for name in NAMES) and "RadioMapSeer" in screen


def test_the_command_prints_settings_that_load_again() -> None:
    text = shown("radio-map")
    assert TrainConfig.model_validate(yaml_text.parse(text, "screen")) == preset("radio-map")
    assert "Corrected: " in text


def test_preset_files_keep_their_comments() -> None:
    assert "# half-life" in preset_text("video-tiny")


def test_the_demo_starts_from_small_weights_without_a_grid_that_come_with_it() -> None:
    torch = pytest.importorskip("torch")
    from vaelab.data import open_data, val_batches
    from vaelab.evaluation import validate
    from vaelab.models import build_autoencoder

    config = preset("demo")
    assert config.model.pretrained is not None
    folder = Path(own_weights(config.model.pretrained))
    assert sum(file.stat().st_size for file in folder.iterdir()) < 3_000_000
    model = build_autoencoder(config.model, 3)
    held_out = val_batches(open_data(config.data, 0).val, config.data, 2, 4)
    scores = validate(model, held_out, None, torch.device("cpu"))
    assert scores["psnr"] > 22 and scores["explained_variance"] > 0.8
    assert not is_local_grid(scores["grid_peak"], scores["grid_level"])
