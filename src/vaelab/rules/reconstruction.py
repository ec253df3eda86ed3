"""REC: how the reconstruction loss moves."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.analysis import level, trend
from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.words import number


class Plateau(Rule):
    """The reconstruction loss has stopped improving.

    What it checks: no trend in the last third of the present phase, and what the learning rate does there.
    Why it matters: flat at a high learning rate can be the compression limit; flat where the rate has decayed below a
    tenth of its peak says nothing about convergence.
    Evidence it needs: ``rec_loss`` with at least 24 rows in the phase; ``lr`` tells the two apart.
    What to do: raise the learning rate 3 times for some hundred steps from a checkpoint: if rec_loss moves, it was the
    learning rate; if not, compare with published values of the same compression.
    References: VidTok's table by channel count; latent-diffusion#270; causes B11, E13.
    """

    code = "REC108"
    name = "plateau"
    finds = ("reconstruction", "stuck")
    needs = ("rec_loss",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        phase = facts.phases.last
        if phase is None:
            return
        rec = facts.view.series("rec_loss").between(phase.first_step, phase.last_step).tail(0.34)
        if len(rec) < 24 or trend(rec.values).direction != "flat":
            return
        share = facts.phases.lr_now_share
        decayed = share is not None and share < 0.1
        why = (
            f"the learning rate is down to {facts.view.lr_share[1]} of its peak there, so this says nothing about convergence"
            if decayed and facts.view.lr_share is not None
            else "the learning rate has not decayed there, so it may be the compression limit or a rate that is too low"
        )
        if share is None:
            why = "without a learning rate that can be read the reason cannot be told"
        yield self.finding(
            f"rec_loss is flat at {number(level(rec.values))} since step {int(rec.steps[0]):,}: {why}.",
            metrics=("rec_loss",),
            steps=rec.span,
            evidence=(Evidence("level", level(rec.values)),),
            phase=phase.kind,
        )
