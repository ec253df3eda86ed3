"""Runs that write into one text log at the same time, told apart only by what stands in front of their lines.

    trainA step 5 loss 0.31          [exp1] 10:00:03 step 5 loss 0.31          (worker 0) step 5 loss 0.31
    trainB step 5 loss 0.57          [exp2] 10:00:03 step 5 loss 0.57          (worker 1) step 5 loss 0.30

What stands in front, without clocks and levels, is the tag of a line. Tags with the same metrics under counters of their own are
runs of their own if the steps of each rise; processes of one run if the tags number ranks, GPUs or workers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import nan

from vaelab.patterns import pattern
from vaelab.readers.lexer import parse_number, plain
from vaelab.readers.line_ends import split_lines, whole_lines
from vaelab.readers.metric_names import may_be_metric
from vaelab.readers.named_lines import EPOCH, GLOBAL_STEP, STEP, parse_line
from vaelab.readers.source import Progress, Source
from vaelab.roles import words
from vaelab.run import ReadNote

MOST_TAGS = 64
FEWEST_ROWS = 3  # of each tag, from which they are told apart
TELLING = 16  # lines without a tag, after which a log has none

_CLOCK = rb"\d{4}[-/.]\d\d?[-/.]\d\d?(?:[ T_]\d\d?:\d\d(?::\d\d)?(?:[.,]\d{1,9})?)?|(?:\d\d[-/]\d\d )?\d\d?:\d\d:\d\d(?:[.,]\d{1,9})?"
_NO_TAG = pattern(_CLOCK + rb"|\b(?:DEBUG|INFO|WARN(?:ING)?|ERROR)\b", re.IGNORECASE)
_BEGIN = pattern(  # of what a line says: a step, a named value, a count, a dict
    rb"(?:(?:global|train)[_ ]?)?\b(?:steps?|iter(?:ation)?s?|it|epochs?|ep|batch|updates?)\b\]?\s{0,3}[:=#]?\s{0,4}[\[(]?\s{0,4}\d"
    rb"|(?<![\w./-])(?!(?:pid|ip|rank|gpu|worker)\b)[A-Za-z_][\w./-]{0,40}\s{0,4}[:=]\s{0,4}[-+]?\.?\d|\[\s{0,8}\d{1,9}/\d|\d{1,3}%\||\{",
    re.IGNORECASE,
)
_LONGEST_TAG = 60
_PROCESS = pattern(
    r"(?:.*\W)?(?:rank|local_rank|gpu|cuda|device|worker|proc|process|node|host|pid|default)[ _:=#-]{0,2}\d+\b.*|\d{1,5}",
    re.IGNORECASE,
)
_KNOWN_RANK = pattern(r"(?:rank|default)[ _:=]?\d+", re.IGNORECASE)  # the text readers know these themselves
_OF_SPLITS = frozenset(words.SPLITS) | {"summary"}
_PARTS = words.GENERATOR | words.DISCRIMINATOR | words.ADVERSARIAL | words.PLAIN | {"d", "ema", "encoder", "decoder"}


def sources_of_runs(source: Source) -> list[Source]:
    """A log as one source for each run in it; the log itself, with a note where its runs could not be told apart."""
    tags = _tags(source)
    if tags is None:
        return [source]
    names = list(tags)
    if all(map(_KNOWN_RANK.fullmatch, names)):
        return [source]
    if all(map(_PROCESS.fullmatch, names)):
        first = min(names, key=lambda name: ([int(n) for n in re.findall(r"\d+", name)], name))
        return [_Strand(source, first, names, source.name, "other_rank")]
    told_by = {name: _tokens(name) - frozenset.intersection(*map(_tokens, names)) for name in names}
    if any(told & _OF_SPLITS for told in told_by.values()):
        return [source]  # the readers know these too
    if any(told & _PARTS for told in told_by.values()) or not all(tag.rises for tag in tags.values()):
        counted = ", ".join(f"'{name}' ({len(tag.places):,})" for name, tag in list(tags.items())[:6])
        text = f"lines that begin with {counted} have the same metrics, as of several runs in one log: their rows are mixed"
        return [_Noted(source, ReadNote("mixed_runs", sum(len(tag.places) for tag in tags.values()), text))]
    return [_Strand(source, name, names, f"{source.name}[{name}]", "") for name in names]


def _tokens(tag: str) -> frozenset[str]:
    return frozenset(re.split(r"[\s|:()\[\]-]+", tag.lower())) - {""}


@dataclass
class _Tag:
    """The rows of one tag at the start of a log: where in training each stands (epoch, step), and the metrics they have."""

    places: list[tuple[float, float]] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)

    @property
    def rises(self) -> bool:
        falls = sum(not a <= b for a, b in pairwise(self.places))  # NaN falls too
        return 10 * falls <= len(self.places) and self.places[-1] > self.places[0]


def _tags(source: Source) -> dict[str, _Tag] | None:
    """The tags of a log that has two or more, each with a counter of its own; None for any other log."""
    tagged = _tagged_lines(source.head())
    if not 2 <= len({tag for tag, _ in tagged if tag}) <= MOST_TAGS:
        return None
    found: dict[str, _Tag] = {}
    order: list[tuple[str, tuple[float, float]]] = []
    untagged = 0
    for tag, line in tagged:
        fields = parse_line(line) or []
        metrics = {column for column, _, _ in fields if column and not column.startswith("[") and may_be_metric(column)}
        if not metrics:
            continue
        if not tag:
            untagged += 1
            continue
        own = found.setdefault(tag, _Tag())
        said = {
            column: _number(line[start:end])
            for column, start, end in reversed(fields)
            if column in (GLOBAL_STEP, STEP, EPOCH)
        }
        epoch = said.get(EPOCH, own.places[-1][0] if own.places else 0.0)
        step = said.get(GLOBAL_STEP, said.get(STEP, 0.0 if EPOCH in said else nan))
        own.places.append((0.0 if GLOBAL_STEP in said else epoch, step))
        own.metrics |= metrics
        order.append((tag, own.places[-1]))
    if len(found) < 2 or untagged > len(order) / 10 or any(len(tag.places) < FEWEST_ROWS for tag in found.values()):
        return None
    if not set.intersection(*(tag.metrics for tag in found.values())):
        return None  # parts of one record
    if all(before[1] < after[1] for before, after in pairwise(order)):
        return None  # one counter goes through all of them
    turns = sum(before[0] != after[0] for before, after in pairwise(order))
    numbered = len({re.sub(r"\d+", "", tag) for tag in found}) < len(found)
    if turns < 2 * len(found) and (numbered or not all(tag.rises for tag in found.values())):
        return None  # one after the other: epochs, or phases
    return found


def _tagged_lines(head: bytes) -> list[tuple[str, bytes]]:
    """Tag and rest of the lines at the start of a log that say something; few of them where lines have no tags."""
    found: list[tuple[str, bytes]] = []
    if b"\0" in head or head.startswith((b'{"', b"[{")):
        return found
    for line in split_lines(plain(head), 1)[0]:
        tag, begin = _tag(line)
        if begin is not None:
            found.append((tag, line[begin:]))
        if len(found) == TELLING and not any(tag for tag, _ in found):
            break
    return found


def _number(text: bytes) -> float:
    value = parse_number(text)
    return value if isinstance(value, float) else nan


def _tag(line: bytes) -> tuple[str, int | None]:
    """What stands in front of a line, and where what the line says begins; None where it says nothing."""
    match = _BEGIN.search(line, 0, 200)
    if match is None or match.start() > _LONGEST_TAG + 40:
        return "", None
    text = _NO_TAG.sub(b" ", line[: match.start()])
    tag = re.sub(r"[\s\[\]()|,;<>]+(?:- +)*", " ", text.decode("utf-8", "replace")).strip(" :-")
    return (tag, match.start()) if len(tag) <= _LONGEST_TAG else ("", None)


class _Noted(Source):
    """The source with a note on what it holds."""

    def __init__(self, source: Source, note: ReadNote) -> None:
        self.__dict__.update(source.__dict__)
        self.notes = [note]
        self._note = note

    def raw_chunks(self, size: int = 8 << 20) -> Iterator[bytes]:
        chunks = super().raw_chunks(size)
        self.notes.append(self._note)
        return chunks


class _Strand(Source):
    """The lines of one tag, without the tag; those of the others are empty, so that the numbers of the lines stay.

    kind: of the note on lines that are left out, empty where the others are read too.
    """

    def __init__(self, source: Source, tag: str, tags: list[str], name: str, kind: str) -> None:
        self.__dict__.update(source.__dict__)
        self.notes: list[ReadNote] = []
        self.name = name
        self._head, self._whole_head = b"", False
        self._tag, self._others, self._kind = tag, frozenset(tags) - {tag}, kind

    def _decoded(self, size: int, progress: Progress | None) -> Iterator[bytes]:
        left, untagged, lines = 0, 0, 0
        first_left = None
        for piece in whole_lines(super()._decoded(size, progress)):
            kept = []
            for line in piece.split(b"\n"):
                tag, begin = _tag(line)
                lines += 1
                if tag == self._tag:
                    line = line[begin:]
                elif tag in self._others:
                    left += 1
                    first_left = first_left or lines
                    line = b"\r" if line.endswith(b"\r") else b""
                elif begin is not None and parse_line(line[begin:]):
                    untagged += 1
                    line = b""
                kept.append(line)
            lines -= 1  # what stands behind the last line end is no line
            yield b"\n".join(kept)
        if left and self._kind:
            self.notes.append(ReadNote(self._kind, left, f"rows of other processes, left out: {left:,}", first_left))
        if untagged:
            text = f"rows that do not say of which of the runs they are, left out: {untagged:,}"
            self.notes.append(ReadNote("mixed_runs", untagged, text))
