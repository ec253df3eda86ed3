"""ADV: does the discriminator know anything, everything, or the wrong thing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaelab.analysis import level
from vaelab.facts import Evidence, Facts
from vaelab.facts.adversary import LEAST_CHANCE, WON, Adversary
from vaelab.rules.base import Finding, Rule
from vaelab.rules.gan_schedule import ENOUGH, active

STILL = 1e-5
"""Way that a discriminator's weights can go at most, of a size of 0.02 to 0.1, below which it is not trained."""


class DiscriminatorAtChance(Rule):
    """The discriminator is at chance.

    What it checks: disc_loss within 3% of its chance level and a logit gap near 0, late in the GAN phase. Watched where the log shows
    no gain: no perceptual loss that is better than before the GAN (or at all), or d_weight 10 times its first value. Critical where real
    and fake get equal logits in row after row (the gap scatters by less than 5% of what both do), or where it was never better in 30
    rows, d_weight has doubled, perceptual_loss has not gained more than its noise, and the reconstruction does not hold.
    Why it matters: chance is what an untrained discriminator gives, and what a perfect VAE would bring. The GAN gives no useful gradient
    either way. In a short training that costs nothing while the perceptual loss goes on falling.
    Evidence it needs: ``disc_loss``, ``logits_real``, ``logits_fake``, 15 rows with the GAN on.
    What to do: score the discriminator on blurred held-out reconstructions: if it cannot tell, it is useless. Or freeze
    the generator for 200 steps: a working discriminator must then learn.
    References: taming-transformers#20, #44; LlamaGen#27; cause D3.
    """

    code = "ADV303"
    finds = ("discriminator", "at-chance")
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        found = _skill(facts, ENOUGH)
        if found is None:
            return
        a, disc_loss, chance, gap = found
        if not _at_chance(disc_loss, chance, gap) or (a.gap_noise or 0) > 0.25:
            return
        weight, shock = active(facts, "d_weight"), facts.phases.shock("perceptual_loss")
        grown = weight.now / weight.first if len(weight) >= 30 and weight.first > 0 else 0.0
        clearly = shock is not None and shock.remaining <= 1 / shock.level_margin
        never = grown > 2 and a.best_gap is not None and a.best_gap < 0.1 and not clearly
        equal = _equal_logits(facts)
        idle = grown > 10 or not _perceptual_gains(facts)
        told = (
            "It never told real from fake, and d_weight rises as its gradient fades: it does not learn."
            if never
            else "Real and fake get the same logits in every row, while both move: its input does not tell them apart."
            if equal
            else "It either cannot learn or has nothing left to see, and nothing that is logged has gained by it."
            if idle
            else "The perceptual loss has fallen meanwhile, so it has cost nothing yet."
        )
        yield self.finding(
            f"The discriminator is at chance: disc_loss {disc_loss:.3f} (chance {chance:.3g}), logit gap {gap:.3f} over the last quarter of"
            f" the GAN phase. {told}",
            size=1.0 if equal or idle else None,
            costs=equal or (never and not holds(facts)),
            metrics=("disc_loss", "logits_real", "logits_fake"),
            steps=active(facts, "disc_loss").later.span,
            evidence=(Evidence("disc_loss", disc_loss), Evidence("chance", chance), Evidence("gap", gap)),
            phase="gan",
        )


def _perceptual_gains(facts: Facts) -> bool:
    """Whether a perceptual loss is better than it was before the GAN; than at first, where the log does not show the GAN's start."""
    shock = facts.phases.shock("perceptual_loss")
    if shock is not None:
        return shock.remaining < 1
    return any((facts.tracks[m].improved or 0) > 1.15 for m in facts.view.of("perceptual"))


def _skill(facts: Facts, rows: int) -> tuple[Adversary, float, float, float] | None:
    """``(the GAN, disc_loss, its chance level, logit gap)`` where the loss family, and so chance, is known over at least ``rows`` rows."""
    a = facts.adversary
    if a is None or a.rows < rows or not a.chance_known or a.chance is None or a.disc_loss is None or a.gap is None:
        return None
    return a, a.disc_loss, a.chance, a.gap


def _at_chance(disc_loss: float, chance: float, gap: float) -> bool:
    return abs(disc_loss - chance) <= 0.03 * chance and abs(gap) <= 0.08


def _equal_logits(facts: Facts) -> bool:
    real, fake = active(facts, "logits_real"), active(facts, "logits_fake")
    if len(real) < ENOUGH or len(real) != len(fake):
        return False
    return float(np.std(real.values - fake.values)) < 0.05 * float(np.std(real.values))


