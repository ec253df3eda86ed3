"""Sentences on the loss: its hidden constants, the identities that close, and what each term adds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from vaelab.facts.algebra import Algebra
from vaelab.facts.base import Evidence, Fact, Standing
from vaelab.facts.identities import in_force
from vaelab.facts.phases import Phases
from vaelab.facts.view import View
from vaelab.words import number, share_text


def of_losses(view: View, algebra: Algebra) -> Iterator[Fact]:
    standing: Standing
    for s in algebra.solved.values():
        standing = "declared" if s.how == "declared" else "inferred" if s.status == "closes" else "cannot-tell"
        yield Fact(s.name, "algebra", s.text, standing, s.value, "", s.low, s.high)
        if s.contradicts_declared and s.value is not None and s.low is not None and s.high is not None:
            text = f"The config declares {s.name} {s.declared:g}, the columns say {number(s.value)} ({number(s.low)} to {number(s.high)})."
            yield Fact(f"{s.name}_mismatch", "algebra", text, "inferred", s.value, "", s.low, s.high)
    logvar, rec = view.series("logvar"), view.series("rec_loss")
    if len(logvar) and len(rec) and np.any(logvar.values) and rec.values[-1] > 0:
        value, loss, nll = float(rec.values[-1]), "rec_loss", view.series("nll_loss")
        if view.trainer.weights_apart:
            pixel, perceptual = (in_force(view, algebra.solved, f"{m}_weight") for m in ("pixelloss", "perceptual"))
            value, loss = (1.0 if pixel is None else pixel) * value, "loss"
            if view.has("perceptual_loss"):
                value += (perceptual or 0.0) * float(view.series("perceptual_loss").values[-1])
        best = math.log(value) if value > 0 else 0.0
        text = (
            f"logvar is learned: it stands at {logvar.values[-1]:.3g}, and for this {loss} the lowest nll is at"
            f" {best:.3g}. nll_loss = N x ({loss} / exp(logvar) + logvar) is then N x (1 + ln {loss}), negative below"
            f" {loss} 0.368."
        )
        if len(nll) and nll.values[-1] < 0:
            text += f" nll_loss {number(nll.values[-1])} is negative for this reason; it is no fault."
        yield Fact("learned_logvar", "algebra", text, "known", float(logvar.values[-1]))
    for identity in algebra.identities:
        told = identity.status != "cannot-tell"
        text = identity.text if identity.text.startswith(identity.formula) else f"{identity.formula}: {identity.text}"
        standing = "inferred" if told else "cannot-tell"
        yield Fact(f"identity_{identity.name}", "algebra", text, standing, identity.residual)
    if view.trainer.half_total_in and view.run.format in view.trainer.half_total_in:
        text = "In this TensorBoard log total_loss is (generator loss + discriminator loss) / 2: twice the column is the loss."
        yield Fact("total_halved", "algebra", text, "known", 0.5)
    for when, at, shares in (("first", "At the first row", algebra.shares_first), ("now", "Now", algebra.shares_now)):
        yield from _shares(when, f"{at} the terms' shares of the loss by value (not of the gradient) are", shares)
    kl = algebra.solved.get("kl_weight")
    if kl and kl.value is not None and view.has("kl_loss"):
        rows = view.series("kl_loss")
        grown = view.kl_growth(rows.rows)
        part = kl.value * float(grown[-1] * rows.values[-1])
        first = kl.value * float(grown[0] * rows.values[0])
        share = algebra.shares_now.get("KL")
        of = f", {share_text(share)} of the loss by value (not of the gradient)" if share is not None else ""
        start = algebra.shares_first.get("KL")
        started = (
            f"; it was {first:.3g}{f' ({share_text(start)})' if start is not None else ''} at the first row"
            if len(rows) > 1
            else ""
        )
        effect = ""
        if share is not None and share < 0.001 and (start is None or start < 0.001):
            effect = " It does not drive the loss: that is the design of latent-diffusion tokenizers."
        yield Fact("kl_term", "algebra", f"The weighted KL term is {part:.2g}{of}{started}.{effect}", "inferred", part)


def of_shares(algebra: Algebra, phases: Phases) -> Iterator[Fact]:
    """Shares of every term of the loss by value, one statement a phase."""
    for phase in phases.phases if len(phases.phases) > 1 else ():
        lead = f"Over the {phase.title} phase the shares of the loss by value are"
        yield from _shares(phase.kind, lead, algebra.shares(phase.rows))


def _shares(name: str, lead: str, shares: Mapping[str, float]) -> Iterator[Fact]:
    """Nothing where the loss has one term, or the shares are not known."""
    if len(shares) > 1:
        said = ", ".join(f"{term} {share_text(v)}" for term, v in sorted(shares.items(), key=lambda t: -t[1]))
        evidence = tuple(Evidence(term, v) for term, v in shares.items())
        yield Fact(f"shares_{name}", "algebra", f"{lead}: {said}.", "inferred", evidence=evidence)
