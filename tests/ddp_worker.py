"""One process of the DDP tests, or the single process they are compared with.

usage: ddp_worker.py OUT adaptive|fixed ACCUMULATE [--bypass] [--freeze] [--long]
Takes its share of a fixed joined batch, makes two updates, and rank 0 saves the gradients before each update, the weights
after them, and what was measured. --long: 50 updates with spectral norm, of the start of the GAN too, without the gradients.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from small_runs import small
from vaelab.training import distributed
from vaelab.training.build import build_step
from vaelab.training.update import Updater

JOINED = 4
LONG = 50
EPS = 1e-4  # of Adam: with its usual 1e-8 a gradient that is nothing but rounding moves a weight as far as any other


def main(out: Path, mode: str, accumulate: int, bypass: bool, freeze: bool, long: bool) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    ranks = distributed.start("cpu")
    start = {} if long else {"loss__disc_start": 0, "loss__disc_warmup": 0}
    norm = {"loss__disc_norm": "spectral", "optim__disc_lr": 2e-4, "run__steps": LONG} if long else {}
    config = small(loss__disc_weight_mode=mode, model__deterministic=True, **start, **norm)
    if freeze:  # in the second update
        model = config.model.model_copy(update={"freeze": "encoder", "freeze_from": 1})
        config = config.model_copy(update={"model": model})
    torch.manual_seed(0)
    step = build_step(config, None, ranks)
    if bypass:
        step._forward, step._disc_forward = step.autoencoder, step.discriminator
    gradients: list[list[torch.Tensor]] = []
    apply = Updater.apply

    def recorded(self: Updater, lr: float):
        if long:
            self.optimizer.param_groups[0]["eps"] = EPS
            return apply(self, lr)
        gradients.append([torch.zeros(0) if p.grad is None else p.grad.detach().clone() for p in self.parameters])
        return apply(self, lr)

    Updater.apply = recorded  # type: ignore[method-assign]
    data = torch.Generator().manual_seed(1)
    measured = []
    for number in range(LONG if long else 2):
        joined = torch.rand(JOINED * accumulate, 3, 1, 32, 32, generator=data) * 2 - 1
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
    if ranks.is_main:
        weights = [p.detach() for _, network in step.networks() for p in network.parameters()]
        states = [step.objective.state_dict(), {} if step.lecam is None else step.lecam.state_dict()]
        found = {"gradients": gradients, "weights": weights, "measured": measured, "equal": equal, "states": states}
        torch.save(found, out)
    distributed.stop()


if __name__ == "__main__":
    options = ("--bypass" in sys.argv, "--freeze" in sys.argv, "--long" in sys.argv)
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *options)
