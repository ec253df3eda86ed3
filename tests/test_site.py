"""The documentation builds as a site, strictly: every page is in its menu, every link between pages and every anchor leads somewhere."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import vaelab
from vaelab.causes import CAUSES
from vaelab.config.presets import preset_names
from vaelab.rules import ALL_RULES

ROOT = Path(__file__).parents[1]
SETTINGS = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def _make_pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make site`` does it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    _make_pages().write(folder / "docs")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def _pages_of(menu: object) -> list[str]:
    if isinstance(menu, str):
        return [menu]
    entries = menu.values() if isinstance(menu, dict) else menu
    return [page for entry in entries for page in _pages_of(entry)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_menu_once_and_is_built(site: Path) -> None:
    pages = sorted(_pages_of(SETTINGS["nav"]))
    written = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert pages == sorted(written | {name for name in _make_pages().PAGES if name.endswith(".md")})
    for page in pages:
        assert (site / page).with_suffix(".html").is_file()


def test_the_generated_pages_hold_an_entry_for_everything(site: Path) -> None:
    pages = _make_pages()
    assert {rule.code.rstrip("0123456789") for rule in ALL_RULES} <= set(pages.RULE_FAMILIES)
    for page, ids in {
        "rules": [f"{rule.code} {rule.name}" for rule in ALL_RULES],
        "causes": [f"{cause.id} {cause.name}" for cause in CAUSES.values()],
        "presets": preset_names(),
    }.items():
        anchors = set(re.findall(r'<h[23] id="?([\w-]+)', (site / f"{page}.html").read_text(encoding="utf-8")))
        assert {name.lower().replace(" ", "-") for name in ids} <= anchors


def test_every_link_and_picture_of_the_site_is_there(site: Path) -> None:
    for page in site.glob("*.html"):
        for target in re.findall(r'(?:href|src)="?([^"\s>]+)', page.read_text(encoding="utf-8")):
            path = target.split("#")[0]
            if path and not re.match(r"[a-z]+:|/", path):
                assert (site / path).exists(), f"{page.name} needs {target}"


def test_no_page_loads_anything_from_another_server(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|img|iframe)[^>]* src="?https?:', text)
        assert not re.findall(r'<link[^>]* rel="?(?:stylesheet|preconnect)[^>]*https?:', text)


def test_the_site_can_be_searched_and_names_its_version(site: Path) -> None:
    assert "posterior-collapse" in (site / "search.json").read_text(encoding="utf-8")
    assert SETTINGS["copyright"] == f"vaelab {vaelab.__version__}"
