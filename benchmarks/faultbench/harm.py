"""What a fault cost, measured on held-out pictures against the healthy twin: the label of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Row = Mapping[str, float]
COSTS = {"dB": 0.5, "perceptual": 0.25, "detail": 0.25, "channels": 0.25, "codes": 0.25, "latent": 10.0}
"""From which loss on a run counts as faulty: dB of PSNR; growth of the perceptual distance; share of the twin's detail (energy
of pixel differences), of its active latent channels and of its used codes; factor of the latent's standard deviation."""
WORST_DB = 40.0
"""Stands for a model that gives no numbers."""
LEARNED_DB = 1.0
"""A run has learned something if it is this much better than the mean picture (or than it was itself in the beginning)."""


def costs(run: Row, twin: Row) -> dict[str, float]:
    """What `run` lost against `twin` at the same step, by the names of COSTS; not negative."""
    lost = {"dB": db_lost(run, twin)}
    if not math.isfinite(run["psnr"]):
        return lost
    lost["perceptual"] = run["perceptual"] / max(twin["perceptual"], 1e-9) - 1
    lost["detail"] = 1 - run["detail"] / max(twin["detail"], 1e-9)
    if "per_element" in twin:
        lost["channels"] = twin["active"] - run["active"]
        lost["latent"] = run["latent_std"] / max(twin["latent_std"], 1e-9)
    if "codebook_usage" in twin:
        lost["codes"] = 1 - run["perplexity"] / max(twin["perplexity"], 1e-9)
    return {name: max(0.0, value) if math.isfinite(value) else WORST_DB for name, value in lost.items()}


def db_lost(run: Row, twin: Row) -> float:
    """dB of PSNR, of the averaged weights where they lost more: those are what is used."""
    if not math.isfinite(run["psnr"]):
        return WORST_DB
    averaged = twin["psnr_ema"] - run["psnr_ema"] if twin["psnr_ema"] >= twin["psnr"] - 0.3 else 0.0
    return max(0.0, twin["psnr"] - run["psnr"], averaged if math.isfinite(averaged) else WORST_DB)


def matters(lost: Mapping[str, float]) -> bool:
    return any(lost.get(name, 0.0) >= limit for name, limit in COSTS.items())


def kind(run: Sequence[tuple[int, Row]], twin: Sequence[tuple[int, Row]], onset: int) -> str:
    """ "faulty": it cost something at the end. "passed": only for a while. "harmless": never."""
    if matters(costs(run[-1][1], twin[-1][1])):
        return "faulty"
    between = [matters(costs(a, b)) for (step, a), (_, b) in zip(run[:-1], twin[:-1], strict=False) if step >= onset]
    return "passed" if any(between) else "harmless"


def learned(run: Sequence[tuple[int, Row]], mean_picture: float, pretrained: bool) -> bool:
    """Whether a run without a fault came to something. mean_picture: PSNR of the mean picture, in dB."""
    last = run[-1][1]["psnr"]
    return math.isfinite(last) and last >= mean_picture + (LEARNED_DB if not pretrained else 0.5)
