"""Autoencoder classes of diffusers behind the wrapper: one tiny configuration of each, and errors of building and loading."""

from __future__ import annotations

import copy
import json
import logging
import re
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from typer.testing import CliRunner

from media_files import write_video
from vaelab.cli.app import app
from vaelab.config.schema import ModelConfig
from vaelab.errors import ConfigError
from vaelab.models import Autoencoder, CausalVideoVAE, autoencoder_names, build_autoencoder, load_autoencoder

torch.set_num_threads(1)
logging.getLogger("diffusers").setLevel(logging.ERROR)

LATENT_4 = {"latents_mean": [0.0] * 4, "latents_std": [1.0] * 4}
KL = {
    "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "norm_num_groups": 4,
    "layers_per_block": 1,
}
WAN = {
    "base_dim": 16,
    "z_dim": 4,
    "dim_mult": [1, 1, 1],
    "num_res_blocks": 1,
    "temperal_downsample": [True, True],
    **LATENT_4,
}
HUNYUAN = {
    "latent_channels": 4,
    "block_out_channels": [16, 16, 16, 16],
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
# class: (arguments, (time, height, width) compression, size of a clip, has a posterior)
CLASSES: dict[str, tuple[dict[str, Any], tuple[int, int, int], tuple[int, int, int], bool]] = {
    "AutoencoderKL": (KL, (1, 2, 2), (3, 8, 16), True),
    "AutoencoderDC": (
        {
            "latent_channels": 4,
            "attention_head_dim": 8,
            "encoder_block_types": ["ResBlock", "EfficientViTBlock"],
            "decoder_block_types": ["ResBlock", "EfficientViTBlock"],
            "encoder_block_out_channels": [16, 16],
            "decoder_block_out_channels": [16, 16],
            "encoder_layers_per_block": [1, 1],
            "decoder_layers_per_block": [1, 1],
            "encoder_qkv_multiscales": [[], [5]],
            "decoder_qkv_multiscales": [[], [5]],
        },
        (1, 2, 2),
        (2, 16, 8),
        False,
    ),
    "AutoencoderTiny": (
        {
            "encoder_block_out_channels": [16, 16],
            "decoder_block_out_channels": [16, 16],
            "num_encoder_blocks": [1, 1],
            "num_decoder_blocks": [1, 1],
        },
        (1, 2, 2),
        (2, 16, 8),
        False,
    ),
    "AutoencoderKLTemporalDecoder": (
        {"block_out_channels": [32], "down_block_types": ["DownEncoderBlock2D"], "layers_per_block": 1},
        (1, 1, 1),
        (3, 8, 8),
        True,
    ),
    "AutoencoderKLWan": (WAN, (4, 4, 4), (5, 16, 8), True),
    "AutoencoderKLQwenImage": (WAN, (4, 4, 4), (5, 8, 16), True),
    "AutoencoderKLCogVideoX": (
        {**HUNYUAN, "sample_height": 64, "sample_width": 64},
        (4, 8, 8),
        (9, 16, 16),
        True,
    ),
    "AutoencoderKLHunyuanVideo": (HUNYUAN, (4, 8, 8), (21, 8, 16), True),
    "AutoencoderKLLTXVideo": (
        {
            "latent_channels": 8,
            "block_out_channels": [8, 16, 16, 16],
            "decoder_block_out_channels": [8, 16, 16, 16],
            "layers_per_block": [1] * 5,
            "decoder_layers_per_block": [1] * 5,
            "patch_size": 1,
        },
        (8, 8, 8),
        (9, 16, 16),
        True,
    ),
    "AutoencoderKLCosmos": (
        {
            "latent_channels": 4,
            "encoder_block_out_channels": [16, 16, 16, 16],
            "decode_block_out_channels": [16, 16, 16, 16],
            "attention_resolutions": [8],
            "resolution": 64,
            "num_layers": 1,
            "patch_size": 4,
            "latents_mean": None,
            "latents_std": None,
        },
        (8, 8, 8),
        (9, 32, 16),
        False,
    ),
    "AutoencoderKLMochi": (
        {
            "in_channels": 15,
            "encoder_block_out_channels": [32] * 4,
            "decoder_block_out_channels": [32] * 4,
            "latent_channels": 4,
            "layers_per_block": [1] * 5,
            **LATENT_4,
        },
        (6, 8, 8),
        (7, 16, 16),
        True,
    ),
    "AutoencoderKLMagvit": (HUNYUAN, (4, 8, 8), (9, 16, 16), True),
}


@pytest.fixture(scope="module")
def built() -> dict[str, Autoencoder]:
    """One autoencoder of each class, built once."""
    torch.manual_seed(0)
    return {
        name: build_autoencoder(ModelConfig(type=name, config=arguments), 3)
        for name, (arguments, *_) in CLASSES.items()
    }


@pytest.mark.parametrize("name", CLASSES)
def test_one_pass_of_every_class(name: str, built: dict[str, Autoencoder]) -> None:
    model, (_, factors, size, posterior) = built[name], CLASSES[name]
    assert model.factors == factors and model.has_posterior is posterior and model.deterministic is not posterior
    x = torch.rand(2, 3, *size) * 2 - 1
    out = model(x)
    assert out.x.shape == x.shape and out.z.shape == (2, *model.latent_shape(*size))
    if posterior:
        assert out.mean.shape == out.logvar.shape == out.z.shape and not torch.equal(out.z, out.mean)
    else:
        assert out.mean is None and out.logvar is None and torch.equal(out.z, model(x).z)
    (gradient,) = torch.autograd.grad(out.x.square().mean(), model.last_layer)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("name", CLASSES)
def test_no_parameter_after_the_last_layer_but_its_bias(name: str, built: dict[str, Autoencoder]) -> None:
    """The last layer is the last: the output is affine in it, so a doubled change changes the output twice as much."""
    model, size = built[name], CLASSES[name][2]
    with torch.no_grad(), torch.random.fork_rng():
        z = torch.randn(1, *model.latent_shape(*size))
        outputs = []
        for scale in (1.0, 1.01, 1.02):
            model.last_layer.mul_(scale)
            torch.manual_seed(0)
            outputs.append(model.decode(z))
            model.last_layer.div_(scale)
    first, second = outputs[1] - outputs[0], outputs[2] - outputs[0]
    assert first.abs().max() > 0
    torch.testing.assert_close(second, 2 * first, rtol=0.02, atol=1e-5)


def test_two_dimensional_classes_see_each_frame_alone(built: dict[str, Autoencoder]) -> None:
    model, x = built["AutoencoderKL"], torch.rand(2, 3, 3, 8, 8)
    frames = [model(x[:, :, t : t + 1], sample=False).x for t in range(3)]
    torch.testing.assert_close(model(x, sample=False).x, torch.cat(frames, dim=2))


def test_latents_of_folded_frames_keep_their_places(built: dict[str, Autoencoder]) -> None:
    model, x = built["AutoencoderKL"], torch.rand(2, 3, 3, 8, 8)
    mean = model.module.encode(x[1, :, 2][None]).latent_dist.mean
    torch.testing.assert_close(model.encode(x)[0][1, :, 2], mean[0])


def test_cogvideox_takes_frames_in_groups_of_two_latents(built: dict[str, Autoencoder]) -> None:
    """1 + 4 frames come back from it as 8: only 1 + 8k do not change."""
    with pytest.raises(ConfigError, match=r"a multiple of 8 frames, not 5: set data.frames to 1 or 9"):
        built["AutoencoderKLCogVideoX"].check_clip(5, 16, 16)


@pytest.mark.parametrize("name", CLASSES)
def test_plain_diffusers_computes_what_was_trained(name: str, tmp_path: Path, built: dict[str, Autoencoder]) -> None:
    """Or config.json says, in words that can be pasted, what to set there: AutoencoderKLHunyuanVideo cuts clips of more than 16
    frames into pieces unless told not to."""
    model = built[name].eval()
    model.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config.get("_vaelab", "") == model.in_diffusers
    plain = getattr(diffusers, name).from_pretrained(tmp_path).eval()
    x = torch.rand(1, 3, *CLASSES[name][2]) * 2 - 1
    with torch.no_grad():
        z = model.encode(x)[0]
        pieces = model._calling.decode(plain, z)
        for switch in re.findall(r"vae\.(\w+) = False", model.in_diffusers):
            setattr(plain, switch, False)
        torch.testing.assert_close(model._calling.encode(plain, x).mean, z, rtol=0, atol=0)
        torch.testing.assert_close(model._calling.decode(plain, z), model.decode(z), rtol=0, atol=0)
        assert bool(model.in_diffusers) is not torch.equal(pieces, model.decode(z))
    assert bool(model.in_diffusers) is (name == "AutoencoderKLHunyuanVideo")


@pytest.mark.parametrize("command", ["evaluate", "reconstruct", "probe"])
def test_the_commands_say_what_plain_diffusers_does_otherwise(
    command: str, tmp_path: Path, built: dict[str, Autoencoder]
) -> None:
    built["AutoencoderKLHunyuanVideo"].save(tmp_path / "vae")
    write_video(tmp_path / "clips/one.mp4", frames=6, size=(16, 16))
    size = [] if command == "reconstruct" else ["--clip", "5x16x16"]
    arguments = [command, str(tmp_path / "vae"), str(tmp_path / "clips"), *size, "-o", str(tmp_path / "out")]
    shown = CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments).output
    assert "vae.use_framewise_encoding = False; vae.use_framewise_decoding = False" in " ".join(shown.split()), shown


