"""Loss algebra on runs whose weights are known: what is called solved contains the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from synthetic_runs import Draft, decay, draft, healthy, lognormal, with_window_medians
from vaelab.facts import infer
from vaelab.facts.algebra import Algebra
from vaelab.run import Run

weights = st.floats(-1, 2).map(lambda e: 10.0**e)
perceptual_weights = st.floats(-1, 0.69).map(lambda e: 10.0**e)
kl_weights = st.floats(-12, -2).map(lambda e: 10.0**e)
precisions = st.sampled_from([3, 4, 5, 6, 7, None])
seeds = st.integers(0, 10_000)


def algebra(run: Run) -> Algebra:
    return infer(run).algebra


def holds(found: Algebra, name: str, truth: float, relative: float = 1e-9) -> bool:
    """A solved constant that is said to close contains the truth; a constant not solved claims nothing."""
    solved = found.solved.get(name)
    if solved is None or solved.status != "closes" or solved.low is None or solved.high is None:
        return True
    return solved.low * (1 - relative) <= truth <= solved.high * (1 + relative)


def said(found: Algebra) -> str:
    return " / ".join(f"{s.name} {s.status} {s.low} {s.high} {s.how}" for s in found.solved.values())


def mean_run(
    w: float, b: float, kl_weight: float, seed: int, rows: int = 60, decimals: int | None = 5, trainer: str = "pyramid_flow",
    declare_b: bool = True,
) -> Draft:  # fmt: skip
    """nll = w rec + b p, total = nll + kl_weight KL; KL printed with 2 decimals at most."""
    rng = np.random.default_rng(seed)
    rec = decay(rows, 0.2, 0.005) * lognormal(rng, 0.1, rows)
    p = decay(rows, 0.5, 0.06, 5) * lognormal(rng, 0.1, rows)
    kl = (4000 + 30000 * np.linspace(0, 1, rows)) * lognormal(rng, 0.05, rows)
    nll = w * rec + b * p
    out = draft(
        {"total_loss": nll + kl_weight * kl, "nll_loss": nll, "rec_loss": rec, "perceptual_loss": p, "kl_loss": kl}
    )
    out.trainer = trainer
    out.format = "pyramid_flow_json"
    out.decimals = {n: decimals if n != "kl_loss" or decimals is None else 2 for n in out.columns}
    if declare_b:
        out.config["perceptual_weight"] = b
    return out


def sum_run(
    n: int,
    kl_weight: float,
    seed: int,
    decimals: int | None,
    logvar: str = "zero",
    trainer: str = "radiodiff",
    rows: int = 40,
) -> Draft:
    """nll = N (rec / exp(logvar) + logvar), total = nll + kl_weight KL."""
    rng = np.random.default_rng(seed)
    rec = decay(rows, 0.6, 0.05) * lognormal(rng, 0.1, rows)
    level = np.zeros(rows) if logvar == "zero" else np.linspace(0, np.log(0.06), rows)
    kl = np.linspace(2e4, 1.3e5, rows) * lognormal(rng, 0.05, rows)
    nll = n * (rec / np.exp(level) + level)
    out = draft({"total_loss": nll + kl_weight * kl, "nll_loss": nll, "rec_loss": rec, "kl_loss": kl, "logvar": level})
    out.trainer = trainer
    out.format = "csv"
    out.decimals = {name: decimals for name in out.columns}
    return out


# --- mean-reduced -------------------------------------------------------------------------------------------------------


@given(weights, perceptual_weights, kl_weights, seeds, precisions)
@settings(max_examples=25, deadline=None)
def test_pixel_and_kl_weight_contain_the_truth_and_identities_close(
    w: float, b: float, kl_weight: float, seed: int, decimals: int | None
) -> None:
    found = algebra(mean_run(w, b, kl_weight, seed, decimals=decimals).run())
    assert found.solved["pixelloss_weight"].status == "closes", said(found)
    assert holds(found, "pixelloss_weight", w), said(found)
    assert holds(found, "kl_weight", kl_weight), said(found)
    assert holds(found, "perceptual_weight", b), said(found)
    assert "does-not-close" not in [i.status for i in found.identities], [i.text for i in found.identities]


@given(weights, perceptual_weights, seeds, st.sampled_from([5, 6, None]), st.integers(1, 80))
@settings(max_examples=25, deadline=None)
def test_without_a_declared_perceptual_weight_a_closed_interval_still_contains_the_truth(
    w: float, b: float, seed: int, decimals: int | None, rows: int
) -> None:
    found = algebra(mean_run(w, b, 1e-8, seed, rows, decimals, declare_b=False).run())
    solved = found.solved["pixelloss_weight"]
    # where the two weights cannot be told apart the text says which perceptual weight the interval assumes
    if "perceptual_weight" in found.solved or "with perceptual_weight" not in solved.text:
        assert holds(found, "pixelloss_weight", w), said(found)
    assert holds(found, "perceptual_weight", b), said(found)


@given(weights, seeds, st.sampled_from([5, 6, None]))
@settings(max_examples=15, deadline=None)
def test_a_term_that_is_missing_from_the_log_leaves_the_identity_open(
    w: float, seed: int, decimals: int | None
) -> None:
    out = mean_run(w, 1.0, 1e-8, seed, decimals=decimals)
    rng = np.random.default_rng(seed + 1)
    # a third term as large as the rest that the log does not print
    out.columns["nll_loss"] = out.columns["nll_loss"] * (1 + lognormal(rng, 0.4, 60))
    found = algebra(out.run())
    assert found.solved["pixelloss_weight"].status == "does-not-close", said(found)
    assert found.solved["pixelloss_weight"].value is None
    assert [i.status for i in found.identities if i.name == "nll"] == ["does-not-close"]


@given(weights, seeds)
@settings(max_examples=10, deadline=None)
def test_a_weight_that_changes_half_way_leaves_the_identity_open(w: float, seed: int) -> None:
    out = mean_run(w, 1.0, 1e-8, seed, decimals=6)
    late = np.arange(60) >= 30
    out.columns["nll_loss"] = out.columns["nll_loss"] + 2 * w * out.columns["rec_loss"] * late
    found = algebra(out.run())
    assert found.solved["pixelloss_weight"].status == "does-not-close"
    (nll,) = [i for i in found.identities if i.name == "nll"]
    assert nll.status == "does-not-close" and nll.first_bad_step is not None


@given(kl_weights, seeds)
@settings(max_examples=15, deadline=None)
def test_kl_annealing_does_not_close_with_one_weight_where_it_shows(kl_weight: float, seed: int) -> None:
    out = mean_run(10.0, 1.0, 0.0, seed, decimals=7)
    ramp = kl_weight * np.linspace(0, 1, 60)
    part = ramp * out.columns["kl_loss"]
    assume(part[30] > 1e-4)
    out.columns["total_loss"] = out.columns["nll_loss"] + part
    assert algebra(out.run()).solved["kl_weight"].status == "does-not-close"


def test_a_declared_weight_that_the_columns_contradict_is_said() -> None:
    out = mean_run(1.0, 1.0, 1e-4, 0, decimals=6)
    out.config |= {"pixelloss_weight": 10.0, "kl_weight": 1e-4}
    found = algebra(out.run())
    assert found.solved["pixelloss_weight"].contradicts_declared
    assert not found.solved["kl_weight"].contradicts_declared
    assert "pixelloss_weight_mismatch" in [f.name for f in infer(out.run()).statements]


@given(weights, st.floats(0.5, 2), seeds)
@settings(max_examples=12, deadline=None)
def test_window_medians_give_wide_intervals_that_contain_the_truth(w: float, b: float, seed: int) -> None:
    full = mean_run(w, b, 1e-8, seed, rows=800, decimals=None)
    full.steps = np.arange(800, dtype=np.int64)
    out = with_window_medians(full, decimals=6)
    out.means, out.epochs = {}, None  # a log that prints only the medians
    run = out.run()
    found = algebra(run)
    solved = found.solved["pixelloss_weight"]
    assert solved.status == "closes" and solved.how == "medians", said(found)
    assert holds(found, "pixelloss_weight", w), said(found)
    assert solved.high > 1.15 * max(solved.low, 1e-9)


@given(weights, perceptual_weights, seeds)
@settings(max_examples=12, deadline=None)
def test_epoch_means_add_up_where_the_medians_beside_them_do_not(w: float, b: float, seed: int) -> None:
    full = mean_run(w, b, 1e-6, seed, rows=800, decimals=None)
    full.steps = np.arange(800, dtype=np.int64)
    found = algebra(with_window_medians(full, decimals=5).run())
    solved = found.solved["pixelloss_weight"]
    assert solved.how == "means" and solved.status == "closes", said(found)
    assert holds(found, "pixelloss_weight", w), said(found)
    assert holds(found, "kl_weight", 1e-6), said(found)


# --- sum-reduced ----------------------------------------------------------------------------------------------------------

squares = st.tuples(st.integers(2, 128).map(lambda k: 8 * k), st.sampled_from([1, 3]))


@given(squares, kl_weights, seeds, precisions, st.sampled_from(["zero", "learned"]))
@settings(max_examples=25, deadline=None)
def test_the_pixel_count_contains_the_truth(
    image: tuple[int, int], kl_weight: float, seed: int, decimals: int | None, logvar: str
) -> None:
    size, channels = image
    n = channels * size * size
    found = algebra(sum_run(n, kl_weight, seed, decimals, logvar, "sgm" if logvar == "learned" else "radiodiff").run())
    assert found.solved["n_pixels"].status == "closes", said(found)
    assert holds(found, "n_pixels", n), said(found)
    assert holds(found, "kl_weight", kl_weight), said(found)
    assert "does-not-close" not in [i.status for i in found.identities], [i.text for i in found.identities]


@given(squares, seeds, st.sampled_from([1e-6, 1e-4, 1e-2, 1.0]))
@settings(max_examples=20, deadline=None)
def test_halved_totals_of_tensorboard_are_doubled_first(image: tuple[int, int], seed: int, kl_weight: float) -> None:
    size, channels = image
    n = channels * size * size
    out = sum_run(n, kl_weight, seed, None)
    out.columns["total_loss"] = out.columns["total_loss"] / 2
    del out.columns["nll_loss"]
    out.format = "tensorboard"
    out.config["kl_weight"] = kl_weight
    found = algebra(out.run())
    assert holds(found, "n_pixels", n), said(found)
    assert found.solved["n_pixels"].status == "closes"
    assert "total_halved" in [f.name for f in infer(out.run()).statements]


@pytest.mark.parametrize(("n", "trainer"), [(65536, "radiodiff"), (196608, "ldm"), (65536, "unknown")])
def test_known_sizes_are_named_exactly(n: int, trainer: str) -> None:
    found = algebra(sum_run(n, 1e-6, 0, None, trainer=trainer).run())
    assert found.value("n_pixels") == n
    assert "256x256" in found.solved["n_pixels"].text


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_a_sum_with_a_missing_term_does_not_close(seed: int) -> None:
    out = sum_run(65536, 1e-6, seed, 5)
    out.columns["nll_loss"] = out.columns["nll_loss"] * lognormal(np.random.default_rng(seed + 7), 0.5, 40)
    found = algebra(out.run())
    assert found.solved["n_pixels"].status == "does-not-close" and found.value("n_pixels") is None


def test_figures_of_the_arithmetic_sheet() -> None:
    """34,460 / 0.53, 2,039 / 0.03, 2,674 / 0.04: only 256 x 256 lies inside all three."""
    out = draft({"total_loss": [34460, 2039, 2674], "rec_loss": [0.53, 0.03, 0.04], "kl_loss": [17692, 138430, 128622]})
    out.trainer, out.format = "radiodiff", "radiodiff_log"
    out.decimals = {"total_loss": 0, "rec_loss": 2, "kl_loss": 0}
    solved = algebra(out.run()).solved["n_pixels"]
    assert solved.value == 65536 and solved.low is not None and solved.high is not None
    assert 64_000 < solved.low < 65_536 < solved.high < 65_700


# --- GAN term, clamp, shares -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["pyramid_flow", "radiodiff", "ldm", "unknown"])
@pytest.mark.parametrize("seed", [0, 1])
def test_all_identities_of_a_whole_run_close_and_its_constants_are_the_true_ones(system: str, seed: int) -> None:
    out = healthy(system, seed)
    found = algebra(out.run())
    assert {i.name: i.status for i in found.identities}.get("nll") == "closes", said(found)
    assert {i.name: i.status for i in found.identities}.get("total-with-gan") == "closes", [
        i.text for i in found.identities
    ]
    assert "does-not-close" not in [i.status for i in found.identities]
    assert holds(found, "kl_weight", out.config["kl_weight"])
    if system in ("radiodiff", "ldm"):
        assert found.value("n_pixels") == {"radiodiff": 65536, "ldm": 196608}[system]
    else:
        assert found.value("pixelloss_weight") == 10
    assert sum(found.shares_now.values()) == pytest.approx(1)
    assert sum(found.shares_first.values()) == pytest.approx(1)


def test_a_wrong_gan_term_is_seen() -> None:
    out = healthy("unknown", 3)
    out.columns["d_weight"] = out.columns["d_weight"] * 2
    found = algebra(out.run())
    (identity,) = [i for i in found.identities if i.name == "total-with-gan"]
    assert identity.status == "does-not-close"


@pytest.mark.parametrize("disc_weight", [0.1, 0.5, 0.8])
def test_the_clamp_gives_disc_weight(disc_weight: float) -> None:
    out = healthy("ldm", 0)
    del out.config["disc_weight"]
    rng = np.random.default_rng(0)
    raw = 3000 * lognormal(rng, 1.5, 300)
    out.columns["d_weight"] = disc_weight * np.minimum(raw, 1e4)
    solved = algebra(out.run()).solved["disc_weight"]
    assert solved.value == pytest.approx(disc_weight) and solved.how == "clamp"


def test_a_weight_that_never_reaches_its_clamp_gives_nothing() -> None:
    out = healthy("ldm", 0)
    del out.config["disc_weight"]
    assert "disc_weight" not in algebra(out.run()).solved


def test_shares_of_a_run_whose_kl_weight_is_too_large() -> None:
    """Field notes: 34,000 x 1e-4 = 3.4 of 3.42."""
    out = draft({"total_loss": [3.4625, 3.0], "nll_loss": [0.0625, 0.06], "rec_loss": [0.0025, 0.0024],
                 "perceptual_loss": [0.0375, 0.036], "kl_loss": [34000, 29400]})  # fmt: skip
    out.trainer, out.config = "pyramid_flow", {"kl_weight": 1e-4}
    assert algebra(out.run()).shares_first["KL"] == pytest.approx(3.4 / 3.4625, rel=1e-3)
