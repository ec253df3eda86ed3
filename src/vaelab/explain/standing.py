"""A small picture of where a run stands: its values of one metric over the catalogue's rules of thumb for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vaelab.catalog import METRICS, Band
from vaelab.diagnosis.thumbs import applies, inside, span
from vaelab.explain.text import Section
from vaelab.facts import Facts
from vaelab.words import number

WIDTH = 24
LABEL = 14


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    logarithmic: bool

    def column(self, value: float) -> int:
        """The column of ``value``; what lies beyond the axis is at its end."""
        low, high, at = (self._place(v) for v in (self.low, self.high, value))
        share = 0.5 if high == low else (at - low) / (high - low)
        return round(min(max(share, 0.0), 1.0) * (WIDTH - 1))

    def _place(self, value: float) -> float:
        return math.log(max(value, self.low)) if self.logarithmic else value


def pictures(name: str, facts: Facts) -> tuple[Section, ...]:
    """One picture for each unit in which the catalogue has bands for ``name`` that hold for this run: the logged unit, and nats
    per latent element where the log gives them. Bands keep their number in the list of rules of thumb."""
    values = facts.view.series(name)
    if not len(values) or name not in METRICS:
        return ()
    found = []
    for unit, factor in (("", 1.0), ("nats per latent element", facts.scales.nats)):
        bands = [
            (number_, band)
            for number_, band in enumerate(holding_first(METRICS[name].bands), 1)
            if band.unit == unit and band.low != band.high and applies(facts, name, band)
        ]
        if bands and factor is not None:
            finite = values.values * factor
            heading = f"Where this run stands, in {unit}" if unit else f"Where this run stands: {name} as logged"
            picture = _picture(heading, finite.min(), finite.max(), values.now * factor, bands)
            found.append((all(band.standing == "refuted" for _, band in bands), picture))
    return tuple(picture for _, picture in sorted(found, key=lambda item: item[0]))


def holding_first(bands: Iterable[Band]) -> list[Band]:
    """Rules of thumb in the order in which they are listed and drawn: what is refuted comes last."""
    return sorted(bands, key=lambda band: band.standing == "refuted")


def _picture(heading: str, lowest: float, highest: float, now: float, bands: Sequence[tuple[int, Band]]) -> Section:
    limits = [limit for _, band in bands for limit in (band.low, band.high) if limit is not None]
    axis = _axis([lowest, highest, now, *limits])
    here = axis.column(now)
    row = _bar(axis.column(lowest), axis.column(highest), "─")
    row[here] = "●"
    lines = [_line("this run", row, f"now {number(now)} ({number(lowest)} to {number(highest)})")]
    for place, band in bands:
        row = _bar(
            0 if band.low is None else axis.column(band.low),
            WIDTH - 1 if band.high is None else axis.column(band.high),
            "·" if band.standing == "refuted" else "▒",
        )
        row[here] = "│"
        where = "inside" if inside(now, band) else "outside"
        lines.append(_line(f"{place} {band.standing}", row, f"{span(band)}: {where}"))
    return Section(f"{heading}{', logarithmic' if axis.logarithmic else ''}", tuple(lines), drawn=True)


def _axis(values: Sequence[float]) -> _Axis:
    """Logarithmic where the values span more than a factor of 20; a limit of 0 then lies at the left end."""
    positive = np.array([v for v in values if v > 0])
    if min(values) >= 0 and len(positive) and positive.max() > 20 * positive.min():
        return _Axis(float(positive.min()) / 2, float(positive.max()) * 2, True)
    margin = (max(values) - min(values)) * 0.1
    return _Axis(min(values) - margin, max(values) + margin, False)


def _bar(first: int, last: int, mark: str) -> list[str]:
    return [mark if first <= column <= last else " " for column in range(WIDTH)]


def _line(label: str, row: Sequence[str], text: str) -> str:
    return f"{label:<{LABEL}}{''.join(row)} {text}"
