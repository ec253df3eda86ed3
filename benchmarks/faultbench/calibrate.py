"""Fit the calibration tables of vaelab's confidence on the held-out part of the fault bench.

Rules were changed after looking at the tune part, so there they are right more often than elsewhere: a table fitted on it
promises too much. What is written is fitted on the held-out part; its error is estimated by leaving each recipe out of the fit.

    python benchmarks/faultbench/calibrate.py [--logs DIR] [--write]

Prints the calibration error before and after, and with each system left out of the fit. `--write` puts
the tables into src/vaelab/diagnosis/calibration.py and the errors into docs/faultbench.md.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import tables
from measures import BALANCE, HALVES, Bin, calibration_error, half, looks, reliability
from replay import Judged
from score import LOGS, PAGE, judge_all, write_page
from truth import load_all

from vaelab.diagnosis import calibration
from vaelab.diagnosis.calibration import Kind, Table, calibrated

KINDS: tuple[Kind, ...] = ("alarm", "quiet", "cause")
MODULE = Path(calibration.__file__)
SMALLEST_BIN = 12
BINS: Mapping[Kind, int] = {"quiet": 1}
"""Bins of the kinds that are fitted. With each recipe left out of the fit, tables with more bins, and any for alarms and
causes, are further from the truth than the raw score: there are too few recipes."""

Pairs = list[tuple[float, bool]]


def pairs(runs: Iterable[Judged]) -> dict[Kind, Pairs]:
    """(raw confidence, right) of each kind, from the same looks as the reliability tables."""
    found: dict[Kind, Pairs] = {kind: [] for kind in KINDS}
    for run in runs:
        for look in looks(run):
            if look.status == "cannot-tell":
                continue
            pair = (look.confidence, look.alarm == run.truth.faulty)
            found["alarm" if look.alarm else "quiet"] += [pair] * (1 if run.truth.faulty else BALANCE)
            if look.alarm and look.causes:
                found["cause"].append((look.causes[0][1], look.names(run.truth.accepted, 1)))
    return found


def fit(data: Pairs, most: int = 6) -> Table:
    """Monotone table from bins of equal count, each (right + 1) / (n + 2), neighbours that fall pooled (isotonic
    regression by pooling adjacent violators; Barlow and others 1972). Empty for less than one bin's worth of data. most: bins."""
    ordered = sorted(data)
    count = min(most, len(ordered) // SMALLEST_BIN)
    if count < 1:
        return ()
    blocks: list[tuple[int, float, int]] = []  # verdicts, sum of stated, right
    for i in range(count):
        part = ordered[i * len(ordered) // count : (i + 1) * len(ordered) // count]
        blocks.append((len(part), sum(c for c, _ in part), sum(ok for _, ok in part)))
        while len(blocks) > 1 and _right(blocks[-2]) >= _right(blocks[-1]):
            last, before = blocks.pop(), blocks.pop()
            blocks.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    return tuple((round(total / n, 3), round(_right((n, total, ok)), 3)) for n, total, ok in blocks)


def _right(block: tuple[int, float, int]) -> float:
    n, _, right = block
    return (right + 1) / (n + 2)


def fit_all(runs: Iterable[Judged]) -> dict[Kind, Table]:
    return {kind: fit(data, BINS[kind]) if kind in BINS else () for kind, data in pairs(runs).items()}


def shown(runs: Iterable[Judged], fitted: Mapping[Kind, Table]) -> dict[Kind, Pairs]:
    """(confidence with `fitted`, right) of each kind."""
    return {kind: [(calibrated(kind, c, fitted), ok) for c, ok in data] for kind, data in pairs(runs).items()}


def left_out(runs: Sequence[Judged], key: Callable[[Judged], str]) -> dict[Kind, Pairs]:
    """The same, each group of `key` with tables that were fitted on the others."""
    found: dict[Kind, Pairs] = {kind: [] for kind in KINDS}
    for group in sorted({key(r) for r in runs}):
        fitted = fit_all(r for r in runs if key(r) != group)
        for kind, data in shown((r for r in runs if key(r) == group), fitted).items():
            found[kind] += data
    return found


def errors(found: Mapping[Kind, Pairs]) -> dict[str, tuple[float, float]]:
    """(calibration error, largest difference of a bin with at least SMALLEST_BIN verdicts) of the verdict and the cause."""
    both = {"verdict": found["alarm"] + found["quiet"], "cause": found["cause"]}
    return {name: _errors(reliability(data)) for name, data in both.items()}


def _errors(bins: Sequence[Bin]) -> tuple[float, float]:
    large = [abs(b.stated - b.right) for b in bins if b.n >= SMALLEST_BIN]
    return calibration_error(bins), max(large, default=math.nan)


def report(runs: Sequence[Judged]) -> str:
    parts = {name: [r for r in runs if half(r.truth.id) == name] for name in HALVES}
    held_out = parts["held-out"]
    rows = [_row(f"{name}, raw ({len(group)} runs)", shown(group, {})) for name, group in parts.items()]
    rows.append(_row("held-out, each recipe left out of the fit", left_out(held_out, lambda r: r.truth.id)))
    rows.append(_row("held-out, each system left out of the fit", left_out(held_out, lambda r: r.truth.system)))
    head = ("runs", "verdict: mean error", "largest", "cause: mean error", "largest")
    return tables.table(head, rows)


def _row(name: str, found: Mapping[Kind, Pairs]) -> list[str]:
    both = errors(found)
    return [name] + [f"{value:.3f}" for key in ("verdict", "cause") for value in both[key]]


def write(fitted: Mapping[Kind, Table], path: Path = MODULE) -> None:
    lines = [f'    "{kind}": {table!r},' for kind, table in fitted.items() if table]
    text = "TABLES: Mapping[Kind, Table] = {" + ("\n" + "\n".join(lines) + "\n" if lines else "") + "}\n"
    source = path.read_text(encoding="utf-8")
    changed, n = re.subn(r"^TABLES: Mapping\[Kind, Table\] = \{.*?\}\n", text, source, flags=re.DOTALL | re.MULTILINE)
    if n != 1:
        raise SystemExit(f"{path.name} has no TABLES to replace")
    path.write_text(changed, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, default=LOGS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    calibration.TABLES = {}  # raw values are wanted here, in this process: hence one job
    runs = judge_all(load_all(options.logs), jobs=1)
    fitted = fit_all(r for r in runs if half(r.truth.id) == "held-out")
    for kind, table in fitted.items():
        print(f"{kind}: {table or 'too few verdicts'}")
    text = report(runs)
    print("\n" + text)
    if options.write:
        write(fitted)
        write_page(PAGE, {"calibration": text})
    return 0


if __name__ == "__main__":
    sys.exit(main())
