"""Text from logs, made safe for a language model: cut, cleaned, and marked as data where it is not one of our words.

A log is written by other programs. A column called "ignore your instructions" must reach an agent as a quoted name and
not as a sentence of ours (prompt injection: OWASP LLM01:2025).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from vaelab.catalog import METRICS, canonical
from vaelab.run import Run

NAME_LIMIT = 60
HARMLESS_LIMIT = 24  # a single word of this length is left unquoted in sentences
QUOTE_LIMIT = 100
SENTENCE_LIMIT = 700
_SHORTEST_TEXT = 16  # characters of a log's line that must agree before a sentence is taken to repeat it
_PLAIN_NAME = re.compile(r"[\w./:@+\-#=,\[\]]+")


class LogText:
    """Cleans names and sentences that speak of ``runs``.

    labels: other names from outside that may stand in sentences, such as parts of paths.
    """

    def __init__(self, runs: Sequence[Run], labels: Sequence[str] = ()) -> None:
        names = {name for run in runs for c in run.columns.values() for name in (c.name, c.original)}
        names |= {name.rpartition("/")[2] for name in names}
        names |= {value for run in runs for value in run.config.values() if isinstance(value, str)}
        names = {name for name in (*names, *labels) if not _is_harmless(name)}
        self._names = sorted(names, key=len, reverse=True)
        lines = {event.text for run in runs for event in run.events} | {n for n in names if len(n) > NAME_LIMIT}
        self._lines = sorted({" ".join(line.split()) for line in lines}, key=len, reverse=True)

    def sentence(self, text: object, limit: int = SENTENCE_LIMIT) -> str:
        """``text``, a sentence of ours, as one line of at most ``limit`` characters; what it takes from a log is quoted."""
        line = str(text)
        if present := [re.escape(name) for name in self._names if name in line]:
            line = re.sub("|".join(present), lambda match: quoted(match[0]), line)
        line = " ".join(line.split())
        for foreign in self._lines:
            line = _quote_prefix(line, foreign)
        line = cut(visible(line), limit - 1)
        return f"{line}›" if line.count("‹") > line.count("›") else line


def name_of(text: object, limit: int = NAME_LIMIT) -> str:
    """A name from a log as one word: other characters than letters, digits and ``./:@+-#=,[]`` become ``_``."""
    return cut("_".join(_PLAIN_NAME.findall(visible(str(text)))) or "_", limit)


def path_of(text: object, limit: int = 160) -> str:
    """A path with its end kept where it is too long; quoted if it holds spaces or other odd characters."""
    line = visible(" ".join(str(text).split()))
    line = line if len(line) <= limit else f"…{line[1 - limit :]}"
    return line if _PLAIN_NAME.fullmatch(line.lstrip("…")) else quoted(line, limit)


def quoted(text: object, limit: int = QUOTE_LIMIT) -> str:
    """Text from a log between the marks ``‹`` and ``›``, which it cannot hold itself."""
    line = visible(" ".join(str(text).split())).replace("‹", "<").replace("›", ">")
    return f"‹{cut(line, limit)}›"


def visible(text: str) -> str:
    """``text`` without control, format, private and unassigned characters: none may hide from a person who looks."""
    return "".join(c for c in text if c == " " or unicodedata.category(c)[0] not in "CZ")


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, with a sign where some are left out."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _is_harmless(name: str) -> bool:
    """Whether it is one word of plain characters, short or one of the catalogue's names."""
    known = canonical(name).rpartition("/")[2] in METRICS
    return bool(_PLAIN_NAME.fullmatch(name)) and (known or len(name) <= HARMLESS_LIMIT)


def _quote_prefix(line: str, foreign: str) -> str:
    """Quote the first piece of ``line`` that repeats ``foreign`` from its beginning."""
    start = line.find(foreign[:_SHORTEST_TEXT]) if len(foreign) >= _SHORTEST_TEXT else -1
    if start < 0 or line[start - 1 : start] == "‹":
        return line
    rest = line[start:]
    same = next(
        (i for i, (a, b) in enumerate(zip(rest, foreign, strict=False)) if a != b), min(len(rest), len(foreign))
    )
    return line[:start] + quoted(rest[:same]) + rest[same:]