def test_parameters_without_gradient_are_found() -> None:
    model = build_autoencoder(ModelConfig(type="AutoencoderKLWan", config=WAN), 3)
    of_images = model.unused_parameters(1, 8, 8)
    assert of_images and all("time_conv" in name for name in of_images)
    assert model.unused_parameters(5, 8, 8) == []


def test_one_channel_is_passed_to_a_new_model() -> None:
    model = build_autoencoder(ModelConfig(type="AutoencoderKL", config=KL), 1)
    assert model.module.config.in_channels == model.module.config.out_channels == 1
    x = torch.rand(2, 1, 1, 8, 8)
    assert model(x).x.shape == x.shape
    with pytest.raises(ConfigError, match="takes pixels of 1 channels, not 3"):
        model(torch.rand(2, 3, 1, 8, 8))


def test_a_model_of_three_channels_refuses_one(tmp_path: Path, built: dict[str, Autoencoder]) -> None:
    built["AutoencoderKL"].save(tmp_path)
    with pytest.raises(
        ConfigError, match=r"takes pixels of 3 channels, but data.channels is 1: set data.channels to 3"
    ):
        build_autoencoder(ModelConfig(pretrained=str(tmp_path)), 1)


@pytest.mark.parametrize("name", ["AutoencoderKL", "AutoencoderDC", "AutoencoderKLCosmos"])
def test_saved_model_loads_bit_equal(name: str, tmp_path: Path, built: dict[str, Autoencoder]) -> None:
    model, size = built[name].eval(), CLASSES[name][2]
    model.save(tmp_path / "vae")
    x = torch.rand(1, 3, *size)
    loaded = load_autoencoder(tmp_path / "vae").eval()
    by_settings = build_autoencoder(ModelConfig(pretrained=str(tmp_path), subfolder="vae"), 3).eval()
    with torch.no_grad():
        expected = model(x, sample=False).x
        assert torch.equal(loaded(x, sample=False).x, expected)
        assert torch.equal(by_settings(x, sample=False).x, expected)


