"""Weights of the losses."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.dialects.plan import Plan
from vaelab.lint.base import LintFinding, LintRule
from vaelab.rules.base import Severity
from vaelab.words import rough

# effective beta; see the docstrings for where the numbers are from
STRONG, DOMINANT, NEGLIGIBLE = 0.1, 1.0, 1e-7
USUAL = 1e-5


def _unit(plan: Plan) -> str:
    nll, kl = plan.loss.nll, plan.loss.kl
    words = {
        "sum": "summed over a sample",
        "sum_per_frame": "summed over a frame",
        "mean": "a mean over all values",
        "channel_mean": "a mean over the latent channels",
    }
    return f"nll is {words[nll or 'sum']}, the KL {words[kl or 'sum'].replace('all values', 'all latent values')}"


class KLTooStrong(LintRule):
    """The KL weight is far above what autoencoders of this kind use.

    What it checks: the effective beta: kl_weight where nll and KL are both summed over a sample and the pixel loss has
    weight 1. It depends on the trainer's reductions, on the size of the sample, and on the weight of the pixel loss, so
    equal numbers in two trainers can differ a million times.

    Why it matters: latent-diffusion, RadioDiff, VidTok, WF-VAE are between 1e-6 and 3e-5. Above 0.1 detail is lost, from 1 on
    it is a beta-VAE whose latent keeps little: 1e-4 in Pyramid-Flow's unit (beta 2.1) cost 7 dB. With a learned logvar
    the scale is another one, and beta is not judged.

    What to do: divide kl_weight as the patch says; or raise it slowly (kl_warmup) if a strong KL is wanted.

    References: C2; arXiv 2112.10752, section G
    """

    code = "LNT301"
    name = "kl-too-strong"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        beta, weight = plan.beta, plan.loss.kl_weight
        if beta is None or plan.loss.logvar_learned or beta <= STRONG or not weight:
            return
        severity: Severity = "critical" if beta >= DOMINANT else "warn"
        text = (
            f"kl_weight {weight:g} is an effective beta of {rough(beta)} ({_unit(plan)}); usual are 1e-6 to 1e-4, from 1 on the"
            " latent loses what the decoder needs"
        )
        yield self.finding(
            severity, text, plan, "kl_weight", patch=[plan.written("kl_weight", float(f"{weight * 1e-4 / beta:.1g}"))]
        )


class KLWithoutInfluence(LintRule):
    """The KL weight is so small that the KL is no part of the training.

    What it checks: an effective beta (see LNT301) below 1e-7, but not a weight of exactly 0, which is a choice.

    Why it matters: the latent's scale is held by nothing; it drifts for the whole run, and the model that is trained on the
    latents later needs their measured mean and standard deviation. Samples from N(0, 1) decode to noise.

    What to do: raise it until kl_weight times the KL is one to ten percent of nll_loss; or set 0, or suppress this with
    a comment, if a plain autoencoder is wanted.

    References: C3, C13; jy0205/Pyramid-Flow scripts/train_causal_video_vae.sh (1e-12)
    """

    code = "LNT302"
    name = "kl-without-influence"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        beta, weight = plan.beta, plan.loss.kl_weight
        if not beta or not weight or beta >= NEGLIGIBLE:
            return
        text = (
            f"kl_weight {weight:g} is an effective beta of {rough(beta)} ({_unit(plan)}): the KL has no influence, and nothing"
            " holds the latent's scale"
        )
        yield self.finding(
            "info", text, plan, "kl_weight", patch=[plan.written("kl_weight", float(f"{weight * USUAL / beta:.1g}"))]
        )


class FixedWeightAgainstSum(LintRule):
    """A fixed weight of the GAN stands beside a loss that is a sum.

    What it checks: in vaelab's own settings, disc_weight_mode fixed with nll_reduction sum or sum_per_frame and a weight
    that is small beside the number of values.

    Why it matters: nll is then some ten thousand times the loss of a pixel, the generator's loss is about 1: the GAN has no
    influence.

    What to do: disc_weight_mode=adaptive, or nll_reduction=mean.

    References: the loss algebra in docs/losses.md
    """

    code = "LNT303"
    name = "fixed-weight-against-sum"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        if not plan.own or not plan.gan.built or plan.loss.nll == "mean":
            return
        mode, weight = plan.options.get("loss.disc_weight_mode"), plan.options.number("loss.disc_weight", 0.5)
        elements = plan.sample.elements or 0
        if mode == "fixed" and weight is not None and weight < 0.001 * elements:
            text = f"a fixed disc_weight {weight:g} beside a nll that is a sum over {elements:,} values: the GAN has no influence"
            yield self.finding("warn", text, plan, "loss.disc_weight_mode", patch=["loss.disc_weight_mode=adaptive"])
