"""Runs side by side: metrics in natural units at common points, differences in settings, and what may explain what."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from vaelab.diagnosis import Diagnosis
from vaelab.errors import ConfigError
from vaelab.words import number

POINTS = ("before the GAN", "common step", "end", "best")
LEVEL_ROWS = 25

# Encoder and decoder learn from one sum of losses, so each of these can move every learned quantity.
SETTINGS = (
    "kl_weight", "pixelloss_weight", "perceptual_weight", "disc_weight", "disc_factor", "disc_start", "disc_lr", "lr",
    "batch_size", "warmup_steps", "total_steps", "clip_grad", "opt_betas", "weight_decay", "ema_decay",
    "latent_channels", "latent_shape", "compression", "clip_shape", "resolution", "max_frames", "input_range",
    "input_channels", "learn_logvar", "freeze_encoder", "pretrained_vae_weight", "dataset", "model_dtype", "fp16",
)  # fmt: skip
MAIN_METRICS = ("rec_loss", "val/rec_loss", "perceptual_loss", "kl_loss")
"""What is drawn first where runs are laid over each other."""
LEARNED = ("psnr", "rec_loss", "perceptual_loss", "kl_nats", "gap")
WEIGHTS = ("pixelloss_weight", "perceptual_weight", "kl_weight", "disc_weight")
GAN_SETTINGS = ("disc_weight", "disc_factor", "disc_start", "disc_lr")


@dataclass(frozen=True)
class RunSummary:
    """One run. ``label`` is short and unique among the compared runs."""

    label: str
    source: str
    trainer: str
    status: str
    headline: str
    rows: int
    last_step: int | None
    gan_start: int | None
    top_cause: str | None


@dataclass(frozen=True)
class Setting:
    """A setting that differs. values: per run ``(value, how)``; how is ``declared``, ``solved`` or ``not known``."""

    key: str
    values: tuple[tuple[Any, str], ...]


@dataclass(frozen=True)
class Quantity:
    """One metric in comparable units. values: per run one number per ``POINTS``, None where there is none.

    comparable False: the numbers stand beside each other but do not compare; ``reason`` says why. ``reason`` may also
    give a condition of a comparison that is allowed.
    """

    name: str
    title: str
    unit: str
    comparable: bool
    reason: str
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """conclusions: which difference explains what. warnings: what must not be compared."""

    runs: tuple[RunSummary, ...]
    common_step: int | None
    quantities: tuple[Quantity, ...]
    settings: tuple[Setting, ...]
    conclusions: tuple[str, ...]
    warnings: tuple[str, ...]


@np.errstate(all="ignore")  # a mean that overflows is inf, and is shown so
def compare(diagnoses: Sequence[Diagnosis]) -> Comparison:
    """Set runs side by side. Raises ConfigError for fewer than two runs."""
    if len(diagnoses) < 2:
        raise ConfigError(
            f"A comparison needs at least two runs; {len(diagnoses)} was found. Give more logs or a folder."
        )
    runs = tuple(_summary(d, label) for d, label in zip(diagnoses, _labels(diagnoses), strict=True))
    common = _common_step(diagnoses)
    settings, unknown = _settings(diagnoses)
    differing = {s.key for s in settings}
    quantities = tuple(q for q in _quantities(diagnoses, common, differing) if _any_value(q))
    warnings = _warnings(diagnoses, quantities, unknown)
    conclusions = tuple(
        text for quantity in quantities if (text := _conclusion(quantity, diagnoses, runs, settings)) is not None
    )
    return Comparison(runs, common, quantities, settings, conclusions, warnings)


def _labels(diagnoses: Sequence[Diagnosis]) -> list[str]:
    """The part of the sources that tells the runs apart (``run-a`` of ``logs/run-a/train.log``); runs that it does not tell apart are
    numbered beside it, all runs where it is empty."""
    parts = [PurePath(d.run.source).parts for d in diagnoses]
    shortest = min(len(p) for p in parts)
    first = next((i for i in range(shortest) if len({p[i] for p in parts}) > 1), shortest)
    last = next((i for i in range(shortest - first) if len({p[-1 - i] for p in parts}) > 1), shortest - first)
    # one folder that tells all runs apart is enough
    middles = [p[first : len(p) - last] for p in parts]
    for level in zip(*middles, strict=False):
        if len(set(level)) == len(middles):
            return list(level)
    labels = [str(PurePath(*p[first : len(p) - last])) if len(p) > first + last else "" for p in parts]
    if not all(labels):
        return [f"run {i}" for i in range(1, len(diagnoses) + 1)]
    numbers = {label: itertools.count(1) for label, times in Counter(labels).items() if times > 1}
    return [f"{label} ({next(numbers[label])})" if label in numbers else label for label in labels]


def _summary(d: Diagnosis, label: str) -> RunSummary:
    gan = d.facts.phases.gan
    return RunSummary(
        label,
        d.run.source,
        d.run.trainer,
        d.status,
        d.headline,
        len(d.run),
        int(d.run.steps[-1]) if len(d.run) else None,
        gan.start_step if gan.state == "active" else None,
        f"{d.causes[0].id} {d.causes[0].name}" if d.causes else None,
    )


def _common_step(diagnoses: Sequence[Diagnosis]) -> int | None:
    units = {d.run.step_unit for d in diagnoses}
    if len(units) != 1 or not all(len(d.run) for d in diagnoses):
        return None
    return min(int(d.run.steps[-1]) for d in diagnoses)


# ------------------------------------------------------------------------------------------------------------ settings
def _settings(diagnoses: Sequence[Diagnosis]) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """Settings that differ, and those known in some of the runs only."""
    differing: list[Setting] = []
    unknown: list[str] = []
    for key in SETTINGS:
        values = tuple(_setting(d, key) for d in diagnoses)
        known = [value for value, how in values if how != "not known"]
        if len(known) < len(values):
            if known:
                unknown.append(key)
        elif any(not _same(value, known[0]) for value in known):
            differing.append(Setting(key, values))
    return tuple(differing), tuple(unknown)


def differing_settings(diagnoses: Sequence[Diagnosis]) -> dict[str, list[Any]]:
    """Settings that have at least two values among the runs: key -> the value of each run, None where it is not known."""
    found = {key: [_setting(d, key)[0] for d in diagnoses] for key in SETTINGS}
    known = {key: [v for v in values if v is not None] for key, values in found.items()}
    return {key: found[key] for key, values in known.items() if any(not _same(v, values[0]) for v in values)}


def _setting(d: Diagnosis, key: str) -> tuple[Any, str]:
    solved = d.facts.algebra.value(key)
    declared = d.run.config.get(key)
    if declared is not None:
        return declared, "declared"
    return (solved, "solved") if solved is not None else (None, "not known")


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        try:
            return math.isclose(a, b, rel_tol=0.02, abs_tol=1e-300)
        except OverflowError:  # an integer beyond the largest float
            return a == b
    return _plain(a) == _plain(b)


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


# ---------------------------------------------------------------------------------------------------------- quantities
def _quantities(diagnoses: Sequence[Diagnosis], common: int | None, differing: set[str]) -> list[Quantity]:
    trainers = [d.facts.view.trainer for d in diagnoses]
    same_trainer = len({t.id for t in trainers}) == 1 and trainers[0].id != "unknown"
    weights = [key for key in WEIGHTS if key in differing]

    def quantity(
        name: str, metric: str, title: str, unit: str, reason: str, comparable: bool, convert: _Convert = _as_logged
    ) -> Quantity:
        values = tuple(_points(d, metric, common, convert) for d in diagnoses)
        return Quantity(name, title, unit, comparable, reason, values)

    found: list[Quantity] = []
    if all(d.facts.scales.psnr_exact for d in diagnoses):
        found.append(quantity("psnr", ERROR, "PSNR", "dB", "", True, lambda d: d.facts.scales.psnr))
    else:
        kinds = {t.rec_kind for t in trainers}
        ok = len(kinds) == 1 and "unknown" not in kinds and len({d.facts.scales.peak for d in diagnoses}) == 1
        why = "" if ok else f"rec_loss holds different or unknown things: {', '.join(sorted(kinds))}"
        found.append(quantity("rec_loss", "rec_loss", "reconstruction loss", "", why, ok))
    why = "" if same_trainer else "different or unknown trainers may use different LPIPS networks or sums"
    found.append(quantity("perceptual_loss", "perceptual_loss", "perceptual loss", "", why, same_trainer))
    if all(d.facts.scales.nats is not None for d in diagnoses):
        why = _latent_condition(diagnoses)
        found.append(
            quantity("kl_nats", "kl_loss", "KL", "nats/element", why, True, lambda d: d.facts.scales.nats_per_element)
        )
    else:
        why = "KL compares only in nats per latent element: give --latent (and --clip) for every run"
        found.append(quantity("kl_nats", "kl_loss", "KL as logged", "", why, False))
    found.append(_gap(diagnoses, common))
    for metric, title in (("nll_loss", "nll loss"), ("total_loss", "total loss"), ("grad_norm", "gradient norm")):
        if weights:
            why = f"loss weights differ ({', '.join(weights)})"
        elif not same_trainer:
            why = "different or unknown trainers sum and weigh it differently"
        else:
            why = ""
        found.append(quantity(metric, metric, title, "", why, not why))
    return found


def _latent_condition(diagnoses: Sequence[Diagnosis]) -> str:
    """What the KL per element rests on where a run's latent shape is not declared; empty if all are."""
    latents = [(d, d.facts.scales.latent) for d in diagnoses]
    guessed = {f"{latent} ({latent.how})" for _, latent in latents if latent and latent.standing != "declared"}
    return f"the latent is taken to be {' and '.join(sorted(guessed))}; --latent settles it" if guessed else ""


