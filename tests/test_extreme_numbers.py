"""Numbers that nobody trains with, in logs and in settings: read or dropped, and never an error of vaelab's own."""

from __future__ import annotations

import math
import random
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from vaelab import diagnose, read_all
from vaelab.cli.declared import read_config
from vaelab.compare import compare
from vaelab.config.foreign import import_foreign
from vaelab.config.load import load_config
from vaelab.config.presets import preset_text
from vaelab.diagnosis import Diagnosis
from vaelab.errors import ConfigError, LogError
from vaelab.lint import lint
from vaelab.report import to_json, to_markdown

# a failing example is as large as it was found: to make it smaller would take minutes
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)

CONFIGS = Path(__file__).parent / "data" / "configs"

EDGES = [0.0, -0.0, 5e-324, 1e-308, 1.7e308, -1.7e308, 1e300, 2.0**53, 2.0**63, math.inf, -math.inf, math.nan]
NAMES = (
    "rec_loss", "kl_loss", "disc_loss", "g_loss", "d_weight", "psnr", "grad_norm", "lr", "logits_real", "logits_fake",
    "total_loss", "nll_loss", "perceptual_loss", "val/rec_loss", "val/psnr", "disc_factor", "logvar", "loss_scale", "odd",
)  # fmt: skip
STEPS = st.one_of(st.integers(1, 20), st.integers(1, 10**12), st.sampled_from([-5, 2**52, 2**62, 10**18]))


def judged(path: Path, config: dict[str, Any] | None = None) -> list[Diagnosis]:
    """Diagnoses of the runs in a log, shown in every form; none where there is nothing to read. A warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = [diagnose(run) for run in read_all(path, config=config)]
        except (LogError, ConfigError):
            return []
    to_json(found), to_markdown(found), compare([*found, *found])
    return found


@st.composite
def columns(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A CSV log and settings of the run. Each column is smooth, constant or wild, of any size."""
    rows = draw(st.sampled_from([1, 2, 9, 13, 40, 150]))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True))
    dice = random.Random(draw(st.integers(0, 2**32)))
    numbers = st.one_of(st.sampled_from(EDGES), st.floats(width=64))
    table = {}
    for name in names:
        kind, size = draw(st.sampled_from(["smooth", "constant", "wild", "usual"])), draw(numbers)
        wild = draw(st.lists(numbers, min_size=5, max_size=5))
        values = {
            "constant": lambda size=size: size,
            "smooth": lambda size=size: size * (1 + dice.random()),
            "wild": lambda wild=wild: dice.choice(wild),
            "usual": lambda: 0.1 + dice.random(),
        }[kind]
        table[name] = [values() for _ in range(rows)]
    strides = draw(st.lists(STEPS, min_size=1, max_size=6))
    lines, step = ["step," + ",".join(names)], 0
    for row in range(rows):
        step += strides[row % len(strides)]
        lines.append(f"{step}," + ",".join(repr(table[name][row]) for name in names))
    whole = st.sampled_from([0, 1, -1, 10**400, 2**63, 10**18])
    declared = st.one_of(numbers, whole, st.lists(whole, max_size=4), st.sampled_from(["x", "1e999", "9" * 5000, None]))
    keys = ["kl_weight", "disc_start", "epochs", "iters_per_epoch", "total_steps", "latent_shape", "clip_shape", "compression",
            "resolution", "input_range", "batch_size", "clip_grad", "warmup_steps", "lr", "disc_weight"]  # fmt: skip
    return "\n".join(lines), draw(st.dictionaries(st.sampled_from(keys), declared, max_size=4))


@given(columns())
@settings(max_examples=40, deadline=None, phases=UNSHRUNK)
def test_no_number_of_a_log_or_of_its_settings_is_an_error_of_our_own(
    tmp_path_factory: pytest.TempPathFactory, log: tuple[str, dict[str, Any]]
) -> None:
    text, config = log
    path = tmp_path_factory.mktemp("log") / "metrics.csv"
    path.write_text(text)
    judged(path, config)


def rows(line: str, count: int = 40) -> str:
    return "".join(line.format(step=i) + "\n" for i in range(count))


@pytest.mark.parametrize(
    "text",
    [
        rows("step {step}: rec_loss=0.5 lr=1e999"),
        rows("step {step}: rec_loss=1e999 train/rec_loss=1e999 kl_loss=3.0"),
        rows("step {step}: rec_loss=1e-999 lr=1e-5", 20) + rows("step 2{step}: rec_loss=1e308 lr=1e-320", 20),
        rows("step {step}: rec_loss=-1\u0661 kl_loss=3.0"),
        f"Namespace(epochs={10**400}, disc_start={10**400}, lr=1e999, resolution=[{10**400}])\n"
        + rows("step {step}: rec_loss=0.5 kl_loss=3.0"),
        rows("step 1000000000{step}: rec_loss=1e-300 psnr=1e300 kl_loss=-1e308"),
    ],
)  # fmt: skip
def test_text_logs(text: str, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(text)
    judged(tmp_path / "train.log")


def test_a_value_that_gets_better_or_worse_by_more_than_a_float_holds(tmp_path: Path) -> None:
    for first, last in (("1e300", "1e-300"), ("1e-300", "1e300")):
        text = "step,rec_loss\n" + "".join(f"{i},{first if i < 20 else last}\n" for i in range(40))
        (tmp_path / "metrics.csv").write_text(text)
        assert len(judged(tmp_path / "metrics.csv")) == 1


def test_a_step_that_no_training_reaches_is_left_out_and_said(tmp_path: Path) -> None:
    event = (
        '[{{"type": "training_stats_scalar", "metric": "rec_loss", "variant": "rec_loss", "value": 0.5, "iter": {}}}]\n'
    )
    steps = [*range(20), 2**63 - 1, -(2**63) + 1, 20, 10**400]
    (tmp_path / "metrics.jsonl").write_text("".join(event.format(step) for step in steps))
    (run,) = read_all(tmp_path / "metrics.jsonl")
    assert run.steps.tolist() == list(range(21))
    assert sum(note.count for note in run.notes if "step" in note.text and "left out" in note.text) == 3


# --- settings -------------------------------------------------------------------------------------------------------------

SETTINGS = {path.name: path.read_text() for path in sorted(CONFIGS.iterdir())} | {
    "video-tiny.yaml": preset_text("video-tiny")
}
ODD = ["0", "-1", "1e999", "-1e999", ".inf", ".nan", "1" + "0" * 400, "9" * 5000, "5e-324", "x", "[1, 2]", "null", "true",
       "''", "{a: 1}", "1_000", "0x", "[]", "9999-99-99", "!!timestamp x"]  # fmt: skip
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d.e-]*(?![\w.])")


@given(
    st.sampled_from(sorted(SETTINGS)),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(ODD)), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None, phases=UNSHRUNK)
def test_no_number_of_settings_is_an_error_of_our_own(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, str]]
) -> None:
    text = SETTINGS[name]
    for where, value in changes:
        places = list(_NUMBER.finditer(text))
        place = places[int(where * (len(places) - 1))]
        text = text[: place.start()] + value + text[place.end() :]
    path = tmp_path_factory.mktemp("settings") / name
    path.write_text(text)
    for reads in (lambda p: lint(str(p)), import_foreign, lambda p: load_config(str(p)), read_config):
        try:
            reads(path)
        except ConfigError as error:
            assert len(str(error)) < 20_000
