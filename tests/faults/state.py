"""Faults of checkpoints, resume, and of what a run does when its numbers are not finite."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from faults.fault import Fault
from faults.update import skip_in_silence
from small_training import same, small_config
from vaelab.losses import LeCam
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.distributed import Ranks
from vaelab.training.ema import EMA
from vaelab.training.step import TrainingStep
from vaelab.training.trainer import Trainer

CONFIG = small_config(
    loss={"disc_start": 1, "lecam_weight": 0.5, "lecam_decay": 0.9, "d_weight_ema": 0.5},
    optim={"ema_decay": 0.9},
    run={"steps": 6, "checkpoint_every": 3},
)


class Killed(Exception):  # noqa: N818 - it stands for the end of the process, not for an error
    """The process ends here."""


def final_state(folder: Path, killed_after: int | None) -> dict[str, Any]:
    """All that a run of six updates ends with; killed after so many updates and resumed, or not."""
    trainer = Trainer(CONFIG, folder, Ranks())
    if killed_after is not None:
        real = trainer.step

        def step(micro_batches: Any, number: int) -> Any:
            if number == killed_after:
                raise Killed
            return TrainingStep.__call__(real, micro_batches, number)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(trainer, "step", _Calling(real, step))
            trainer.run()
        trainer = Trainer(CONFIG, folder, Ranks(), resume=True)
    trainer.run()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clocks = ("time", "step_time", "data_time", "samples_per_second")
    assert trainer.step.ema is not None
    return {
        "rows": [{name: value for name, value in row.items() if name not in clocks} for row in rows],
        "networks": [dict(network.state_dict()) for _, network in trainer.step.networks()],
        "ema": dict(trainer.step.ema.network.state_dict()),
        "step": trainer.step.state_dict(),
        "position": trainer.counters.position,
    }


class _Calling:
    """The step, called in another way."""

    def __init__(self, step: TrainingStep, call: Callable[..., Any]) -> None:
        self._step, self._call = step, call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)


def check_a_killed_run_goes_on_as_if_nothing_had_happened() -> None:
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        whole, resumed = final_state(Path(first), None), final_state(Path(second), killed_after=4)
    for part in whole:
        assert same(resumed[part], whole[part]), f"{part} differs"


def after_restore(change: Callable[[TrainingStep, dict[str, Any]], None]) -> Callable[[pytest.MonkeyPatch], None]:
    """A resume that does one thing wrong."""

    def put_back(patch: pytest.MonkeyPatch) -> None:
        real = Checkpoints.restore

        def restore(self: Checkpoints, step: TrainingStep, path: Path) -> dict[str, Any]:
            plain = real(self, step, path)
            change(step, plain)
            return plain

        patch.setattr(Checkpoints, "restore", restore)

    return put_back


def ema_from_raw_weights(step: TrainingStep, plain: dict[str, Any]) -> None:
    assert step.ema is not None
    step.ema = EMA(step.autoencoder, step.ema.decay)


def generators_at_their_start(step: TrainingStep, plain: dict[str, Any]) -> None:
    torch.manual_seed(1024)


def position_of_the_loader(patch: pytest.MonkeyPatch) -> None:
    """The loader's own counter is saved, which is two batches ahead of training."""
    real = Checkpoints.save

    def save(self: Checkpoints, step: TrainingStep, done: int, plain: Mapping[str, Any]) -> Path:
        counters = {**plain["counters"], "position": plain["counters"]["position"] + 2 * CONFIG.run.batch_size}
        return real(self, step, done, {**plain, "counters": counters})

    patch.setattr(Checkpoints, "save", save)


def lecam_is_not_saved(patch: pytest.MonkeyPatch) -> None:
    real = TrainingStep.state_dict
    patch.setattr(TrainingStep, "state_dict", lambda self: {**real(self), "lecam": None})


def check_lecam_stands_still_in_evaluation_mode() -> None:
    lecam = LeCam(0.9)
    lecam.update(torch.tensor(1.0), torch.tensor(-1.0))
    lecam.eval().update(torch.tensor(5.0), torch.tensor(5.0))
    assert (lecam.ema_real.item(), lecam.ema_fake.item()) == (1.0, -1.0)


def validation_moves_lecam(patch: pytest.MonkeyPatch) -> None:
    real = LeCam.update
    patch.setattr(LeCam, "update", lambda self, *means: real(self.train(), *means))


def check_a_run_of_nan_is_stopped_and_names_its_batches() -> None:
    config = CONFIG.model_copy(update={"optim": CONFIG.optim.model_copy(update={"max_non_finite": 3})})
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder), Ranks())
        trainer.step.autoencoder.last_layer.data.fill_(math.nan)
        outcome = trainer.run()
        events = [json.loads(line) for line in Path(folder, "events.jsonl").read_text().splitlines()]
    assert outcome.reason == "stopped" and outcome.done == 3
    named = [event["batch"] for event in events if event["event"] == "non_finite"]
    assert len(named) == 3 and all(len(batch) == 2 and "moving-shapes" in batch[0] for batch in named)


def check_each_rank_has_noise_of_its_own() -> None:
    seeds = []
    for rank in (0, 1):
        with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
            trainer = Trainer(CONFIG, Path(folder), Ranks(rank=rank))
            seeds.append((torch.rand(1).item(), trainer.step.autoencoder.last_layer.sum().item()))
    assert seeds[0][0] != seeds[1][0], "all ranks draw the same noise"
    assert seeds[0][1] == seeds[1][1], "the networks must start equal"


def one_seed_for_all_ranks(patch: pytest.MonkeyPatch) -> None:
    real = torch.manual_seed
    patch.setattr(torch, "manual_seed", lambda seed: real(min(seed, 1)))


RESUME = check_a_killed_run_goes_on_as_if_nothing_had_happened
FAULTS = [
    Fault("WF-4", "resume loses the EMA", RESUME, after_restore(ema_from_raw_weights)),
    Fault("WF-4", "resume repeats the first epoch's order", RESUME,
          after_restore(lambda step, plain: plain["counters"].update(position=0))),
    Fault("WF-5", "the saved position is that of the prefetching loader", RESUME, position_of_the_loader),
    Fault("PF-3", "resume counts steps from 0, so that disc_start moves away", RESUME,
          after_restore(lambda step, plain: plain["counters"].update(done=0))),
    Fault("OS-6", "resume draws the same random numbers again", RESUME,
          after_restore(generators_at_their_start)),
    Fault("VT-3", "LeCam is not in the checkpoint", RESUME, lecam_is_not_saved),
    Fault("VT-3", "validation moves LeCam", check_lecam_stands_still_in_evaluation_mode, validation_moves_lecam),
    Fault("WF-10", "a model of NaN trains for ever", check_a_run_of_nan_is_stopped_and_names_its_batches,
          skip_in_silence),
    Fault("WF-11", "all ranks draw the same noise", check_each_rank_has_noise_of_its_own, one_seed_for_all_ranks),
]  # fmt: skip
