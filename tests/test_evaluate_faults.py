"""Faults planted into a small trained model are each named by their code and cause; the healthy twin is not blamed."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch

from evaluate_models import CLIP, FAULTS, faulty, healthy, held_out
from vaelab.data import open_data
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.evaluation.clip_scores import ClipScores
from vaelab.evaluation.clips import Clips
from vaelab.evaluation.evaluate import chunk_frames, evaluate
from vaelab.evaluation.result import judge
from vaelab.evaluation.scores import ClipTable, measured, stack
from vaelab.models import Autoencoder
from vaelab.models.grid import Grid
from vaelab.rules import ALL_RULES
from vaelab.rules.base import Finding
from vaelab.run import Run

CAUSES = {
    "checkerboard": "B5", "frozen": "B10", "blurred": "B1", "noisy": "B4", "colour": "B6", "range_0_1": "A1",
    "range_0_255": "A1", "inverted": "A1", "ghost": "A8", "flicker": "B9", "dead": "B8", "nan": "F1",
}  # fmt: skip


@cache
def tables() -> dict[str, ClipTable]:
    models = {"healthy": healthy()} | {name: faulty(name) for name in FAULTS}
    return {table.title: table for table in evaluate(models, held_out(5)).tables}


def judged(name: str) -> Diagnosis:
    return judge(tables()[name])


def test_the_healthy_twin_is_not_blamed() -> None:
    diagnosis = judged("healthy")
    assert diagnosis.findings == () and diagnosis.status == "healthy" and diagnosis.causes == ()
    assert tables()["healthy"].scores()["psnr"] > 28, "it is trained"


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_and_nothing_else(name: str) -> None:
    diagnosis = judged(name)
    assert [finding.code for finding in diagnosis.findings if finding.severity != "info"] == [FAULTS[name]]
    if name in CAUSES:
        assert diagnosis.causes[0].id == CAUSES[name]
    assert diagnosis.findings[0].evidence, "a finding shows its numbers"


def test_what_is_said_of_a_fault_is_right() -> None:
    text = {name: judged(name).findings[0].message for name in FAULTS}
    assert "period of 2 pixels" in text["checkerboard"]
    assert "order BGR" in text["swapped"]
    assert "0 to 1 in place of -1 to 1" in text["range_0_1"] and "0 to 255" in text["range_0_255"]
    assert "negative" in text["inverted"]
    assert "red +7.6" in text["colour"] and "blue -2.5" in text["colour"]
    assert "5 of 5" in text["nan"]


def test_every_code_of_an_evaluation_is_met_by_a_planted_fault() -> None:
    own = {rule.code for rule in ALL_RULES if any(need.startswith("evaluation.") for need in rule.needs)}
    assert own - set(FAULTS.values()) == {"REC118", "REC129"}, "these two have tests of their own"


def test_an_untrained_model_is_not_blamed_for_fine_points() -> None:
    numbers = {"evaluation.explained_variance": 0.2, "evaluation.grid_peak": 50.0, "evaluation.grid_level": 9.0,
               "evaluation.grid_input_level": 0.0, "evaluation.hf_ratio": 0.1, "evaluation.colour_bias": 0.2}  # fmt: skip
    assert [f.code for f in judge_numbers(numbers)] == ["REC118"]


def test_shifts_that_cancel_over_clips_are_no_bias() -> None:
    numbers = {"evaluation.explained_variance": 0.9, "evaluation.clips": 9, "evaluation.colour_bias": 0.04}
    assert [f.code for f in judge_numbers({**numbers, "evaluation.colour_shift": 0.05})] == ["REC125"]
    assert [f.code for f in judge_numbers({**numbers, "evaluation.colour_shift": 0.20})] == []


def test_two_clips_are_too_few_for_fine_points() -> None:
    numbers = {"evaluation.explained_variance": 0.9, "evaluation.hf_ratio": 0.1}
    assert [f.code for f in judge_numbers({**numbers, "evaluation.clips": 2})] == ["REC118"]
    assert [f.code for f in judge_numbers({**numbers, "evaluation.clips": 3})] == ["REC123"]


def test_a_grid_that_the_clips_have_too_is_not_the_decoders() -> None:
    numbers = {"evaluation.explained_variance": 0.9, "evaluation.grid_peak": 50.0, "evaluation.grid_level": 3.0}
    assert [f.code for f in judge_numbers({**numbers, "evaluation.grid_input_level": 2.5})] == []
    assert [f.code for f in judge_numbers({**numbers, "evaluation.grid_input_level": 0.5})] == ["REC121"]


def test_a_grid_that_follows_the_content_is_named_by_evaluate_and_probe() -> None:
    local = {"local_grid_peak": 3.0, "local_grid_period": 2.0, "local_grid_level": 2.8}
    numbers = {"evaluation.explained_variance": 0.9, "evaluation.grid_peak": 1.1}
    for found in (
        judge_numbers({**numbers, **{f"evaluation.{name}": value for name, value in local.items()}}),
        judge_numbers({"probe.decoder_response": 0.9, **{f"probe.{name}": value for name, value in local.items()}}),
    ):
        assert [f.code for f in found if f.severity != "info"] in (["REC121"], ["REC140"])
        assert "period of 2 pixels follows the content" in found[0].message


def judge_numbers(numbers: dict[str, float]) -> tuple[Finding, ...]:
    run = Run("x", "evaluation", "unknown", 0.0, "", np.empty(0, np.int64), {}, measured=numbers)
    return diagnose(run).findings


class Dark(torch.nn.Module):
    """The first two frames of whatever is decoded are too dark: again in each chunk."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return self.inner.encode(x)  # type: ignore[operator, no-any-return]

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
        x = self.inner.decode(z)[0]  # type: ignore[operator]
        return (torch.cat([x[:, :, :2] - 0.25, x[:, :, 2:]], dim=2),)


