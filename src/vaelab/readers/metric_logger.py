"""Text logs of MetricLogger: Pyramid-Flow, and every trainer descended from torchvision's references (DeiT, MAE, BEiT).

    Epoch: [3]  [ 40/100]  eta: 0:00:06  lr: 0.000100  vae_loss: 0.2218 (0.2215)  ...  time: 0.1503  data: 0.0000

A value is the median of the last 20 (torch's lower median), the number in parentheses the mean since the epoch began.
The first line of an epoch shows one value, and the window fills up again from there.
The counter in brackets begins again with each epoch: the global step is the sum of the epochs before plus it.
Source: Pyramid-Flow ``trainer_misc/utils.py`` and torchvision ``references/detection/utils.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from vaelab.errors import LogError
from vaelab.patterns import pattern
from vaelab.readers.base import BoolArray, RawColumn, RawLog
from vaelab.readers.lexer import NOT_FINITE, NUMBER
from vaelab.readers.line_shapes import Field
from vaelab.readers.namespace import parse_config_line
from vaelab.readers.numeric_scan import PIECE, scan_chunks, scan_tail
from vaelab.readers.positions import global_steps
from vaelab.readers.source import Source
from vaelab.readers.text_log import LineNotes, TextTable, decode, printed_decimals
from vaelab.run import IntArray, Smoothing

EPOCH, ITERATION, PER_EPOCH, RANK = "[epoch]", "[iteration]", "[iterations per epoch]", "[rank]"
MEAN = " (epoch mean)"
WINDOW = 20
RECENT_ROWS = 64  # rows of other processes for one step stand at most this far apart

_HEADER = pattern(rb"Epoch: \[(\d{1,9})\]\s*\[\s*(\d{1,9})/(\d{1,9})\]\s+(?:eta: (\d+ days?, [\d:]+|[\d:]+)\s+)?")
_VALUE = rb"(?i:" + NOT_FINITE + rb"|" + NUMBER + rb")"
_METER = pattern(
    rb"([A-Za-z_][\w/.\-]*(?: mem)?): +(" + _VALUE + rb")(?![^\s])(?: \(\s{0,8}(" + _VALUE + rb")\))?(?:\s+|$)"
)
_CLOCK = pattern(rb"[A-Za-z_][\w ]{0,30}: +(\d+ days?, [\d:]+|\d+:[\d:]+)(?:\s+|$)")  # elapsed: 0:00:43
_GLUED = pattern(
    rb"((?:data: \d+\.\d+|max mem: \d+)[ \t]{0,8})(?=Epoch: \[\d+\]\s{0,8}\[\s{0,8}\d+/\d+\]\s{1,8}[A-Za-z_])"
)
_RANK = pattern(rb"\[(?:rank|default)\s?(\d+)\]|^\[\d+,(\d+)\]<std|^(\d+): *$")
_DIGITS = pattern(rb"\d[\d.]*")
_EVALUATION = pattern(rb"\b(?:test|eval|val)", re.IGNORECASE)
_EVALUATION_LINE = pattern(rb"^(?:test|eval|val)[\w ]*: .*\[\s*\d+/\d+\]\s+eta:", re.IGNORECASE)
_SNIFF = pattern(
    rb"\[\s{0,8}\d+/\d+\]\s{1,4}eta: [\d:]+ +[A-Za-z_][\w/]*: |Epoch: \[\d+\]\s{1,4}\[\s{0,8}\d+/\d+\]\s{1,4}[A-Za-z_][^\n()]{0,200}: +[^\s()]+ \([^\s()]+\)"
)
_EPOCH_END = pattern(rb"Epoch: \[\d+\] Total time")


def parse_line(line: bytes) -> list[Field] | None:
    """The numbers of one training line, or None if it is not one or is incomplete."""
    start = line.rfind(b"Epoch: [")
    header = _HEADER.match(line, start) if start >= 0 else None
    if header is None:
        return None
    fields: list[Field] = []
    if start:
        prefix = line[:start]
        if _EVALUATION.search(prefix):
            return None
        rank = _RANK.search(prefix)
        for match in _DIGITS.finditer(prefix):
            is_rank = rank is not None and match.span() == rank.span(rank.lastindex or 0)
            fields.append((RANK if is_rank else None, *match.span()))
    fields += [
        (EPOCH, *header.span(1)),
        (ITERATION, *header.span(2)),
        (PER_EPOCH, *header.span(3)),
    ]
    if header[4] is not None:
        fields.append((None, *header.span(4)))
    at, name, seen = header.end(), "", set[str]()
    while meter := _METER.match(line, at) or _CLOCK.match(line, at):
        if meter.re.pattern == _CLOCK.pattern:
            fields.append((None, *meter.span(1)))
            at = meter.end()
            continue
        name = meter[1].decode("ascii", "replace")
        if name in seen:  # the ends of two rows without a line break between
            return None
        seen.add(name)
        fields.append((name, *meter.span(2)))
        if meter[3] is not None:
            fields.append((name + MEAN, *meter.span(3)))
        at = meter.end()
    # another process may have written on behind a complete line; a line cut in the middle is left out
    if not name or (at < len(line) and name not in ("max mem", "data")):
        return None
    return fields


def _apart(line: bytes) -> list[bytes]:
    """The records of a line: another process may have written on behind a complete one."""
    return _GLUED.sub(rb"\1\r", line).split(b"\r") if line.count(b"Epoch: [") > 1 else [line]


class MetricLoggerReader:
    """Reads MetricLogger text."""

    name = "metric_logger"
    title = "MetricLogger text (Pyramid-Flow, MAE, DeiT, BEiT)"

    def sniff(self, head: bytes, source: Source) -> float:
        if _SNIFF.search(head):
            return 0.95
        if b"Namespace(" in head or b"Param groups = {" in head:
            return 0.9 if _SNIFF.search(source.head(8 << 20)) else 0.2
        return 0.0

    def read(self, source: Source) -> list[RawLog]:
        """One log, in the order of the file. Raises LogError if it has no training line."""
        table, other = TextTable(), _OtherLines()
        tail = None
        for scan in scan_chunks(source.chunks(PIECE), parse_line, apart=_apart):
            table.add(scan.blocks)
            tail = scan.tail
            for number, line in scan.others:
                other.add(number, line)
            if scan.ansi:
                other.count("ansi", 0, b"", scan.ansi)
        if tail is not None:
            _read_tail(*tail, table, other)
        if not len(table):
            raise LogError(f"{source.name} has no training line of a MetricLogger (`Epoch: [0]  [ 10/100]  eta: ...`).")
        return [_assemble(source, table, other)]


READER = MetricLoggerReader()


def _read_tail(number: int, line: bytes, table: TextTable, other: LineNotes) -> None:
    """A last line without a line end is a row only if nothing can be missing from its end."""
    last = re.search(rb": \d+\.(\d+)\)?\s*$|\)\s*$", line)
    blocks = scan_tail((number, line), parse_line).blocks
    complete = bool(blocks and last and blocks[0].columns in table.shapes)
    if complete and last and last[1] is not None:
        name = blocks[0].columns[-1]
        complete = table.decimals(name) == blocks[0].decimals[-1]
    if complete:
        table.add(blocks)
    elif line.startswith(b"Epoch: ["):
        other.count("torn_line", number, line)
    elif line.strip():
        other.add(number, line)


# Lines that are not rows ---------------------------------------------------------------------------------------------


def _whole(match: re.Match[str]) -> int:
    return int(match[1])


_DECLARED: list[tuple[str, re.Pattern[str], Callable[[re.Match[str]], object]]] = [
    ("warmup_steps", pattern(r"^Set warmup steps = (\d{1,18})\b"), _whole),
    ("num_training_steps", pattern(r"^Number of training steps = (\d{1,18})\b"), _whole),
    ("num_training_examples_per_epoch", pattern(r"^Number of training examples per epoch = (\d{1,18})\b"), _whole),
    ("total_batch_size", pattern(r"^Batch size = (\d{1,18})\b"), _whole),
    ("lr", pattern(r"^LR = (\d+\.?\d*)"), lambda m: float(m[1])),
    ("min_lr", pattern(r"^Min LR = (\d+\.?\d*)"), lambda m: float(m[1])),
    ("weight_decay", pattern(r"^Wei(?:gt|ght)h? Decay = (\d+\.?\d*)"), lambda m: float(m[1])),
    ("latent_channels", pattern(r"^The latent dimm?ension channe(?:l)?s is (\d{1,18})\b"), _whole),
    ("max_frames", pattern(r"^The training video clip frame number is (\d{1,18})\b"), _whole),
    ("num_videos", pattern(r"^Totally Remained (\d{1,18}) videos"), _whole),
    ("image_gpus", pattern(r"^(\d{1,18}) gpus for image"), _whole),
    ("video_gpus", pattern(r"^\d+ gpus for image, (\d{1,18}) gpus for video"), _whole),
    (
        "learnable_params_millions",
        pattern(r"^total number of learnable params: (\d+\.?\d*) M"),
        lambda m: float(m[1]),
    ),
    ("fixed_params_millions", pattern(r"^total number of fixed params in\s*: (\d+\.?\d*) M"), lambda m: float(m[1])),
    ("epochs", pattern(r"^Start training for (\d{1,18}) epochs"), _whole),
    ("distributed", pattern(r"^\| distributed init \(rank \d+\)"), lambda m: True),
]
_DECLARING = pattern(
    rb"^(?:Set w|Number of|Batch s|LR =|Min LR|Wei|The |Totally|\d+ gpus|total number|Start training for|\| distr)"
)
_RESUMED_AT = pattern(r"^Resume checkpoint at epoch (\d+), the global \w+ step is (\d+)")
_EPOCH_START = pattern(r"^Start training epoch (\d+)(?:, (\d+) iters)?")


class _OtherLines(LineNotes):
    """Reads the config and the markers that such trainers print between their training lines."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed: list[tuple[int, int, int]] = []  # line, epoch, global step
        self._declared: dict[str, Any] = {}
        self._declarations = [(1, self._declared)]  # line of the options that they were printed beside, and what was

    def add(self, number: int, line: bytes) -> None:
        if b"Epoch: [" in line and (torn := _HEADER.search(line) or re.search(rb"Epoch: \[\d+\]\s*\[", line)):
            evaluation = _EVALUATION.search(line[: torn.start()])
            self.count("evaluation_lines" if evaluation else "torn_line", number, line)
        elif _EVALUATION_LINE.search(line):
            self.count("evaluation_lines", number, line)
        elif line.startswith(b"Averaged stats:"):
            self.count("averaged_stats", number, line)
        elif _EPOCH_END.search(line):
            return
        elif line.startswith((b"Namespace(", b"Optimizer config: {")):
            self._config(number, decode(line))
        elif _DECLARING.match(line):
            self._declare(decode(line))
        elif line.startswith((b"Resume checkpoint at", b"Start training epoch")):
            text = decode(line)
            if match := _RESUMED_AT.match(text):
                self.resumed.append((number, int(match[1][:18]), int(match[2][:18])))
                self.event("resume", number, text, int(match[2][:18]))
            elif match := _EPOCH_START.match(text):
                self.event("epoch_start", number, text)
                if match[2]:
                    self._declared.setdefault("iters_per_epoch", int(match[2][:18]))
        else:
            super().add(number, line)

    def _config(self, number: int, text: str) -> None:
        values = parse_config_line(text)
        if values is None:
            self.count("foreign_lines", number, text)
        elif text.startswith("Optimizer"):  # the VAE's comes first, then the discriminator's
            name = "disc_optimizer_config" if "optimizer_config" in self._declared else "optimizer_config"
            self._declared[name] = values
        else:
            before = self.whole_config()
            changed = [k for k, v in values.items() if k in before and before[k] != v]
            if changed:
                self.count(
                    "config_changed", number, f"the run was started again with other options: {', '.join(changed)}"
                )
            self.declare(number, values)
            self._declared = {}
            self._declarations.append((number, self._declared))

    def _declare(self, text: str) -> None:
        for name, declared, value in _DECLARED:
            if match := declared.match(text):
                self._declared.setdefault(name, value(match))

    def completed(self) -> list[tuple[int, dict[str, Any]]]:
        """The options of each start, completed by what was printed beside them. The warm-up printed is the one in force."""
        options = {number: values for number, values in self.settings}
        found = []
        for number, declared in self._declarations:
            config = {**declared, **options.get(number, {})}
            if "warmup_steps" in declared:
                config["warmup_steps"] = declared["warmup_steps"]
            if config:
                found.append((number, config))
        return found


