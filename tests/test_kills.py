"""Two processes in half precision, killed with SIGKILL at random moments, some of them while a checkpoint is written: the run that goes
on has the numbers of one that was never interrupted, bit for bit. `make kills` does it at 20 moments a precision."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forked_processes import ForkedRanks, finished, vaelab
from small_runs import events, rows, small, written

MOMENTS = int(os.environ.get("VAELAB_KILLS", "2"))
# a very small model: fp16 is slow on a CPU
SETTINGS = {
    "run__log_every": 1, "run__checkpoint_every": 3, "run__check_ranks_every": 5, "run__validate_every": 25, "run__batch_size": 1,
    "optim__accumulate": 2, "data__resolution": [16, 16], "loss__disc_layers": 1, "data__val_samples": 2,
}  # fmt: skip


def killed_when(moment: Callable[[], bool], delay: float, arguments: list[str]) -> bool:
    """Whether the run was still going when it was killed, ``delay`` seconds after ``moment``."""
    run = ForkedRanks(vaelab, *arguments)
    while run.poll() is None and not moment():
        time.sleep(0.01)
    time.sleep(delay)
    if run.poll() is not None:
        finished(run)
        return False
    run.kill()
    return True


# torch has fp16 on a CPU too, for all layers of this model and with the loss scaling of a GPU
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_two_processes_killed_at_random_moments(precision: str, tmp_path: Path) -> None:
    config = written(
        tmp_path / "small.yaml", small(optim__precision=precision, run__steps=max(20, 5 * MOMENTS), **SETTINGS)
    )
    whole, folder = tmp_path / "whole", tmp_path / "run"
    finished(ForkedRanks(vaelab, "train", config, "-o", whole))
    chance = random.Random(precision)
    arguments = ["train", str(config), "-o", str(folder), "--resume"]

    def logged() -> int:
        path = folder / "metrics.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def is_saving() -> bool:
        return any((folder / "checkpoints").glob(".unfinished-*"))

    def resumed() -> int:
        return sum(event["event"] in ("start", "resume") for event in events(folder)) if logged() else 0

    for number in range(MOMENTS):
        starts, target = resumed(), logged() + chance.randrange(2, 9)
        leftover = is_saving()  # of the kill before: it is removed when the run goes on

        def at_a_row(starts: int = starts, target: int = target) -> bool:
            return resumed() > starts and logged() >= target

        def in_a_save(starts: int = starts, leftover: bool = leftover) -> bool:
            return is_saving() and (not leftover or resumed() > starts)

        moment = in_a_save if number % 2 else at_a_row
        if not killed_when(moment, chance.random() * 0.03, arguments):
            break  # the end was reached
    finished(ForkedRanks(vaelab, *arguments))
    assert rows(folder) == rows(whole)
    assert not list((folder / "checkpoints").glob(".unfinished-*"))
    count = sum(event["event"] == "resume" for event in events(folder))
    print(f"{precision}: killed {number + 1} times, resumed {count} times from a checkpoint")