def test_chunks_that_cost_quality_are_seen_and_good_ones_are_not_blamed() -> None:
    config = CLIP.model_copy(update={"frames": 9})
    models = {"good": healthy(), "dark": Autoencoder(Dark(healthy().module), 3).eval().requires_grad_(False)}
    found = evaluate(models, Clips(open_data(config, 0).val, config, 3, "x")).tables
    good, dark = (measured(table) for table in found)
    assert good["evaluation.chunk_loss"] < 0.5 and good["evaluation.seam"] < 2 and not judge_numbers(good)
    assert dark["evaluation.chunk_loss"] > 1
    assert "REC129" in {f.code for f in judge_numbers(dark)}


def test_a_jump_at_the_border_of_two_chunks_is_a_seam() -> None:
    x = torch.rand(3, 8, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = 0.02 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    offset = torch.tensor([0.0] * 4 + [0.2] * 4)[None, :, None, None]
    tables = {}
    for name, r in (("even", x + noise), ("jump", x + noise + offset)):
        scores = ClipScores((2, 2))
        for t in range(8):
            scores.add(x[:, t], r[:, t], seam=t == 4)
        part = stack([scores.components()] * 3)
        tables[name] = measured(ClipTable(name, ("a", "b", "c"), part, chunked=part))
    assert tables["even"]["evaluation.seam"] < 1.3 and tables["jump"]["evaluation.seam"] > 5
    assert [f.code for f in judge_numbers(tables["jump"]) if f.code == "REC129"] == ["REC129"]


@pytest.mark.parametrize(
    ("grid", "frames", "expected"),
    [(Grid(8, 8, 8), 17, 9), (Grid(8, 8, 8), 9, None), (Grid(2, 2, 2), 9, 5), (Grid(1, 8, 8), 9, None),
     (Grid(4, 8, 8, first_frame_alone=False), 16, 8), (Grid(1, 8, 8, images_only=True), 1, None)],
)  # fmt: skip
def test_chunks_are_about_half_a_clip_and_on_the_grid(grid: Grid, frames: int, expected: int | None) -> None:
    assert chunk_frames(grid, frames) == expected


def test_a_clip_that_is_not_finite_makes_every_score_undefined() -> None:
    table = tables()["nan"]
    assert all(math.isnan(value) for value in table.scores().values()) and table.intervals() == {}
    assert measured(table)["evaluation.non_finite"] == 5
