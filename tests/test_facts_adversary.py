"""The adversary of runs whose loss family and skill are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthetic_runs import Draft, draft, hinge, vanilla
from vaelab.facts import infer
from vaelab.facts.adversary import Adversary


def simulated(
    family: str, scale: float, gap: float, spread: float, seed: int, rows: int = 120, trainer: str = "unknown"
) -> Draft:
    """GAN columns from simulated patch logits: means ``+-gap / 2``, patches scattered by ``spread``."""
    rng = np.random.default_rng(seed)
    grown = gap * (1 - np.exp(-4 * np.linspace(0, 1, rows)))
    real, fake = grown / 2 + rng.normal(0, 0.1, rows), -grown / 2 + rng.normal(0, 0.1, rows)
    loss = {"hinge": hinge, "vanilla": vanilla}[family](real, fake, spread, rng)
    columns = {
        "rec_loss": 0.05 * np.exp(rng.normal(0, 0.05, rows)),
        "disc_loss": scale * loss,
        "logits_real": real,
        "logits_fake": fake,
        "g_loss": -fake,
    }
    return draft(columns, trainer=trainer)


def adversary(out: Draft) -> Adversary:
    found = infer(out.run()).adversary
    assert found is not None
    return found


@given(
    st.sampled_from([("hinge", 1.0), ("hinge", 0.5), ("hinge", 2.0), ("vanilla", 1.0), ("vanilla", 2.0)]),
    st.floats(0.3, 1.2), st.floats(0.02, 0.25), st.integers(0, 500),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_family_and_scale_are_found_from_the_mean_logits(
    kind: tuple[str, float], gap: float, spread: float, seed: int
) -> None:
    family, scale = kind
    found = adversary(simulated(family, scale, gap, spread, seed))
    assert (found.family, found.scale) == (family, scale)
    chance = {"hinge": 1.0, "vanilla": math.log(2)}[family] * scale
    assert found.chance == pytest.approx(chance)


@given(st.floats(0.2, 1.2), st.integers(0, 200))
@settings(max_examples=12, deadline=None)
def test_gap_and_skill_are_the_simulated_ones(gap: float, seed: int) -> None:
    found = adversary(simulated("hinge", 1.0, gap, 0.1, seed))
    late = gap * (1 - math.exp(-3.5))
    assert found.gap == pytest.approx(late, abs=0.2)  # the median of the last 8 rows, each with a noise of 0.14
    # inside the margin the hinge is exactly 1 - gap / 2
    assert found.disc_loss == pytest.approx(1 - found.gap / 2, abs=0.05)


def test_a_loss_that_fits_no_family_has_no_chance_level() -> None:
    rng = np.random.default_rng(0)
    out = simulated("hinge", 1.0, 0.5, 0.1, 0)
    out.columns["disc_loss"] = 7 + rng.normal(0, 0.5, 120)
    found = adversary(out)
    assert found.family == "unknown" and found.chance is None


@pytest.mark.parametrize("trainer", ["pyramid_flow", "ldm", "radiodiff"])
def test_a_known_trainer_has_its_family_from_its_code(trainer: str) -> None:
    out = simulated("hinge", 1.0, 0.5, 0.8, 1, trainer=trainer)
    out.columns["disc_factor"] = np.ones(120)
    found = adversary(out)
    assert found.family == "hinge" and found.family_how == "from the trainer's code" and found.chance == 1


@pytest.mark.parametrize("family", ["hinge", "vanilla"])
def test_a_declared_family_is_taken(family: str) -> None:
    out = simulated("hinge", 1.0, 0.5, 0.8, 1)
    out.config["disc_loss"] = family
    assert adversary(out).family == family


@pytest.mark.parametrize("disc_weight", [0.2, 0.5, 1.0])
def test_rows_at_the_clamp_are_counted(disc_weight: float) -> None:
    out = simulated("hinge", 1.0, 0.1, 0.1, 0)
    top = disc_weight * 1e4
    out.columns["d_weight"] = np.r_[np.linspace(0.1, 0.9, 60) * top, np.full(60, top)]
    found = adversary(out)
    assert found.at_clamp == pytest.approx(0.5)
    assert found.raw_ratio == pytest.approx(1e4)


def test_d_weight_over_disc_weight_of_the_field_notes() -> None:
    """6.5966 / 0.5 = 13.2: the raw GAN gradient is 13 times smaller than the nll's."""
    out = simulated("hinge", 1.0, 0.1, 0.1, 0)
    out.columns["d_weight"] = np.full(120, 6.5966)
    out.config["disc_weight"] = 0.5
    assert adversary(out).raw_ratio == pytest.approx(13.19, abs=0.01)


@pytest.mark.parametrize(("real", "fake", "loss"), [(0.03, 0.02, 0.995), (-0.02, 0.0, 1.010)])
def test_the_hinge_of_the_arithmetic_sheet(real: float, fake: float, loss: float) -> None:
    rng = np.random.default_rng(0)
    assert hinge(np.array([real]), np.array([fake]), 0.0, rng)[0] == pytest.approx(loss)


def test_no_adversary_without_a_gan() -> None:
    assert infer(draft({"rec_loss": [0.1, 0.09, 0.08]}).run()).adversary is None


# --- least squares ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trainer", "halves", "chance"),
    [
        ("monai", False, 0.25),
        ("maisi", True, 0.5),
        ("explainingai", False, 0.125),
        ("audiodec", False, 4.0),
        ("vits", False, 3.0),
    ],
)
def test_a_least_squares_loss_has_its_trainer_s_chance_level(trainer: str, halves: bool, chance: float) -> None:
    rows = np.ones(60)
    disc = (
        {"disc_loss_real": chance / 2 * rows, "disc_loss_fake": chance / 2 * rows}
        if halves
        else {"disc_loss": chance * rows}
    )
    run = draft({"rec_loss": 1 / (1 + np.arange(60)), "g_loss": chance * rows, **disc}, trainer=trainer).run()
    found = infer(run).adversary
    assert found is not None and found.family == "least-squares" and found.chance_known
    assert found.chance == pytest.approx(chance) and found.disc_loss == pytest.approx(chance)
