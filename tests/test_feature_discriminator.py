"""A discriminator on frozen features, and differentiable augmentation of what a discriminator sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from small_training import batches, small_config, take_steps
from thin_vgg16 import save_one_file
from vaelab.config import TrainConfig
from vaelab.config.schema import LossConfig
from vaelab.errors import ConfigError
from vaelab.lint import lint
from vaelab.losses.features import VisionTransformer, build_features
from vaelab.models.augment import augmented, draw
from vaelab.training.build import build_any_discriminator, build_step
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.distributed import Ranks

torch.set_num_threads(1)
KINDS = ("colour", "translation", "cutout")


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny DINOv2 with random weights, as transformers saves it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, patch_size=4, image_size=16
    )
    folder = tmp_path_factory.mktemp("dino")
    transformers.Dinov2Model(settings).save_pretrained(folder)
    return folder


@pytest.fixture(params=["vgg16", "dino"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> TrainConfig:
    loss: dict[str, Any] = {"disc": "features", "disc_channels": 8, "disc_features": "vgg16"}
    if request.param == "dino":
        loss["disc_features"] = str(request.getfixturevalue("dino"))
    else:
        loss |= {"perceptual": "vgg16", "perceptual_weights": str(save_one_file(tmp_path / "vgg.pth"))}
    return small_config(True, loss=loss, data={"resolution": (16, 24)})


def test_each_depth_gives_logits_on_one_grid_and_the_network_is_no_part_of_the_training(config: TrainConfig) -> None:
    model = build_any_discriminator(config)
    x = torch.randn(2, 3, 3, 16, 24, requires_grad=True)
    logits = model(x)
    depths = len(model.heads)  # type: ignore[arg-type]
    assert logits.shape == (6, depths, 2, 3) and depths == (5 if config.loss.disc_features == "vgg16" else 4)
    logits.square().mean().backward()
    assert x.grad is not None and (x.grad.abs().amax((0, 1, 3, 4)) > 0).all()
    assert all(name.startswith("heads.") for name, _ in model.named_parameters())
    assert all(name.startswith("heads.") for name in model.state_dict())
    assert all(weight.grad is not None for weight in model.parameters())


def test_a_run_trains_the_heads_alone_and_goes_on_from_its_checkpoint(config: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    step = build_step(config, None, Ranks())
    data = batches(config, 4)
    assert step.discriminator is not None
    before = [value.clone() for value in step.discriminator.parameters()]
    rows = take_steps(step, data[:2])
    assert all(float(row["disc_loss"]) > 0 and float(row["finite"]) == 1 and float(row["d_weight"]) > 0 for row in rows)
    assert any(not torch.equal(a, b) for a, b in zip(before, step.discriminator.parameters(), strict=True))
    checkpoints = Checkpoints(tmp_path / "run", 1, Ranks())
    path = checkpoints.save(step, 2, {})
    assert all(name.startswith("heads.") for name in load_file(path / "discriminator.safetensors"))
    torch.manual_seed(5)
    resumed = build_step(config, None, Ranks())
    checkpoints.restore(resumed, path)
    ends = []
    for one in (step, resumed):
        take_steps(one, data[2:], first=2)
        ends.append([p.detach().clone() for _, network in one.networks() for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_what_moves_a_network_moves_its_hidden_features(dino: Path) -> None:
    features = VisionTransformer(str(dino), "loss.disc_features").double()
    maps = features(torch.zeros(1, 3, 10, 16, dtype=torch.float64))
    assert [one.shape for one in maps] == [(1, 16, 2, 4)] * 4 and maps[0].dtype == torch.float64
    assert not features.train().state_dict() and not features._hidden[0].training


def test_networks_that_cannot_be_had_are_one_sentence(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")

    def refused(folder: str | Path) -> str:
        with pytest.raises(ConfigError) as raised:
            build_features(LossConfig(disc="features", disc_features=str(folder)))
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "is no folder with config.json" in refused(tmp_path / "nowhere") and "stlpips-vgg" in refused("dino")
    transformers.ViTConfig(hidden_size=16).save_pretrained(tmp_path)
    assert "holds a model of type vit; known are dinov2" in refused(tmp_path)
    transformers.Dinov2Config(hidden_size=16).save_pretrained(tmp_path)
    assert "cannot be read" in refused(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "cannot be read" in refused(tmp_path)


def test_pictures_too_small_for_the_features_are_refused_before_the_run(tmp_path: Path) -> None:
    file = save_one_file(tmp_path / "vgg.pth")
    loss = {"disc": "features", "disc_features": "vgg16", "perceptual": "vgg16", "perceptual_weights": str(file)}
    with pytest.raises(ConfigError, match="too small"):
        build_step(small_config(loss=loss), None, Ranks())


def test_settings_without_effect_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("base: video-tiny\nloss:\n  disc: features\n  disc_norm: instance\n  disc_layers: 2\n")
    named = " ".join(finding.message for report in lint(str(file)) for finding in report.findings)
    assert "disc_norm" in named and "disc_layers" in named
    file.write_text("base: video-tiny\nloss:\n  disc_features: vgg16\n")
    assert "disc_features" in " ".join(finding.message for report in lint(str(file)) for finding in report.findings)


# -- augmentation


def test_nothing_is_drawn_or_changed_where_it_is_off() -> None:
    x = torch.randn(2, 3, 1, 8, 8)
    torch.manual_seed(0)
    assert augmented(x, draw((), 2, x.device)) is x
    drawn = torch.rand(())
    torch.manual_seed(0)
    assert torch.equal(torch.rand(()), drawn)


@pytest.mark.parametrize("kind", KINDS)
def test_all_frames_of_a_clip_move_alike_and_gradients_pass(kind: str) -> None:
    torch.manual_seed(1)
    frame = torch.rand(16, 3, 1, 16, 24) * 2 - 1
    x = frame.expand(-1, -1, 3, -1, -1).clone().requires_grad_()
    result = augmented(x, draw((kind,), len(x), x.device))
    assert result.shape == x.shape and torch.allclose(result[:, :, 0], result[:, :, 2], atol=1e-5)
    assert not torch.equal(result, x) and len({float(one.detach().sum()) for one in result}) == len(x)
    result.square().sum().backward()
    assert x.grad is not None and x.grad.abs().max() > 0


def test_translation_moves_by_an_eighth_at_most_and_fills_with_zero() -> None:
    torch.manual_seed(0)
    x = torch.arange(1.0, 16 * 24 + 1).view(1, 1, 1, 16, 24).expand(200, 1, 1, 16, 24)
    shifts = set()
    for one in augmented(x, draw(("translation",), 200, x.device))[:, 0, 0]:
        place = (one == float(x[0, 0, 0, 8, 12])).nonzero()
        shifts.add((int(place[0, 0]) - 8, int(place[0, 1]) - 12))
        down, across = int(place[0, 0]) - 8, int(place[0, 1]) - 12
        assert torch.equal(one.roll((-down, -across), (0, 1))[2:-2, 3:-3], x[0, 0, 0, 2:-2, 3:-3])
        assert (one == 0).sum() == 16 * 24 - (16 - abs(down)) * (24 - abs(across))
    assert {down for down, _ in shifts} == {*range(-2, 3)} and {across for _, across in shifts} == {*range(-3, 4)}


def test_cutout_takes_at_most_a_quarter() -> None:
    torch.manual_seed(0)
    share = (augmented(torch.ones(100, 1, 1, 16, 16), draw(("cutout",), 100, torch.device("cpu"))) == 0).flatten(1)
    share = share.float().mean(1)
    assert share.min() > 0.03 and share.max() <= 0.25 and share.std() > 0


def test_data_and_reconstruction_are_augmented_alike_in_the_discriminators_step() -> None:
    config = small_config(loss={"disc_augment": ["cutout", "translation"]}, data={"resolution": (16, 16)})
    torch.manual_seed(0)
    step = build_step(config, None, Ranks())
    assert step.discriminator is not None
    seen: list[torch.Tensor] = []
    step.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    take_steps(step, batches(config, 3))
    gaps = []
    for joined in (one for one in seen if len(one) == 2 * config.run.batch_size):
        real, fake = joined.chunk(2)
        assert torch.equal(real == 0, fake == 0)
        gaps.append((real == 0).float().mean())
    assert len(gaps) == 3 and max(gaps) > 0.05