_Convert = Callable[[Diagnosis], Callable[[float], float | None]]
ERROR = "the column of the squared error"


def _as_logged(_: Diagnosis) -> Callable[[float], float | None]:
    return lambda value: value


def _gap(diagnoses: Sequence[Diagnosis], common: int | None) -> Quantity:
    values = []
    for d in diagnoses:
        gan = d.facts.phases.gan
        start = gan.start_step if gan.state == "active" else None
        points: list[float | None] = [None] * len(POINTS)
        if start is not None and d.facts.view.has("logits_real", "logits_fake"):
            real, fake = d.run["logits_real"], d.run["logits_fake"]
            keep = np.isfinite(real) & np.isfinite(fake) & (d.run.steps >= start)
            steps, gap = d.run.steps[keep], (real - fake)[keep]
            points[1] = _level(steps, gap, common)
            points[2] = _level(steps, gap, None)
        values.append(tuple(points))
    return Quantity("gap", "discriminator gap", "", True, "", tuple(values))


def _points(d: Diagnosis, metric: str, common: int | None, convert: _Convert) -> tuple[float | None, ...]:
    steps, values = d.run.series(d.facts.scales.error if metric == ERROR else metric)
    gan = d.facts.phases.gan
    before = None
    if gan.state == "active" and gan.start_step is not None:
        before = _level(steps, values, gan.start_step - 1)
    falls = metric in (ERROR, "rec_loss", "perceptual_loss", "nll_loss")
    levels = (
        before,
        _level(steps, values, common) if common is not None else None,
        _level(steps, values, None),
        _best(values) if falls else None,
    )
    to_natural = convert(d)
    return tuple(None if level is None else to_natural(level) for level in levels)


