"""CausalVideoVAE and the wrapper around it: shapes, exact causality, saving, checkpointing, errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.config.schema import ModelConfig
from vaelab.errors import ConfigError
from vaelab.models import Autoencoder, CausalVideoVAE, Grid, build_autoencoder, load_autoencoder
from vaelab.models.causal_layers import CausalConv3d, FrameNorm

torch.set_num_threads(1)

TINY = {
    "latent_channels": 4,
    "block_out_channels": [16, 16, 16],
    "layers_per_block": 1,
    "decoder_layers_per_block": 1,
    "spatial_downsample": [True, True],
    "temporal_downsample": [True, True],
    "norm_num_groups": 4,
}


def tiny(seed: int = 0, channels: int = 3, **changes: object) -> Autoencoder:
    """A tiny autoencoder whose residual branches do something: at the start they are zero."""
    torch.manual_seed(seed)
    model = build_autoencoder(ModelConfig(type="CausalVideoVAE", config={**TINY, **changes}), channels)
    for name, weight in model.named_parameters():
        if name.endswith(("conv2.weight", "out.weight")):
            torch.nn.init.normal_(weight, std=0.1)
    return model


@pytest.mark.parametrize(
    "changes, factors, size",
    [
        ({}, (4, 4, 4), (9, 16, 8)),
        ({"patch_size": 2}, (4, 8, 8), (5, 16, 24)),
        ({"temporal_downsample": [False, True]}, (2, 4, 4), (7, 8, 8)),
        ({"spatial_downsample": [False, True], "mid_attention": False}, (4, 2, 2), (5, 6, 8)),
        (
            {
                "block_out_channels": [8, 8, 8, 16],
                "spatial_downsample": [True] * 3,
                "temporal_downsample": [True] * 3,
                "latent_channels": 16,
            },
            (8, 8, 8),
            (17, 16, 16),
        ),
    ],
)
def test_shapes_and_factors(
    changes: dict[str, object], factors: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    model = tiny(**changes)
    assert model.factors == factors
    for frames in (1, size[0]):
        x = torch.randn(2, 3, frames, *size[1:])
        out = model(x)
        assert out.x.shape == x.shape and out.mean is not None and out.logvar is not None
        assert out.z.shape[1:] == model.latent_shape(frames, *size[1:])
        assert out.z.shape[2:] == (1 + (frames - 1) // factors[0], size[1] // factors[1], size[2] // factors[2])
        assert out.mean.shape == out.logvar.shape == out.z.shape


def test_defaults_are_the_size_of_pyramid_flow() -> None:
    with torch.device("meta"):
        module = CausalVideoVAE()
    assert module.grid == Grid(8, 8, 8) and module.config.latent_channels == 16
    assert 100e6 < sum(weight.numel() for weight in module.parameters()) < 500e6


def test_patches_leave_no_grid_in_a_plain_area() -> None:
    model = tiny(patch_size=2, mid_attention=False).eval()
    with torch.no_grad():
        z = torch.ones(1, model.latent_channels, 1, 40, 40)
        inner = model.decode(z)[0, :, 0, 152:-152, 152:-152]  # out of the borders' reach
    assert inner.std(dim=(1, 2)).max() < 1e-4 * inner.abs().max(), "each pixel of a patch is made by the same weights"


def test_layers_for_fine_detail_start_at_zero_and_learn() -> None:
    model = build_autoencoder(ModelConfig(type="CausalVideoVAE", config={**TINY, "patch_size": 2}), 3)
    decoder = model.module.decoder
    assert not decoder.detail_out.weight.any() and model.last_layer is decoder.conv_out.weight  # type: ignore[union-attr]
    model(torch.rand(1, 3, 1, 16, 16)).x.square().mean().backward()
    assert decoder.detail_out.weight.grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("patch_size", [1, 2])
def test_causality_is_exact(patch_size: int) -> None:
    """Changing the last frame changes the last latent alone; changing the last latent the last chunk alone."""
    model = tiny(patch_size=patch_size).eval()
    x = torch.randn(2, 3, 9, 16, 16)
    with torch.no_grad():
        before, _ = model.encode(x)
        changed = x.clone()
        changed[:, :, -1] += 1
        after, _ = model.encode(changed)
        assert torch.equal(before[:, :, :-1], after[:, :, :-1]) and not torch.equal(before[:, :, -1], after[:, :, -1])

        clip = model.decode(before)
        z = before.clone()
        z[:, :, -1] += 1
        moved = model.decode(z)
        assert torch.equal(clip[:, :, :-4], moved[:, :, :-4])
        assert all(not torch.equal(clip[:, :, t], moved[:, :, t]) for t in range(-4, 0))


def test_every_chunk_depends_on_the_first_frame_and_all_of_its_own() -> None:
    model = tiny().eval()
    x = torch.randn(1, 3, 5, 8, 8, requires_grad=True)
    mean, _ = model.encode(x)
    (gradient,) = torch.autograd.grad(mean[:, :, 1].square().sum(), x)
    assert all(gradient[:, :, t].abs().max() > 0 for t in range(5))


def test_an_image_is_the_first_frame_of_a_clip() -> None:
    model = tiny().eval()
    x = torch.randn(2, 3, 9, 16, 16)
    with torch.no_grad():
        image, clip = model.encode(x[:, :, :1])[0], model.encode(x)[0]
        torch.testing.assert_close(image, clip[:, :, :1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model.decode(clip[:, :, :1]), model.decode(clip)[:, :, :1], rtol=1e-4, atol=1e-5)


def test_one_frame_takes_the_short_way_of_the_convolution_to_the_same_result() -> None:
    conv = CausalConv3d(4, 6, (3, 3), (2, 2))
    x = torch.randn(2, 4, 1, 8, 8)
    padded = torch.cat([x, x, x], dim=2)
    expected = torch.nn.functional.conv3d(padded, conv.weight, conv.bias, stride=2, padding=(0, 1, 1))
    torch.testing.assert_close(conv(x), expected, rtol=1e-5, atol=1e-6)


def test_frames_are_normalised_by_themselves() -> None:
    norm, x = FrameNorm(2, 4), torch.randn(2, 4, 3, 5, 5)
    alone = torch.stack([torch.nn.functional.group_norm(x[:, :, t], 2, eps=norm.eps) for t in range(3)], dim=2)
    torch.testing.assert_close(norm(x), alone)


def test_memory_layout_does_not_change_the_result() -> None:
    model = tiny().eval()
    x = torch.randn(2, 3, 5, 16, 16)
    with torch.no_grad():
        plain = model(x, sample=False).x
        model.to(memory_format=torch.channels_last_3d)
        torch.testing.assert_close(model(x, sample=False).x, plain, rtol=1e-4, atol=1e-5)


def test_saved_model_loads_bit_equal(tmp_path: Path) -> None:
    model = tiny().eval()
    x = torch.randn(1, 3, 5, 8, 8)
    model.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "diffusion_pytorch_model.safetensors"]
    with torch.no_grad():
        expected = model(x, sample=False).x
        assert torch.equal(load_autoencoder(tmp_path).eval()(x, sample=False).x, expected)
        assert torch.equal(CausalVideoVAE.from_pretrained(tmp_path).eval()(x).sample, expected)
        pretrained = build_autoencoder(ModelConfig(pretrained=str(tmp_path)), 3)
        assert torch.equal(pretrained.eval()(x, sample=False).x, expected)


def test_one_channel_model_is_found_when_loaded(tmp_path: Path) -> None:
    tiny(channels=1).save(tmp_path)
    assert load_autoencoder(tmp_path).channels == 1
    with pytest.raises(ConfigError, match=r"takes pixels of 1 channels, but data.channels is 3"):
        build_autoencoder(ModelConfig(pretrained=str(tmp_path)), 3)


def test_checkpointing_gives_equal_gradients() -> None:
    plain, checkpointed = tiny().train(), tiny().train()
    checkpointed.enable_checkpointing()
    module = checkpointed.module
    assert isinstance(module, CausalVideoVAE)
    calls = []
    for stack in (module.encoder, module.decoder):
        inner = stack._gradient_checkpointing_func
        stack._gradient_checkpointing_func = lambda *a, inner=inner: (calls.append(1), inner(*a))[1]
    x = torch.randn(2, 3, 5, 8, 8)
    for model in (plain, checkpointed):
        model(x, generator=torch.Generator().manual_seed(3)).x.square().mean().backward()
    assert len(calls) == len(module.encoder.blocks) + len(module.decoder.blocks)
    for (name, one), other in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        assert torch.equal(one.grad, other.grad), name


def test_sampling_is_mean_plus_std_times_noise() -> None:
    model = tiny()
    x = torch.randn(2, 3, 5, 8, 8)
    out = model(x, generator=torch.Generator().manual_seed(7))
    noise = torch.randn(out.mean.shape, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(out.z, out.mean + torch.exp(0.5 * out.logvar) * noise)
    assert torch.equal(out.x, model(x, generator=torch.Generator().manual_seed(7)).x)
    assert not torch.equal(out.z, model(x).z)
    still = model(x, sample=False)
    assert torch.equal(still.z, still.mean)


def test_deterministic_setting_never_samples() -> None:
    model = build_autoencoder(ModelConfig(type="CausalVideoVAE", config=TINY, deterministic=True), 3)
    out = model(torch.randn(1, 3, 5, 8, 8))
    assert model.deterministic and torch.equal(out.z, out.mean) and out.logvar is not None


def test_logvar_is_clamped() -> None:
    model = tiny()
    module = model.module
    assert isinstance(module, CausalVideoVAE) and module.encoder.conv_out.bias is not None
    with torch.no_grad():
        module.encoder.conv_out.bias[4:6] = 1e4
        module.encoder.conv_out.bias[6:] = -1e4
    logvar = model(torch.randn(1, 3, 1, 8, 8)).logvar
    assert set(logvar[:, :2].unique().tolist()) == {20.0} and set(logvar[:, 2:].unique().tolist()) == {-30.0}


def test_the_posterior_starts_narrow() -> None:
    model = build_autoencoder(ModelConfig(type="CausalVideoVAE", config=TINY), 3)
    logvar = model(torch.randn(1, 3, 5, 8, 8)).logvar
    assert torch.equal(logvar, torch.full_like(logvar, -4.0))


def test_gradient_reaches_the_last_layer_and_every_parameter() -> None:
    model = tiny()
    assert model.last_layer.shape[0] == 3
    model(torch.randn(1, 3, 5, 8, 8)).x.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in model.parameters())
    assert model.unused_parameters(1, 8, 8) == [] == model.unused_parameters(5, 8, 8)


def test_building_does_not_touch_the_random_state_or_the_mode() -> None:
    model = tiny().module
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    wrapped = Autoencoder(model.train(), 3)
    assert torch.equal(torch.rand(3), expected) and wrapped.training and model.training


def test_bf16_autocast_gives_float32_latents_and_pixels() -> None:
    model = tiny()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(torch.randn(1, 3, 5, 8, 8))
    parts = [part for part in out if part is not None]  # no moved picture was asked for
    assert len(parts) == len(out) - 1 and all(part.dtype == torch.float32 for part in parts)


@pytest.mark.parametrize(
    "size, message",
    [
        ((8, 8, 8), r"1 \+ a multiple of 4 frames, not 8: set data.frames to 5 or 9"),
        ((3, 8, 8), "set data.frames to 1 or 5"),
        ((5, 10, 8), "height that is a multiple of 4, not 10: set the height in data.resolution to 8 or 12"),
        ((5, 8, 2), "width that is a multiple of 4, not 2: set the width in data.resolution to 4"),
    ],
)
def test_a_clip_off_the_grid_is_refused_with_the_nearest_sizes(size: tuple[int, int, int], message: str) -> None:
    model = tiny()
    for attempt in (model.check_clip, lambda *s: model(torch.zeros(1, 3, *s)), model.latent_shape):
        with pytest.raises(ConfigError, match=message):
            attempt(*size)
    with pytest.raises(ConfigError, match=message):
        model.module(torch.zeros(1, 3, *size))


@given(
    st.integers(1, 8), st.integers(1, 16), st.integers(1, 3), st.booleans(), st.integers(1, 100), st.integers(1, 100)
)
@settings(max_examples=200, deadline=None)
def test_grid_names_sizes_that_are_valid(
    time: int, space: int, group: int, first: bool, frames: int, height: int
) -> None:
    grid = Grid(time, space, space, first_frame_alone=first, group=group)
    valid = frames >= 1 and (frames - first) % (group * time) == 0 and height % space == 0
    if valid:
        grid.check(frames, height, height, who="It")
        latents, rows, _ = grid.latent_size(frames, height, height)
        assert (latents - first) * time + first == frames and rows * space == height
        return
    with pytest.raises(ConfigError) as caught:
        grid.check(frames, height, height, who="It")
    named = [int(word) for word in str(caught.value).rsplit(" to ", 1)[1].split(" or ")]
    for size in named:
        if "frames" in str(caught.value):
            grid.check(size, space, space, who="It")
        else:
            grid.check(int(first) or group * time, size, space, who="It")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"spatial_downsample": [True]}, "need 2 values each.*they have 1 and 2"),
        ({"norm_num_groups": 5}, "norm_num_groups 5 does not divide.*set it to 16"),
        ({"block_channels": [16]}, "no argument 'block_channels'; did you mean block_out_channels"),
        ({"latent_channels": "four"}, "CausalVideoVAE cannot be built"),
    ],
)
def test_wrong_arguments_are_explained(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_autoencoder(ModelConfig(type="CausalVideoVAE", config={**TINY, **changes}), 3)
