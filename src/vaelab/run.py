"""Run: one training run as columns over steps, with its declared config, its events and its provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vaelab.catalog.roles import UNKNOWN, Role

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SmoothingKind = Literal["none", "window_median", "window_mean", "epoch_mean", "unknown"]
EventKind = Literal[
    "epoch_start", "resume", "restart", "checkpoint", "non_finite_stop", "crash", "data_error", "finished", "note"
]


@dataclass(frozen=True)
class Smoothing:
    """How the trainer smoothed a printed value before printing it.

    ``window_median`` k: median of the last k values (Pyramid-Flow's MetricLogger prints k = 20).
    ``epoch_mean``: mean since the epoch began. ``none``: the value of that step.
    """

    kind: SmoothingKind = "none"
    window: int | None = None


@dataclass(frozen=True, eq=False)
class Column:
    """One metric over the run's rows.

    values: float64 (n,), NaN where the row did not log it (``logged`` tells NaN values from missing ones).
    logged: bool (n,), True where the log printed a value, NaN and inf included.
    lines: int64 (n,), 1-based line (or record) number in the source; 0 where unknown. Arrays may be shared by columns.
    decimals: digits printed after the point (rounding is half a unit of the last one); None if full precision.
    epoch_mean: float64 (n,), the mean since the epoch began where the trainer prints it beside the value.
    role: what the column is, how sure that is, and why.
    """

    name: str
    original: str
    values: FloatArray
    logged: npt.NDArray[np.bool_]
    lines: IntArray | None = None
    decimals: int | None = None
    smoothing: Smoothing = Smoothing()
    epoch_mean: FloatArray | None = None
    role: Role = UNKNOWN


@dataclass(frozen=True)
class Event:
    """Something the log says happened; ``step`` is the run's global step if known, ``line`` is 1-based."""

    kind: EventKind
    step: int | None
    line: int | None
    text: str


@dataclass(frozen=True)
class ReadNote:
    """Something the reader met and handled: counted, never silently dropped.

    kind examples: ``foreign_lines``, ``torn_line``, ``duplicate_steps``, ``backward_steps``, ``other_rank``,
    ``unparsed_value``, ``ansi``, ``left_aside`` (another file of the same run).
    """

    kind: str
    count: int
    text: str
    first_line: int | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """One training run read from a log. Immutable.

    steps: int64 (n,), strictly increasing global steps. ``run[metric]`` is float64 (n,), NaN where not logged.
    format: the reader that read it (``metric_logger``, ``radiodiff_log``, ``tensorboard``, ``csv`` ...).
    trainer: id in ``vaelab.dialects.DIALECTS`` whose column conventions it follows, or ``unknown``.
    config: declared values under canonical names (``kl_weight``, ``disc_start``, ``lr`` ...); may be empty.
    raw_config: the config as the log printed it, flattened with dots.
    measured: numbers that ``vaelab evaluate`` and ``vaelab probe`` measured on a checkpoint of the run, by name
    (``evaluation.grid_peak``); empty where neither has been run.
    """

    source: str
    format: str
    trainer: str
    trainer_confidence: float
    trainer_reason: str
    steps: IntArray
    columns: Mapping[str, Column]
    epochs: IntArray | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    raw_config: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    notes: tuple[ReadNote, ...] = ()
    step_unit: str = "step"
    measured: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.steps)
        if n and np.any(np.diff(self.steps) <= 0):
            raise ValueError("run.steps must be strictly increasing: the reader must split or stitch the log first")
        for column in self.columns.values():
            if len(column.values) != n:
                raise ValueError(f"column {column.name} has {len(column.values)} rows, the run has {n}")
            column.values.setflags(write=False)
        self.steps.setflags(write=False)

    def __len__(self) -> int:
        return len(self.steps)

    def __contains__(self, metric: str) -> bool:
        return metric in self.columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __getitem__(self, metric: str) -> FloatArray:
        return self.columns[metric].values

    @property
    def smoothing(self) -> dict[str, Smoothing]:
        return {name: column.smoothing for name, column in self.columns.items()}

    @property
    def decimals(self) -> dict[str, int | None]:
        return {name: column.decimals for name, column in self.columns.items()}

    def rows(self, metric: str) -> IntArray:
        """Row indices at which ``metric`` was logged (non-finite values included); empty if it never was."""
        if metric not in self.columns:
            return np.empty(0, np.int64)
        return np.flatnonzero(self.columns[metric].logged)

    def series(self, metric: str) -> tuple[IntArray, FloatArray]:
        """``(steps, values)`` of ``metric`` where it was logged and is finite."""
        if metric not in self.columns:
            return np.empty(0, np.int64), np.empty(0, np.float64)
        values = self.columns[metric].values
        keep = np.isfinite(values)
        return self.steps[keep], values[keep]

    def line(self, metric: str, row: int) -> int | None:
        """Source line of ``metric`` at ``row``, or None if unknown."""
        lines = self.columns[metric].lines if metric in self.columns else None
        return int(lines[row]) if lines is not None and lines[row] > 0 else None

    def with_config(self, declared: Mapping[str, Any]) -> Run:
        """The same run with declared values laid over what the log printed."""
        return replace(self, config={**self.config, **declared})

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{_escape(c.name)}</td><td>{_escape(c.original)}</td><td>{int(c.logged.sum())}</td></tr>"
            for c in self.columns.values()
        )
        return (
            f"<p><b>{_escape(self.source)}</b>: {_escape(self.trainer)} ({_escape(self.format)}), {len(self)} rows</p>"
            f"<table><tr><th>metric</th><th>in the log</th><th>values</th></tr>{rows}</table>"
        )


def _escape(text: str) -> str:
    import html

    return html.escape(text)
