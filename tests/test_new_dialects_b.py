"""Audio codecs, NeMo, vector-quantize-pytorch, viper_rl, magvit2 and the generic carriers: generated logs are read as what they are."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

import vaelab
from dialect_generators.carriers import CARRIERS
from dialect_generators.carriers import log as carrier_log
from dialect_generators.carriers import series as carrier_series
from vaelab.run import Run

NAMES = (
    "academicodec", "audiocraft", "audiodec", "bigvgan", "cosmos_tokenizer", "dac", "hificodec", "hifigan", "magvit2",
    "nemo_audio_codec", "rave", "rvc", "soundstream", "stable_audio", "vector_quantize", "viper_rl", "vits",
)  # fmt: skip
ROWS = 200


def generator(name: str) -> ModuleType:
    return importlib.import_module(f"dialect_generators.{name}")


FAULTS = [(name, fault) for name in NAMES for fault in generator(name).FAULTS]


def written(folder: Path, text: str, suffix: str) -> Path:
    path = folder / f"run{suffix}"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.fixture(scope="module", params=NAMES)
def healthy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, Run]:
    made = generator(request.param)
    path = written(tmp_path_factory.mktemp(request.param), made.log(rows=ROWS), made.SUFFIX)
    runs = vaelab.read_all(path)
    assert len(runs) == 1
    return made, runs[0]


def test_the_dialect_is_recognised(healthy: tuple[ModuleType, Run]) -> None:
    made, run = healthy
    assert run.trainer == made.DIALECT


def test_columns_have_their_canonical_names(healthy: tuple[ModuleType, Run]) -> None:
    made, run = healthy
    assert set(made.COLUMNS.values()) <= set(run)


def test_values_are_those_printed(healthy: tuple[ModuleType, Run]) -> None:
    made, run = healthy
    series = made.series(rows=ROWS)
    for original, metric in made.COLUMNS.items():
        steps, values = run.series(metric)
        for row in (0, -1):
            expected = made.shown(original, float(series[original][row]))
            assert values[row] == pytest.approx(expected, rel=1e-9), (original, row)
            assert steps[row] == series["step"][row], (original, row)


def test_every_row_is_there(healthy: tuple[ModuleType, Run]) -> None:
    made, run = healthy
    metric = next(m for m in made.COLUMNS.values() if m in ("rec_loss", "total_loss"))
    assert len(run.series(metric)[0]) == ROWS


def test_a_healthy_run_is_not_acted_on(healthy: tuple[ModuleType, Run]) -> None:
    _, run = healthy
    assert vaelab.diagnose(run).status not in ("act", "stop")


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_fault_is_seen(name: str, fault: str, tmp_path: Path) -> None:
    made = generator(name)
    run = vaelab.read(written(tmp_path, made.log(fault, ROWS), made.SUFFIX))
    assert vaelab.diagnose(run).status in ("watch", "act", "stop")


@pytest.mark.parametrize("name", CARRIERS)
def test_a_carrier_is_read_and_is_nobody_s_dialect(name: str, tmp_path: Path) -> None:
    carrier = CARRIERS[name]
    runs = vaelab.read_all(written(tmp_path, carrier_log(name, rows=ROWS), carrier.suffix))
    assert len(runs) == 1
    run, series, steps = runs[0], carrier_series(rows=ROWS), carrier.steps(ROWS)
    assert run.trainer == "unknown"
    for original, metric in carrier.columns.items():
        found_steps, values = run.series(metric)
        assert len(values) == ROWS, original
        for row in (0, -1):
            expected = carrier.shown(float(series[carrier.values[original]][row]))
            assert values[row] == pytest.approx(expected, rel=1e-9), (original, row)
            assert found_steps[row] == steps[row], (original, row)
    assert vaelab.diagnose(run).status not in ("act", "stop")


@pytest.mark.parametrize("name", CARRIERS)
def test_a_fault_in_a_carrier_is_seen(name: str, tmp_path: Path) -> None:
    carrier = CARRIERS[name]
    run = vaelab.read(written(tmp_path, carrier_log(name, "collapse", ROWS), carrier.suffix))
    assert vaelab.diagnose(run).status in ("watch", "act", "stop")
