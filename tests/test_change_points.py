"""The change detector: its rate of false alarms, what it finds and how soon, on simulated curves whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vaelab.analysis.change_points import RUN_LENGTH, change_points, largest_shift

CURVES = {
    "level": lambda t: 0 * t,
    "exponential": lambda t: np.log(0.1 + 0.9 * np.exp(-8 * t)),
    "power": lambda t: -0.5 * np.log1p(200 * t),
    "straight": lambda t: -1.5 * t,
}


def noise(rng: np.random.Generator, n: int, scale: float = 0.2, rho: float = 0.0, heavy: bool = False) -> np.ndarray:
    """Stationary noise of standard deviation ``scale``; heavy: Student's t with 3 degrees of freedom."""
    new = rng.standard_t(3, n) / math.sqrt(3) if heavy else rng.normal(size=n)
    out = np.empty(n)
    last = 0.0
    for i, e in enumerate(new * scale * math.sqrt(1 - rho**2)):
        out[i] = last = rho * last + e
    return out


def curve(kind: str, n: int) -> np.ndarray:
    return CURVES[kind](np.arange(n) / n)


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize(("rho", "heavy"), [(0.0, False), (0.6, False), (0.9, False), (0.0, True)])
@pytest.mark.parametrize("sign", [1, -1])
def test_false_alarms_are_as_rare_as_stated(kind: str, rho: float, heavy: bool, sign: int) -> None:
    rng = np.random.default_rng(3)
    n, runs = 400, 60
    found = [change_points(curve(kind, n) + noise(rng, n, rho=rho, heavy=heavy), sign) for _ in range(runs)]
    share = 1 - math.exp(-n / RUN_LENGTH)
    # a correlation of 0.9 is underestimated from 400 rows
    allowed = (1.5 if rho == 0.9 else 1.0) * share + 2 * math.sqrt(share * (1 - share) / runs)
    assert np.mean([f.first_alarm is not None for f in found]) <= allowed


@pytest.mark.parametrize("rows", [30, 60, 100])
def test_a_short_curve_hides_its_noise_and_alarms_at_most_three_times_as_often(rows: int) -> None:
    rng = np.random.default_rng(4)
    runs = 6000 // rows
    alarms = np.mean([change_points(noise(rng, rows)).first_alarm is not None for _ in range(runs)])
    assert alarms <= 3 * (1 - math.exp(-rows / RUN_LENGTH))


@pytest.mark.parametrize(
    ("factor", "scale", "share", "delay"), [(1.5, 0.05, 0.9, 4), (3, 0.2, 0.95, 4), (10, 0.4, 0.95, 4)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_shift_is_found_at_its_row_with_its_size(
    factor: float, scale: float, share: float, delay: int, sign: int
) -> None:
    rng = np.random.default_rng(5)
    hits, delays, sizes = 0, [], []
    for _ in range(60):
        at = int(rng.integers(80, 160))
        values = curve("exponential", 200) + noise(rng, 200, scale)
        values[at:] += sign * math.log(factor)
        found = change_points(values, sign)
        near = [s for s in found.shifts if abs(s.index - at) <= 2]
        hits += bool(near)
        delays += [found.first_alarm - at for s in near[:1] if found.first_alarm is not None]
        sizes += [abs(s.size) for s in near[:1]]
    assert hits >= share * 60
    assert np.median(delays) <= delay
    assert np.median(sizes) == pytest.approx(math.log(factor), rel=0.2)


def test_two_shifts_and_a_recovery_are_told_apart() -> None:
    rows = np.arange(300)
    values = (
        noise(np.random.default_rng(6), 300, 0.1) + np.where((rows >= 80) & (rows < 140), 1.5, 0) + 1.0 * (rows >= 220)
    )
    first, second = change_points(values).shifts
    assert (first.index, second.index) == (80, 220)
    assert first.back == pytest.approx(140, abs=3) and second.back is None
    assert min(first.certainty, second.certainty) > 0.999


def test_a_slow_rise_is_noticed_and_is_no_shift() -> None:
    rows = np.arange(300)
    found = change_points(noise(np.random.default_rng(7), 300, 0.05) + np.maximum(rows - 150, 0) / 100)
    assert max((s.size for s in found.shifts), default=0) < 0.25
    assert found.first_alarm is not None and 150 <= found.first_alarm <= 200


def test_what_rises_again_after_a_convex_fall_is_noticed() -> None:
    t = np.arange(200) / 200
    values = np.log(0.1 + np.exp(-10 * t)) + np.where(t > 0.6, 3 * (t - 0.6), 0)
    assert change_points(np.log(0.1 + np.exp(-10 * t))).first_alarm is None
    first = change_points(values + noise(np.random.default_rng(8), 200, 0.05)).first_alarm
    assert first is not None and first > 0.6 * 200


@pytest.mark.parametrize("height", [3.0, 30.0])
def test_single_outliers_do_not_alarm(height: float) -> None:
    alarms = {0.0: 0, height: 0}
    for seed in range(20):
        for size in alarms:
            values = noise(np.random.default_rng(seed), 300, 0.1)
            values[[60, 121, 200, 270]] += size
            alarms[size] += change_points(values).first_alarm is not None
    assert alarms[height] <= alarms[0.0] + 2


def test_what_added_up_in_one_phase_does_not_count_in_the_next() -> None:
    values = noise(np.random.default_rng(10), 120, 0.2)
    values[60:] += 0.5
    apart, whole = change_points(values, starts=(63,)), change_points(values)
    assert whole.first_alarm is not None and (apart.first_alarm is None or apart.first_alarm >= whole.first_alarm)


def test_the_result_is_the_same_every_time_and_few_or_constant_rows_have_no_change() -> None:
    values = noise(np.random.default_rng(11), 200)
    assert change_points(values) == change_points(values.copy())
    assert change_points(values[:5]).first_alarm is None
    assert change_points(np.zeros(50)).first_alarm is None


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("rows", "slack"), [(40, 0), (300, 0), (20_000, 10)])
def test_the_largest_shift_of_a_level_curve_goes_up_or_down(sign: int, rows: int, slack: int) -> None:
    at = rows * 2 // 3
    values = noise(np.random.default_rng(12), rows, 0.1)
    values[at:] += sign * 1.5
    found = largest_shift(values)
    assert found is not None and abs(found.index - at) <= slack
    assert found.after - found.before == pytest.approx(sign * 1.5, abs=0.15)
    assert largest_shift(noise(np.random.default_rng(13), rows, 0.1)) is None


@pytest.mark.parametrize("slope", [-5.0, -0.02, 0.002, 0.02, 0.3, 5.0])
def test_a_straight_line_has_no_shift(slope: float) -> None:
    assert largest_shift(slope * np.arange(120)) is None
