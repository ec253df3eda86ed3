"""ADV: does the discriminator start as planned, does it know anything, or everything."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.facts.adversary import LEAST_CHANCE
from vaelab.rules.adversarial import ENOUGH, active
from vaelab.rules.base import Finding, Rule


class AtChance(Rule):
    """The discriminator is at chance.

    What it checks: disc_loss within 3% of its chance level and a logit gap near 0, late in the GAN phase. Critical where it
    was never better in 30 rows, d_weight has doubled, and perceptual_loss is not better than before the GAN by more than its
    noise; and where real and fake get equal logits in row after row (the gap scatters by less than 5% of what both do).

    Why it matters: chance is what an untrained discriminator gives. A perfect VAE and a useless discriminator look the
    same in this column; the GAN gives no useful gradient either way.

    Evidence it needs: ``disc_loss``, ``logits_real``, ``logits_fake``, 15 rows with the GAN on.

    What to do: score the discriminator on blurred held-out reconstructions: if it cannot tell, it is useless. Or freeze
    the generator for 200 steps: a working discriminator must then learn.

    References: taming-transformers#20, #44; LlamaGen#27; cause D3.
    """

    code = "ADV303"
    name = "discriminator-at-chance"
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if (
            a is None
            or a.rows < ENOUGH
            or not a.chance_known
            or a.chance is None
            or a.disc_loss is None
            or a.gap is None
        ):
            return
        if abs(a.disc_loss - a.chance) > 0.03 * a.chance or abs(a.gap) > 0.08 or (a.gap_noise or 0) > 0.25:
            return
        late = active(facts, "disc_loss").tail(0.5, 8)
        weight, other = active(facts, "d_weight"), facts.phases.shock("perceptual_loss")
        fades = len(weight) >= 30 and level(weight.tail(0.25).values) > 2 * level(weight.head(0.25).values) > 0
        never = (
            fades
            and a.best_gap is not None
            and a.best_gap < 0.1
            and (other is None or other.remaining > 1 / other.margin)
        )
        equal = _equal_logits(facts)
        yield self.finding(
            "critical" if equal or (never and not holds(facts)) else "warn",
            f"The discriminator is at chance: disc_loss {a.disc_loss:.3f} (chance {a.chance:.3g}), logit gap {a.gap:.3f}"
            " over the last quarter of the GAN phase. "
            + (
                "It never told real from fake, and d_weight rises as its gradient fades: it does not learn."
                if never
                else "Real and fake get the same logits in every row, while both move: its input does not tell them apart."
                if equal
                else "It either cannot learn or has nothing left to see; the log cannot tell which."
            ),
            metrics=("disc_loss", "logits_real", "logits_fake"),
            steps=(int(late.steps[0]), int(late.steps[-1])),
            evidence=(Evidence("disc_loss", a.disc_loss), Evidence("chance", a.chance), Evidence("gap", a.gap)),
            phase="gan",
        )


def _equal_logits(facts: Facts) -> bool:
    real, fake = active(facts, "logits_real"), active(facts, "logits_fake")
    if len(real) < ENOUGH or len(real) != len(fake):
        return False
    return float(np.std(real.values - fake.values)) < 0.05 * float(np.std(real.values))


class WorseThanChance(Rule):
    """The discriminator is worse than chance, and stays so.

    What it checks: real logits below fake logits in most GAN rows, with disc_loss above its chance level and not falling.

    Why it matters: a discriminator that is trained cannot stay below chance: its loss would fall. It gets no update (zero
    learning rate, frozen, missing optimizer step), or labels or signs are swapped, while the generator learns to raise
    its logits.

    Evidence it needs: ``disc_loss``, ``logits_real``, ``logits_fake``, 15 rows with the GAN on (10 if all agree).

    What to do: train the discriminator alone on one batch: its loss must fall below 0.1 of chance.

    References: SerezD/vqvae#3, diffusers PR#10605; causes D3, D10, D18.
    """

    code = "ADV304"
    name = "discriminator-worse-than-chance"
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if a is None or a.rows < 10 or not a.chance_known or a.chance is None or a.disc_loss is None or a.gap is None:
            return
        disc, real, fake = (active(facts, m) for m in ("disc_loss", "logits_real", "logits_fake"))
        if len(real) != len(fake) or a.disc_trend is None:
            return
        negative = float(np.mean(real.values < fake.values))
        above = float(np.mean(disc.values > 1.005 * a.chance))
        # the same calm loss above chance, row after row: an exploding run scatters far more
        calm = level(np.abs(disc.values - a.disc_loss)) < 0.15 * a.chance
        # 10 of 10 rows, or three quarters of 15: either comes by chance less than once in 50 trials of an idle coin
        most = 0.75 if a.rows >= ENOUGH else 1.0
        if negative < most or above < most or a.disc_trend.direction == "falling" or not calm:
            return
        yield self.finding(
            "critical",
            f"The discriminator stays below chance: fake logits are above real ones in {negative:.0%} of {len(real)} GAN"
            f" rows, disc_loss {a.disc_loss:.3f} is above {a.chance:.3g} in {above:.0%} and does not fall. It is not being"
            " trained (or real and fake are swapped), while the generator pushes its logits up.",
            metrics=("disc_loss", "logits_real", "logits_fake"),
            steps=(int(disc.steps[0]), int(disc.steps[-1])),
            evidence=(
                Evidence("rows with real < fake", negative),
                Evidence("disc_loss", a.disc_loss),
                Evidence("gap", a.gap),
            ),
            phase="gan",
        )


class DiscriminatorWins(Rule):
    """The discriminator separates real from fake without effort.

    What it checks: disc_loss below 12% of its chance level over the last half of the GAN phase; where that level is not known,
    below 2% of the smallest one in use (0.25), or logits beyond 2 on both sides. Critical below 2% of a known chance level,
    where next to no gradient is left (not where it was so from the first row of the log and the reconstruction holds), or where the
    generator has paid: a reconstruction or perceptual column is clearly worse than before, or feature matching has grown three times.

    Why it matters: a saturated discriminator only tells the generator that everything is wrong. It is a fault of balance,
    or the symptom of reconstructions that are bad for another reason. While the reconstruction holds, the GAN does nothing.

    Evidence it needs: ``disc_loss`` (or its two halves), 15 rows with the GAN on.

    What to do: first see whether the reconstruction is bad for another reason (collapse, data). If not: lower lr_disc,
    add LeCam, start later.

    References: Open-Sora-Plan#569, magvit2-pytorch#16, CodeFormer#261; cause D4.
    """

    code = "ADV305"
    name = "discriminator-wins"
    needs = ("gan-active", "disc_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        disc = active(facts, "disc_loss")
        if a is None or a.disc_loss is None or len(disc) < ENOUGH:
            return
        limit = 0.12 * a.chance if a.chance is not None else 0.02 * LEAST_CHANCE
        low = disc.values < limit
        share = float(np.mean(low[-max(8, len(low) // 2) :]))
        saturated = a.chance is None and (a.real or 0.0) > 2 and (a.fake or 0.0) < -2
        # a negative gap at a low loss is not a victory (ADV317)
        if not saturated and (share < 0.6 or a.disc_loss > limit or (a.gap is not None and a.gap < 0)):
            return
        first = int(disc.steps[int(np.argmax(low))])
        gap = f", logit gap {a.gap:.2f}" if a.gap is not None else ""
        level_of = (
            f"chance {a.chance:.3g}" if a.chance is not None else "chance is at least 0.25 in every GAN loss in use"
        )
        paid = _paid(facts)
        known = a.chance_known and a.chance is not None and a.disc_loss < 0.02 * a.chance
        if facts.phases.gan.before_step is None and low[: max(3, len(low) // 20)].all() and holds(facts):
            known = False  # there never was another balance, and it has cost nothing
        means = (
            f"Meanwhile {paid}."
            if paid
            else "The generator gets no useful signal from it: while the reconstruction holds, the GAN does nothing."
        )
        yield self.finding(
            "critical" if known or paid else "warn",
            f"The discriminator has won: disc_loss {a.disc_loss:.3g} ({level_of}){gap}, in {share:.0%} of the last half of the GAN"
            f" rows, from step {first:,}. {means}",
            metrics=("disc_loss", "logits_real", "logits_fake"),
            steps=(first, int(disc.steps[-1])),
            evidence=(
                Evidence("disc_loss", a.disc_loss),
                Evidence("chance", a.chance if a.chance is not None else LEAST_CHANCE),
                Evidence("share", share),
            ),
            phase="gan",
        )


def holds(facts: Facts) -> bool:
    """Whether a reconstruction is logged that has become better (or was trained before) and stands near its best level."""
    trained = facts.phases.origin in ("pretrained", "resumed")
    tracks = [facts.tracks[m] for m in facts.view.of("reconstruction")]
    return any((t.worse or 9) < 1.3 and (trained or (t.improved or 0) > 1.15) for t in tracks)


def _paid(facts: Facts) -> str:
    """What became worse while the discriminator won, in words; empty if nothing did."""
    shock = facts.phases.shock("rec_loss")
    if shock is not None and shock.recovered_step is None and shock.remaining > max(1.2, shock.margin):
        return f"rec_loss stands at {shock.remaining:.2g} times its level before the GAN"
    for metric in facts.view.of("reconstruction", "perceptual"):
        track = facts.tracks[metric]
        if track.certain and (track.worse or 1.0) > 1.15 and track.onset >= (facts.phases.gan.start_step or 0):
            return f"{metric} has risen to {track.worse:.2g} times its best level"
    for metric in facts.view.of("feature_matching"):
        track = facts.tracks[metric]
        if track.first > 0 and track.now > 3 * track.first:
            return f"{metric} has grown {track.now / track.first:.2g} times"
    return ""


class StartsLate(Rule):
    """disc_start has passed and the GAN is still off, or it came on much later.

    What it checks: the declared disc_start against the first row with disc_factor above 0 (or, without it, with adversarial
    columns): 3 rows and 5% later, or not yet.

    Why it matters: a counter that counts something else (batches against optimizer steps, a stage of its own) moves the
    plan without a word; the run trains a plain VAE in the steps that were planned for the GAN.

    Evidence it needs: disc_start, declared, and ``disc_factor``.

    What to do: print the counter that is compared with disc_start beside the logged step.

    References: gradient accumulation counts micro-steps or updates; taming-transformers#129, VidTok's main.py; causes G1, D1.
    """

    code = "ADV318"
    name = "gan-starts-late"
    needs = ("disc_factor", "config")

    def check(self, facts: Facts) -> Iterable[Finding]:
        gan, steps = facts.phases.gan, facts.run.steps
        planned = facts.view.number("disc_start")
        if planned is None or planned <= 0 or facts.view.trainer.disc_warms_up or steps[0] >= planned:
            return
        factor = facts.view.series("disc_factor")
        off = factor.steps[(factor.steps >= planned) & (factor.values <= 0)]
        if gan.state == "active" and gan.start_step is not None:
            off = off[off < gan.start_step]
        if len(off) < 3 or off[-1] < 1.05 * planned:
            return
        if gan.state != "active" and not facts.view.has("disc_loss") and not facts.view.has("logits_fake"):
            return  # no discriminator was built: gan-never-starts
        on = (
            f"came on at step {gan.start_step:,}"
            if gan.state == "active"
            else f"is still off at step {int(steps[-1]):,}"
        )
        yield self.finding(
            "critical",
            f"disc_start is {planned:,.0f}, but the GAN {on}: disc_factor was 0 in {len(off)} rows after it. The counter that is"
            " compared with disc_start is not the logged step.",
            metrics=("disc_factor", "disc_loss"),
            steps=(int(off[0]), int(off[-1])),
            evidence=(Evidence("declared", planned), Evidence("rows off after it", float(len(off)))),
        )