class DiscriminatorWorseThanChance(Rule):
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
    finds = ("discriminator", "below-chance")
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        found = _skill(facts, 10)
        if found is None:
            return
        a, disc_loss, chance, gap = found
        disc, real, fake = (active(facts, m) for m in ("disc_loss", "logits_real", "logits_fake"))
        if len(real) != len(fake) or a.disc_trend is None:
            return
        negative = float(np.mean(real.values < fake.values))
        above = float(np.mean(disc.values > 1.005 * chance))
        # the same calm loss above chance, row after row: an exploding run scatters far more
        calm = level(np.abs(disc.values - disc_loss)) < 0.15 * chance
        # 10 of 10 rows, or three quarters of 15: either comes by chance less than once in 50 trials of an idle coin
        most = 0.75 if a.rows >= ENOUGH else 1.0
        if negative < most or above < most or a.disc_trend.direction == "falling" or not calm:
            return
        yield self.finding(
            f"The discriminator stays below chance: fake logits are above real ones in {negative:.0%} of {len(real)} GAN"
            f" rows, disc_loss {disc_loss:.3f} is above {chance:.3g} in {above:.0%} and does not fall. It is not being"
            " trained (or real and fake are swapped), while the generator pushes its logits up.",
            sure=not _at_chance(disc_loss, chance, gap),  # a discriminator that lags behind is a little below it
            metrics=("disc_loss", "logits_real", "logits_fake"),
            steps=disc.span,
            evidence=(
                Evidence("rows with real < fake", negative),
                Evidence("disc_loss", disc_loss),
                Evidence("gap", gap),
            ),
            phase="gan",
        )


class DiscriminatorStandsStill(Rule):
    """The discriminator's learning rate is too low to train it.

    What it checks: ``disc_lr`` summed over the steps of the GAN phase: below 0.00001 in 15 rows and more.
    Why it matters: with Adam a weight moves by at most about the rate at each step, and weights have a size of about 0.02 to 0.1. A discriminator that
    never moves judges by chance, and the generator learns to please it.
    What to do: print the rate that the discriminator's optimizer holds; see that its scheduler is stepped.
    References: Kingma and Ba 2015 (bound of Adam's step); causes D3, D10.
    """

    code = "ADV320"
    finds = ("discriminator", "stuck")
    needs = ("gan-active", "disc_lr")

    def check(self, facts: Facts) -> Iterable[Finding]:
        lr = active(facts, "disc_lr")
        if len(lr) < ENOUGH or facts.run.step_unit != "step":
            return
        steps, decimals = lr.span[1] - lr.span[0], facts.run.decimals["disc_lr"]
        printed = 0.0 if decimals is None else 0.5 * 10.0**-decimals  # what is printed as 0 may be this
        way = float(np.mean(np.maximum(lr.high, printed))) * steps
        if way < STILL:
            yield self.finding(
                f"The discriminator's learning rate is at most {lr.high.max():.2g}: in {steps:,} steps of the GAN phase none of its weights can"
                f" move by more than about {way:.1g} with Adam. It is not being trained.",
                metrics=("disc_lr",),
                steps=lr.span,
                evidence=(
                    facts.view.evidence("disc_lr", int(lr.rows[-1])),
                    Evidence("sum of disc_lr over the steps", way),
                ),
                phase="gan",
            )


class DiscriminatorWins(Rule):
    """The discriminator separates real from fake without effort.

    What it checks: disc_loss below 12% of its chance level over the last half of the GAN phase; where that level is not known,
    below 2% of the smallest one in use (0.25), or 12% with a generator's term of 2 and more, or logits beyond 2 on both sides. Critical below 2% of a known chance level,
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
    finds = ("discriminator", "saturated")
    needs = ("gan-active", "disc_loss")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        disc = active(facts, "disc_loss")
        if a is None or a.disc_loss is None or len(disc) < ENOUGH:
            return
        limit = WON * a.chance if a.chance is not None else (WON if _helpless(facts) else 0.02) * LEAST_CHANCE
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
            f"The discriminator has won: disc_loss {a.disc_loss:.3g} ({level_of}){gap}, in {share:.0%} of the last half of the GAN"
            f" rows, from step {first:,}. {means}",
            costs=bool(known or paid),
            metrics=("disc_loss", "logits_real", "logits_fake"),
            steps=(first, int(disc.steps[-1])),
            evidence=(
                Evidence("disc_loss", a.disc_loss),
                Evidence("chance", a.chance if a.chance is not None else LEAST_CHANCE),
                Evidence("share", share),
            ),
            phase="gan",
        )


def _helpless(facts: Facts) -> bool:
    """Whether the generator's term says that its pictures are told for what they are: 2 and more, and rising, by any of the losses in use."""
    for metric in facts.run:
        role = facts.view.role(metric)
        if role.split == "train" and "generator_adversarial" in (role.name, *role.could_be):
            series = active(facts, metric)
            if len(series) >= ENOUGH and series.now > max(2.0, 1.5 * series.first):
                return True
    return False


def holds(facts: Facts) -> bool:
    """Whether a reconstruction is logged that has become better (or was trained before) and stands near its best level."""
    trained = facts.phases.origin in ("pretrained", "resumed")
    tracks = [facts.tracks[m] for m in facts.view.of("reconstruction")]
    return any((t.worse or 9) < 1.3 and (trained or (t.improved or 0) > 1.15) for t in tracks)


