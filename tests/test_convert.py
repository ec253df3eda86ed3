"""Checkpoints of other trainers: a small network with the original's names and arithmetic, and what conversion makes of it.

The originals here are written as plain functions of the weights, from the public description of each network, and share no
code with the converters.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.nn import functional as nnf

from vaelab.dialects.ldm import checkpoints as compvis
from vaelab.errors import CheckpointError
from vaelab.models.convert import convert_file
from vaelab.models.opening import find_checkpoint, open_checkpoint

State = dict[str, torch.Tensor]


class Weights:
    """Random weights, made when a layer is first asked for and kept under its name."""

    def __init__(self, seed: int = 0) -> None:
        self.state: State = {}
        self.generator = torch.Generator().manual_seed(seed)

    def random(self, name: str, *shape: int) -> torch.Tensor:
        if name not in self.state:
            fan_in = max(1, torch.Size(shape[1:]).numel())
            spread = 1.0 / fan_in**0.5 if len(shape) > 1 else 0.5
            self.state[name] = torch.randn(shape, generator=self.generator) * spread
        return self.state[name]

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.random(f"{name}.weight", x.shape[1]), self.random(f"{name}.bias", x.shape[1])
        return nnf.group_norm(x, 32, weight, bias, eps=1e-6)

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Over the last dimension."""
        return nnf.linear(
            x, self.random(f"{name}.weight", x.shape[-1], x.shape[-1]), self.random(f"{name}.bias", x.shape[-1])
        )


class CompVis(Weights):
    """AutoencoderKL of CompVis/latent-diffusion: ch 32, ch_mult (1, 2), two levels, attention in the last one."""

    def conv(
        self, x: torch.Tensor, name: str, outputs: int, kernel: int = 3, stride: int = 1, pad: int = 1
    ) -> torch.Tensor:
        weight = self.random(f"{name}.weight", outputs, x.shape[1], kernel, kernel)
        return nnf.conv2d(x, weight, self.random(f"{name}.bias", outputs), stride, pad)

    def block(self, x: torch.Tensor, name: str, outputs: int) -> torch.Tensor:
        y = self.conv(nnf.silu(self.norm(x, f"{name}.norm1")), f"{name}.conv1", outputs)
        y = self.conv(nnf.silu(self.norm(y, f"{name}.norm2")), f"{name}.conv2", outputs)
        return y + (x if x.shape[1] == outputs else self.conv(x, f"{name}.nin_shortcut", outputs, 1, pad=0))

    def attention(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y, width = self.norm(x, f"{name}.norm"), x.shape[1]
        q, k, v = (self.conv(y, f"{name}.{part}", width, 1, pad=0).flatten(2) for part in "qkv")
        weights = torch.softmax(q.transpose(1, 2) @ k * width**-0.5, dim=2)
        y = (v @ weights.transpose(1, 2)).view_as(x)
        return x + self.conv(y, f"{name}.proj_out", width, 1, pad=0)

    def middle(self, x: torch.Tensor, side: str) -> torch.Tensor:
        x = self.attention(self.block(x, f"{side}.mid.block_1", x.shape[1]), f"{side}.mid.attn_1")
        return self.block(x, f"{side}.mid.block_2", x.shape[1])

    def end(self, x: torch.Tensor, side: str, outputs: int) -> torch.Tensor:
        return self.conv(nnf.silu(self.norm(x, f"{side}.norm_out")), f"{side}.conv_out", outputs)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x, "encoder.conv_in", 32)
        x = self.block(x, "encoder.down.0.block.0", 32)
        x = self.conv(nnf.pad(x, (0, 1, 0, 1)), "encoder.down.0.downsample.conv", 32, stride=2, pad=0)
        x = self.attention(self.block(x, "encoder.down.1.block.0", 64), "encoder.down.1.attn.0")
        x = self.end(self.middle(x, "encoder"), "encoder", 8)
        return self.conv(x, "quant_conv", 8, 1, pad=0)[:, :4]

    def decode(self, z: torch.Tensor, channels: int) -> torch.Tensor:
        x = self.conv(self.conv(z, "post_quant_conv", 4, 1, pad=0), "decoder.conv_in", 64)
        x = self.middle(x, "decoder")
        for number in range(2):
            x = self.attention(self.block(x, f"decoder.up.1.block.{number}", 64), f"decoder.up.1.attn.{number}")
        x = self.conv(nnf.interpolate(x, scale_factor=2.0), "decoder.up.1.upsample.conv", 64)
        for number in range(2):
            x = self.block(x, f"decoder.up.0.block.{number}", 32)
        return self.end(x, "decoder", channels)


