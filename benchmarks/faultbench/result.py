"""What a run measured, step by step, as far as its trainer would have got."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plan import Plan
from systems import System

from vaelab.config import TrainConfig

if TYPE_CHECKING:
    from training import SideBySide

Row = dict[str, float]
Event = tuple[str, int, dict[str, Any]]
"""(kind, step, details)"""
ADVERSARIAL = ("g_loss", "g_loss_weighted", "d_weight", "disc_loss", "logits_real", "logits_fake")


@dataclass
class Result:
    """rows: one a step. validations: (step, scores). numbers: held-out numbers after some steps, the last one included; they are
    never logged. epoch: steps of an epoch."""

    config: TrainConfig
    system: System
    epoch: int
    rows: list[Row]
    validations: list[tuple[int, Row]]
    events: list[Event]
    numbers: list[tuple[int, Row]]
    derived: dict[str, Any]


def result(
    side: SideBySide,
    k: int,
    measured: Sequence[Row],
    validations: list[tuple[int, Row]],
    numbers: list[tuple[int, Row]],
) -> Result:
    """Of run `k`; measured: its numbers at every step."""
    plan = side.plans[k]
    dials = {name: side.dials[name][:, k].tolist() for name in ("lr", "factor", "trains", "disc_lr")}
    rows: list[Row] = []
    events = list(plan.events)
    skipped = 0
    for step, values in enumerate(measured):
        row = values | {
            "lr": dials["lr"][step],
            "disc_factor": dials["factor"][step],
            "disc_lr": dials["disc_lr"][step],
        }
        _trim(row, plan, bool(dials["trains"][step]), side.system.measures_before_start)
        if plan.stops_at_nan and not math.isfinite(row["total_loss"]):
            events.append(("nan_stop", step, {}))
            break
        rows.append(row)
        if not plan.guarded or row["finite"] * row.get("disc_finite", 1.0) == 1:
            skipped = 0
            continue
        # vaelab's trainer names each skipped update and stops after max_non_finite of them in a row
        skipped += 1
        events.append(("non_finite", step, {"at": step, "batch": [], "in_a_row": skipped}))
        if skipped == plan.config.optim.max_non_finite:
            text = f"{skipped} steps in a row had gradients that are not finite, the last one at step {step}."
            events.append(("stopped", step, {"text": text}))
            break
    reached = [(step, scores) for step, scores in validations if step < len(rows)]
    events.sort(key=lambda event: event[1])
    return Result(plan.config, side.system, side.epoch, rows, reached, events, numbers, _derived(side, plan))


def _trim(row: Row, plan: Plan, trains: bool, measures_before_start: bool) -> None:
    """Leave out what this run's trainer does not have (yet)."""
    if plan.config.loss.logvar == "off":
        del row["logvar"]
    if plan.config.loss.disc == "none":
        for name in [n for n in row if n in ADVERSARIAL or n.startswith("disc_")]:
            del row[name]
    elif not trains:
        for name in [n for n in row if n.startswith("disc_") and n not in ("disc_loss", "disc_factor")]:
            del row[name]
        if measures_before_start:
            row["disc_loss"] = 0.0
        else:
            for name in ADVERSARIAL:
                row.pop(name, None)


def _derived(side: SideBySide, plan: Plan) -> dict[str, Any]:
    data = plan.config.data
    inner = side.held_out.shape[-1] // 4
    shapes = {
        "latent_shape": f"{side.latent}x1x{inner}x{inner}", "compression": f"{data.frames}x4x4",
        "clip_shape": f"{data.frames}x{data.resolution[0]}x{data.resolution[1]}", "input_channels": data.channels,
        "input_range": "-1,1", "iters_per_epoch": side.epoch, "samples_per_step": side.batch,
        "parameters": side.generator.layout.size,
    }  # fmt: skip
    return shapes | ({"pretrained": True} if plan.pretrained else {})
