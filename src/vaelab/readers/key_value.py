"""Text with named numbers in it, of no particular trainer: progress bars, ``step 100: loss=0.5``, records of many lines.

    Epoch 3:  12%|#2        | 600/5000 [10:12<1:14:10,  1.01s/it, loss=0.493, train/aeloss_step=0.512]
    2024-10-18 10:00:00,123 - __main__ - INFO - Epoch [0/20] - d_loss: 0.6931

A record is what stands between one step (or one repetition of a name) and the next. Only records with a name that looks
like a metric are rows. tqdm prints numbers with three significant digits, so their decimals vary from row to row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from vaelab.catalog import METRICS, canonical
from vaelab.errors import LogError
from vaelab.readers.base import RawLog
from vaelab.readers.namespace import parse_config_line
from vaelab.readers.numeric_scan import decimals_of, split_lines, whole_lines
from vaelab.readers.source import Source
from vaelab.readers.table import Table
from vaelab.readers.text_log import LineNotes, decode, printed_decimals
from vaelab.run import ReadNote, Smoothing

MAX_LINE = 8000  # characters of a line that are looked at

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d{1,4})?|\.\d+|nan|inf)"
_WORD = r"[A-Za-z_][\w/.\-]*"
_ITEM = re.compile(
    rf"(?<![\w/.\-])(?P<name>{_WORD}(?: {_WORD}){{0,3}})['\"]?(?:\s*[:=]\s*|(?<=loss) +)(?:tensor\()?(?P<value>{_NUMBER})(?![\w:/])",
    re.IGNORECASE,
)
_BAR = re.compile(r"(?:\d+%\|[^|]*\|\s*(?P<at>\d+)/(?P<total>\d+)|(?P<count>\d+)it) \[[^,\]]*(?:,\s*(?P<rest>.*))?")
_EPOCH = re.compile(r"\bepochs?\b\s*[:=#]?\s*[\[(]?\s*(\d{1,9})\b", re.IGNORECASE)
_STEP = re.compile(
    r"(?<![\w/.])(?:global[_ ]?step|(?:train[_ /])?steps?|iter(?:ation)?s?|it|batch)(?:['\"]?\s*[:=#]\s*|\s+)?[\[(]?\s*"
    r"(?P<at>\d{1,15})\b(?!\.\d)",
    re.IGNORECASE,
)
_STEP_ALONE = re.compile(r"^\W*(?:global[_ ]?step|step|iter(?:ation)?)\s*[:=#]?\s*(\d{1,15})\s*:?\s*$", re.IGNORECASE)
_CONTINUATION = re.compile(rf"^\s+.*?(?P<name>{_WORD}): (?P<value>{_NUMBER})\s*$", re.IGNORECASE)
_LOOKS_LIKE_NUMBERS = re.compile(rb"[:=] *(?:tensor\()?[-+.]?[\dni]|loss +\d|^\W*\w+ \d+\s*$", re.IGNORECASE)
_NOT_TRAINING = re.compile(r"^\W*(?:valid|sanity|test|predict|eval|download|load|map|generating)", re.IGNORECASE)
_METRIC = re.compile(
    r"loss|\bkl|_kl\b|psnr|ssim|lpips|fid|fvd|grad_?norm|logit|\bmse|\bmae|nll|perplexity|entropy|recon|acc\b|error"
)
_OPTION = re.compile(
    r"(?:weight|start|factor|type|size|dim|channels?|steps?|iters?|epochs?|freq|every|interval|coef|scale|num|rate|ratio)s?$"
)
_NOT_PART_OF_A_NAME = frozenset(
    ("at", "and", "with", "the", "is", "info", "debug", "warning", "current", "step", "steps")
)
_NOT_A_NUMBER_OF_THE_RUN = frozenset(("v_num", "epoch", "eta", "time_left"))


@dataclass
class _Line:
    """What one line says. bar: the title of its progress bar without numbers, None if it has no bar."""

    items: list[tuple[str, str]]
    step: int | None = None
    epoch: int | None = None
    bar: str | None = None
    continues: bool = False


@dataclass
class _Rows:
    """Records of one kind (text, or one progress bar), put together from their lines."""

    table: Table = field(default_factory=Table)
    epochs: list[int] = field(default_factory=list)
    decimals: dict[str, tuple[int, int]] = field(default_factory=dict)
    last_line: int = -2
    _line: int = 0
    _step: int | None = None
    _epoch: int | None = None
    _record: dict[str, str] = field(default_factory=dict)

    def add(self, number: int, line: _Line) -> bool:
        """Add a line to the record it belongs to. False if it is not part of one."""
        if line.continues and (number - self.last_line > 1 or not self._record):
            return False
        new_step = line.step is not None and line.step != self._step
        new_epoch = line.epoch is not None and line.epoch != self._epoch
        if new_step or new_epoch or any(name in self._record for name, _ in line.items):
            self.end_record()
        if line.step is not None:
            self._step = line.step
        if line.epoch is not None:
            self._epoch = line.epoch
        if not self._record:
            self._line = number
        self._record.update(line.items)
        self.last_line = number
        return True

    def end_record(self) -> None:
        """Make a row of the record so far, if it has a metric."""
        if any(looks_like_metric(name) for name in self._record):
            items = [(name, float(token)) for name, token in self._record.items()]
            if self._step is not None:
                items.append(("step", float(self._step)))
                if self._epoch is not None:
                    items.append(("epoch", float(self._epoch)))
            self.table.add_row(self._line, items)
            self.epochs.append(-1 if self._epoch is None else self._epoch)
            for name, token in self._record.items():
                if (digits := _decimals(token)) is not None:
                    low, high = self.decimals.get(name, (digits, digits))
                    self.decimals[name] = min(low, digits), max(high, digits)
        self._record = {}


@lru_cache(maxsize=4096)
def looks_like_metric(name: str) -> bool:
    """Whether a name by itself shows that a line is about training: a known metric, or a loss, norm or score."""
    known = METRICS.get(canonical(name).rpartition("/")[2])
    if known:
        return known.family not in ("optimiser", "speed")
    lower = name.lower()
    return bool(_METRIC.search(lower)) and not _OPTION.search(lower)


class KeyValueReader:
    """Reads ``key: value`` and ``key=value`` text and progress bars."""

    name = "key_value"
    title = "text with key: value or key=value, and tqdm progress bars"

    def sniff(self, head: bytes, source: Source) -> float:
        lines = [text for _, text, _ in _text_lines([head])]
        rows = sum(any(looks_like_metric(n) for n, _ in p.items) for p in map(_parse, lines) if p and not p.continues)
        if not rows and len(head) == 65536:
            return 0.1 if any(b"=" in line or b":" in line for line in head.split(b"\n")) else 0.0
        return 0.0 if not rows else 0.5 if rows > 2 else 0.3

    def read(self, source: Source) -> list[RawLog]:
        """One log, in the order of the file. Raises LogError if no line has a number under a metric's name."""
        kinds: dict[str, _Rows] = {}
        other = LineNotes()
        lightning = False
        for number, line, whole in _text_lines(source.chunks()):
            parsed = _parse(line) if _LOOKS_LIKE_NUMBERS.search(line) or b"%|" in line else None
            if parsed and not whole and not (parsed.bar is not None and line.rstrip().endswith(b"]")):
                other.count("torn_line", number, line)
                continue
            if parsed:
                lightning = lightning or b"v_num=" in line
                if kinds.setdefault(parsed.bar or "", _Rows()).add(number, parsed):
                    continue
            if b"Namespace(" in line or b"{'" in line:
                other.config.update(parse_config_line(decode(line)) or {})
            if line.strip() and b"%|" not in line:
                other.add(number, line)
        for rows in kinds.values():
            rows.end_record()
        title = max(kinds, key=lambda t: len(kinds[t].table), default="")
        if not kinds or not len(kinds[title].table):
            raise LogError(
                f"{source.name} has no line with a number under the name of a metric (`loss: 0.5`, `kl=3.2`)."
            )
        left = sum(len(rows.table) for t, rows in kinds.items() if t != title)
        notes = [ReadNote("left_aside", left, f"{left:,} rows of other progress bars were left out")] if left else []
        raw = _to_log(source, kinds[title], other, notes)
        if lightning:  # its bar shows a running mean over all optimizers under this name
            raw.columns = [
                replace(c, smoothing=Smoothing("unknown")) if c.original == "loss" else c for c in raw.columns
            ]
        return [raw]