# Rows to columns -----------------------------------------------------------------------------------------------------


def _assemble(source: Source, table: TextTable, other: _OtherLines) -> RawLog:
    lines = table.lines()
    names = [n for n in table.names if n not in (EPOCH, ITERATION, PER_EPOCH, RANK)]
    epochs, iterations, per_epoch = (table.take(k).values.astype(np.int64) for k in (EPOCH, ITERATION, PER_EPOCH))
    ranks = table.take(RANK).values if RANK in table.names else None
    markers = np.array([e.line or 0 for e in other.raw_events if e.kind in ("resume", "epoch_start")], np.int64)
    keep = _first_rank(epochs, iterations, lines, ranks, markers)
    if not keep.all():
        other.count("other_rank", int(lines[~keep][0]), b"", int((~keep).sum()))
        lines, epochs, iterations, per_epoch = lines[keep], epochs[keep], iterations[keep], per_epoch[keep]
    kept = slice(None) if keep.all() else keep  # without a copy where every row stays
    steps, notes = global_steps(epochs, iterations, per_epoch, lines, other.resumed)
    columns = []
    for name in names:
        if name.endswith(MEAN):
            continue
        column = table.take(name)
        mean = table.take(name + MEAN) if name + MEAN in table.names else None
        columns.append(
            RawColumn(
                name,
                column.values[kept],
                column.logged[kept],
                lines,
                printed_decimals(column.decimals or (mean.decimals if mean else None)),
                _smoothing(name, mean is not None, "vae_loss" in names),
                None if mean is None else mean.values[kept],
            )
        )
    settings = other.completed()
    config: dict[str, Any] = {}
    for _, declared in settings:
        config.update(declared)
    return RawLog(
        source.name,
        MetricLoggerReader.name,
        steps,
        columns,
        epochs,
        config,
        other.events(steps, lines),
        [*other.notes(len(lines)), *notes],
        settings=settings,
    )


