"""Moving shapes and path-loss radio maps: reproducible, held out apart, and true to their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.config.schema import DataConfig
from vaelab.data import moving_shapes, path_loss
from vaelab.data.path_loss import PathLossOptions, cells_crossed, correlated_field, draw_city, drive, path_gain
from vaelab.data.radio_image import gain_to_grey, grey_to_gain
from vaelab.errors import ConfigError

UNUSED = np.random.default_rng(0)
MODULES = {"moving-shapes": moving_shapes, "path-loss": path_loss}


def open_part(name: str, held_out: bool = False, seed: int = 0, **changes: object) -> moving_shapes.MovingShapes:
    options = {"source": name, "frames": 5, "resolution": (24, 32), "channels": 3, "length": 20, **changes}
    return MODULES[name].open_source(DataConfig(**options), seed, held_out)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("frames", "resolution"), [(1, (16, 16)), (5, (24, 32)), (3, (33, 17))])
def test_shape_and_type(name: str, channels: int, frames: int, resolution: tuple[int, int]) -> None:
    clip = open_part(name, channels=channels, resolution=resolution).sample(3, UNUSED, frames)
    assert clip.dtype == np.uint8
    assert clip.shape == (frames, *resolution, channels)


@pytest.mark.parametrize("name", MODULES)
def test_a_sample_depends_on_seed_item_and_part_only(name: str) -> None:
    first = open_part(name).sample(7, np.random.default_rng(1), 5)
    assert np.array_equal(first, open_part(name).sample(7, np.random.default_rng(2), 5))
    assert np.array_equal(first[:2], open_part(name).sample(7, UNUSED, 2))
    for other in (
        open_part(name).sample(8, UNUSED, 5),
        open_part(name, seed=1).sample(7, UNUSED, 5),
        open_part(name, held_out=True).sample(7, UNUSED, 5),
    ):
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", MODULES)
def test_no_held_out_scene_in_training(name: str) -> None:
    train, val = open_part(name, length=60), open_part(name, held_out=True, val_samples=6)
    assert (len(train), len(val)) == (60, 6)
    seen = {train.sample(i, UNUSED, 1).tobytes() for i in range(len(train))}
    assert len(seen) == 60
    assert not seen & {val.sample(i, UNUSED, 1).tobytes() for i in range(len(val))}
    names = [part.name(i) for part in (train, val) for i in range(len(part))]
    assert len(set(names)) == len(names)


def test_held_out_cities_are_not_those_of_training() -> None:
    def city(part: path_loss.PathLoss, index: int) -> bytes:
        return np.all(part.sample(index, UNUSED, 1) == 0, axis=(0, 3)).tobytes()

    options = {"building_db_per_m": 0.0, "tx_per_map": 1}  # without shadows, black is a building
    train = open_part("path-loss", options=options, length=40)
    val = open_part("path-loss", held_out=True, options=options)
    assert not {city(train, i) for i in range(40)} & {city(val, i) for i in range(len(val))}


def test_shapes_move_and_stay_the_same_scene_at_another_resolution() -> None:
    small, large = (open_part("moving-shapes", resolution=(n, n)).sample(0, UNUSED, 9) for n in (32, 64))
    assert np.abs(small[0].astype(int) - small[8]).mean() > 2
    pooled = large.reshape(9, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(pooled - small).mean() < 4


def test_the_bounce_keeps_the_centre_inside_and_its_speed_constant() -> None:
    time = np.arange(400, dtype=np.float32)[:, None, None]
    for seed in range(10):
        place = moving_shapes._bounce(np.random.default_rng(seed), time, 0.1, 1.0).ravel()
        assert place.min() >= 0.1 - 1e-5 and place.max() <= 0.9 + 1e-5
        speed = np.abs(np.diff(place))
        assert np.allclose(speed.max(), np.median(speed), rtol=1e-2)
        assert np.ptp(place) > 0.7  # it reached both sides


def test_free_space_formula() -> None:
    empty = np.zeros((1, 101), bool)
    gain = path_gain(empty, np.array([0.0, 0.0]), 10.0, PathLossOptions(exponent=2.0))
    assert gain[0, 0] == pytest.approx(-47.86, abs=0.01)  # closer than 1 m counts as 1 m
    assert gain[0, 100] == pytest.approx(-47.86 - 60, abs=0.01)  # 1000 m: 3 decades of 20 dB
    assert gain[0, 10] - gain[0, 100] == pytest.approx(20, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(first=st.integers(5, 20), thickness=st.integers(1, 10), cell=st.floats(0.5, 8), loss=st.floats(0, 3))
def test_a_building_costs_its_thickness_and_only_behind_it(
    first: int, thickness: int, cell: float, loss: float
) -> None:
    buildings = np.zeros((9, 40), bool)
    buildings[:, first : first + thickness] = True
    crossed = cells_crossed(buildings, np.array([4.0, 0.0]))
    assert np.all(crossed[4, :first] == 0)
    assert np.allclose(crossed[4, first + thickness + 1 :], thickness, atol=0.5)
    free = path_gain(np.zeros_like(buildings), np.array([4.0, 0.0]), cell, PathLossOptions(building_db_per_m=loss))
    shadowed = path_gain(buildings, np.array([4.0, 0.0]), cell, PathLossOptions(building_db_per_m=loss))
    assert np.allclose((free - shadowed)[4, -1], loss * cell * thickness, atol=loss * cell * 0.5 + 1e-3)


def test_crossed_cells_agree_with_a_line_for_each_cell() -> None:
    buildings = draw_city(np.random.default_rng(2), (40, 40), 4.0)
    place = drive(np.random.default_rng(3), buildings, 1, 1.0)[0]
    fast, slow = cells_crossed(buildings, place), np.zeros(buildings.shape)
    for row, column in np.ndindex(*buildings.shape):
        distance = float(np.hypot(row - place[0], column - place[1]))
        share = np.linspace(0, 1, 400)[:, None]
        points = np.rint(place + share * (np.array([row, column]) - place)).astype(int)
        slow[row, column] = buildings[tuple(points.T)].mean() * distance
    assert np.abs(fast - slow).mean() < 0.3
    assert np.quantile(np.abs(fast - slow), 0.99) < 2


def test_shadowing_has_the_stated_variance_and_correlation() -> None:
    fields = np.stack([correlated_field(np.random.default_rng(i), (48, 48), 6.0) for i in range(200)])
    assert fields.mean() == pytest.approx(0, abs=0.05)
    assert fields.var() == pytest.approx(1, abs=0.08)
    for lag in (3, 6, 12):
        correlation = (fields[:, :, lag:] * fields[:, :, :-lag]).mean() / fields.var()
        assert correlation == pytest.approx(np.exp(-lag / 6), abs=0.06)


def test_the_transmitter_drives_outside_buildings() -> None:
    for seed in range(20):
        buildings = draw_city(np.random.default_rng(seed), (64, 64), 4.0)
        assert 0.02 < buildings.mean() < 0.9
        places = drive(np.random.default_rng(seed), buildings, 30, 1.0)
        rows, columns = np.rint(places).astype(int).T
        assert not buildings[rows, columns].any()
        assert np.all(np.hypot(*np.diff(places, axis=0).T) <= 1 + 1e-9)


def test_the_image_is_brightest_at_the_transmitter_and_black_in_buildings() -> None:
    part = open_part("path-loss", resolution=(64, 64), channels=1, options={"shadowing_db": 0.0})
    image = part.sample(0, UNUSED, 1)[0, :, :, 0]
    buildings = draw_city(np.random.default_rng((0, path_loss._STREAM, 0, 0, 0)), (64, 64), 4.0)
    assert np.all(image[buildings] == 0)
    assert image.max() == 255


def test_grey_levels_follow_radiomapseer() -> None:
    gain = np.array([[-47.84, -147.0, -127.168, -np.inf, 0.0, -100.0]])
    grey = gain_to_grey(gain, np.array([[False] * 5 + [True]]))
    assert grey.tolist() == [[255, 0, 51, 0, 255, 0]]
    levels = np.arange(256, dtype=np.uint8)[None]
    assert np.array_equal(gain_to_grey(grey_to_gain(levels), np.zeros((1, 256), bool)), levels)


@pytest.mark.parametrize("options", [{"exponents": 2}, {"size_m": -1}, {"tx_per_map": 0}])
def test_wrong_options_are_named(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        open_part("path-loss", options=options)


def test_moving_shapes_have_no_options() -> None:
    with pytest.raises(ConfigError, match="shapes"):
        open_part("moving-shapes", options={"shapes": 3})
