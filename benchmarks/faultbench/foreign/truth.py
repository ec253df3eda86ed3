"""The truths of the runs of trainers that are not ours: harm is measured against the healthy run of the same trainer and seed."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from harm import COSTS, WORST_DB
from splits import FINAL_TRAINERS
from truth import Planted, Truth

CONSTANT_DB = 14.7
"""Held-out PSNR (of pictures in [0, 1]) of the mean picture, and half a dB: a healthy run below it has not learned yet."""


def foreign_truths(logs: Path) -> list[Truth]:
    """One truth a finished run below `logs`/<trainer>/<fault>-<seed>."""
    runs = {
        f"{p.parent.parent.name}/{p.parent.name}": json.loads(p.read_text()) for p in sorted(logs.glob("*/*/run.json"))
    }
    truths = (_truth(name, run, runs.get(f"{name.split('/')[0]}/healthy-{run['seed']}")) for name, run in runs.items())
    return [truth for truth in truths if truth is not None]


def _truth(name: str, run: dict[str, Any], twin: dict[str, Any] | None) -> Truth | None:
    trainer = name.split("/")[0]
    if twin is None:
        return None
    faults: tuple[Planted, ...] = ()
    lost = 0.0
    sound = twin["psnr"] is not None and (twin["psnr"] >= CONSTANT_DB or trainer == "soundstream")
    if not sound:
        kind = "undecided"
    elif run["fault"] == "healthy":
        kind = "healthy"
    else:
        lost = WORST_DB if run["psnr"] is None else max(0.0, twin["psnr"] - run["psnr"])
        kind = "faulty" if lost >= COSTS["dB"] else "harmless"
        causes = tuple(_causes(trainer, run["fault"]))
        onset = min(run["onset"], run["steps"] - 1)
        faults = (Planted(run["fault"], round(run.get("severity", 1.0), 4), onset, run["steps"], causes, ()),)
    final = trainer in FINAL_TRAINERS
    return Truth(
        name=name, kind=kind, split="final" if final else "tune", held_out="trainer" if final else "", faults=faults, steps=run["steps"],
        system=trainer, dialect=trainer, log=run["log"], lost_db=round(lost, 2), worst_db=round(lost, 2),
    )  # fmt: skip


def _causes(trainer: str, fault: str) -> list[str]:
    here = str(Path(__file__).parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    return list(importlib.import_module(trainer).FAULTS[fault][1])
