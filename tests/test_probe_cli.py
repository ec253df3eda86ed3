"""``vaelab probe`` on the command line, and what its result changes in the diagnosis of the run it belongs to."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import vaelab
from probed_runs import HEALTHY
from small_runs import ROOT, small
from vaelab.causes import CAUSES
from vaelab.cli.app import app
from vaelab.diagnosis.commands import deciding_command
from vaelab.facts import infer
from vaelab.probing import measure, training_part
from vaelab.training import train

COLLAPSED = ROOT / "examples/logs/radiodiff-collapse/train.log"
UNSURE = ("--ignore", "KL203")
"""Its KL weight of 100 gives the cause away; without this rule the log cannot tell C1 from C2."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of 12 steps with a GAN, with its log."""
    folder = tmp_path_factory.mktemp("probe") / "run"
    config = small(run__steps=12, run__validate_every=12, run__checkpoint_every=12, optim__warmup_steps=2)
    train(config, folder, None, False)
    return folder


@pytest.fixture(autouse=True)
def small_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few updates, and a flat picture of 64 pixels: test_probe_parts has it in full."""
    monkeypatch.setattr(training_part, "UPDATES", 4)
    monkeypatch.setattr("vaelab.probing.flat_field._PIXELS", 64)


def vaelab_command(*arguments: str | Path) -> Any:
    environment = {"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb", "VAELAB_DEBUG": "1"}
    return CliRunner(env=environment).invoke(app, [str(a) for a in arguments])


def sentence(result: Any) -> str:
    """The one line of an error, with exit code 2."""
    assert result.exit_code == 2, result.output
    # on a slow machine lines of progress stand before it
    text = "\n".join(line for line in result.stderr.strip().splitlines() if not line.startswith("vaelab probe: "))
    assert text.startswith("vaelab: ") and "\n" not in text and "Traceback" not in text
    return text


# --- the result -----------------------------------------------------------------------------------------------------------


def test_a_run_is_probed_and_its_diagnosis_reads_the_result(run: Path) -> None:
    before = json.loads(vaelab_command("diagnose", run, "-f", "json").stdout)["runs"]
    shown = vaelab_command("probe", run, "--discriminator", "--samples", "8", "--fail-on", "critical")
    assert shown.exit_code in (0, 1), shown.output
    for text in (
        "Scale of the latent", "Channels of the latent", "KL of the posterior", "Decoder under noise", "One latent cell",
        "Discriminator: data against", "Gradient of each loss term", "Gradient norm of the autoencoder",
        "not trained to be sampled", '"scaling_factor": ', "step 12 (best)", "8 held-out clips were scored and 16 are needed", "Findings",
    ):  # fmt: skip
        assert text in " ".join(shown.stdout.split()), text
    content = json.loads((run / "probe.json").read_text())
    assert content["schema"] == "vaelab.probe/1" and content["clips"] == 8 and content["step"] == 12
    names = {path.name for path in (run / "probe").iterdir()}
    pictures = {"channels.png", "noise.png", "prior.png", "interpolation.png", "cell.png"}
    assert names == {"probe.md", "probe.html", *pictures}
    page = (run / "probe/probe.html").read_text()
    assert all(f'src="{name}"' in page for name in pictures) and "Power by size of detail" in page
    for name in content["pictures"]:
        with Image.open(run / "probe" / name) as picture:
            assert np.asarray(picture).std() > 5  # not one colour

    after = json.loads(vaelab_command("diagnose", run, "-f", "json").stdout)["runs"]
    assert len(before) == len(after) == 1  # probe.json is no log of its own
    codes = [{f["code"] for f in found[0]["findings"]} for found in (before, after)]
    new = codes[1] - codes[0]
    assert new & {"KL221", "KL222", "KL232"} and not new & codes[0]


def test_json_and_markdown_go_to_standard_output_alone(run: Path, tmp_path: Path) -> None:
    options = ("--samples", "8", "--no-pictures", "-o", str(tmp_path / "out"))
    whole = json.loads(vaelab_command("probe", run, *options, "-f", "json").stdout)
    assert whole["measured"]["probe.clips"] == 8
    assert whole["diagnosis"]["schema"] == "vaelab.diagnosis/1" and len(whole["diagnosis"]["runs"]) == 1
    page = vaelab_command("probe", run, *options, "-f", "markdown").stdout
    assert page.startswith("# Probe\n") and "| channel | mean |" in page and "Written" not in page
    assert (tmp_path / "out/probe.md").read_text() == page
    assert (tmp_path / "out/probe.json").read_text() == (run / "probe.json").read_text()


def test_a_folder_of_diffusers_is_probed_on_a_folder_of_pictures(run: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    draw = np.random.default_rng(0)
    for i in range(9):
        Image.fromarray(draw.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(pictures / f"{i}.png")
    vae = run / "checkpoints/step-00000012/autoencoder"
    shutil.copytree(vae, tmp_path / "vae")
    out = tmp_path / "out"
    shown = vaelab_command("probe", tmp_path / "vae", pictures, "--clip", "32x32", "-o", out, "--fail-on", "critical")
    assert shown.exit_code in (0, 1), shown.output
    content = json.loads((out / "probe.json").read_text())
    assert content["clips"] == 9 and content["clip_shape"] == [1, 32, 32] and content["step"] is None


# --- the diagnosis --------------------------------------------------------------------------------------------------------


def shares(log: Path, measured: dict[str, float], folder: Path) -> dict[str, float]:
    """Cause -> share, of a foreign log with such a probe.json."""
    file = folder / "probe.json"
    file.write_text(json.dumps({"measured": {f"probe.{name}": value for name, value in measured.items()}}))
    shown = vaelab_command("diagnose", log, "--probe", file, "-f", "json", *UNSURE)
    return {cause["id"]: cause["score"] for cause in json.loads(shown.stdout)["runs"][0]["causes"]}


def test_a_probe_settles_what_a_foreign_log_could_only_suspect(tmp_path: Path) -> None:
    alone = {c.id: c.score for c in vaelab.diagnose(vaelab.read(COLLAPSED), ignore=["KL203"]).causes}
    dead = shares(COLLAPSED, {**HEALTHY, "dead_channels": 4, "active_share": 0.0}, tmp_path)
    alive = shares(COLLAPSED, HEALTHY, tmp_path)
    assert alive.get("C1", 0.0) < 0.5 * alone["C1"] < alone["C1"] < dead["C1"]


def test_the_command_that_would_decide_is_printed_until_it_has_been_run(run: Path, tmp_path: Path) -> None:
    shown = vaelab_command("diagnose", COLLAPSED, "-f", "json", *UNSURE).stdout
    steps = {step["cause"]: step["command"] for step in json.loads(shown)["runs"][0]["next"]}
    assert steps["C2"] == "vaelab lint CONFIG"
    assert "Decide: vaelab probe CHECKPOINT DATA" in " ".join(
        vaelab_command("diagnose", COLLAPSED, *UNSURE).stdout.split()
    )
    assert steps["C1"].startswith("vaelab probe CHECKPOINT DATA") and f"{COLLAPSED} --probe" in steps["C1"]
    file = tmp_path / "probe.json"
    file.write_text(json.dumps({"measured": {f"probe.{name}": value for name, value in HEALTHY.items()}}))
    shown = vaelab_command("diagnose", COLLAPSED, "--probe", file, "-f", "json", *UNSURE).stdout
    assert "vaelab probe" not in json.dumps(json.loads(shown)["runs"][0]["next"])


def test_the_commands_are_those_of_this_run_and_exist(run: Path) -> None:
    facts = infer(replace(vaelab.read(run), measured={}))
    commands = {id: deciding_command(facts, cause) for id, cause in CAUSES.items() if cause.decided_by}
    assert commands["C1"] == f"vaelab probe {run}"
    assert commands["D3"] == f"vaelab probe {run} --discriminator"
    assert commands["G1"] == f"vaelab lint {run / 'config.yaml'}"
    for name in {command.split()[1] for command in commands.values()}:
        assert vaelab_command(name, "--help").exit_code == 0, name


# --- bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere does not exist"),
        (("RUN", "nowhere"), "nowhere"),
        (("RUN", "--clip", "1x33x32"), "multiple of 2"),
        (("RUN", "--clip", "big"), "--clip 'big' is not understood"),
        (("RUN", "--device", "abacus"), "--device abacus cannot be used here"),
        (("RUN", "-f", "pdf"), "--format pdf"),
        (("RUN", "--output", "FILE/below"), "cannot be written"),
        (("VAE",), "name a folder of clips or images"),
        (("VAE", "PICTURE", "--discriminator"), "--discriminator needs a checkpoint of vaelab train"),
        (("RUN", "TEXT"), "holds no"),
    ],
)
def test_what_cannot_be_probed_is_one_sentence(
    arguments: tuple[str, ...], said: str, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "checkpoints/step-00000012/autoencoder", tmp_path / "vae")
    (tmp_path / "file").write_text("text")
    (tmp_path / "text").mkdir()
    (tmp_path / "text/readme.txt").write_text("text")
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    named = {
        "RUN": run, "VAE": tmp_path / "vae", "PICTURE": tmp_path / "a.png", "TEXT": tmp_path / "text",
        "FILE/below": tmp_path / "file" / "below",
    }  # fmt: skip
    shown = vaelab_command("probe", *(named.get(a, a) for a in arguments), "--samples", "8")
    assert said in sentence(shown)


def copied(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder / "copy")
    return folder / "copy/checkpoints/step-00000012"


def test_a_damaged_checkpoint_is_one_sentence(run: Path, tmp_path: Path) -> None:
    step = copied(run, tmp_path)
    (step / "training.pt").write_bytes(b"\0" * 100)
    assert "cannot be read" in sentence(vaelab_command("probe", step, "--discriminator", "--samples", "8"))
    (step / "discriminator.safetensors").unlink()
    (step / "training.pt").unlink()
    assert "only a whole checkpoint" in sentence(vaelab_command("probe", step, "--discriminator", "--samples", "8"))


def test_weights_of_nan_are_one_sentence(run: Path, tmp_path: Path) -> None:
    step = copied(run, tmp_path)
    file = step / "autoencoder/diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    save_file({name: torch.full_like(value, float("nan")) for name, value in weights.items()}, file)
    assert "NaN or infinity as the latent" in sentence(vaelab_command("probe", step, "--samples", "8"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"measured": 3}', "\0\0"])
def test_a_probe_file_that_is_none_is_one_sentence(content: str, tmp_path: Path) -> None:
    (tmp_path / "probe.json").write_text(content)
    assert "probe.json" in sentence(vaelab_command("diagnose", COLLAPSED, "--probe", tmp_path / "probe.json"))


def test_one_probe_belongs_to_one_run(run: Path, tmp_path: Path) -> None:
    (tmp_path / "probe.json").write_text('{"measured": {"probe.clips": 9}}')
    shown = vaelab_command("diagnose", ROOT / "examples/logs", "--probe", tmp_path / "probe.json")
    assert "--probe belongs to one run" in sentence(shown)


# --- interruptions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (RuntimeError("CUDA out of memory"), 2)])
def test_a_probe_that_ends_early_leaves_no_result(
    error: BaseException, code: int, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*_: object) -> None:
        raise error

    monkeypatch.setattr(measure, "examine_cell", ends)
    copied(run, tmp_path)
    (tmp_path / "copy/probe.json").unlink(missing_ok=True)
    shown = vaelab_command("probe", tmp_path / "copy", "--samples", "8", "-o", tmp_path / "out")
    assert shown.exit_code == code
    assert not (tmp_path / "copy/probe.json").exists() and not list((tmp_path / "out").iterdir())
    if code == 2:
        assert "(CUDA out of memory). Try a smaller --clip" in sentence(shown)


def test_averaged_weights_are_probed_beside_the_raw_discriminator(run: Path, tmp_path: Path) -> None:
    copied(run, tmp_path)
    options = (tmp_path / "copy", "--discriminator", "--samples", "8", "--no-pictures", "-f", "json")
    raw, averaged = (json.loads(vaelab_command("probe", *options, *ema).stdout)["measured"] for ema in ((), ("--ema",)))
    assert averaged["probe.latent_std"] != raw["probe.latent_std"]
    # the gradients are those of the weights that are trained
    assert averaged["probe.gradient_share_pixel"] == pytest.approx(raw["probe.gradient_share_pixel"], rel=0.05)
