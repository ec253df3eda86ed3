"""Phases: warm-up, VAE-only, GAN start and what it did, GAN; learning-rate decay, resumes, fine-tune or from scratch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vaelab.analysis import Series, change_points, noise, rolling_median
from vaelab.catalog.roles import RoleName
from vaelab.facts.base import Phase, PhaseKind
from vaelab.facts.origin import find_origin
from vaelab.facts.view import View

RECOVERED = 1.10
"""A level within 10% of the one before the GAN counts as recovered (about 0.4 dB of MSE), noise allowing."""


@dataclass(frozen=True)
class WarmUp:
    """Learning-rate warm-up: ``end_step`` is where the peak is reached (None while it still rises)."""

    end_step: int | None
    peak: float
    first: float
    planned: int | None
    shape: str


@dataclass(frozen=True)
class Shock:
    """What the GAN start did to one metric: levels before, at the worst, now; ``ratio`` = worst / before.

    ``recovered_step`` is the first step at which the smoothed level is back (within ``margin`` of ``before``) and holds for
    three rows; None if it never was, or has left it again. ``margin`` is what chance alone does to a median of 5 rows (as a ratio),
    ``level_margin`` what it does to the levels compared, which rest on more rows.
    """

    metric: str
    before: float
    worst: float
    worst_step: int
    after: float
    recovered_step: int | None
    rows_after: int
    margin: float = RECOVERED
    level_margin: float = RECOVERED

    @property
    def seen(self) -> bool:
        """The change stands out of the noise."""
        return self.ratio > self.margin

    @property
    def ratio(self) -> float:
        return self.worst / self.before if self.before > 0 else math.nan

    @property
    def remaining(self) -> float:
        return self.after / self.before if self.before > 0 else math.nan


@dataclass(frozen=True)
class Gan:
    """Is the GAN on, and since when.

    state: ``active``, ``scheduled`` (will start at ``planned_step``), ``never`` (starts beyond the last planned step),
    ``off`` (columns say off, no plan known) or ``absent`` (no adversarial column). ``start_step`` lies in
    (previous logged step, start_step]. ``unit_ratio``: planned / observed start where they differ by a whole factor.
    ``disc_row``: first row on which the discriminator is trained alone, before the generator sees it; None if it is not.
    """

    state: str
    start_step: int | None = None
    start_row: int | None = None
    before_step: int | None = None
    planned_step: int | None = None
    unit_ratio: int | None = None
    reason: str = ""
    disc_row: int | None = None


@dataclass(frozen=True)
class Phases:
    """All phases of a run and the events between them."""

    phases: tuple[Phase, ...]
    warm_up: WarmUp | None
    gan: Gan
    shocks: tuple[Shock, ...]
    origin: str
    lr_now_share: float | None
    resumes: tuple[int, ...]

    def of(self, kind: PhaseKind) -> Phase | None:
        return next((p for p in self.phases if p.kind == kind), None)

    @property
    def last(self) -> Phase | None:
        return self.phases[-1] if self.phases else None

    def shock(self, metric: str) -> Shock | None:
        return next((s for s in self.shocks if s.metric == metric), None)


def find_phases(view: View) -> Phases:
    """Phases of the run; empty if it has no rows."""
    run = view.run
    if not len(run):
        return Phases((), None, Gan("absent"), (), "unknown", None, ())
    warm_up = _warm_up(view)
    gan = _with_disc_warm_up(view, _gan(view))
    resumes = _resumes(view)
    share = view.lr_share[0] if view.lr_share is not None else None
    shocks = tuple(s for m in ("rec_loss", "perceptual_loss") if (s := _shock(view, gan, m)) is not None)
    origin = find_origin(view)
    phases = _cut(view, warm_up, gan, shocks)
    return Phases(phases, warm_up, gan, shocks, origin, share, resumes)


def _resumes(view: View) -> tuple[int, ...]:
    """The first logged step after each resume: a log that announces one names the last step that was done before it."""
    run = view.run
    lines = next((c.lines for c in run.columns.values() if c.lines is not None and c.lines.min() > 0), None)
    if lines is not None and np.any(np.diff(lines) < 0):
        lines = None  # several files: their lines do not compare
    found = []
    for event in run.events:
        if event.kind != "resume":
            continue
        step = event.step
        row = int(np.searchsorted(lines, event.line, side="right")) if lines is not None and event.line else 0
        if 0 < row < len(run) and (step is None or run.steps[row - 1] <= step <= run.steps[row]):
            step = int(run.steps[row])
        if step is not None:
            found.append(step)
    return tuple(found)


def _warm_up(view: View) -> WarmUp | None:
    lr = view.series("lr")
    planned = view.number("warmup_steps")
    declared = view.number("lr")
    if view.lr_unreadable or len(lr) < (2 if declared else 3) or lr.values.max() <= 0:
        return None
    peak = float(lr.values.max())
    if lr.values[0] > 0.35 * peak:
        return None
    at = int(np.argmax(lr.values >= 0.985 * peak))
    rises = np.diff(lr.values[: at + 1])
    # a warm-up rises all the way; a late jump of a decaying rate does not
    if at < 1 or np.any(rises < -0.02 * peak) or np.mean(rises > 0) < 0.8:
        return None
    rising_to_the_end = at == len(lr) - 1 and (declared is None or peak < 0.985 * declared)
    # the last row may already lie beyond the bend
    end = at - 1 if at >= 4 else at
    x = (lr.steps[: end + 1] - lr.steps[0]) / max(1, lr.steps[end] - lr.steps[0])
    straight = np.max(np.abs(lr.values[: end + 1] - (lr.values[0] + x * (lr.values[end] - lr.values[0])))) < 0.05 * peak
    return WarmUp(
        None if rising_to_the_end else int(lr.steps[at]),
        peak if declared is None or not rising_to_the_end else declared,
        float(lr.values[0]),
        int(planned) if planned else None,
        "linear" if straight else "curved",
    )


GAN_LOSSES: tuple[RoleName, ...] = ("discriminator", "generator_adversarial", "discriminator_fake")


def _gan(view: View) -> Gan:
    run, declared, total = view.run, view.number("disc_start"), view.number("total_steps")
    planned = int(declared) if declared is not None else None
    columns = ("disc_loss", "logits_real", "logits_fake", "g_loss", "d_weight", "disc_factor", *view.of(*GAN_LOSSES))
    if not any(run.rows(m).size for m in columns):
        if planned is not None and total and planned > total:
            return Gan("never", planned_step=planned, reason=f"disc_start {planned:,} is beyond step {total:,.0f}")
        if planned is not None and len(run) and planned > run.steps[-1]:
            return Gan("scheduled", planned_step=planned, reason="disc_start lies ahead")
        return Gan("absent", planned_step=planned, reason="the log has no adversarial column")
    row, reason = _first_row(view, planned)
    if row is None:
        if planned is None:
            return Gan("off", reason=reason) if reason else Gan("absent", reason="no column shows whether it is on")
        if total and planned >= total:
            return Gan("never", planned_step=planned, reason=f"disc_start {planned:,} of {total:,.0f} planned steps")
        return Gan("scheduled", planned_step=planned, reason=reason)
    start, before, ratio = int(run.steps[row]), int(run.steps[row - 1]) if row else None, None
    if planned is not None and before is not None and before < planned <= start:
        start = planned
    elif planned is not None and before is not None and planned > 0:
        fits = [k for k in (2, 4, 8) if before * k < planned + k and planned - k <= start * k]
        ratio = fits[-1] if fits else None
    return Gan("active", start, row, before, planned, ratio, reason)


def _on(view: View, metric: str) -> int | None:
    """First row on which ``metric`` is a number other than 0; None if there is none."""
    values = view.run[metric] if metric in view.run else np.empty(0)
    on = np.flatnonzero(np.isfinite(values) & (values != 0))
    return int(on[0]) if len(on) else None


def _first_row(view: View, planned: int | None) -> tuple[int | None, str]:
    """The first row on which the generator sees the discriminator (None if it never does), and what shows it."""
    run, row, reason = view.run, None, ""
    if view.trainer.disc_warms_up:
        # its loss says nothing of the generator: g_loss is logged only where the generator sees it
        name = "disc_factor" if view.has("disc_factor") else "g_loss"
        row = _on(view, name)
        reason = f"{name} shows it" if row is not None else "the generator does not see it yet"
    elif view.has("disc_factor"):
        row, first = _on(view, "disc_factor"), _on(view, "disc_loss")
        reason = "disc_factor becomes positive" if row is not None else "disc_factor stays 0"
        # a windowed median of the switch lags: columns that appear with the GAN are exact
        if first and (row is None or first < row):
            row, reason = first, "the discriminator's columns appear"
    else:
        name = next((m for m in ("disc_loss", "g_loss", *view.of(*GAN_LOSSES)) if run.rows(m).size), "")
        if name:
            row = _on(view, name)
            reason = f"{name} {'becomes non-zero' if row is not None else 'stays 0'}"
        if row is None and (apart := _apart_at_no_loss(view)) is not None:
            row, reason = apart, f"{reason} because the discriminator tells every sample from a real one"
        waits = _generator_waits(view)
        if row is not None and waits is not None and waits[0] > row:
            row, reason = waits[0], f"{waits[1]} becomes non-zero"
    if row is None and planned is not None:
        seen = [int(run.rows(m)[0]) for m in ("disc_loss", "logits_real", "logits_fake") if run.rows(m).size]
        at = int(np.searchsorted(run.steps, planned))
        # the columns that appear with the GAN are there, and not before the declared start
        if seen and at < len(run) and run.steps[min(seen)] >= planned and not view.trainer.d_weight_logged_before_start:
            return at, "the declared disc_start has passed and the adversarial columns are there"
    return row, reason


def _apart_at_no_loss(view: View) -> int | None:
    """First row of a discriminator whose loss is 0 because it has won: logits beyond the hinge's margin on both sides, or all guesses
    right, in nine of ten rows from there on. None where a loss of 0 means that it is not trained."""
    run, rows = view.run, len(view.run)
    apart = [run["logits_real"] >= 1, run["logits_fake"] <= -1] if view.has("logits_real", "logits_fake") else []
    apart += [run[m] >= (99 if np.nanmax(run[m]) > 1 else 0.99) for m in view.of("discriminator_accuracy")]
    right = np.all(apart, axis=0) if apart else np.zeros(rows, np.bool_)
    first = int(np.argmax(right))
    return first if right.any() and rows - first >= 12 and np.mean(right[first:]) > 0.9 else None


def _generator_waits(view: View) -> tuple[int, str] | None:
    """``(row, column)`` from which the generator's own term is no longer 0, where it was logged as 0 in three rows and more before."""
    starts = ((on, m) for m in view.of("generator_adversarial") if (on := _on(view, m)) is not None)
    return next((f for f in starts if np.sum(view.run[f[1]][: f[0]] == 0) >= 3), None)


