"""Sentences on units: PSNR, nats per latent element, effective beta, faults of the trainer that no log shows."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vaelab.facts.base import Evidence, Fact, Standing
from vaelab.facts.rec_kinds import REC_KINDS
from vaelab.facts.scales import Scales
from vaelab.facts.view import View
from vaelab.words import number, rough


def of_units(view: View, scales: Scales) -> Iterator[Fact]:
    rec = view.series("rec_loss")
    if len(rec):
        yield from _rec_facts(view, scales)
    kl = view.series("kl_loss")
    if len(kl):
        yield _kl_fact(view, scales)
    if scales.effective_beta is not None:
        text = f"One nat of KL weighs {rough(scales.effective_beta)} against the summed pixel loss (effective beta); latent-diffusion uses 1e-6."
        if scales.effective_beta > 1e-2:
            text += f" That is {rough(scales.effective_beta / 1e-6)} times more."
        standing: Standing = "bounded" if scales.clip_assumed else "inferred"
        yield Fact("effective_beta", "units", text, standing, scales.effective_beta)
    faults = view.trainer.known_faults
    if faults:
        text = f"Known faults of {view.trainer.title} that no log can show: " + "; ".join(f.text for f in faults) + "."
        yield Fact("known_faults", "trainer", text, "known")


def _rec_facts(view: View, scales: Scales) -> Iterator[Fact]:
    name = scales.error if scales.psnr_exact and view.has(scales.error) else "rec_loss"
    rec = view.series(name)
    first, now = float(rec.values[0]), rec.now
    row_first, row_last = int(rec.rows[0]), int(rec.rows[-1])
    if scales.psnr_exact:
        a, b = scales.psnr(first), scales.psnr(now)
        kind = "the MSE on inputs in [-1, 1]" if scales.peak == 2 else f"the MSE on inputs {scales.peak:g} wide"
        text = f"{name} is {kind}: {number(now)} is {b:.1f} dB PSNR." if b is not None else f"{name} is 0 or below."
        if a is not None and b is not None and len(rec) > 1 and first != now:
            way = "rose" if now > first else "fell"
            ratio = now / first
            size = f"{ratio:.1f}x" if ratio > 1.5 else f"{abs(1 - ratio):.0%}"
            text = (
                f"{name} is {kind}: it {way} {size} from {number(first)} ({a:.1f} dB PSNR, step {int(rec.steps[0]):,}) to"
                f" {number(now)} ({b:.1f} dB, step {int(rec.steps[-1]):,}): {b - a:+.1f} dB."
            )
        evidence = (view.evidence(name, row_first), view.evidence(name, row_last))
        yield Fact("psnr", "units", text, "known", b, "dB", evidence=evidence)
    elif scales.mse_bound is not None:
        bound = scales.psnr_bound(now)
        kind = view.trainer.rec_kind
        loss = REC_KINDS[kind].title if kind in REC_KINDS else kind
        text = f"rec_loss here is {loss}, so PSNR cannot be read from it"
        if bound is None:
            text += f"; {number(now)} is 0 or below and bounds nothing."
        else:
            text += f"; {number(now)} bounds the MSE by {scales.mse_bound * now:.2g} (PSNR at least {bound:.1f} dB)."
        yield Fact("psnr", "units", text, "bounded", bound, "dB", low=bound)
        if len(rec) > 1 and first > 0:
            low = float(rec.low.min())
            text = f"rec_loss {'fell' if now < first else 'rose'} from {number(first)} to {number(now)} ({now / first - 1:+.0%}); lowest {number(low)} ({low / first - 1:+.0%})."
            yield Fact("rec_change", "units", text, "known", now / first - 1)
    else:
        text = {
            "l1-sum": "rec_loss here is the L1 error summed over a frame: declare the resolution to bound the PSNR.",
            "weighted-nll-sum": "rec_loss here is the whole nll (pixels and LPIPS, weighted and summed over a frame): only its"
            " changes can be judged, not its level.",
        }.get(
            view.trainer.rec_kind,
            "What rec_loss contains is not known for this trainer: only its changes can be judged, not its level.",
        )
        if len(rec) > 1 and first > 0:
            text += f" It went from {number(first)} to {number(now)} ({now / first - 1:+.0%})."
        yield Fact("psnr", "units", text, "cannot-tell")
    total = view.series("total_loss")
    if len(total) > 1 and (start := float(total.values[0])) > 0:
        text = f"total_loss went from {number(start)} to {number(total.now)} ({total.now / start - 1:+.0%})."
        yield Fact("total_change", "units", text, "known", total.now / start - 1)


def _kl_fact(view: View, scales: Scales) -> Fact:
    kl = view.series("kl_loss")
    now = kl.now
    nats = scales.nats_per_element(now)
    if nats is None or (scales.latent is None and not view.has("kl_nats_per_element")):
        text = f"What KL {number(now)} is per latent element needs the latent shape: pass --latent CxTxHxW (or CxHxW), or log it."
        if view.trainer.kl_reduction == "unknown":
            text += " How this trainer reduces the KL is not known either."
        return Fact("kl_per_element", "units", text, "cannot-tell", None, "nats/element")
    reduction = {
        "sum-per-channel": "summed over T, H, W and averaged over channels",
        "sum-per-sample": "summed over all latent elements",
        "sum-per-latent-frame": "summed over a latent frame",
        "mean": "averaged over elements",
    }.get(view.trainer.kl_reduction, "")
    said = f" ({reduction})" if reduction or scales.latent is not None else ""
    shape = f" for a {scales.latent} latent ({scales.latent.how})" if scales.latent is not None else ""
    text = f"KL {number(now)}{said} is {_short(nats)} nats per latent element{shape}."
    if nats < 0:
        text += " A KL divergence cannot be negative: this column is something else, or its computation is broken."
    elif nats >= 5:
        text += (
            " The encoder is nearly deterministic, which is usual at a tiny KL weight; before diffusion check latent std,"
            " dead channels, the logvar floor and the scale factor."
        )
    elif nats < 0.3:
        sigma = math.exp(-nats)
        text += f" With unit aggregate variance that means a posterior sigma of {sigma:.2f}: little information per element."
    bounded = scales.latent is not None and scales.latent.standing == "bounded"
    standing: Standing = "known" if view.has("kl_nats_per_element") else "bounded" if bounded else "inferred"
    evidence = [view.evidence("kl_loss", int(kl.rows[-1]))]
    if scales.latent is not None:
        evidence.append(Evidence("latent elements", float(scales.latent.elements)))
    return Fact("kl_per_element", "units", text, standing, nats, "nats/element", evidence=tuple(evidence))


def _short(value: float) -> str:
    return f"{value:.3f}" if value < 0.995 else f"{value:.1f}"


def of_signs(negated: tuple[str, ...]) -> Iterator[Fact]:
    if not negated:
        return
    text = f"{', '.join(negated)} {'is' if len(negated) == 1 else 'are'} logged with a minus sign: a KL divergence is never negative."
    yield Fact("kl_sign", "units", f"{text} Its size is what is judged here.", "inferred")
