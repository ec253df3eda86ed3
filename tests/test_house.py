"""The house is in order: commands that the README names work, links lead somewhere, files stay small and portable."""

from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vaelab.cli.app import app
from vaelab.rules import ALL_RULES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = ("What it checks", "Why it matters", "Evidence it needs", "What to do", "References")
OPTIONAL = "Evidence it needs"  # where ``needs`` says it all
MOST_LINES = 700


def tracked() -> list[Path]:
    """Files under version control, or all files where this is no git checkout (an unpacked archive)."""
    try:
        command = ["git", "ls-files", "-z"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        hidden = re.compile(r"^(\.(?!ci)|demo/|build/|dist/)|__pycache__")
        return [p for p in ROOT.rglob("*") if p.is_file() and not hidden.search(p.relative_to(ROOT).as_posix())]
    return [p for name in listed.stdout.split("\0") if name and (p := ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            yield path.relative_to(ROOT).as_posix(), content.decode("utf-8", "replace")


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.code)
def test_every_rule_has_the_five_sections_in_order(rule: type) -> None:
    found = re.findall(rf"^({'|'.join(SECTIONS)}): \S", rule.documentation(), re.MULTILINE)
    assert found in ([*SECTIONS], [s for s in SECTIONS if s != OPTIONAL])


def test_links_of_documents_lead_somewhere() -> None:
    """Those of the pages in docs/ are checked where the site is built (test_site.py)."""
    for name, text in texts():
        if name.endswith(".md") and not name.startswith("docs/"):
            for target in re.findall(r"\]\((?!https?://)([^)#\s]*)", text):
                assert not target or (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_pages_that_the_code_names_exist() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        for page in re.findall(r"docs/([\w-]+\.md)", path.read_text(encoding="utf-8")):
            assert (ROOT / "docs" / page).is_file(), f"{path.relative_to(ROOT)} names docs/{page}"


def test_the_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", "docs/index.md", "docs/speed.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^|`)make (\w+)(?:`| +#)", text, re.MULTILINE))
        assert named <= targets, f"{name}: {named - targets}"
    assert {"demo", "test"} <= set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_the_vaelab_commands_and_options_of_the_readme_exist() -> None:
    runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    block = next(block for block in README.split("```") if "vaelab explain" in block)
    lines = re.findall(r"(?:^|\| )vaelab (\w+) ?([^#\n]*)", block, re.MULTILINE)
    assert {command for command, _ in lines} == {"diagnose", "report", "compare", "explain", "rules"}
    for command, rest in lines:
        shown = runner.invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        for option in re.findall(r"(?<!\S)--?[a-z]+", rest):
            assert option in shown.output, f"vaelab {command} {option}"


def test_the_screen_in_the_readme_is_what_comes_out() -> None:
    screen = next(block for block in README.split("```") if "$ vaelab diagnose examples" in block)
    command, *lines = screen.strip().splitlines()
    arguments = command.removeprefix("$ vaelab ").replace("examples", str(ROOT / "examples")).split()
    shown = CliRunner(env={"COLUMNS": "96", "NO_COLOR": "1"}).invoke(app, arguments).output
    for line in lines:
        assert line.strip() in shown, f"the run does not show {line!r}: paste the new first lines into the README"


def test_the_readme_is_short() -> None:
    assert README.count("\n") < 150


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples/read_and_diagnose.py"))["main"]()
    shown = capsys.readouterr().out
    assert "pyramid_flow" in shown and "ADV308 (critical)" in shown


def test_no_machine_path_or_package_registry_is_committed() -> None:
    # written in pieces, so that this file does not find itself
    forbidden = re.compile(
        "|".join(["/wo" + "rk/", "/ro" + "ot/", r"/home/\w+/", "py" + r"pi\.org", r"index-" + "url"])
    )
    for name, text in texts():
        match = forbidden.search(text)
        assert match is None, f"{name} holds {match[0] if match else ''}"


def test_source_files_are_short_enough_to_read() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines < MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines: split it"
