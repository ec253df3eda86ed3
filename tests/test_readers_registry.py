"""The list of readers: each entry says of its reader what is so, and no log is kept from the reader that would take it."""

from __future__ import annotations

import json
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

from vaelab import readers
from vaelab.readers.base import Reader
from vaelab.readers.registry import READERS, Format
from vaelab.readers.source import Source

DATA = Path(__file__).parent / "data"
LOGS = [path for path in sorted(DATA.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("listed", READERS, ids=lambda listed: listed.name)
def test_an_entry_has_the_name_of_its_reader(listed: Format) -> None:
    assert listed.load().name == listed.name


def test_every_reader_is_listed() -> None:
    files = [import_module(f"{readers.__name__}.{found.name}") for found in pkgutil.iter_modules(readers.__path__)]
    there = {
        value.name
        for file in files
        for value in vars(file).values()
        if hasattr(value, "sniff") and hasattr(value, "read") and not isinstance(value, type)
    }
    # the reader of a program that broke before its first row is no format: it is tried where no other finds a row
    assert there - {"broken_off"} == {listed.name for listed in READERS} and Reader not in there


@pytest.mark.parametrize("listed", READERS, ids=lambda listed: listed.name)
def test_marks_keep_no_log_from_its_reader(listed: Format, tmp_path: Path) -> None:
    said = tmp_path / "said.log"
    texts = [text for quote in json.loads((DATA / "quotes.json").read_text()) for text in _texts(quote)]
    for path in LOGS:
        source = Source(path)
        assert listed.sniff(source.head(), source) == listed.load().sniff(source.head(), source), path
    for text in texts:
        said.write_text(text)
        source = Source(said)
        assert listed.sniff(source.head(), source) == listed.load().sniff(source.head(), source), text


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) and "\n" in value else []