NOT_RECOMPUTED = {
    "AutoencoderDC": "it has no activation checkpointing",
    "AutoencoderTiny": "leaves out the scaling of the pixels",
    "AutoencoderKLMagvit": "remember the frames before",
}


@pytest.mark.parametrize("name", CLASSES)
def test_checkpointing_gives_the_plain_gradient_or_is_refused(name: str) -> None:
    model = build_autoencoder(ModelConfig(type=name, config=CLASSES[name][0]), 3)
    if name in NOT_RECOMPUTED:
        with pytest.raises(ConfigError, match=rf"{name}: .*{NOT_RECOMPUTED[name]}.*activation_checkpointing to false"):
            model.enable_checkpointing()
        return
    x, gradients = torch.rand(1, 3, *CLASSES[name][2]), []
    for _ in range(2):
        torch.manual_seed(0)  # LTX's decoder may draw noise of its own
        loss = model(x, generator=torch.Generator().manual_seed(0)).x.square().mean()
        gradients.append(torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True))
        model.enable_checkpointing()
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", ["AutoencoderKLWan", "AutoencoderKLQwenImage"])
def test_recomputed_layers_keep_a_fraction_of_the_activations(name: str) -> None:
    """Features of earlier frames go from piece to piece: three pieces, so that a gradient passes through two borders."""
    torch.manual_seed(0)
    model = build_autoencoder(ModelConfig(type=name, config=CLASSES[name][0]), 3)
    x, kept = torch.rand(1, 3, 9, 16, 16), []
    for _ in range(2):
        storages: dict[int, int] = {}

        def keep(tensor: torch.Tensor, storages: dict[int, int] = storages) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = model(x, sample=False).x
        kept.append(sum(size for place, size in storages.items() if place not in weights))
        out.square().mean().backward()
        model.zero_grad()
        model.enable_checkpointing()
    assert kept[1] < 0.4 * kept[0], kept


