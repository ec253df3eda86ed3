"""The loops in examples/loops run, print as the trainers that they follow do, and are judged."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

import vaelab
from forked_processes import Forked, finished

LOOPS = Path(__file__).parents[1] / "examples" / "loops"
MARKS = {
    "pyramid_flow_like.py": "# vaelab, {} of 3",
    "radiodiff_like.py": "# vaelab, {} of 3",
    "plain_pytorch.py": "# {}",
}


def run_loop(name: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", [name, *options])
    runpy.run_path(str(LOOPS / name), run_name="__main__")


@pytest.mark.parametrize("name", MARKS)
def test_the_three_lines_are_marked(name: str) -> None:
    lines = (LOOPS / name).read_text().splitlines()
    for number in (1, 2, 3):
        assert sum(line.endswith(MARKS[name].format(number)) for line in lines) == 1


def test_pyramid_flow_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--epochs", "2", "--iters_per_epoch", "12", "--disc_start", "14", "--print_freq", "1")
    run_loop("pyramid_flow_like.py", monkeypatch, *options, "--output_dir", str(tmp_path / "monitor"))
    (tmp_path / "train.log").write_text(capsys.readouterr().out)
    printed, recorded = vaelab.read(tmp_path / "train.log"), vaelab.read(tmp_path / "monitor")
    assert printed.format == "metric_logger" and printed.trainer == recorded.trainer == "pyramid_flow"
    assert printed.steps.tolist() == recorded.steps.tolist() == list(range(24))
    for name in ("rec_loss", "kl_loss", "grad_norm", "total_loss"):
        assert printed[name][0] == pytest.approx(recorded[name][0], abs=1e-4)  # medians from the second row on
    config = recorded.config
    assert config["clip_shape"] == [5, 16, 16] and config["latent_shape"] == [4, 3, 4, 4]
    assert config["disc_start"] == 14 and config["input_range"] == [-1.0, 1.0]
    diagnosis = vaelab.diagnose(recorded)
    kl = next(fact for fact in diagnosis.statements if fact.name == "kl_per_element")
    assert isinstance(kl.value, float) and "4x3x4x4" in kl.text


def as_script(name: str, *options: str) -> None:
    sys.argv = [name, *options]
    runpy.run_path(str(LOOPS / name), run_name="__main__")


def test_radiodiff_like(tmp_path: Path) -> None:
    """In a process of its own: it sets up logging for the whole one."""
    options = ("--steps", "31", "--disc-start", "15", "--results-folder", str(tmp_path / "monitor"))
    (tmp_path / "train.log").write_text(finished(Forked(as_script, "radiodiff_like.py", *options)))
    printed, recorded = vaelab.read(tmp_path / "train.log"), vaelab.read(tmp_path / "monitor")
    assert printed.trainer == recorded.trainer == "radiodiff"
    assert printed.steps.tolist() == [0, 10, 20, 30] and len(recorded) == 31
    for name in ("rec_loss", "kl_loss", "d_weight", "disc_loss"):
        assert printed[name] == pytest.approx(recorded[name][printed.steps], abs=1e-5)
    assert recorded.config["clip_shape"] == [1, 32, 32] and recorded.config["input_channels"] == 1
    assert recorded.config["latent_shape"] == [3, 8, 8] and recorded.config["input_range"] == [0.0, 1.0]


def test_plain_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--steps", "30", "--checkpoint", str(tmp_path / "last.pt"))
    run_loop("plain_pytorch.py", monkeypatch, *options)
    run_loop("plain_pytorch.py", monkeypatch, *options, "--report", str(tmp_path / "report"))
    out = capsys.readouterr().out
    # 30 steps from untrained weights may be called too slow; which steps each run ended at does not hang on that
    assert re.findall(r"^(?:healthy|watch) at step (\d+): ", out, re.MULTILINE) == ["29", "59"] and "report.md" in out
    assert "60 rows" in (tmp_path / "report" / "report.md").read_text()  # those before the checkpoint too
