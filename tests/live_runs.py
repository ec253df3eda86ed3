"""Runs, diagnoses and logs for the tests of vaelab.live."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from vaelab.diagnosis import Diagnosis, NextStep, RankedCause
from vaelab.rules.base import Finding
from vaelab.run import Run


def diagnosis(status: str, rows: int, findings: Sequence[tuple[str, str]] = (), cause: str | None = None) -> Diagnosis:
    """A diagnosis of a run with ``rows`` rows, one every 10 steps. findings: ``(code, severity)``; by default one that gives
    the status."""
    if not findings and status in ("watch", "act", "stop"):
        findings = [("AAA999", "warn" if status == "watch" else "critical")]
    run = Run("train.log", "csv", "unknown", 0.0, "", np.arange(rows, dtype=np.int64) * 10, {})
    found = tuple(Finding(code, f"name-{code.lower()}", severity, f"about {code}") for code, severity in findings)  # type: ignore[arg-type]
    fix = NextStep("do it")
    causes = (RankedCause(cause, "name", f"title of {cause}", 0.7, (), (), (), "", fix),) if cause else ()
    parts: Any = SimpleNamespace(run=run, status=status, headline=f"{status}: so it is", findings=found, causes=causes)
    return parts


def head(run: Run, rows: int) -> Run:
    """The run as it was when only ``rows`` rows were written."""
    last = int(run.steps[rows - 1])
    columns = {
        name: replace(
            column,
            values=column.values[:rows].copy(),
            logged=column.logged[:rows],
            lines=None if column.lines is None else column.lines[:rows],
            epoch_mean=None if column.epoch_mean is None else column.epoch_mean[:rows],
        )
        for name, column in run.columns.items()
    }
    return replace(
        run,
        steps=run.steps[:rows].copy(),
        columns=columns,
        epochs=None if run.epochs is None else run.epochs[:rows],
        events=tuple(e for e in run.events if e.kind != "finished" and (e.step is None or e.step <= last)),
    )


def healthy_rows(first: int, last: int, every: int = 10, seed: int = 0) -> list[str]:
    """Lines of a metrics.jsonl whose reconstruction improves as it should."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.02, 100_000)
    rows = []
    for step in range(first, last, every):
        rec = (0.02 + 0.2 * np.exp(-step / 300)) * (1 + noise[step // every])
        rows.append(json.dumps({"step": step, "rec_loss": round(float(rec), 6), "kl_loss": round(30 + step / 100, 4)}))
    return rows


def write(path: Path, lines: Iterable[str], mode: str = "a") -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