def test_a_copy_of_recomputed_layers_has_weights_of_its_own() -> None:
    """The EMA is such a copy."""
    model = build_autoencoder(ModelConfig(type="AutoencoderKLWan", config=WAN), 3)
    model.enable_checkpointing()
    other, x = copy.deepcopy(model), torch.rand(1, 3, 5, 16, 8)
    expected = model(x, sample=False).x
    with torch.no_grad():
        for weight in other.parameters():
            weight.zero_()
    assert torch.equal(model(x, sample=False).x, expected)
    assert not torch.equal(other(x, sample=False).x, expected)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"type": "AutoencoderKLWann"}, "'AutoencoderKLWann' is no autoencoder.*did you mean AutoencoderKLWan"),
        ({"type": "zzz"}, "known are CausalVideoVAE, "),
        ({"type": "VQModel"}, "VQModel cannot be trained here: it is a vector-quantised model"),
        ({"type": "AutoencoderOobleck"}, "a model of sound"),
        (
            {"type": "AutoencoderKLAllegro"},
            "cannot be trained here: .* in fixed tiles of 24 frames and 320 x 320 pixels only",
        ),
        (
            {"type": "AutoencoderKL", "config": {"latent_chanels": 4}},
            "no argument 'latent_chanels'; did you mean latent_c",
        ),
        ({"type": "AutoencoderKL", "config": {"down_block_types": ["Nope"]}}, "AutoencoderKL cannot be built with"),
        (
            {"type": "AutoencoderKL", "config": {**KL, "in_channels": 7}},
            "for single pictures with RuntimeError.*7 channels",
        ),
        ({"type": "AutoencoderKL", "config": {**KL, "out_channels": 7}}, r"comes back as \(1, 7, 2, 32, 32\)"),
        ({"pretrained": "./no-such-folder"}, "./no-such-folder does not exist"),
    ],
)
def test_settings_that_cannot_be_built_are_explained(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_autoencoder(ModelConfig(**settings), 3)


def test_folders_that_cannot_be_loaded_are_explained(tmp_path: Path, built: dict[str, Autoencoder]) -> None:
    built["AutoencoderKL"].save(tmp_path / "vae")
    with pytest.raises(ConfigError, match=r"has no config.json; it has the subfolders vae: set model.subfolder"):
        load_autoencoder(tmp_path)
    with pytest.raises(ConfigError, match=r"holds the class AutoencoderKL, but model.type is CausalVideoVAE"):
        build_autoencoder(ModelConfig(type="CausalVideoVAE", pretrained=str(tmp_path / "vae")), 3)

    config = tmp_path / "vae" / "config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "latent_channels": 5}))
    with pytest.raises(ConfigError, match="weights of"):
        load_autoencoder(tmp_path / "vae")
    config.write_text("{")
    with pytest.raises(ConfigError, match=r"config.json of .* cannot be read"):
        load_autoencoder(tmp_path / "vae")


def test_missing_weights_are_an_error_and_not_random(tmp_path: Path, built: dict[str, Autoencoder]) -> None:
    from safetensors.torch import load_file, save_file

    built["AutoencoderKL"].save(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["decoder.conv_out.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"decoder.conv_out.weight"):
        load_autoencoder(tmp_path)


def test_a_hub_out_of_reach_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("someone/model does not appear to have a file named config.json.")  # what diffusers says offline

    monkeypatch.setattr(CausalVideoVAE, "load_config", unreachable)
    with pytest.raises(
        ConfigError, match="someone/model/vae is not a folder here and could not be fetched from the hub"
    ):
        build_autoencoder(ModelConfig(pretrained="someone/model", subfolder="vae"), 3)


def test_every_offered_class_can_be_found() -> None:
    names = autoencoder_names()
    assert {"CausalVideoVAE", *CLASSES} <= set(names) and not any("Audio" in name for name in names)