def _smoothing(name: str, has_mean: bool, pyramid_flow: bool) -> Smoothing:
    if has_mean:
        # Pyramid-Flow adds disc_loss twice per step, so that its 20 values are those of 10 steps
        return Smoothing("window_median", WINDOW // 2 if pyramid_flow and name == "disc_loss" else WINDOW)
    return Smoothing("window_mean", WINDOW) if name in ("time", "data") else Smoothing()


def _first_rank(
    epochs: IntArray, iterations: IntArray, lines: IntArray, ranks: np.ndarray | None, markers: IntArray
) -> BoolArray:
    """Rows of one process, where several wrote into the log.

    With a rank before the line: the lowest rank. Without: where the same iteration comes again within a few rows, and
    no resume is announced between, the first one. A single step back is left alone: it is a resume.
    """
    n = len(epochs)
    if ranks is not None and np.isfinite(ranks).any():
        unnamed = ~np.isfinite(ranks)
        return (ranks == np.nanmin(ranks)) | unnamed
    keep = np.ones(n, np.bool_)
    ahead = (epochs[1:] > epochs[:-1]) | ((epochs[1:] == epochs[:-1]) & (iterations[1:] > iterations[:-1]))
    not_ahead = np.flatnonzero(~ahead) + 1
    session = np.searchsorted(markers, lines)
    not_ahead = not_ahead[session[not_ahead] == session[not_ahead - 1]]
    if len(not_ahead) < 3 and not np.any(
        (epochs[not_ahead] == epochs[not_ahead - 1]) & (iterations[not_ahead] == iterations[not_ahead - 1])
    ):
        return keep
    recent: dict[tuple[int, int, int], int] = {}
    rows = zip(session.tolist(), epochs.tolist(), iterations.tolist(), strict=True)
    for row, key in enumerate(rows):
        if row - recent.get(key, -RECENT_ROWS - 1) <= RECENT_ROWS:
            keep[row] = False
        recent[key] = row
    return keep