def _paid(facts: Facts) -> str:
    """What became worse while the discriminator won, in words; empty if nothing did."""
    shock = facts.phases.shock("rec_loss")
    if shock is not None and shock.recovered_step is None and shock.remaining > max(1.2, shock.level_margin):
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


class LogitDrift(Rule):
    """Both logits drift away from zero together.

    What it checks: mean of the two logits beyond 1 with a gap smaller than 0.8 of it in most of the last half of the GAN
    rows, or in nearly all of the last quarter, and disc_loss above chance. Or: both beyond 0.5 on one side in the last five
    rows, with disc_loss rising and above 1.1 times chance in the last three, 1.25 in the last.
    Why it matters: with hinge both at +3 gives disc_loss 2 at no skill; g_loss and the total drift with them and mean
    nothing.
    Evidence it needs: ``logits_real``, ``logits_fake``, ``disc_loss``, 15 rows with the GAN on.
    What to do: LeCam, a zero-centred penalty, or weight decay on the discriminator.
    References: latent-diffusion#187 ("always becomes 2.0"), taming-transformers#137; cause D8.
    """

    code = "ADV311"
    finds = ("logits_fake", "unstable")
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        a = facts.adversary
        if a is None or a.rows < ENOUGH or not a.chance_known or a.chance is None or a.disc_loss is None:
            return
        now = _drifts_now(facts, a.chance)
        for late, most in ((0.5, 0.6), (0.25, 0.75)):
            real, fake = active(facts, "logits_real").tail(late, 8), active(facts, "logits_fake").tail(late, 8)
            if len(real) != len(fake):
                return
            middle = np.abs(real.values + fake.values) / 2
            share = float(np.mean((middle > 1) & (np.abs(real.values - fake.values) < 0.8 * middle)))
            if share >= most:
                break
        else:
            if not now:
                return
        late_loss = max(a.disc_loss, level(active(facts, "disc_loss").values[-3:]))
        if late_loss < 1.15 * a.chance:
            return
        yield self.finding(
            f"Both logits have drifted together (mean |logit| {level(middle):.2f}, gap {a.gap or 0:.2f}) in {share:.0%} of"
            f" the late GAN rows; disc_loss {late_loss:.3g} is above chance {a.chance:.3g} with no skill behind it.",
            size=a.disc_loss / a.chance,
            costs=now,
            metrics=("logits_real", "logits_fake", "disc_loss", "g_loss"),
            steps=real.span,
            evidence=(Evidence("mean |logit|", level(middle)), Evidence("disc_loss", late_loss)),
            phase="gan",
        )


def _drifts_now(facts: Facts, chance: float) -> bool:
    """Both logits beyond 0.5 on one side in the last five rows, and a rising disc_loss above chance."""
    disc, real, fake = (active(facts, name) for name in ("disc_loss", "logits_real", "logits_fake"))
    nearer = np.minimum(np.abs(real.values[-5:]), np.abs(fake.values[-5:])) * np.sign(
        real.values[-5:] * fake.values[-5:]
    )
    far = bool(np.all(nearer > 0.5)) and bool(np.all(disc.values[-3:] > np.array([1.1, 1.1, 1.25]) * chance))
    # three above all of the eight before: less than once in a hundred by chance
    return far and len(disc) >= 11 and bool(disc.values[-3:].min() > disc.values[-11:-3].max())


class RealAndFakeSwapped(Rule):
    """The discriminator is good at the wrong thing.

    What it checks: real logits clearly below fake ones (gap below -0.3) while disc_loss is clearly below chance.
    Why it matters: the printed loss says skill, the logits say the opposite: real and fake are swapped in one of the two,
    and the generator is pushed away from real data.
    Evidence it needs: ``disc_loss``, ``logits_real``, ``logits_fake``, 15 rows with the GAN on.
    What to do: follow the two tensors from the data loader to the loss.
    References: SerezD/vqvae#3 ("ones_like"); cause D10.
    """

    code = "ADV317"
    finds = ("discriminator", "contradicts")
    needs = ("gan-active", "disc_loss", "logits_real", "logits_fake")

    def check(self, facts: Facts) -> Iterable[Finding]:
        found = _skill(facts, 6)
        if found is None:
            return
        a, disc_loss, chance, gap = found
        if gap > -0.3 or disc_loss > 0.9 * chance:
            return
        # the two contradict each other in every single row, so a few rows are enough if all of them do
        disc, real, fake = (active(facts, m).values[-6:] for m in ("disc_loss", "logits_real", "logits_fake"))
        if a.rows < ENOUGH and not np.all((disc < 0.95 * chance) & (real < fake)):
            return
        yield self.finding(
            f"Real logits are below fake ones (gap {gap:.2f}) while disc_loss {disc_loss:.3g} is below chance"
            f" {chance:.3g}: real and fake are swapped in the loss or in the log.",
            metrics=("disc_loss", "logits_real", "logits_fake"),
            steps=(facts.phases.gan.start_step, int(facts.run.steps[-1])),
            evidence=(Evidence("gap", gap), Evidence("disc_loss", disc_loss)),
            phase="gan",
        )