READER = KeyValueReader()


def _text_lines(chunks: Iterator[bytes] | list[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """Number and text of every line, and whether it has a line end."""
    first_line = 1
    for text in whole_lines(chunks):
        lines, numbers, _ = split_lines(text, first_line)
        whole = text.endswith(b"\n")
        for i, (number, line) in enumerate(zip(numbers.tolist(), lines, strict=True)):
            yield number, line, whole or i < len(lines) - 1
        first_line += text.count(b"\n")


def _parse(line: bytes) -> _Line | None:
    """What a line says; None if it has no named number."""
    text = decode(line[:MAX_LINE])
    if (b"%|" in line or b"it [" in line) and (bar := _BAR.search(text)):
        return _parse_bar(bar, text[: bar.start()].strip(": "))
    if alone := _STEP_ALONE.match(text):
        return _Line([], int(alone[1]))
    step, epoch = _STEP.search(text), _EPOCH.search(text)
    items = _items(text)
    if any(looks_like_metric(name) for name, _ in items):
        return _Line(items, int(step["at"]) if step else None, int(epoch[1]) if epoch else None)
    if not step and text[:1] in " \t" and len(text) < 200 and (match := _CONTINUATION.match(text)):
        return _Line([(match["name"], match["value"])], continues=True)
    return None


def _parse_bar(bar: re.Match[str], title: str) -> _Line | None:
    items = _items(bar["rest"] or "")
    if _NOT_TRAINING.match(title) or not any(looks_like_metric(name) for name, _ in items):
        return None
    step = int((bar["at"] or bar["count"])[:15])
    epoch = _EPOCH.search(title)
    if epoch and bar["total"]:
        step += int(epoch[1]) * int(bar["total"][:15])
    return _Line(items, step, int(epoch[1]) if epoch else None, re.sub(r"[\d.]+", "", title) or "bar")


def _items(text: str) -> list[tuple[str, str]]:
    found = []
    for match in _ITEM.finditer(text):
        if name := _metric_name(match["name"]):
            found.append((name, match["value"]))
    return found


@lru_cache(maxsize=4096)
def _metric_name(text: str) -> str | None:
    """The name in the words before a number; None if the number is a count of steps or epochs."""
    words = text.split(" ")
    while len(words) > 1 and words[0].lower() in _NOT_PART_OF_A_NAME:
        words.pop(0)
    name = " ".join(words)
    return None if name.lower() in _NOT_A_NUMBER_OF_THE_RUN or _STEP.fullmatch(f"{name} 1") else name


def _decimals(token: str) -> int | None:
    """``decimals_of``, quick for the usual ``0.123``."""
    fraction = token.partition(".")[2]
    return len(fraction) if fraction.isdigit() else decimals_of(token.encode())


def _to_log(source: Source, rows: _Rows, other: LineNotes, notes: list[ReadNote]) -> RawLog:
    table = rows.table
    epochs = np.array(rows.epochs, np.int64)
    by_epoch = "step" not in table.names and len(np.unique(epochs)) == len(table)
    raw = table.to_log(source.name, KeyValueReader.name, config=other.config, notes=notes, row_unit="record")
    if epochs.max(initial=-1) >= 0:
        raw.epochs = epochs
        if by_epoch:
            raw.steps, raw.step_unit, raw.notes = epochs, "epoch", notes
    raw.columns = [replace(c, decimals=printed_decimals(rows.decimals.get(c.original))) for c in raw.columns]
    lines = np.frombuffer(table.lines, np.int64)
    raw.events = other.events(raw.steps, lines)
    raw.notes = [*other.notes(), *raw.notes]
    return raw
