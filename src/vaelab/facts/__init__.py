"""Facts: what can be inferred from a run before anything is judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vaelab.facts.adversary import Adversary, find_adversary
from vaelab.facts.algebra import Algebra, solve
from vaelab.facts.base import Evidence, Fact, Phase
from vaelab.facts.breakdown import Breakdown, find_breakdown
from vaelab.facts.changes import Changes, coincides, find_changes
from vaelab.facts.derived import derived, negated
from vaelab.facts.errors import Shift
from vaelab.facts.optimiser import Optimiser, Progress, find_optimiser, find_progress
from vaelab.facts.order import Lead, find_leads
from vaelab.facts.phases import Phases, find_phases
from vaelab.facts.scales import Scales, find_scales
from vaelab.facts.statements import statements
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
        """Whether the run is over: it has finished, or the log says that it broke off."""
        return self.finished or any(e.kind in ("crash", "non_finite_stop") for e in self.run.events[-1:])

    @property
    def finished(self) -> bool:
        """Whether the run came to its end: an event says so, or there is no room for one more row before the planned end. A run that
        goes on after its planned end has not finished."""
        ends = [event.kind for event in self.run.events if event.kind in ("finished", "resume", "restart")]
        steps, planned = self.run.steps, self.progress.planned
        if ends[-1:] == ["finished"] or planned is None or not len(steps):
            return ends[-1:] == ["finished"]
        spacing = float(np.median(np.diff(steps[-100:]))) if len(steps) > 1 else 1.0
        return int(steps[-1]) <= planned <= int(steps[-1]) + spacing

    def coincides(self, shift: Shift) -> str:
        """What else the run did on the rows of ``shift`` (``Jump.coincides``)."""
        return coincides(self.view, self.phases, self.optimiser, self.adversary, shift)

    @cached_property
    def statements(self) -> tuple[Fact, ...]:
        """Every fact as a sentence, in reading order."""
        return statements(self)

    @cached_property
    def breakdown(self) -> Breakdown | None:
        """What stood before the first loss that is no number to the end; None in a run without one."""
        return find_breakdown(self.view)

    @cached_property
    def leads(self) -> tuple[Lead, ...]:
        """What had moved before the reconstruction left its level."""
        return find_leads(self.view, self.phases, self.tracks)

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
    adversary = find_adversary(view, phases.gan, algebra)
    return Facts(
        run=run,
        view=view,
        phases=phases,
        algebra=algebra,
        scales=find_scales(view, algebra),
        adversary=adversary,
        optimiser=optimiser,
        progress=find_progress(view, phases),
        changes=find_changes(view, phases, optimiser, tracks, adversary),
        tracks=tracks,
        negated=negated(logged, run),
    )
