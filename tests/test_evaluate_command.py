"""``vaelab evaluate`` on the command line, and what ``diagnose`` makes of its result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from evaluate_models import write_run
from vaelab import readers
from vaelab.cli.app import app
from vaelab.errors import CheckpointError
from vaelab.models.opening import find_checkpoint, open_checkpoint

WIDE = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "tiny")


def call(*arguments: str | Path, code: int | None = 0) -> str:
    result = CliRunner(env=WIDE).invoke(app, ["evaluate", *map(str, arguments)])
    assert code is None or result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def test_a_run_is_evaluated_on_its_own_held_out_data(run: Path) -> None:
    shown = call(run, "--both", "-n", "5", code=None)
    assert "A: tiny step 20" in shown and "B: tiny step 20 EMA" in shown and "B - A" in shown
    assert "held-out data of tiny (moving-shapes): up to 5 clips, 3 frames of 8 x 8" in shown
    assert "PSNR" in shown and "range 2" in shown and "Published scores of other models" in shown
    assert "LPIPS was not computed" in shown and "rFVD was not computed" in shown
    assert "REC11" in shown, "an untrained model explains nothing, or too little"


def test_its_result_becomes_part_of_the_run_and_of_its_diagnosis(run: Path) -> None:
    call(run, "-n", "3", code=None)
    content = json.loads((run / "evaluation.json").read_text())
    found = readers.read(run)
    assert found.measured == pytest.approx(content["measured"])
    assert any("measured on tiny step 20, held-out data of tiny" in note.text for note in found.notes)
    assert "# Evaluation" in (run / "evaluation.md").read_text()
    assert "<circle" in (run / "evaluation.html").read_text()
    (run / "evaluation.json").write_text(json.dumps({"measured": {
        "evaluation.clips": 5, "evaluation.explained_variance": 0.9, "evaluation.grid_peak": 40.0,
        "evaluation.grid_period": 2.0, "evaluation.grid_level": 6.0, "evaluation.grid_input_level": 0.0}}))  # fmt: skip
    shown = CliRunner(env=WIDE).invoke(app, ["diagnose", str(run)]).output
    assert "REC121 grid-in-output" in shown and "B5" in shown


def test_a_damaged_result_beside_a_run_is_noted_and_the_log_still_read(run: Path) -> None:
    for text in ("{", '{"measured": 3}', "\x00\x01", "[]"):
        (run / "evaluation.json").write_text(text)
        found = readers.read(run)
        assert found.measured == {} and any("evaluation.json" in note.text for note in found.notes)
    odd = '{"measured": {"a": 1, "b": NaN, "c": Infinity, "d": true, "e": "x", "f": 1' + "0" * 400 + ', "g": null}}'
    (run / "evaluation.json").write_text(odd)
    assert readers.read(run).measured == {"a": 1.0}, "only finite numbers"
    (run / "evaluation.json").unlink()
    assert readers.read(run).measured == {}


def test_output_as_json_and_markdown_and_into_a_folder(run: Path, tmp_path: Path) -> None:
    shown = CliRunner(env=WIDE).invoke(
        app, ["evaluate", str(run), "-n", "2", "-f", "json", "-o", str(tmp_path / "out"), "--fail-on", "critical"]
    )
    content = json.loads(shown.stdout)
    assert content == json.loads((tmp_path / "out/evaluation.json").read_text())
    assert content["checkpoints"][0]["clips"][0]["name"]
    assert "| score |" in call(run, "-n", "2", "-f", "markdown", code=None)


def test_two_runs_are_compared_on_the_data_of_the_first(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", steps=(5,))
    shown = call(run, other, "-n", "2", code=None)
    assert (
        "A: tiny step 20" in shown
        and "B: other step 5" in shown
        and "no intervals: 2 clips are too few, 5 files are needed" in shown
    )
    shown = call(run, other, "--data", "video-tiny", "-n", "2", "--clip", "3x16x16", code=None)
    assert "held-out data of video-tiny (example-clips): up to 2 clips, 3 frames of 16 x 16" in shown


def test_exit_codes_follow_fail_on(run: Path) -> None:
    bad = call(run, "-n", "2", "--fail-on", "info", code=None)
    assert "REC11" in bad
    result = CliRunner(env=WIDE).invoke(app, ["evaluate", str(run), "-n", "2", "--fail-on", "info"])
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["RUN", "nowhere"], "nowhere does not exist"),
        (["RUN", "data/val"], "data/val does not exist: give a folder"),
        (["nowhere", "video-tiny"], "does not exist"),
        (["RUN", "-f", "yaml"], "choose one of terminal"),
        (["RUN", "--clip", "4x8x8"], "takes 1 [+] a multiple of 2 frames"),
        (["RUN", "--lpips", "other"], "is not known"),
        (["RUN", "--device", "abacus"], "cannot be used here"),
        (["RUN", "--fvd"], "at least 8 frames"),
    ],
)
def test_bad_usage_is_one_sentence(run: Path, arguments: list[str], words: str) -> None:
    import re

    shown = call(*(str(run) if a == "RUN" else a for a in arguments), code=2)
    assert re.search(words, shown) and shown.startswith("vaelab: ") and len(shown.splitlines()) == 1


def test_a_run_gives_its_best_checkpoint_else_its_newest(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r")
    assert find_checkpoint(folder).step == 20
    (folder / "checkpoints/index.json").write_text('{"best": "step-00000010"}')
    found = find_checkpoint(folder)
    assert (found.step, found.mark, found.run) == (10, "best", folder)
    (folder / "checkpoints/index.json").write_text("{")
    assert find_checkpoint(folder).mark == "newest"
    part = folder / "checkpoints/step-00000010"
    for place in (part, part / "autoencoder", part / "autoencoder_ema"):
        assert find_checkpoint(place).run == folder.resolve()
    assert find_checkpoint(part / "autoencoder_ema").ema
    model = open_checkpoint(folder, ema=True)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert isinstance(model.encode(torch.zeros(1, 3, 3, 8, 8))[0], torch.Tensor)


def test_the_vae_of_a_pipeline_and_a_file_beside_its_config_are_found(run: Path, tmp_path: Path) -> None:
    weights = run / "checkpoints/step-00000020/autoencoder"
    shutil.copytree(weights, tmp_path / "pipeline/vae")
    for place in (tmp_path / "pipeline", tmp_path / "pipeline/vae/diffusion_pytorch_model.safetensors"):
        assert open_checkpoint(place).name == "CausalVideoVAE"
    assert find_checkpoint(tmp_path / "pipeline").title == "pipeline/vae"
    with pytest.raises(CheckpointError, match="leave out --ema"):
        open_checkpoint(tmp_path / "pipeline", ema=True)


def test_incomplete_runs_say_what_is_missing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "new/checkpoints").mkdir(parents=True)
    part = tmp_path / "part/checkpoints/step-00000001"
    part.mkdir(parents=True)
    (part / "training.pt").write_bytes(b"x")
    raw_only = tmp_path / "raw"
    shutil.copytree(run, raw_only)
    shutil.rmtree(raw_only / "checkpoints/step-00000020/autoencoder_ema")
    for path, ema, words in (
        (tmp_path / "new", False, "has not written one yet"),
        (part, False, "is not whole"),
        (part / "training.pt", False, "give its folder"),
        (raw_only, True, "no averaged weights"),
    ):
        with pytest.raises(CheckpointError, match=words):
            open_checkpoint(path, ema)