class PyramidFlow(Weights):
    """CausalVideoVAE of Pyramid-Flow: two levels; the first halves space and time."""

    def conv(
        self, x: torch.Tensor, name: str, outputs: int, kernel: int = 3, stride: tuple[int, ...] = (1, 1, 1)
    ) -> torch.Tensor:
        weight = self.random(f"{name}.conv.weight", outputs, x.shape[1], kernel, kernel, kernel)
        side = kernel // 2
        x = nnf.pad(x, (side, side, side, side, kernel - 1, 0))
        return nnf.conv3d(x, weight, self.random(f"{name}.conv.bias", outputs), stride)

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        frames = [super(PyramidFlow, self).norm(x[:, :, t], name) for t in range(x.shape[2])]
        return torch.stack(frames, dim=2)

    def block(self, x: torch.Tensor, name: str, outputs: int) -> torch.Tensor:
        y = self.conv(nnf.silu(self.norm(x, f"{name}.norm1")), f"{name}.conv1", outputs)
        y = self.conv(nnf.silu(self.norm(y, f"{name}.norm2")), f"{name}.conv2", outputs)
        return y + (x if x.shape[1] == outputs else self.conv(x, f"{name}.conv_shortcut", outputs, 1))

    def attention(self, x: torch.Tensor, name: str) -> torch.Tensor:
        frames = []
        for t in range(x.shape[2]):
            places = super().norm(x[:, :, t], f"{name}.group_norm").flatten(2).transpose(1, 2)
            q, k, v = (self.linear(places, f"{name}.to_{part}") for part in "qkv")
            y = torch.softmax(q @ k.transpose(1, 2) * x.shape[1] ** -0.5, dim=-1) @ v
            frames.append(self.linear(y, f"{name}.to_out.0").transpose(1, 2).view_as(x[:, :, t]))
        return x + torch.stack(frames, dim=2)

    def middle(self, x: torch.Tensor, side: str) -> torch.Tensor:
        x = self.block(x, f"{side}.mid_block.resnets.0", x.shape[1])
        x = self.attention(x, f"{side}.mid_block.attentions.0")
        return self.block(x, f"{side}.mid_block.resnets.1", x.shape[1])

    def end(self, x: torch.Tensor, side: str, outputs: int) -> torch.Tensor:
        return self.conv(nnf.silu(self.norm(x, f"{side}.conv_norm_out")), f"{side}.conv_out", outputs)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block(self.conv(x, "encoder.conv_in", 32), "encoder.down_blocks.0.resnets.0", 32)
        x = self.conv(x, "encoder.down_blocks.0.downsamplers.0.conv", 32, stride=(1, 2, 2))
        x = self.conv(x, "encoder.down_blocks.0.temporal_downsamplers.0.conv", 32, stride=(2, 1, 1))
        x = self.middle(self.block(x, "encoder.down_blocks.1.resnets.0", 64), "encoder")
        return self.conv(self.end(x, "encoder", 8), "quant_conv", 8, 1)[:, :4]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        x = self.middle(self.conv(self.conv(z, "post_quant_conv", 4, 1), "decoder.conv_in", 64), "decoder")
        for number in range(2):
            x = self.block(x, f"decoder.up_blocks.0.resnets.{number}", 64)
        x = self.conv(x, "decoder.up_blocks.0.upsamplers.0.conv", 4 * 64)
        x = torch.cat([nnf.pixel_shuffle(x[:, :, t], 2).unsqueeze(2) for t in range(x.shape[2])], dim=2)
        x = self.conv(x, "decoder.up_blocks.0.temporal_upsamplers.0.conv", 2 * 64)
        # channel 2 c of frame t is frame 2 t of channel c, channel 2 c + 1 is frame 2 t + 1; the very first is dropped
        frames = [x[:, half::2, t] for t in range(x.shape[2]) for half in (0, 1)][1:]
        x = self.block(torch.stack(frames, dim=2), "decoder.up_blocks.1.resnets.0", 32)
        return self.end(x, "decoder", 3)


