"""Two real processes over gloo: the same gradients as one process on the joined batch, and a run under torchrun that survives a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import ddp_worker
from forked_processes import Forked, ForkedRanks, finished, torchrun, vaelab
from small_runs import command, environment, events, rows, small, written

Found = dict[str, dict[str, Any]]
Both = tuple[Found, Found]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """What one process and what two found in every case of the worker."""
    one, two = (tmp_path_factory.mktemp("ddp") / name for name in ("one", "two"))
    finished(Forked(ddp_worker.main, one))
    finished(ForkedRanks(ddp_worker.main, two))
    return torch.load(one, weights_only=True), torch.load(two, weights_only=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two processes that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    config = written(folder / "small.yaml", small(run__steps=40, run__log_every=1, run__check_ranks_every=5))
    finished(ForkedRanks(vaelab, "train", config, "-o", folder / "run"))
    return folder / "run"


def largest_difference(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    """Relative to the largest value of each tensor."""
    return max(
        float((x - y).abs().max() / y.abs().max().clamp(min=1e-12)) for x, y in zip(a, b, strict=True) if x.numel()
    )


@pytest.mark.parametrize("case", ["adaptive", "fixed", "equivariance"])
def test_gradients_of_both_networks_equal_one_process(both: Both, case: str) -> None:
    one, two = (found[case] for found in both)
    assert len(one["gradients"]) == 4  # both networks, two updates
    for a, b in zip(two["gradients"], one["gradients"], strict=True):
        assert largest_difference(a, b) < 2e-3
    assert two["equal"]
    for a, b in zip(two["measured"], one["measured"], strict=True):
        # d_weight from the mean gradient over ranks, not from each rank's own
        assert a == pytest.approx(b, rel=1e-3, abs=1e-5)


def test_fifty_updates_with_all_that_has_a_state_equal_one_process(both: Both) -> None:
    """Spectral norm, learned logvar, LeCam, the smoothed adaptive weight and accumulation, from the first update over the start of the
    GAN. What float32 rounds differently, 1e-7 in the first update, grows from update to update: at the end logits of a size of 1 are
    1e-3 apart, and logvar, which no such growth reaches, 1e-6."""
    one, two = (found["long"] for found in both)
    assert two["equal"] and len(two["measured"]) == 50
    for number, (a, b) in enumerate(zip(two["measured"], one["measured"], strict=True)):
        assert a == pytest.approx(b, rel=2e-2, abs=5e-3 if number >= 15 else 1e-4)
    assert largest_difference(two["weights"], one["weights"]) < 1e-2
    (logvar, lecam), (logvar_of_one, lecam_of_one) = (
        [{name: float(value) for name, value in state.items()} for state in found["states"]] for found in (two, one)
    )
    assert logvar == pytest.approx(logvar_of_one, rel=1e-4) and logvar["logvar"] != 0
    assert lecam == pytest.approx(lecam_of_one, rel=2e-2) and lecam["ema_real"] != 0


def test_an_encoder_that_is_frozen_on_the_way_is_left_out_of_ddp(both: Both) -> None:
    one, two = (found["freeze"] for found in both)
    first, second = (sum(g.numel() == 0 for g in two["gradients"][update]) for update in (0, 2))
    assert first == 0 < second, "weights without a gradient, before and after"
    for a, b in zip(two["gradients"], one["gradients"], strict=True):
        assert largest_difference(a, b) < 2e-3
    assert two["equal"]


def test_the_comparison_sees_a_bypassed_ddp(both: Both) -> None:
    one, two = both[0]["plain"], both[1]["bypass"]
    assert not two["equal"], "the check of the ranks' weights must find it"
    assert max(largest_difference(a, b) for a, b in zip(two["gradients"], one["gradients"], strict=True)) > 0.05


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def test_a_killed_rank_is_restarted_and_the_run_goes_on(whole: Path, tmp_path: Path) -> None:
    folder, config = tmp_path / "run", whole.parent / "small.yaml"
    process = Forked(torchrun, 2, "train", config, "-o", folder)
    while not list((folder / "checkpoints").glob("step-*")) and process.poll() is None:
        time.sleep(0.02)
    workers = children(process.pid)
    assert len(workers) >= 2, process.output
    os.kill(workers[-1], signal.SIGKILL)
    finished(process)
    assert [event["event"] for event in events(folder)].count("resume") == 1
    assert [row["step"] for row in rows(folder)] == list(range(40))
    assert rows(folder) == rows(whole)


def test_images_among_clips_may_leave_temporal_weights_without_gradient(both: Both) -> None:
    """AutoencoderKLWan does not run its temporal layers on single images."""
    one, two = (found["wan"] for found in both)
    on_clips, on_images = (sum(not g.any() for g in two["gradients"][update]) for update in (0, 2))
    assert on_images > on_clips and two["equal"]
    for a, b in zip(two["measured"], one["measured"], strict=True):
        assert a == pytest.approx(b, rel=1e-2, abs=1e-4)


def test_one_process_writes_and_each_draws_noise_of_its_own(whole: Path) -> None:
    assert [row["step"] for row in rows(whole)] == list(range(40))
    saved = whole / "checkpoints" / "step-00000040"
    assert {p.name for p in saved.glob("rank-*.pt")} == {"rank-0.pt", "rank-1.pt"}
    noise = [torch.load(path, weights_only=True)["torch"] for path in sorted(saved.glob("rank-*.pt"))]
    assert not torch.equal(*noise), "the ranks must draw different noise"


def test_bad_data_on_every_rank_ends_in_one_sentence(tmp_path: Path) -> None:
    config = written(tmp_path / "small.yaml", small(data__source="images", data__path=str(tmp_path / "nothing")))
    done = subprocess.run(
        command("train", config, "-o", tmp_path / "run"), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nothing" in done.stderr
