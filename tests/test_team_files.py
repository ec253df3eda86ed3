"""What agents and teams are given: SKILL.md, whose commands all run, the pre-commit hook and the GitHub Action with its script."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from media_files import write_image
from vaelab.cli.app import app
from vaelab.integrations.mcp_server import make_server

ROOT = Path(__file__).parents[1]
SKILL = (ROOT / "skills/vaelab/SKILL.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"\| `(vaelab [^`]+)` \|", SKILL)
SETTINGS = ROOT / "tests/data/configs"


# --- SKILL.md ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the commands of SKILL.md name."""
    from diffusers import AutoencoderKL

    folder = tmp_path_factory.mktemp("workplace")
    shutil.copytree(ROOT / "examples/logs", folder / "runs")
    shutil.copy(folder / "runs/radiodiff-collapse/train.log", folder)
    shutil.copy(SETTINGS / "radiodiff.yaml", folder / "settings.yaml")
    torch.manual_seed(0)
    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2).save_pretrained(folder / "checkpoint")
    (folder / "pictures").mkdir()
    for number in range(8):
        write_image(folder / "pictures" / f"{number}.png", 20 * number + 20)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_skill_runs(command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    result = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(app, shlex.split(command)[1:])
    assert result.exit_code in (0, 1), result.output  # 1: a finding is critical, as on the example's collapsed run
    assert result.stdout.strip() and "Traceback" not in result.output
    if "--format json" in command:
        json.loads(result.stdout)


def test_the_skill_says_what_it_is_for_and_names_the_tools_of_the_server() -> None:
    front = yaml.safe_load(SKILL.split("---")[1])
    assert set(front) == {"name", "description"} and front["name"] == "vaelab"
    assert len(front["description"]) < 1024 and "Use when" in front["description"]
    assert len(COMMANDS) >= 12 and len(SKILL.splitlines()) < 80
    named = set(re.findall(r"`(\w+)`", SKILL.split("| When | Tool |")[1].split("## Rules")[0]))
    assert named == {tool.name for tool in make_server([ROOT / "examples/logs"])._tool_manager.list_tools()}


# --- the hook and the action ------------------------------------------------------------------------------------------------


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose first commit holds sound settings."""
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "--quiet")
    shutil.copy(SETTINGS / "vidtok.yaml", folder / "untouched.yaml")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "-m", "first")
    return folder


def _lint_changed(repository: Path, base: str) -> tuple[int, str, Path, str]:
    """Exit code, screen, SARIF file and outputs of the script that the action runs."""
    tools = repository.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "vaelab").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vaelab "$@"\n')
    (tools / "vaelab").chmod(0o755)
    sarif, outputs = repository.parent / "vaelab.sarif", repository.parent / "outputs"
    outputs.touch()
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "GITHUB_OUTPUT": str(outputs)}
    command = ["bash", str(ROOT / "action/lint_changed.sh"), base, str(sarif)]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr, sarif, outputs.read_text()


def test_the_action_lints_what_was_changed_and_nothing_else(repository: Path) -> None:
    base = _git(repository, "rev-parse", "HEAD")
    shutil.copy(SETTINGS / "pyramid_flow.sh", repository / "train it.sh")
    (repository / "docker-compose.yml").write_text("services: {a: {image: b}}\n")
    (repository / "setup.py").write_text("print('no settings')\n")
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "-m", "second")
    code, screen, sarif, outputs = _lint_changed(repository, base)
    assert code == 1 and outputs == f"sarif={sarif}\n"
    assert "::error file=train it.sh,line=21,title=LNT101" in screen
    assert "untouched" not in screen and "docker-compose" not in screen
    results = json.loads(sarif.read_text())["runs"][0]["results"]
    places = {r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results}
    assert places == {"train%20it.sh"} and "LNT101" in {r["ruleId"] for r in results}


def test_the_action_has_nothing_to_say_where_no_settings_changed(repository: Path) -> None:
    base = _git(repository, "rev-parse", "HEAD")
    assert _lint_changed(repository, base)[0] == 0
    (repository / "values.yaml").write_text("a: 1\n")
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "-m", "second")
    code, _, sarif, _ = _lint_changed(repository, base)
    assert code == 0 and json.loads(sarif.read_text())["runs"][0]["results"] == []  # clears what was posted before


def test_the_action_runs_that_script_with_its_inputs() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = action["runs"]["steps"]
    script = next(step for step in steps if "lint_changed.sh" in step.get("run", ""))
    assert (ROOT / "action/lint_changed.sh").stat().st_mode & 0o111
    assert script["run"].startswith('bash "$GITHUB_ACTION_PATH/action/lint_changed.sh"')
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert used == set(action["inputs"])


def test_the_hook_names_a_command_that_exists_and_takes_settings() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert all(re.search(hook["files"], path.name) for path in SETTINGS.iterdir())
    command = [*shlex.split(hook["entry"])[1:], str(SETTINGS / "pyramid_flow.sh"), str(ROOT / "mkdocs.yml")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "LNT101" in result.output and "mkdocs" not in result.output
