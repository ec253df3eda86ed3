"""Alignment of the latent to a frozen vision network: its formula, its gradient, its place in run and checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from small_training import batches, small_config, take_steps
from test_feature_discriminator import dino as dino
from vaelab.config import TrainConfig
from vaelab.config.load import checked
from vaelab.errors import ConfigError
from vaelab.losses.alignment import Alignment
from vaelab.losses.features import VisionTransformer
from vaelab.training.build import build_step
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.distributed import Ranks
from vaelab.training.smoke_identities import largest_difference

torch.set_num_threads(1)


def aligned(folder: Path | str | None, weight: float = 0.5, **more: Any) -> TrainConfig:
    loss = {"disc": "none", "alignment_weight": weight, "alignment_network": None if folder is None else str(folder)}
    return small_config(True, loss=loss, data={"resolution": (16, 24)}, **more)


def new_alignment(folder: Path) -> Alignment:
    torch.manual_seed(0)
    return Alignment(VisionTransformer(str(folder), "loss.alignment_network"), 4)


@torch.no_grad()
def test_the_loss_is_its_definition(dino: Path) -> None:
    alignment = new_alignment(dino)
    z, x = torch.randn(2, 4, 2, 3, 5), torch.rand(2, 3, 3, 12, 20) * 2 - 1
    expected = 0.0
    for clip in range(2):
        for latent, frame in ((0, 0), (1, 2)):
            features = alignment.network.on_grid(x[clip : clip + 1, :, frame], 3, 5)[-1][0]
            mapped = torch.einsum("oc,chw->ohw", alignment.projection.weight[:, :, 0, 0], z[clip, :, latent])
            f, m = (F.normalize(one.flatten(1), dim=0) for one in (features, mapped))
            near = torch.relu(0.5 - (f * m).sum(0)).mean()
            expected += float(near + torch.relu((m.T @ m - f.T @ f).abs() - 0.25).mean()) / 4
    assert float(alignment(z, x)) == pytest.approx(expected, rel=1e-4)
    assert float(alignment(z, x)) > 0


@torch.no_grad()
def test_it_is_zero_where_latents_are_what_the_network_sees(dino: Path) -> None:
    alignment = new_alignment(dino)
    x = torch.rand(1, 3, 1, 12, 20) * 2 - 1
    features = alignment.network.on_grid(x[:, :, 0], 3, 5)[-1]
    alignment.projection = torch.nn.Conv2d(16, 16, 1, bias=False)
    torch.nn.init.dirac_(alignment.projection.weight)
    assert float(alignment(features[:, :, None], x)) < 1e-5
    assert float(alignment(features[:, :, None].flip(-1), x)) > 1e-3 or float(alignment(-features[:, :, None], x)) > 1


def test_a_run_trains_the_map_and_the_encoder_and_goes_on_to_the_bit(dino: Path, tmp_path: Path) -> None:
    config = aligned(dino)
    torch.manual_seed(0)
    step = build_step(config, None, Ranks())
    assert step.alignment is not None
    assert [name for name, _ in step.alignment.named_parameters()] == ["projection.weight"]
    before = step.alignment.projection.weight.detach().clone()
    data = batches(config, 6)
    measured = take_steps(step, data[:3])
    rows = [{"step": n, **{name: float(value) for name, value in row.items()}} for n, row in enumerate(measured)]
    assert all(row["alignment_loss"] > 0 and row["alignment_weight"] == 0.5 for row in rows)
    assert largest_difference(rows, config)[0] < 1e-4
    assert not torch.equal(before, step.alignment.projection.weight)

    checkpoints = Checkpoints(tmp_path, 1, Ranks())
    path = checkpoints.save(step, 3, {})
    torch.manual_seed(9)
    resumed = build_step(config, None, Ranks())
    checkpoints.restore(resumed, path)
    ends = []
    for one in (step, resumed):
        take_steps(one, data[3:], first=3)
        assert one.alignment is not None
        ends.append([p.detach().clone() for p in (*one.autoencoder.parameters(), *one.alignment.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_its_gradient_reaches_the_encoder(dino: Path) -> None:
    gradients = []
    for weight in (0.5, 0.0):
        config = aligned(dino, weight, optim={"clip_grad": None})
        torch.manual_seed(0)
        step = build_step(config, None, Ranks())
        found: list[torch.Tensor] = []
        first = next(step.autoencoder.parameters())
        first.register_post_accumulate_grad_hook(lambda p, found=found: found.append(p.grad.clone()))
        take_steps(step, batches(config, 1))
        gradients.append(found[0])
    assert (gradients[0] - gradients[1]).norm() > 1e-3 * gradients[1].norm()


def test_settings_that_cannot_work_are_refused_with_the_reason(dino: Path) -> None:
    with pytest.raises(ConfigError, match="needs alignment_network: a folder with the weights of DINOv2"):
        checked({"loss": {"alignment_weight": 0.1}}, "a.yaml")
    frozen = {"loss": {"alignment_weight": 0.1, "alignment_network": str(dino)}, "model": {"freeze": "encoder"}}
    with pytest.raises(ConfigError, match="freeze=encoder keeps it as it is"):
        checked(frozen, "a.yaml")
    with pytest.raises(ConfigError, match=r"loss\.alignment_network /nowhere is no folder with config.json"):
        build_step(aligned("/nowhere"), None, Ranks())
