"""compare(): natural units at common points, honest about what explains what and about what does not compare."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from helpers_report import column, make_diagnosis
from vaelab.cli.app import app
from vaelab.compare import POINTS, Comparison, compare
from vaelab.diagnosis import Diagnosis
from vaelab.errors import ConfigError
from vaelab.facts import infer
from vaelab.run import Run

CONFIG: dict[str, Any] = {
    "kl_weight": 1e-12,
    "pixelloss_weight": 10.0,
    "perceptual_weight": 1.0,
    "lr": 1e-4,
    "latent_shape": [16, 3, 32, 32],
    "clip_shape": [17, 256, 256],
    "input_channels": 3,
}


def diagnosis(
    source: str,
    rec: float = 0.0015,
    kl: float = 37_000.0,
    rows: int = 200,
    gan_start: int | None = None,
    trainer: str = "pyramid_flow",
    **config: Any,
) -> Diagnosis:
    """A Pyramid-Flow run whose reconstruction loss and KL settle at ``rec`` and ``kl``; 10 steps a row."""
    rng = np.random.default_rng(1)
    noise = np.exp(rng.normal(0, 0.02, rows))
    steps = np.arange(rows, dtype=np.int64) * 10
    settled = np.exp(-np.arange(rows) / 10)
    rec_loss = rec * (1 + 5 * settled) * noise
    perceptual = 0.03 * noise
    columns = [
        column("rec_loss", rec_loss),
        column("perceptual_loss", perceptual, "perception_loss"),
        column("kl_loss", kl * noise),
        column("nll_loss", 10 * rec_loss + perceptual),
        column("total_loss", 10 * rec_loss + perceptual + {**CONFIG, **config}["kl_weight"] * kl * noise, "vae_loss"),
        column("grad_norm", 3 * noise),
    ]
    if gan_start is not None:
        on = steps >= gan_start
        columns += [
            column("disc_factor", on.astype(float)),
            column("disc_loss", np.where(on, 0.9, np.nan)),
            column("logits_real", np.where(on, 0.1, np.nan)),
            column("logits_fake", np.where(on, -0.1, np.nan)),
            column("g_loss", np.where(on, 0.1, 0.0)),
            column("d_weight", np.where(on, 0.5, 0.0)),
        ]
    run = Run(
        source, "metric_logger", trainer, 0.99, "", steps, {c.name: c for c in columns}, config={**CONFIG, **config}
    )
    return replace(make_diagnosis(run), facts=infer(run))


def quantity(comparison: Comparison, name: str) -> Any:
    return next(q for q in comparison.quantities if q.name == name)


def conclusion(comparison: Comparison, start: str) -> str:
    return next(text for text in comparison.conclusions if text.startswith(start))


def test_levels_are_in_natural_units() -> None:
    comparison = compare([diagnosis("a.log"), diagnosis("b.log", rec=0.0069, kl=500, kl_weight=1e-4)])
    psnr = quantity(comparison, "psnr")
    end = POINTS.index("end")
    assert psnr.comparable
    assert psnr.values[0][end] == pytest.approx(10 * np.log10(4 / 0.0015), abs=0.2)
    assert psnr.values[1][end] == pytest.approx(10 * np.log10(4 / 0.0069), abs=0.2)
    kl = quantity(comparison, "kl_nats")
    assert kl.unit == "nats/element" and kl.comparable
    assert [values[end] for values in kl.values] == pytest.approx([37_000 / 3072, 500 / 3072], rel=0.05)


def test_one_difference_explains_and_weighted_columns_do_not_compare() -> None:
    comparison = compare([diagnosis("a.log"), diagnosis("b.log", rec=0.0069, kl=500, kl_weight=1e-4)])
    assert [s.key for s in comparison.settings] == ["kl_weight"]
    assert "only known difference in settings is kl_weight (1e-12 against 0.0001)" in conclusion(comparison, "PSNR")
    assert "about the same" in conclusion(comparison, "perceptual loss")
    for name in ("nll_loss", "total_loss", "grad_norm"):
        assert not quantity(comparison, name).comparable
        assert "kl_weight" in quantity(comparison, name).reason


def test_several_differences_are_called_confounded() -> None:
    comparison = compare([diagnosis("a.log"), diagnosis("b.log", rec=0.0069, kl=500, kl_weight=1e-4, lr=1e-5)])
    text = conclusion(comparison, "PSNR")
    assert "cannot tell which" in text and "kl_weight" in text and "lr" in text


def test_a_difference_without_a_setting_is_not_explained() -> None:
    text = conclusion(compare([diagnosis("a.log"), diagnosis("b.log", rec=0.005)]), "PSNR")
    assert "No setting that both logs give explains it" in text


def test_gan_settings_do_not_explain_what_was_before_the_gan() -> None:
    early = diagnosis("a.log", rec=0.002, disc_start=100_000)
    late = diagnosis("b.log", rec=0.004, disc_start=200_000)
    assert "No setting" in conclusion(compare([early, late]), "PSNR")
    on = diagnosis("a.log", rec=0.004, gan_start=1000, disc_start=1000)
    comparison = compare([on, diagnosis("b.log", rec=0.002, disc_start=200_000)])
    assert "disc_start" in conclusion(comparison, "PSNR")
    assert comparison.runs[0].gan_start == 1000 and comparison.runs[1].gan_start is None
    assert quantity(comparison, "psnr").values[0][POINTS.index("before the GAN")] is not None
    assert quantity(comparison, "gap").values[0][POINTS.index("end")] == pytest.approx(0.2)


def test_a_guessed_latent_shape_is_a_condition_of_comparing_kl() -> None:
    bare = {"latent_shape": None, "clip_shape": None}
    comparison = compare([diagnosis("a.log", **bare), diagnosis("b.log", **bare)])
    assert any("KL: compares on a condition" in text and "--latent" in text for text in comparison.warnings)
    assert not quantity(compare([diagnosis("a.log"), diagnosis("b.log")]), "kl_nats").reason


def test_kl_does_not_compare_without_a_latent_shape() -> None:
    comparison = compare([diagnosis("a.log"), diagnosis("b.log", trainer="unknown", latent_shape=None)])
    assert not quantity(comparison, "kl_nats").comparable
    assert any("KL as logged: not comparable" in text and "--latent" in text for text in comparison.warnings)


def test_other_trainers_and_unknown_settings_are_warned_of() -> None:
    other = diagnosis("b.log", trainer="ldm")
    comparison = compare([diagnosis("a.log", disc_weight=0.5), other])
    assert any("different trainers (ldm, pyramid_flow)" in warning for warning in comparison.warnings)
    assert any("Not known in every run" in warning and "disc_weight" in warning for warning in comparison.warnings)
    assert not quantity(comparison, "rec_loss").comparable


def test_runs_of_unlike_length_meet_at_the_common_step() -> None:
    comparison = compare([diagnosis("a.log", rows=100), diagnosis("b.log", rows=300)])
    assert comparison.common_step == 990
    assert [run.last_step for run in comparison.runs] == [990, 2990]


def test_of_many_runs_only_those_of_one_name_are_numbered() -> None:
    made = compare([diagnosis(source) for source in ("x/a.log", "x/b.log", "x/a.log", "y/c.log", "x/a.log")])
    assert [PurePath(run.label).as_posix() for run in made.runs] == [
        "x/a.log (1)", "x/b.log", "x/a.log (2)", "y/c.log", "x/a.log (3)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sources", "labels"),
    [
        (("x/one/train.log", "x/two/train.log"), ["one", "two"]),
        (("x/a.log", "x/b.log"), ["a.log", "b.log"]),
        (("a/1/train.log", "b/2/train.log"), ["a", "b"]),
        (("runs/x", "runs/x/y"), ["run 1", "run 2"]),
        (("a.log", "a.log"), ["run 1", "run 2"]),
        (("train.log#1", "train.log#2"), ["train.log#1", "train.log#2"]),
    ],
)
def test_labels_are_what_tells_the_sources_apart(sources: tuple[str, str], labels: list[str]) -> None:
    made = compare([diagnosis(source) for source in sources])
    assert [run.label.replace("\\", "/") for run in made.runs] == labels


def test_one_run_is_no_comparison() -> None:
    with pytest.raises(ConfigError, match="at least two runs"):
        compare([diagnosis("a.log")])


def test_a_run_without_rows_or_columns_is_compared_without_failing() -> None:
    run = Run("empty.log", "csv", "unknown", 0.0, "", np.empty(0, np.int64), {})
    empty = replace(make_diagnosis(run), facts=infer(run))
    comparison = compare([diagnosis("a.log"), empty])
    assert comparison.common_step is None and comparison.runs[1].last_step is None


@pytest.mark.parametrize("what", ["terminal", "json"])
def test_the_command_prints_the_comparison(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    made = {name: diagnosis(name, rec=rec) for name, rec in (("a.log", 0.0015), ("b.log", 0.005))}
    monkeypatch.setattr("vaelab.readers.read_all", lambda paths, **_: [made[p].run for p in paths])
    monkeypatch.setattr("vaelab.diagnosis.diagnose", lambda run, **_: made[run.source])
    result = CliRunner().invoke(app, ["compare", "a.log", "b.log", "-f", what])
    assert result.exit_code == 0, result.output
    if what == "json":
        content = json.loads(result.stdout)
        assert content["schema"] == "vaelab.comparison/1" and len(content["runs"]) == 2
    else:
        assert "What explains what" in result.stdout


def test_many_runs_have_a_line_each_the_worst_first(tmp_path: Path) -> None:
    for i in range(60):
        rows = "\n".join(f"{10 * k},{0.1 / (k + 1) if i != 33 else 'nan'},{40 + k}" for k in range(60))
        (tmp_path / f"run-{i}").mkdir()
        (tmp_path / f"run-{i}" / "metrics.csv").write_text(f"step,rec_loss,kl_loss\n{rows}\n")
    done = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["compare", str(tmp_path)])
    lines = done.stdout.splitlines()
    assert lines[1].split()[:2] == ["run-33", "stop"]
    assert "and 20 more that are no worse" in done.stdout and "-f html -o compare.html" in done.stdout
    page = CliRunner().invoke(app, ["compare", str(tmp_path), "-f", "html", "-o", str(tmp_path / "compare.html")])
    assert page.exit_code == 0 and "run-33" in (tmp_path / "compare.html").read_text()