def compvis_weights(channels: int = 3) -> CompVis:
    original = CompVis()
    original.decode(original.encode(torch.zeros(1, channels, 8, 8)), channels)
    return original


def pyramid_weights() -> PyramidFlow:
    original = PyramidFlow()
    original.decode(original.encode(torch.zeros(1, 3, 3, 8, 8)))
    return original


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    assert a.shape == b.shape
    torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("channels", "name"), [(3, "sd.ckpt"), (1, "radiodiff.pt")])
def test_compvis_gives_the_same_pictures(tmp_path: Path, channels: int, name: str) -> None:
    original = compvis_weights(channels)
    extra = {"loss.logvar": torch.zeros(1), "loss.discriminator.main.0.weight": torch.zeros(2, 2)}
    if channels == 3:
        content = {"state_dict": {f"first_stage_model.{k}": v for k, v in original.state.items()} | extra, "epoch": 3}
    else:
        content = {"model": original.state | extra, "step": 7, "scaler": None}
    torch.save(content, tmp_path / name)
    model = open_checkpoint(tmp_path / name)
    x = torch.rand(2, channels, 1, 16, 24) * 2 - 1
    mean, logvar = model.encode(x)
    close(mean[:, :, 0], original.encode(x[:, :, 0]))
    assert logvar is not None and model.channels == channels and model.factors == (1, 2, 2)
    close(model.decode(mean)[:, :, 0], original.decode(mean[:, :, 0], channels))


@pytest.mark.parametrize("frames", [1, 5])
def test_pyramid_flow_gives_the_same_clips(tmp_path: Path, frames: int) -> None:
    original = pyramid_weights()
    save_file(original.state, tmp_path / "vae.safetensors")
    model = open_checkpoint(tmp_path / "vae.safetensors")
    x = torch.rand(1, 3, frames, 8, 12) * 2 - 1
    mean, _ = model.encode(x)
    close(mean, original.encode(x))
    close(model.decode(mean), original.decode(mean))
    assert model.grid.first_frame_alone and model.factors == (2, 2, 2)


def test_pyramid_flows_training_file_with_its_settings_and_average(tmp_path: Path) -> None:
    raw, file = pyramid_weights(), tmp_path / "checkpoint.pth"
    averaged = {name: value / 2 for name, value in raw.state.items()}
    torch.save(
        {
            "model": {f"vae.{k}": v for k, v in raw.state.items()} | {"loss.logvar": torch.zeros(1)},
            "model_ema": {f"vae.{k}": v for k, v in averaged.items()},
            "args": argparse.Namespace(lr=1e-4),  # a class that weights_only refuses
        },
        file,
    )
    for ema, state in ((False, raw.state), (True, averaged)):
        weight = open_checkpoint(file, ema).module.get_parameter("decoder.conv_out.conv.weight")
        assert torch.equal(weight, state["decoder.conv_out.conv.weight"])


def test_radiodiffs_average_is_not_its_copy_of_the_raw_weights(tmp_path: Path) -> None:
    raw = compvis_weights(1).state
    averaged = {f"ema_model.{k}": v / 2 for k, v in raw.items()} | {f"online_model.{k}": v for k, v in raw.items()}
    torch.save({"model": raw, "ema": averaged | {"step": torch.tensor([3])}}, tmp_path / "model-3.pt")
    weight = open_checkpoint(tmp_path / "model-3.pt", ema=True).module.get_parameter("decoder.conv_in.weight")
    assert torch.equal(weight, raw["decoder.conv_in.weight"] / 2)


def test_pyramid_flows_published_folder_is_not_taken_for_our_class_of_the_same_name(tmp_path: Path) -> None:
    config = {"_class_name": "CausalVideoVAE", "encoder_block_out_channels": [32, 64], "encoder_norm_num_groups": 32}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(pyramid_weights().state, tmp_path / "diffusion_pytorch_model.safetensors")
    assert open_checkpoint(tmp_path).name == "PyramidFlowVAE"


