"""Runs made from the figures that the field notes quote: a handful of rows, rounded as the notes print them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.readers.base import RawColumn, RawLog
from vaelab.readers.building import build_runs
from vaelab.run import Smoothing

QUOTES: dict[str, dict[str, Any]] = {
    q["id"]: q for q in json.loads((Path(__file__).parent / "data/quotes.json").read_text(encoding="utf-8"))
}

# what the notes say in passing of the same rows: ``extra`` and ``ranges`` of the quotes, as values of rows
PATCHES: dict[str, list[dict[str, float]]] = {
    "S0-kl1e-4-first-400": [
        {"iter": 0, "kl_loss": 34000, "perception_loss": 0.06},
        {"iter": 400, "perception_loss": 0.11, "grad_norm": 10.19},
    ],
    # the same run C: its rows before the GAN, quoted in S2-C-start
    "S2-C-1800-after": [{"epoch": 0, "iter": 640, "rec_loss": 0.0015, "perception_loss": 0.0320}],
    "S4-radiodiff": [
        {"step": 0, "total_loss": 34460, "kl_loss": 17692, "rec_loss": 0.53, "disc_loss": 0.0},
        {"step": 17000, "total_loss": 2039, "kl_loss": 138430, "rec_loss": 0.03, "disc_loss": 0.0},
    ],
}

DECLARED: dict[str, dict[str, Any]] = {"S2-C-1800-after": {"disc_start": 2000, "iters_per_epoch": 2000}}


def diagnose_quote(quote_id: str) -> Diagnosis:
    """Diagnosis of the rows of one quote, with the config the quote declares."""
    quote = QUOTES[quote_id]
    declared = {**quote["declared"], **DECLARED.get(quote_id, {})}
    per_epoch = int(declared.get("iters_per_epoch", 2000))
    rows: dict[int, dict[str, float]] = {}
    for row in [*quote["rows"], *PATCHES.get(quote_id, [])]:
        step = row.get("step", row.get("epoch", 0) * per_epoch + row.get("iter", 0))
        rows.setdefault(int(step), {}).update({k: v for k, v in row.items() if k not in ("step", "epoch", "iter")})
    steps = sorted(rows)
    radiodiff = quote["trainer"] == "RadioDiff"
    columns = []
    for name in dict.fromkeys(k for s in steps for k in rows[s]):
        values = np.array([rows[s].get(name, np.nan) for s in steps], dtype=np.float64)
        printed = [repr(rows[s][name]) for s in steps if name in rows[s]]
        decimals = max(len(p.partition(".")[2]) if "e" not in p else 6 for p in printed)
        smoothing = Smoothing() if radiodiff or name in ("lr", "disc_factor") else Smoothing("window_median", 20)
        lines = np.arange(1, len(steps) + 1)
        columns.append(RawColumn(name, values, np.isfinite(values), lines, decimals, smoothing))
    raw = RawLog(
        source=quote_id,
        format="radiodiff_log" if radiodiff else "metric_logger",
        steps=np.array(steps, dtype=np.int64),
        columns=columns,
        epochs=None if radiodiff else np.array([s // per_epoch for s in steps], dtype=np.int64),
        config=declared,
    )
    (run,) = build_runs(raw)
    return diagnose(run if run.trainer != "unknown" else _as(run, quote["trainer"]))


def _as(run, trainer: str):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    known = {"Pyramid-Flow": "pyramid_flow", "RadioDiff": "radiodiff"}[trainer]
    return replace(run, trainer=known, trainer_confidence=1.0, trainer_reason="the note names the trainer")


def everything_said(diagnosis: Diagnosis) -> str:
    """Every sentence of a diagnosis, as reports show them."""
    parts = [diagnosis.headline, diagnosis.confidence_text]
    parts += [s.text for s in diagnosis.statements]
    parts += [f.message for f in diagnosis.findings]
    parts += [f"{m.metric} {m.text}" for m in diagnosis.metrics]
    parts += [f"{c.id} {c.title} {c.test} {c.fix.text} {' '.join(c.fix.patch)}" for c in diagnosis.causes]
    parts += [f"{n.text} {n.expected} {n.falsify} {n.command}" for n in diagnosis.next]
    parts += [*diagnosis.would_change, *diagnosis.positive, *diagnosis.expectations]
    parts += [f"{q.question} {q.answer}" for q in diagnosis.questions]
    return "\n".join(parts)
