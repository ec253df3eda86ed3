"""Facts: what can be inferred from a run before anything is judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaelab.facts.adversary import Adversary, find_adversary
from vaelab.facts.algebra import Algebra, share_text, solve
from vaelab.facts.base import Evidence, Fact, Phase
from vaelab.facts.changes import Changes, find_changes
from vaelab.facts.derived import derived, negated
from vaelab.facts.optimiser import Optimiser, Progress, find_optimiser, find_progress
from vaelab.facts.phases import Phases, find_phases
from vaelab.facts.scales import Scales, find_scales
from vaelab.facts.tracks import Track, Tracks
from vaelab.facts.view import View
from vaelab.run import Run

__all__ = ["Evidence", "Fact", "Facts", "Phase", "Track", "infer"]


@dataclass(frozen=True, eq=False)
class Facts:
    """All facts of one run. Rules read these, never raw thresholds on raw columns."""

    run: Run
    view: View
    phases: Phases
    algebra: Algebra
    scales: Scales
    adversary: Adversary | None
    optimiser: Optimiser
    progress: Progress
    changes: Changes
    tracks: Tracks
    negated: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the run is over: its plan is reached, or the log says that it finished or broke off."""
        over = ("finished", "crash", "non_finite_stop")
        return (self.progress.share or 0.0) >= 0.995 or any(e.kind in over for e in self.run.events[-1:])

    @property
    def statements(self) -> tuple[Fact, ...]:
        """Every fact as a sentence, in reading order."""
        return (
            *self.algebra.statements,
            *self._phase_shares(),
            *self.scales.statements,
            *self._signs(),
            *self.phases.statements,
            *(self.adversary.statements if self.adversary else ()),
            *self.optimiser.statements,
            *self._jump(),
            *self.progress.statements,
        )

    def _jump(self) -> tuple[Fact, ...]:
        jump = self.changes.jump
        if jump is None:
            return ()
        text = (
            f"{self.changes.metric} jumped {jump.ratio:.3g} times ({jump.before:.4g} to {jump.after:.4g}) between step"
            f" {jump.before_step:,} and {jump.step:,}"
        )
        cause = {
            "gan-start": ", where the GAN starts",
            "lr-jump": ", where the learning rate jumps",
            "resume": ", at the resume",
            "epoch-start": ", at the start of an epoch",
        }.get(jump.coincides, ", with no change of the learning rate and no GAN start there")
        lr = self.view.series("lr")
        at = int(np.searchsorted(lr.steps, jump.step))
        rate = f" The learning rate there is {lr.values[min(at, len(lr) - 1)]:.3g}." if len(lr) else ""
        return (Fact("rec_jump", "phases", text + cause + "." + rate, "inferred", jump.ratio, "x"),)

    def _signs(self) -> tuple[Fact, ...]:
        if not self.negated:
            return ()
        names = ", ".join(self.negated)
        text = f"{names} {'is' if len(self.negated) == 1 else 'are'} logged with a minus sign: a KL divergence is never negative."
        return (Fact("kl_sign", "units", f"{text} Its size is what is judged here.", "inferred"),)

    def _phase_shares(self) -> tuple[Fact, ...]:
        """Shares of every term of the loss by value, one statement a phase."""
        told = []
        for phase in self.phases.phases if len(self.phases.phases) > 1 else ():
            shares = self.algebra.shares(phase.rows)
            if len(shares) > 1:
                said = ", ".join(f"{m} {share_text(v)}" for m, v in sorted(shares.items(), key=lambda t: -t[1]))
                text = f"Over the {phase.title} phase the shares of the loss by value are: {said}."
                evidence = tuple(Evidence(m, v) for m, v in shares.items())
                told.append(Fact(f"shares_{phase.kind}", "algebra", text, "inferred", evidence=evidence))
        return tuple(told)

    def missing(self, needs: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``needs`` that this run lacks. A need is a column name, a number measured on a checkpoint
        (``probe.active_share``), alternatives joined by ``|``, or one of ``gan-active``, ``nats-per-element``, ``psnr``,
        ``effective-beta``, ``total_steps``, ``phases``, ``config``."""
        known = {
            "gan-active": self.adversary is not None,
            "nats-per-element": self.scales.nats is not None,
            "psnr": self.scales.psnr_exact,
            "effective-beta": self.scales.effective_beta is not None,
            "total_steps": self.progress.planned is not None,
            "gan-start-seen": self.phases.gan.state == "active" and self.phases.gan.before_step is not None,
            "config": bool(self.run.config),
            "resume": bool(self.phases.resumes),
            "tracks": bool(self.tracks),
        }

        def there(need: str) -> bool:
            return any(known[n] if n in known else n in self.run.measured or self.view.has(n) for n in need.split("|"))

        return tuple(need for need in needs if not there(need))


def infer(run: Run) -> Facts:
    """Facts of ``run``; never raises on odd data."""
    logged, run = run, derived(run)
    view = View(run)
    phases = find_phases(view)
    algebra = solve(view, phases.gan)
    optimiser = find_optimiser(view, phases)
    tracks = Tracks(view, phases)
    return Facts(
        run=run,
        view=view,
        phases=phases,
        algebra=algebra,
        scales=find_scales(view, algebra),
        adversary=find_adversary(view, phases.gan, algebra),
        optimiser=optimiser,
        progress=find_progress(view, phases),
        changes=find_changes(view, phases, optimiser, tracks),
        tracks=tracks,
        negated=negated(logged, run),
    )