def test_a_class_of_diffusers_with_settings_of_the_same_name_stays_itself(tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    channels = (8, 8, 8, 8)
    AutoencoderTiny(encoder_block_out_channels=channels, decoder_block_out_channels=channels).save_pretrained(tmp_path)
    assert open_checkpoint(tmp_path).name == "AutoencoderTiny"


class Harm:
    """Pickled, it asks whoever unpickles it to create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return make_file, (str(self.path),)


def make_file(path: str) -> None:
    Path(path).touch()


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before torch 1.6"])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, is_zip: bool) -> None:
    state = compvis_weights().state
    content = {"model": state, "args": argparse.Namespace(lr=1), "callbacks": Harm(tmp_path / "made")}
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=is_zip)
    opened = open_checkpoint(tmp_path / "a.ckpt")
    assert opened.name == "AutoencoderKL"
    assert torch.equal(opened.module.decoder.conv_out.weight, state["decoder.conv_out.weight"])
    assert not (tmp_path / "made").exists()


def damaged(tmp_path: Path) -> dict[str, Path]:
    state = compvis_weights().state
    whole = tmp_path / "whole.ckpt"
    torch.save({"state_dict": state}, whole)
    old = tmp_path / "old.ckpt"
    torch.save({"state_dict": state}, old, _use_new_zipfile_serialization=False)
    contents = {
        "empty.pt": b"",
        "binary.safetensors": bytes(range(256)),
        "cut.ckpt": whole.read_bytes()[:5000],
        "cut_old.pth": old.read_bytes()[:-5000],
        "cut_early.pth": old.read_bytes()[:50],
        "pointer.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
        "page.pth": b"\n<!doctype html><html></html>",
        "a.txt": b"x",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    torch.save({"decoder.weight": torch.zeros(2)}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({k: v for k, v in state.items() if "conv_out" not in k or "encoder" in k}, tmp_path / "part.pt")
    torch.save(state | {"quantize.embedding.weight": torch.zeros(4, 4)}, tmp_path / "vq.pt")
    torch.save({"encoder.stem.weight": torch.zeros(2, 2)}, tmp_path / "unknown.pt")
    torch.save({"encoder.down.0.block.0.norm1.weight": torch.zeros(2, 2)}, tmp_path / "nearly.pt")
    return {path.name: path for path in tmp_path.iterdir()}


def test_what_cannot_be_opened_is_said_in_one_sentence(tmp_path: Path) -> None:
    files = damaged(tmp_path)
    says = {"cut.ckpt": "cut off", "cut_old.pth": "cut off", "pointer.safetensors": "Git LFS", "page.pth": "a web page"}
    for name in set(files) - {"whole.ckpt", "old.ckpt"}:
        with pytest.raises(CheckpointError) as raised:
            open_checkpoint(files[name])
        text = str(raised.value)
        assert str(files[name]) in text and "\n" not in text and len(text) < 700, text
        assert says.get(name, "") in text
    with pytest.raises(CheckpointError, match="averaged weights"):
        open_checkpoint(files["whole.ckpt"], ema=True)


@pytest.mark.parametrize(
    ("path", "words"),
    [("nowhere/at/all", "does not exist"), (".", "holds no autoencoder")],
)
def test_places_without_a_checkpoint(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        find_checkpoint(tmp_path / path)


@given(st.integers(1, 6), st.data())
def test_no_two_weights_of_compvis_get_one_name(levels: int, data: st.DataObject) -> None:
    names = [
        f"{side}.{level}.{part}"
        for side, resize in (("encoder.down", "downsample"), ("decoder.up", "upsample"))
        for level in range(levels)
        for part in (
            "block.0.conv1.weight",
            "block.1.nin_shortcut.bias",
            "attn.0.proj_out.weight",
            f"{resize}.conv.bias",
        )
    ]
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    assert len({compvis.rename(name, levels) for name in chosen}) == len(chosen)


def test_a_file_of_weights_of_an_unknown_layout_names_the_known_ones(tmp_path: Path) -> None:
    torch.save({"encoder.stem.weight": torch.zeros(2, 2)}, tmp_path / "unknown.pt")
    with pytest.raises(CheckpointError, match=r"CompVis.*Pyramid-Flow.*save_pretrained"):
        convert_file(tmp_path / "unknown.pt")
