"""The cases of the DDP tests in one process: one of two, or the single one they are compared with.

Each case takes this process's share of a fixed joined batch for some updates. Rank 0 saves for each the gradients before every
update, the weights after them, and what was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from small_runs import SETTINGS, small
from vaelab.config import TrainConfig
from vaelab.training import distributed
from vaelab.training.build import build_step
from vaelab.training.distributed import Ranks
from vaelab.training.update import Applied, Updater

JOINED = 4
LONG = 50
EPS = 1e-4  # of Adam: with its usual 1e-8 a gradient that is nothing but rounding moves a weight as far as any other
# in a narrower network what float32 rounds differently grows faster
NETWORK = SETTINGS["model"]["config"] | {"block_out_channels": [16, 16], "layers_per_block": 2, "norm_num_groups": 8}
AT_ONCE = {"loss__disc_start": 0, "loss__disc_warmup": 0}
WAN: dict[str, Any] = {
    "base_dim": 4, "z_dim": 4, "dim_mult": [1, 2], "num_res_blocks": 1, "temperal_downsample": [True],
}  # fmt: skip


class Case(NamedTuple):
    """settings: changes of ``small``. model: further ones of the section model. bypass: call the networks outside their DDP wrappers.
    images: every other update is on single frames."""

    settings: dict[str, Any]
    accumulate: int = 1
    updates: int = 2
    model: dict[str, Any] | None = None
    bypass: bool = False
    images: bool = False

    @property
    def config(self) -> TrainConfig:
        config = small(model__deterministic=True, **{"model__config": NETWORK, **self.settings})
        return config.model_copy(update={"model": config.model.model_copy(update=self.model)})


CASES = {
    "adaptive": Case({"loss__disc_weight_mode": "adaptive", **AT_ONCE}),
    "fixed": Case({"loss__disc_weight_mode": "fixed", **AT_ONCE}, accumulate=2),
    # spectral norm, and the start of the GAN; without the gradients
    "long": Case(
        {"loss__disc_norm": "spectral", "optim__disc_lr": 2e-4, "run__steps": LONG, "data__resolution": [16, 16]},
        accumulate=2, updates=LONG,
    ),
    # in the second update
    "freeze": Case(
        {"loss__disc_weight_mode": "fixed", **AT_ONCE}, model={"freeze": "encoder", "freeze_from": 1}
    ),
    "equivariance": Case({"loss__equivariance_weight": 0.5, "loss__disc_weight_mode": "fixed", **AT_ONCE}),
    "plain": Case({"loss__disc_weight_mode": "fixed", **AT_ONCE}),
    "bypass": Case({"loss__disc_weight_mode": "fixed", **AT_ONCE}, bypass=True),
    # does not run its temporal layers on single images
    "wan": Case(
        {"model__type": "AutoencoderKLWan", "model__config": WAN, "data__frames": 5, "data__image_share": 0.5,
         "data__resolution": [16, 16], "loss__disc_layers": 1, **AT_ONCE},
        updates=4, images=True,
    ),
}  # fmt: skip


def taken(case: Case, ranks: Ranks, apply: Callable[[Updater, float], Applied]) -> dict[str, Any]:
    config, long = case.config, case.updates == LONG
    torch.manual_seed(0)
    step = build_step(config, None, ranks)
    if case.bypass:
        assert step.discriminator is not None
        step._forward, step._disc_forward = step.autoencoder, step.discriminator
    gradients: list[list[torch.Tensor]] = []

    def recorded(self: Updater, lr: float) -> Applied:
        if long:
            self.optimizer.param_groups[0]["eps"] = EPS
        else:
            gradients.append([torch.zeros(0) if p.grad is None else p.grad.detach().clone() for p in self.parameters])
        return apply(self, lr)

    Updater.apply = recorded  # type: ignore[method-assign]
    data = torch.Generator().manual_seed(1)
    measured = []
    for number in range(case.updates):
        frames = 1 if case.images and number % 2 else config.data.frames
        shape = (JOINED * case.accumulate, 3, frames, *config.data.resolution)
        joined = torch.rand(shape, generator=data) * 2 - 1
        size = JOINED // ranks.world
        parts = [chunk[ranks.rank * size : (ranks.rank + 1) * size] for chunk in joined.split(JOINED)]
        values = step(parts, number)
        names = sorted(values)
        packed = ranks.mean(torch.stack([values[name].float() for name in names]))
        measured.append(dict(zip(names, packed.tolist(), strict=True)))
    equal = True
    try:
        ranks.check_equal(step.networks())
    except Exception:
        equal = False
    weights = [p.detach() for _, network in step.networks() for p in network.parameters()]
    states = [step.objective.state_dict(), {} if step.lecam is None else step.lecam.state_dict()]
    return {"gradients": gradients, "weights": weights, "measured": measured, "equal": equal, "states": states}


def main(out: Path) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    ranks, apply = distributed.start("cpu"), Updater.apply
    found = {name: taken(case, ranks, apply) for name, case in CASES.items()}
    if ranks.is_main:
        torch.save(found, out)
    distributed.stop()