def _with_disc_warm_up(view: View, gan: Gan) -> Gan:
    """``gan`` with the rows on which the discriminator is trained alone."""
    alive = _on(view, "disc_loss")
    scheduled = gan.state == "scheduled" and view.trainer.disc_warms_up
    alone = alive is not None and (scheduled or (gan.start_row is not None and alive < gan.start_row))
    return replace(gan, disc_row=alive) if alone else gan


def _shock(view: View, gan: Gan, metric: str) -> Shock | None:
    series = view.series(metric)
    if gan.state != "active" or gan.start_row is None or gan.before_step is None or not len(series):
        return None
    pre = series.between(int(series.steps[0]), gan.before_step)
    post = series.between(int(view.run.steps[gan.start_row]), int(series.steps[-1]))
    if not len(pre) or not len(post):
        return None
    post = _until_later_jump(post)
    # the level just before: the last tenth of the VAE-only rows, at least 5; of a few quoted rows the last one
    before = pre.now
    smooth = rolling_median(post.values, 5)
    early = max(1, min(len(post), max(8, len(pre))))
    peak = int(np.argmax(smooth[:early])) if len(post) > 4 else int(np.argmax(post.values[:early]))
    worst = float(smooth[peak] if len(post) > 4 else post.values[peak])
    # what chance alone does to the largest of several medians of 5
    scatter = noise(pre.later.values) / before if before > 0 and len(pre) > 4 else 0.0
    scatter = scatter if math.isfinite(scatter) else 0.0
    margin = max(RECOVERED, 1 + 2.5 * scatter)
    # of the difference of two medians
    error = 1.25 * scatter * math.sqrt(1 / len(pre.late) + 1 / len(post.late))
    level_margin = min(margin, RECOVERED + 2.5 * error)
    # from the worst point on: a level held before it is no recovery
    back = _first_run(smooth[peak:] <= margin * before, 3)
    after = post.now
    if (
        back is not None
        and after > level_margin * before
        and np.mean(smooth[peak + back :] <= level_margin * before) < 0.5
    ):
        back = None  # it touched the old level and left it again
    recovered = int(post.steps[peak + back]) if back is not None else None
    return Shock(metric, before, worst, int(post.steps[peak]), after, recovered, len(post), margin, level_margin)


