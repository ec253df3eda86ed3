"""Sentences on the GAN: which loss the discriminator has, the gap of its logits, the adaptive weight."""

from __future__ import annotations

from collections.abc import Iterator

from vaelab.analysis import Trend, level
from vaelab.facts.adversary import CHANCE_DETAIL, LEADS, Adversary, known_disc_weight
from vaelab.facts.algebra import Algebra
from vaelab.facts.base import Fact
from vaelab.facts.phases import Gan
from vaelab.facts.view import View


def of_adversary(view: View, gan: Gan, algebra: Algebra, a: Adversary) -> Iterator[Fact]:
    disc_weight = known_disc_weight(view, algebra)
    if a.chance is not None and not a.chance_known and a.disc_loss is not None:
        text = (
            f"disc_loss is at chance near {a.chance:.3g} ({a.family_how}). It stands at {a.disc_loss:.3g},"
            f" {a.disc_loss / a.chance:.2g} times that."
        )
        yield Fact("disc_loss_family", "adversary", text, "inferred", a.chance)
    elif a.chance is not None:
        scaled = "" if a.scale == 1 else f" times {a.scale:g}"
        text = f"disc_loss is the {a.family} loss{scaled} ({a.family_how}): {a.chance:.3g} is chance level ({CHANCE_DETAIL[a.family]})."
        if a.disc_loss is not None:
            text += f" It stands at {a.disc_loss:.3g}"
            if a.gap is not None:
                text += f" with a logit gap (real - fake) of {a.gap:.3g}"
            text += "."
            if abs(a.disc_loss - a.chance) < 0.03 * a.chance and (a.gap is None or abs(a.gap) < 0.1):
                text += " The discriminator does not separate real from fake."
        yield Fact("disc_loss_family", "adversary", text, "inferred", a.chance, low=a.chance, high=a.chance)
    elif a.disc_loss is not None:
        text = f"disc_loss stands at {a.disc_loss:.3g}; its loss family is not known, so neither is its chance level."
        yield Fact("disc_loss_family", "adversary", text, "cannot-tell")
    if a.gap is not None and a.real is not None and a.fake is not None:
        text = f"logits_real {a.real:.3g}, logits_fake {a.fake:.3g}: the gap is {a.gap:.3g}."
        if a.gap <= 0:
            text += " The gap is not positive: the discriminator is at or below chance, uninformative rather than in balance."
        elif min(a.real, -a.fake) > LEADS and not a.unbalanced:
            text += (
                " The discriminator leads: it tells real from fake with ease, so the generator gets little from it. While the reconstruction"
                " goes on improving, that is no fault."
            )
        text += _moves("The gap", a.gap_trend)
        yield Fact("logit_gap", "adversary", text, "inferred", a.gap)
    if a.d_weight is not None and disc_weight:
        ratio = a.d_weight / disc_weight
        text = (
            f"d_weight {a.d_weight:.4g} / disc_weight {disc_weight:g}: the generator's raw GAN gradient at the last layer"
            f" is {_times(ratio)} the nll gradient. Whatever d_weight is, the scaled GAN gradient is disc_weight"
            f" ({disc_weight:g}) of the nll's there."
        )
        n = algebra.value("n_pixels")
        if n:
            text += f" Per summed pixel (N {n:,.0f}) that is {ratio / n:.2g}."
        whole = level(view.series("d_weight").between(gan.start_step or 0, int(view.run.steps[-1])).values)
        if whole > 0:
            text += f" It stands at {a.d_weight / whole:.2g} times its own median since the start."
        text += _moves("It", a.d_weight_trend)
        if a.at_clamp:
            text += f" In {a.at_clamp:.0%} of the rows d_weight stands at its clamp ({disc_weight * view.trainer.clamp:,.0f}): the GAN gradient is nearly zero."
        yield Fact("d_weight", "adversary", text, "inferred", ratio, "x")
    if a.negative_total > 0:
        text = f"total_loss is negative in {a.negative_total:.0%} of the GAN rows: {why_negative(view)}"
        yield Fact("negative_total", "adversary", text, "inferred", a.negative_total)


def why_negative(view: View) -> str:
    """What makes a total negative: a learned log-variance, or the GAN term."""
    if view.series("nll_loss").now < 0 and view.has("logvar"):
        return "nll_loss itself is, because its learned logvar is below 0, as designed. Watch rec_loss instead."
    return (
        "d_weight x g_loss is larger than the rest. The sign of g_loss has no meaning by itself; only the gap between real and"
        " fake logits has."
    )


def _moves(what: str, found: Trend | None) -> str:
    """A sentence on the trend since the GAN start; nothing from fewer than 8 rows."""
    if found is None or found.n < 8:
        return ""
    word = {"rising": "has risen", "falling": "has fallen", "flat": "shows no trend"}[found.direction]
    return f" {what} {word} since the GAN start."


def _times(ratio: float) -> str:
    if ratio >= 1:
        return f"{ratio:.1f} times smaller than"
    return f"{1 / ratio:.1f} times larger than" if ratio > 0 else "unknown against"
