"""What is released: the wheel holds all that the package needs and works from there, the sdist can be built from, the numbers agree."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import vaelab

ROOT = Path(__file__).parents[1]
LOG = ROOT / "examples/logs/radiodiff-collapse/train.log"


def _build(target: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src/vaelab").rglob("*") if p.is_file()}
    assert held == {name for name in source if "__pycache__" not in name}
    for needed in (
        "py.typed",
        "report/templates/report.html.j2",
        "report/schema.py",
        "web/static/",
        "report/static/",
        "config/presets/radio-map.yaml",
        "data/clips/",
        "evaluation/published.csv",
    ):
        assert any(name.startswith(f"vaelab/{needed}") for name in held), needed


def test_an_installed_wheel_does_its_main_jobs(wheel: Path, tmp_path: Path) -> None:
    """Unpacked to a folder of its own; ``make release`` installs it into fresh environments of each Python."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    command = [sys.executable, str(ROOT / "tests/smoke_install.py"), str(LOG)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"vaelab {vaelab.__version__} works with Python")


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"vaelab-{vaelab.__version__}.dist-info"
        metadata = email.message_from_string(archive.read(f"{folder}/METADATA").decode())
        assert "vaelab = vaelab.cli:main" in archive.read(f"{folder}/entry_points.txt").decode()
        assert archive.read(f"{folder}/licenses/LICENSE")
    assert metadata["Version"] == vaelab.__version__ and metadata["Requires-Python"] == ">=3.10"
    extras = {"plots", "train", "web", "mcp", "remote", "radio", "docs", "test", "bench"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras
    core = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert {re.match(r"[\w-]+", line)[0] for line in core} == {  # type: ignore[index]
        "jinja2", "numpy", "orjson", "pydantic", "pyyaml", "rich", "typer"
    }  # fmt: skip


def test_the_sdist_is_small_and_a_wheel_can_be_built_from_it(wheel: Path, tmp_path: Path) -> None:
    sdist = _build("sdist", ROOT, tmp_path / "sdist")
    assert sdist.stat().st_size < 5_000_000
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    again = _build("wheel", tmp_path / sdist.name.removesuffix(".tar.gz"), tmp_path / "wheel")
    with zipfile.ZipFile(again) as second, zipfile.ZipFile(wheel) as first:
        assert sorted(second.namelist()) == sorted(first.namelist())


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == vaelab.__version__