def _first_run(inside: npt.NDArray[np.bool_], length: int) -> int | None:
    """Index at which the first stretch of at least ``length`` True values (or one that lasts to the end) begins."""
    start = None
    for i, value in enumerate(inside.tolist()):
        start = (i if start is None else start) if value else None
        if start is not None and i - start + 1 >= length:
            return start
    return start


def _until_later_jump(post: Series) -> Series:
    """``post`` up to a jump that comes clearly after the GAN start: that one has another cause."""
    if len(post) < 12 or np.any(post.values <= 0):
        return post
    logs = np.log(post.values)
    least = max(math.log(1.8), 3 * noise(logs))
    later = [c for c in change_points(logs).shifts if c.index >= 8 and c.size >= least]
    if not later:
        return post
    return post.between(int(post.steps[0]), int(post.steps[max(later, key=lambda c: c.size).index - 2]))


TITLES: Mapping[PhaseKind, str] = {
    "warm-up": "warm-up", "vae-only": "VAE only", "disc-warm-up": "discriminator warm-up", "gan-start": "GAN start", "gan": "GAN", "whole": "whole run",
}  # fmt: skip


def _cut(view: View, warm_up: WarmUp | None, gan: Gan, shocks: tuple[Shock, ...]) -> tuple[Phase, ...]:
    steps, last = view.run.steps, len(view.run) - 1
    vae_only: tuple[PhaseKind, str] = ("vae-only", "reconstruction, perceptual and KL terms only")
    marks: list[tuple[int, PhaseKind, str]] = []
    gan_row = gan.start_row if gan.state == "active" else None
    if warm_up is not None:
        end = warm_up.end_step if warm_up.end_step is not None else int(steps[-1])
        marks.append((0, "warm-up", f"learning-rate warm-up, {warm_up.shape}, to {warm_up.peak:g}"))
        row = int(np.searchsorted(steps, end, side="right"))
        if row <= last and (gan_row is None or row < gan_row):
            marks.append((row, *vae_only))
    elif gan_row is None and gan.state == "absent" and gan.planned_step is None:
        marks.append((0, "whole", "the whole log"))
    elif gan_row is None or gan_row > 0:
        marks.append((0, *vae_only))
    # of a warm-up it is a part; after it, a phase of its own
    if gan.disc_row is not None and marks and marks[-1][1] == "vae-only" and gan.disc_row >= marks[-1][0]:
        text = "the discriminator is trained alone; the generator does not see it"
        marks.append((gan.disc_row, "disc-warm-up", text))
    rec = next((s for s in shocks if s.metric == "rec_loss"), None)
    if gan_row and rec is not None and rec.seen:
        marks.append((gan_row, "gan-start", "the GAN is switched on and the losses find a new level"))
        row = int(np.searchsorted(steps, rec.recovered_step)) if rec.recovered_step is not None else 0
        if gan_row < row <= last:
            marks.append((row, "gan", "adversarial training at a settled level"))
    elif gan_row is not None:
        marks.append((gan_row, "gan", "adversarial training"))
    quantised = not view.has("kl_loss") and view.has_role("quantiser", "codebook_usage")
    titles = {**TITLES, "vae-only": "no GAN yet" if quantised else TITLES["vae-only"]}
    marks = [m for i, m in enumerate(marks) if i == len(marks) - 1 or marks[i + 1][0] > m[0]]
    ends = [*(m[0] - 1 for m in marks[1:]), last]
    return tuple(
        Phase(kind, titles[kind], int(steps[row]), int(steps[end]), row, end, text)
        for (row, kind, text), end in zip(marks, ends, strict=False)
    )
