"""Faults of training with several processes, shown with two real ones (gloo).

The processes are started once; they run every scenario: without a fault, and with each fault put back. A check looks at one
scenario's result, and putting a fault back means to look at that of the fault.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from faults.fault import Fault
from forked_processes import ForkedRanks, finished
from small_training import batches, recorded_gradients, relative_distance, small_config, small_step, weights
from vaelab.errors import TrainError
from vaelab.models.discriminator import PatchGAN
from vaelab.models.types import Reconstruction
from vaelab.training import distributed
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep

CONFIG = small_config(model={"deterministic": True}, loss={"lecam_weight": 0.5, "kl_weight": 1e-3})
UPDATES = 2
Result = dict[str, Any]


# -- the faults, put back inside the processes


def discriminator_without_ddp(patch: pytest.MonkeyPatch) -> None:
    """Its gradients are never reduced (in Pyramid-Flow since the second backward of one DDP forward reduces nothing)."""
    real = TrainingStep._wrapped
    patch.setattr(
        TrainingStep, "_wrapped", lambda self, net, *rest: net if isinstance(net, PatchGAN) else real(self, net, *rest)
    )


def after_building(change: Callable[[TrainingStep], None]) -> Callable[[pytest.MonkeyPatch], None]:
    def put_back(patch: pytest.MonkeyPatch) -> None:
        real = TrainingStep.__init__

        def build(self: TrainingStep, *args: Any, **kw: Any) -> None:
            real(self, *args, **kw)
            if self.ranks.world > 1:
                change(self)

        patch.setattr(TrainingStep, "__init__", build)

    return put_back


def call_the_modules_inside(step: TrainingStep) -> None:
    step._forward, step._disc_forward = step._forward.module, step._disc_forward.module  # type: ignore[union-attr, assignment]


def call_encoder_and_decoder(step: TrainingStep) -> None:
    def forward(x: torch.Tensor, sample: bool) -> Reconstruction:
        mean, logvar = step.autoencoder.encode(x)
        return Reconstruction(step.autoencoder.decode(mean), mean, mean, logvar)

    step._forward = forward  # type: ignore[assignment]


def lecam_of_each_rank(patch: pytest.MonkeyPatch) -> None:
    real_pass, real_mean, inside = TrainingStep._discriminator_pass, Ranks.mean, [False]

    def discriminator_pass(self: TrainingStep, *args: Any) -> Any:
        inside[0] = True
        try:
            return real_pass(self, *args)
        finally:
            inside[0] = False

    patch.setattr(TrainingStep, "_discriminator_pass", discriminator_pass)
    patch.setattr(Ranks, "mean", lambda self, values: values if inside[0] else real_mean(self, values))


def nobody_compares(patch: pytest.MonkeyPatch) -> None:
    after_building(call_the_modules_inside)(patch)
    patch.setattr(Ranks, "check_equal", lambda self, networks: None)


SCENARIOS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "none": lambda patch: None,
    "PF-1": discriminator_without_ddp,
    "RD-1": after_building(call_the_modules_inside),
    "DF-3": after_building(call_encoder_and_decoder),
    "CS-1": after_building(lambda step: setattr(step, "_forward", step._forward.module)),
    "VT-3": lecam_of_each_rank,
    "nobody compares": nobody_compares,
}


def work(folder: Path) -> None:
    """One of the two processes: all scenarios, results into a file."""
    ranks = distributed.start("cpu")
    results = {}
    for name, put_back in SCENARIOS.items():
        with pytest.MonkeyPatch.context() as patch:
            put_back(patch)
            results[name] = train(ranks)
    torch.save(results, folder / f"{ranks.rank}.pt")
    distributed.stop()


def train(ranks: Ranks) -> Result:
    """A few updates of this process on its half of the data (or on all of them, as the only process)."""
    halves = [batches(CONFIG, UPDATES, seed) for seed in (0, 1)]
    together = [[torch.cat([a[0], b[0]])] for a, b in zip(*halves, strict=True)]
    step = small_step(CONFIG, ranks)
    with recorded_gradients() as record:
        for number, micro_batches in enumerate(together if ranks.world == 1 else halves[ranks.rank]):
            step(micro_batches, number)
    assert step.lecam is not None
    try:
        ranks.check_equal(step.networks())
        noticed = False
    except TrainError:
        noticed = True
    return {
        "gradients": [record[id(update)][0] for update in (step.generator_update, step.disc_update)],
        "weights": [weights(network) for _, network in step.networks()],
        "lecam": step.lecam.ema_real.item(),
        "noticed": noticed,
    }


# -- the checks


@cache
def of_both_ranks() -> list[dict[str, Result]]:
    """Results of the two processes: scenario -> result."""
    with tempfile.TemporaryDirectory() as folder:
        finished(ForkedRanks(work, Path(folder)))
        return [torch.load(Path(folder, f"{rank}.pt"), weights_only=True) for rank in (0, 1)]


LOOKED_AT = {"scenario": "none", "noticed in": "RD-1"}


def looking_at(scenario: str, what: str = "scenario") -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setitem(LOOKED_AT, what, scenario)


def check_two_ranks_train_as_one_process_on_the_joined_batch() -> None:
    first, second = (result[LOOKED_AT["scenario"]] for result in of_both_ranks())
    alone = train(Ranks())
    for ours, other, whole in zip(first["gradients"], second["gradients"], alone["gradients"], strict=True):
        assert relative_distance(ours, other) == 0, "the ranks' gradients differ"
        assert relative_distance(ours, whole) < 1e-4
    for mine, theirs in zip(first["weights"], second["weights"], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True)), "the ranks' weights differ"
    assert first["lecam"] == second["lecam"], "the ranks' LeCam differ"
    assert not first["noticed"]


def check_ranks_that_differ_are_noticed() -> None:
    assert all(result[LOOKED_AT["noticed in"]]["noticed"] for result in of_both_ranks())


SAME = check_two_ranks_train_as_one_process_on_the_joined_batch
FAULTS = [
    Fault("PF-1", "the discriminator's gradients are not reduced", SAME, looking_at("PF-1")),
    Fault("RD-1", "module.training_step bypasses DDP", SAME, looking_at("RD-1")),
    Fault("DF-3", "encode and decode of the unwrapped module", SAME, looking_at("DF-3")),
    Fault("CS-1", "the autoencoder's module is called without DDP", SAME, looking_at("CS-1")),
    Fault("VT-3", "each rank has a LeCam of its own", SAME, looking_at("VT-3")),
    Fault("5.3", "nobody compares the ranks' weights", check_ranks_that_differ_are_noticed,
          looking_at("nobody compares", "noticed in")),
]  # fmt: skip
