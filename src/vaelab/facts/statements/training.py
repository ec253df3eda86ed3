"""Sentences on the optimiser, and on how far the run is."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vaelab.analysis import level
from vaelab.facts.base import Fact
from vaelab.facts.optimiser import Optimiser, Progress
from vaelab.facts.view import View
from vaelab.words import rough


def of_optimiser(view: View, found: Optimiser) -> Iterator[Fact]:
    lr = view.series("lr")
    if view.has("grad_norm"):
        yield Fact("clip", "optimiser", _clip(view, found), "known", found.clipped)
    if view.lr_unreadable:
        declared = view.number("lr")
        said = f" The config says {declared:g}." if declared is not None else ""
        text = f"lr is printed with {view.run.columns['lr'].decimals} decimals and cannot be read here ({lr.values[-1]:g}): take it from the config or TensorBoard.{said}"
        yield Fact("lr", "optimiser", text, "cannot-tell")
    elif len(lr) > 2:
        now = float(lr.values[-1])
        stands = f"is {now:.3g}" if now or not view.lr_least else f"is below {view.lr_least:.3g}"
        share = f"{view.lr_share[1]} of its peak" if view.lr_share is not None else "peak"
        text = f"The learning rate {stands} at step {int(lr.steps[-1]):,} ({share} {found.lr_peak:.3g})."
        yield Fact("lr", "optimiser", text, "known", now)


def _clip(view: View, found: Optimiser) -> str:
    norm, clip, clipped = view.series("grad_norm"), view.number("clip_grad"), found.clipped
    now, own = norm.now, level(norm.values)
    multiple = f" That is {now / own:.2g} times its own median." if own > 0 and len(norm) >= 8 else ""
    if clipped is None:
        return f"grad_norm stands at {now:.3g} (the clip threshold is not declared).{multiple}"
    text = f"grad_norm is printed before clipping: {now:.3g}{f' at clip_grad {clip:g}' if clip else ''}."
    if clipped > 0 or found.cut is not None:
        low, high = found.cut or (1.0, 1.0)
        by = f" (by {low:.2g} to {high:.2g})" if high > low else f" (by {low:.2g})" if found.cut else ""
        steps = "step" if view.has("clip_share") else "logged step"
        which = f"Every {steps} is" if clipped == 1 else f"{clipped:.0%} of the {steps}s are"
        text += f" {which} scaled{by}"
        cutting = f"; a threshold near {rough(found.suggested or 0.0)} (90th percentile) would cut outliers only."
        text += cutting if clipped > 0.5 else "."
    if not view.trainer.clip_before_step:
        text += " In this trainer the clip comes after the step and has no effect."
    return text + multiple


def of_progress(view: View, progress: Progress) -> Iterator[Fact]:
    if not len(view.run):
        return
    last, planned, seconds = progress.step, view.number("total_steps"), progress.seconds
    if progress.share is not None and planned:
        text = f"Progress: step {last:,} of {planned:,.0f} ({last / planned:.1%})."
        yield Fact("progress", "progress", text, "declared", progress.share)
    else:
        text = f"Step {last:,}; how many steps are planned is not in the log."
        yield Fact("progress", "progress", text, "cannot-tell")
    if progress.milestone is not None:
        name, step = progress.milestone
        text = f"Next milestone: {name} at step {step:,}, {step - last:,} steps to go"
        if seconds and math.isfinite(seconds) and seconds > 0:
            text += f", about {_duration((step - last) * seconds)} at {seconds:.3g} s a step"
        yield Fact("milestone", "progress", text + ".", "inferred", float(step), "step")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
