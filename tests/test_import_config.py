"""Settings of other trainers: what maps, what had no effect, what is corrected; every option has a note."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from vaelab.cli.import_config import import_config, short_names
from vaelab.config import load_config
from vaelab.config.foreign import KINDS, Imported, Note, import_foreign, sources
from vaelab.config.foreign.shell import commands
from vaelab.errors import ConfigError

CONFIGS = Path(__file__).parent / "data" / "configs"
FILES = ("pyramid_flow.sh", "radiodiff.yaml", "latent_diffusion.yaml", "vidtok.yaml")
PF = "torchrun train/train_video_vae.py"
every_file = pytest.mark.parametrize("name", FILES)


def load(name: str) -> Imported:
    return import_foreign(CONFIGS / name)


def note(imported: Imported, ending: str) -> Note:
    found = [n for n in imported.notes if n.original == ending or n.original.endswith(f".{ending}")]
    assert len(found) == 1, f"{ending}: {[n.original for n in found]}"
    return found[0]


def changed(name: str, old: str, new: str) -> Imported:
    text = (CONFIGS / name).read_text()
    assert old in text
    return import_foreign(text.replace(old, new))


@pytest.mark.parametrize("set_in_the_script", [True, False])
def test_a_frozen_encoder_stays_frozen(set_in_the_script: bool) -> None:
    option = "    --freeze_encoder \\\n" if set_in_the_script else ""
    config = changed("pyramid_flow.sh", "    --disc_start", f"{option}    --disc_start").config
    assert config.model.freeze == ("encoder" if set_in_the_script else "none")


def test_pyramid_flows_script_maps() -> None:
    config = load("pyramid_flow.sh").config
    assert (config.model.type, config.data.source, config.data.path) == (
        "CausalVideoVAE",
        "annotations",
        "annotation/videos.jsonl",
    )
    assert (config.data.frames, config.data.resolution, config.run.batch_size) == (17, (256, 256), 2), (
        "variables are put in"
    )
    loss, optim, run = config.loss, config.optim, config.run
    assert (loss.pixel_loss, loss.pixelloss_weight, loss.nll_reduction) == ("mse", 10.0, "mean")
    assert (loss.kl_weight, loss.kl_reduction, loss.disc_weight, loss.perceptual_weights) == (
        1e-12,
        "channel_mean",
        0.5,
        "vgg_lpips.pth",
    )
    assert (optim.lr, optim.min_lr, optim.schedule, optim.warmup_steps, optim.disc_lr) == (
        1e-4,
        1e-5,
        "cosine",
        2000,
        1e-4,
    )
    assert (optim.weight_decay, optim.clip_grad, optim.disc_clip_grad, optim.precision) == (1e-3, 1.0, 1.0, "bf16")
    assert (run.steps, run.log_every, run.checkpoint_every, run.seed) == (200_000, 40, 2000, 42)


def test_pyramid_flows_faults_are_named_and_corrected() -> None:
    imported = load("pyramid_flow.sh")
    assert note(imported, "--disc_start").kind == "corrected" and "200000 steps" in note(imported, "--disc_start").text
    assert note(imported, "--add_discriminator").kind == "corrected" and imported.config.uses_gan
    assert note(imported, "--opt_betas").kind == "corrected" and imported.config.optim.betas == (0.9, 0.95)
    assert note(imported, "--ema_update").kind == note(imported, "--warmup_lr").kind == "no-effect"
    assert note(imported, "--colour_jitter").kind == "unknown"
    assert "1 of 8" in note(imported, "--image_mix_ratio").text
    assert any("starts 2 trainings" in n.text for n in imported.notes)


def test_a_bare_command_line_takes_the_trainers_defaults() -> None:
    config = import_foreign("--kl_weight 1e-4 --add_discriminator --disc_start=5000 --epochs 10 --max_frames 17").config
    assert (config.loss.kl_weight, config.loss.disc_start, config.run.steps) == (1e-4, 5000, 20_000)
    assert (config.optim.lr, config.optim.disc_lr, config.run.batch_size, config.loss.disc_weight) == (
        5e-5,
        1e-5,
        64,
        0.1,
    )
    assert config.optim.betas == (0.9, 0.999), "AdamW's own where none are asked for"


def test_a_gan_that_was_built_and_is_reached_maps() -> None:
    imported = import_foreign(f"{PF} --add_discriminator --disc_start 1000 --max_frames 17")
    assert note(imported, "--add_discriminator").kind == note(imported, "--disc_start").kind == "maps"
    assert "second iteration" in note(imported, "--disc_start").text


def test_frames_off_the_grid_are_moved_to_it() -> None:
    imported = import_foreign(f"{PF} --max_frames 24")
    assert imported.config.data.frames == 25 and note(imported, "--max_frames").kind == "corrected"


def test_radiodiffs_yaml_maps() -> None:
    config = load("radiodiff.yaml").config
    assert config.model.type == "AutoencoderKL"
    assert config.model.config["block_out_channels"] == [128, 256, 512] and config.model.config["latent_channels"] == 3
    assert (config.data.source, config.data.channels, config.data.frames) == ("radiomapseer", 1, 1)
    loss = config.loss
    assert (loss.pixel_loss, loss.nll_reduction, loss.kl_reduction) == ("l1+mse", "sum", "sum")
    assert (loss.kl_weight, loss.disc_start, loss.disc_weight) == (1e-6, 50_001, 0.5)
    assert (config.optim.lr, config.run.steps, config.run.batch_size, config.optim.ema_decay) == (
        5e-6,
        150_000,
        2,
        0.9995,
    )


def test_radiodiffs_faults_are_named_and_corrected() -> None:
    imported = load("radiodiff.yaml")
    assert note(imported, "min_lr").kind == "corrected" and "2.5e-12" in note(imported, "min_lr").text
    assert imported.config.optim.min_lr == 5e-7
    assert note(imported, "gradient_accumulate_every").kind == "corrected" and imported.config.optim.accumulate == 1
    assert note(imported, "ddconfig.resolution").kind == "no-effect" and imported.config.data.resolution == (256, 256)
    assert note(imported, "amp").kind == note(imported, "data_root").kind == "no-effect"
    assert any("map 600" in n.text for n in imported.notes) and any("after the step" in n.text for n in imported.notes)
    assert note(imported, "lossconfig.kl_weight").ours == "loss.kl_weight = 1.0e-06"


def test_what_is_not_given_takes_the_trainers_own_default() -> None:
    config = changed("radiodiff.yaml", "    kl_weight: 0.000001\n    disc_weight: 0.5\n", "").config
    assert (config.loss.kl_weight, config.loss.disc_weight) == (1.0, 1.0)


def test_latent_diffusions_rate_is_written_out() -> None:
    imported = load("latent_diffusion.yaml")
    assert imported.config.optim.lr == pytest.approx(2 * 2 * 12 * 4.5e-6)
    assert "2 (accumulation) x 2 (GPUs) x 12 (batch) x 4.5e-06" in note(imported, "base_learning_rate").text
    alone = changed("latent_diffusion.yaml", "    gpus: 0,1,\n", "")
    assert alone.config.optim.lr == pytest.approx(1.08e-4) and "1 is assumed" in note(alone, "base_learning_rate").text
    config = imported.config
    assert config.model.config["down_block_types"][3] == "AttnDownEncoderBlock2D", "attention at 32 of 256 pixels"
    assert config.model.config["up_block_types"][0] == "AttnUpDecoderBlock2D"
    assert (config.loss.pixel_loss, config.loss.disc_start, config.optim.betas) == ("l1", 50_001, (0.5, 0.9))
    assert config.optim.accumulate == 2 and note(imported, "pixelloss_weight").kind == "no-effect"


def test_vidtok_counts_half_steps() -> None:
    imported = load("vidtok.yaml")
    config = imported.config
    assert config.loss.disc_start == 10_001 and note(imported, "disc_start").kind == "corrected"
    assert config.run.checkpoint_every == 2500 and config.run.validate_every == 2000
    assert (config.loss.nll_reduction, config.loss.kl_reduction, config.loss.logvar) == (
        "sum_per_frame",
        "sum",
        "learned",
    )
    assert (config.loss.kl_weight, config.loss.lecam_weight, config.optim.clip_grad) == (1e-6, 0.005, 20.0)
    assert (config.loss.lecam_init, config.loss.lecam_decay) == ("zero", 0.999)
    assert (config.data.frames, config.data.fps, config.data.path, config.optim.precision) == (17, 3.0, "clips", "bf16")
    assert config.model.type == "AutoencoderVidTok" and config.model.config["z_channels"] == 4
    assert note(imported, "gen_loss_cross_entropy").kind == "corrected"


@every_file
def test_every_option_of_the_file_has_exactly_one_note(name: str) -> None:
    imported = load(name)
    given = [n.original for n in imported.notes if n.value and n.value != "not given"]
    assert len(given) == len(set(given))
    text = (CONFIGS / name).read_text()
    for original in given:
        assert original.rsplit(".", 1)[-1].lstrip("-") in text
    assert {n.kind for n in imported.notes} <= set(KINDS)
    assert all(n.text for n in imported.notes if n.kind not in ("maps",))
    if name != "pyramid_flow.sh":
        assert not [n for n in imported.notes if n.kind == "unknown"]


@every_file
def test_an_option_that_nobody_knows_is_reported(name: str) -> None:
    if name.endswith(".sh"):
        imported = changed(name, "--colour_jitter 0.1", "--brand_new 3")
        assert note(imported, "--brand_new").kind == "unknown"
    else:
        imported = changed(name, "model:\n", "model:\n  brand_new: 3\n")
        assert note(imported, "model.brand_new").kind == "unknown"


@every_file
def test_the_written_yaml_is_the_config_with_its_notes(name: str, tmp_path: Path) -> None:
    imported, path = load(name), tmp_path / "config.yaml"
    path.write_text(imported.yaml(), encoding="utf-8")
    assert load_config(str(path)) == imported.config
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert all(any(n.original in line and n.text in line for line in comments) for n in imported.notes)


@every_file
def test_the_gan_of_an_imported_config_starts_within_the_run(name: str) -> None:
    config = load(name).config
    assert config.uses_gan and config.loss.disc_start < config.run.steps and config.loss.disc_warmup > 0


def test_scripts_are_read_as_a_shell_reads_them() -> None:
    text = 'A=1e-3\nB="${A}" # note\nexport C=${D:-7}\ntorchrun --nproc_per_node $C x/train_video_vae.py --lr $B \\\n  --name "a b" \\\n --flag --neg -1 | tee log'
    (command,) = commands(text, "train_video_vae.py")
    assert command.launcher == {"nproc_per_node": 7}
    assert command.options == {"lr": 1e-3, "name": "a b", "flag": True, "neg": -1}


def test_windows_line_ends_and_unknown_variables() -> None:
    (command,) = commands("python train_video_vae.py \\\r\n --lr 1e-4 --video_anno $WHERE/x\r\n", "train_video_vae.py")
    assert command.options == {"lr": 1e-4, "video_anno": "$WHERE/x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\n", "not a configuration that vaelab can import"),
        ("loss: {kl_weight: 1}\nrun: {}\n", "vaelab train"),
        ("model:\n  target: taming.models.vqgan.VQModel\n  params: {n_embed: 1024}\n", "codebook"),
        ("model:\n  target: sgm.models.autoencoder.AutoencodingEngine\n  params: {}\n", "generative-models"),
        (
            "model:\n  target: vidtok.models.X\n  params: {regularizer_config: {target: vidtok.FSQRegularizer}}\n",
            "quantises",
        ),
        ("# train_video_vae.py\necho no\n", "does not start it"),
        (f"{PF} --lr 'open\n", "line 1"),
        (f"{PF} --lr fast --max_frames 17\n", "--lr is fast"),
        (f"{PF} --lr 1 2 --max_frames 17\n", "--lr is [1, 2]"),
        ("model: {ddconfig: {ch_mult: abc}}\ntrainer: {}\n", "RadioDiff"),
        ("model: {ddconfig: {}}\ntrainer: {lr: -1}\n", "optim.lr"),
        ("model: [\n", "not valid YAML"),
    ],
)
def test_what_cannot_be_imported_is_said_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        import_foreign(text)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_said() -> None:
    with pytest.raises(ConfigError, match=r"gone.yaml cannot be read: No such file"):
        import_foreign("gone.yaml")


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**9)
    | st.floats()
    | st.text(max_size=5)
    | st.just([1, 2])
    | st.just({})
)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_odd_values_end_in_settings_or_one_sentence(data: st.DataObject) -> None:
    import yaml

    name = data.draw(st.sampled_from(FILES[1:]))
    raw = yaml.safe_load((CONFIGS / name).read_text())
    table = raw
    while True:
        key = data.draw(st.sampled_from(sorted(table)))
        if not isinstance(table[key], dict) or not table[key] or data.draw(st.booleans()):
            break
        table = table[key]
    table[key] = data.draw(scalars)
    with contextlib.suppress(ConfigError):
        import_foreign(yaml.safe_dump(raw) + "\n")


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=60))
def test_any_command_line_ends_in_settings_or_one_sentence(text: str) -> None:
    with contextlib.suppress(ConfigError):
        import_foreign(f"{PF} --max_frames 17 {text}\n")


def invoke(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(import_config)
    result = CliRunner(env={"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}).invoke(
        app, list(arguments), catch_exceptions=False
    )
    assert result.exit_code == 0
    return result.output


@every_file
def test_the_command_shows_what_became_of_each_option_and_writes_the_file(name: str, tmp_path: Path) -> None:
    target = tmp_path / "out.yaml"
    screen = invoke(str(CONFIGS / name), "-o", str(target))
    assert load_config(str(target)) == load(name).config
    for kind in {n.kind for n in load(name).notes}:
        assert f"{kind}: {KINDS[kind]}" in screen
    assert "disc_start" in screen and "vaelab train" in screen


def test_the_command_prints_the_yaml_without_a_file() -> None:
    assert "loss:\n  pixel_loss: l1+mse\n" in invoke(str(CONFIGS / "radiodiff.yaml"))
    assert invoke(str(CONFIGS / "radiodiff.yaml"), "-o", "-") == load("radiodiff.yaml").yaml()


def test_long_names_are_shown_by_their_end() -> None:
    names = [
        "model.params.a.target",
        "model.target",
        "model.params.a.params.ch",
        "--lr",
        "Adam's betas (fixed in its code)",
    ]
    assert list(short_names(names).values()) == [
        "a.target",
        "model.target",
        "ch",
        "--lr",
        "Adam's betas (fixed in its code)",
    ]


def test_every_dialect_has_a_sample() -> None:
    assert (
        sum(s.convert is not None for s in sources().values())
        == len(FILES)
        == len({load(name).title for name in FILES})
    )
