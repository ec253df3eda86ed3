"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import re

import pytest

from vaelab.patterns import pattern


def test_it_is_a_pattern_from_its_first_use_on() -> None:
    word = pattern(r"(?P<word>[a-z]+)", re.IGNORECASE)
    assert word.pattern == r"(?P<word>[a-z]+)"
    assert word.findall("One two") == ["One", "two"]
    assert dict(word.groupindex) == {"word": 1}
    assert word.sub("x", "a b") == "x x"


def test_an_error_is_raised_at_the_first_use() -> None:
    wrong = pattern(rb"(")
    with pytest.raises(re.error):
        wrong.search(b"")
    with pytest.raises(AttributeError):
        wrong.nothing  # type: ignore[attr-defined]  # noqa: B018
