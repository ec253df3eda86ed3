"""Declared sizes that the log contradicts are refused with both numbers; those that agree, or that nobody can check, are taken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from vaelab.errors import ConfigError
from vaelab.readers import read

SETTINGS = "kl_weight: 1e-6\nlatent_channels: 8\nresolution: 32\nmax_frames: 9\ninput_channels: 3\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(SETTINGS)
    rows = "\n".join(f"{i},{1 / (i + 1):.5f},{i + 1}" for i in range(30))
    (tmp_path / "log.csv").write_text(f"step,rec_loss,kl_loss\n{rows}\n")
    return tmp_path / "log.csv"


@pytest.mark.parametrize(
    ("declared", "numbers"),
    [
        ({"latent_shape": [16, 3, 4, 4]}, ("16 channels", "latent_channels 8")),
        ({"latent_shape": [8, 3, 64, 64]}, ("8x3x64x64", "resolution 32")),
        ({"clip_shape": [9, 256, 256]}, ("256 x 256", "resolution 32")),
        ({"clip_shape": [17, 32, 32]}, ("17 frames", "max_frames 9")),
        ({"input_channels": 1}, ("--channels 1", "input_channels 3")),
    ],
)
def test_a_size_that_the_log_contradicts_is_refused_with_both_numbers(
    log: Path, declared: dict[str, Any], numbers: tuple[str, str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(log, config=declared)
    assert all(number in str(refused.value) for number in numbers)


@pytest.mark.parametrize(
    "declared",
    [{"latent_shape": [8, 3, 4, 4]}, {"clip_shape": [9, 32, 32]}, {"clip_shape": [1, 32, 32]}, {"kl_weight": 0.5}],
)
def test_a_size_that_agrees_and_a_corrected_weight_are_taken(log: Path, declared: dict[str, Any]) -> None:
    run = read(log, config=declared)
    assert {key: run.config[key] for key in declared} == declared


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"config": {"kl_weight": "abc"}}, "kl_weight is declared as 'abc'"),
        ({"config": {"model": {"lossconfig": {"disc_weight": "much"}}}}, "disc_weight is declared as 'much'"),
        ({"config": {"kl_weight": float("nan")}}, "kl_weight is declared as nan"),
        ({"config": {"latent_shape": "small"}}, "latent_shape is declared as 'small'"),
        ({"config": [1]}, "config is of type list"),
        ({"roles": [1]}, "roles is of type list"),
        ({"roles": "kl"}, "roles is of type str"),
        ({"format": 3}, "format is of type int"),
    ],
)
def test_an_argument_of_another_kind_is_refused_in_one_sentence(
    log: Path, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        read(log, **arguments)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("value", ["auto", "1e-6", None, "${kl}", 0, ""])
def test_a_setting_that_a_launcher_fills_in_is_taken(log: Path, value: object) -> None:
    assert len(read(log, config={"kl_weight": value})) == 30