def _level(steps: np.ndarray, values: np.ndarray, last: int | None) -> float | None:
    """Median of the last rows up to step ``last`` (a twentieth of them, at most ``LEVEL_ROWS``)."""
    upto = values if last is None else values[: int(np.searchsorted(steps, last, side="right"))]
    return float(np.median(upto[-min(LEVEL_ROWS, max(1, len(upto) // 20)) :])) if len(upto) else None


def _best(values: np.ndarray) -> float | None:
    """Lowest level of the run: the least median over windows of ``LEVEL_ROWS`` rows, so no single lucky row counts."""
    if not len(values):
        return None
    size = min(LEVEL_ROWS, max(1, len(values) // 20))
    windows = values[: len(values) // size * size].reshape(-1, size)
    return float(np.median(windows, axis=1).min())


def _any_value(quantity: Quantity) -> bool:
    return any(value is not None for run in quantity.values for value in run)


# --------------------------------------------------------------------------------------------------------- conclusions
def _warnings(
    diagnoses: Sequence[Diagnosis], quantities: Sequence[Quantity], unknown: Sequence[str]
) -> tuple[str, ...]:
    found = [
        f"{q.title}: {'compares on a condition' if q.comparable else 'not comparable'}; {q.reason}."
        for q in quantities
        if q.reason
    ]
    trainers = sorted({d.run.trainer for d in diagnoses})
    if len(trainers) > 1:
        found.insert(
            0, f"The runs come from different trainers ({', '.join(trainers)}): equal names need not mean the same."
        )
    clips = {str(_plain(d.run.config.get("clip_shape"))) for d in diagnoses if d.run.config.get("clip_shape")}
    sizes = {value for d in diagnoses if (value := d.facts.algebra.value("n_pixels")) is not None}
    if len(clips) > 1 or len(sizes) > 1:
        found.append("The runs use different sample sizes: sums over pixels and the raw KL do not compare.")
    if len({d.run.step_unit for d in diagnoses}) > 1:
        found.append("The runs count different things as steps, so there is no common step.")
    found += dict.fromkeys(f"Not read: {n.text}" for d in diagnoses for n in d.run.notes if n.kind == "unreadable")
    if unknown:
        found.append(f"Not known in every run, so a difference cannot be excluded: {', '.join(unknown)}.")
    return tuple(found)


def _conclusion(
    quantity: Quantity, diagnoses: Sequence[Diagnosis], runs: Sequence[RunSummary], settings: Sequence[Setting]
) -> str | None:
    """Which setting may explain the difference in ``quantity``; None if nothing is to be said of it."""
    if not quantity.comparable or quantity.name not in LEARNED:
        return None
    at = next((i for i in (1, 2) if all(run[i] is not None for run in quantity.values)), None)
    if at is None:
        return None
    values = [value for run in quantity.values if (value := run[at]) is not None]
    low, high = int(np.argmin(values)), int(np.argmax(values))
    if not _differs(quantity, values[low], values[high]):
        return f"{quantity.title}: about the same at the {POINTS[at]}."
    unit = f" {quantity.unit}" if quantity.unit else ""
    what = (
        f"{quantity.title} at the {POINTS[at]}: {values[high]:.4g}{unit} in {runs[high].label}, "
        f"{values[low]:.4g}{unit} in {runs[low].label}."
    )
    pair = (diagnoses[low], diagnoses[high])
    between = [s for s in settings if not _same(s.values[low][0], s.values[high][0])]
    candidates = [s for s in between if _could_act(s.key, at, pair, runs, low, high)]
    if not candidates:
        return f"{what} No setting that both logs give explains it: look at the data, the seed and the start weights."
    shown = [
        f"{s.key} ({setting_text(s.values[high][0])} against {setting_text(s.values[low][0])})" for s in candidates
    ]
    if len(candidates) == 1:
        return f"{what} The only known difference in settings is {shown[0]}."
    return f"{what} Confounded: cannot tell which of {', '.join(shown)} it is. Change one at a time."


def _could_act(key: str, at: int, pair: Sequence[Diagnosis], runs: Sequence[RunSummary], low: int, high: int) -> bool:
    """A GAN setting acts only after the GAN has started in one of the two runs."""
    if key not in GAN_SETTINGS:
        return True
    ends = [int(d.run.steps[-1]) for d in pair]
    last = min(ends) if at == 1 else max(ends)
    starts = [start for i in (low, high) if (start := runs[i].gan_start) is not None]
    return any(start <= last for start in starts)


def _differs(quantity: Quantity, low: float, high: float) -> bool:
    """Beyond what batches scatter by: 0.3 dB, 0.05 in the gap, 10 % otherwise."""
    if quantity.name == "psnr":
        return high - low > 0.3
    if quantity.name == "gap":
        return high - low > 0.05
    return high - low > 0.1 * max(abs(high), abs(low))


def setting_text(value: Any) -> str:
    """``1e-06``, ``50,001``, ``hinge``."""
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
