"""KL: what ``vaelab probe`` measured on a checkpoint's latent."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.words import number

SCALE_OFF, SCALE_FAR_OFF = 1.25, 2.0


def probed(facts: Facts, name: str) -> float:
    """What the probe measured under ``name``; NaN where it did not."""
    return facts.run.measured.get(f"probe.{name}", float("nan"))


def at_step(facts: Facts) -> tuple[int | None, int | None]:
    """The step of the checkpoint that was probed, as both ends of a finding; nothing where it is not known."""
    step = facts.run.measured.get("probe.step")
    return (None, None) if step is None else (int(step), int(step))


def evidence(facts: Facts, name: str, unit: str = "") -> Evidence:
    return Evidence(f"probe.{name}", probed(facts, name), unit)


class DeadChannelsMeasured(Rule):
    """Some latent channels carry nothing, measured on clips.

    What it checks: channels whose posterior mean varies over the data by no more than 0.01 (active units), and which are
    drowned in their own noise or still beside the median channel. Critical from half of the channels on.

    Why it matters: the reconstruction stops at the quality of the channels that are left, and a diffusion model on this
    latent has to learn channels of pure noise.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: a lower KL weight from the start, or a KL warm-up; a dead channel seldom comes back by itself.

    References: Burda et al. 2016 (active units); cause C5.
    """

    code = "KL221"
    name = "dead-channels-measured"
    finds = ("latent", "collapsed")
    needs = ("probe.dead_channels", "probe.latent_channels")

    def check(self, facts: Facts) -> Iterable[Finding]:
        dead, channels = probed(facts, "dead_channels"), probed(facts, "latent_channels")
        if not 0 < dead < channels:
            return
        yield self.finding(
            f"{int(dead)} of {int(channels)} latent channels carry nothing: their mean does not change with the input.",
            size=dead / channels,
            steps=at_step(facts),
            evidence=(evidence(facts, "dead_channels"), evidence(facts, "active_share")),
        )


class CollapseMeasured(Rule):
    """No latent channel carries anything, measured on clips.

    What it checks: every channel is dead in the sense of KL221.

    Why it matters: the decoder cannot know which input it is to paint. This is posterior collapse, seen in the latent
    itself and not concluded from a small KL.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: lower the KL weight a hundredfold, or warm it up from 0; check whether the KL is summed or averaged.

    References: WorldModels#12, moses#45; causes C1, C2.
    """

    code = "KL222"
    name = "posterior-collapse-measured"
    finds = ("latent", "collapsed")
    needs = ("probe.dead_channels", "probe.latent_channels")

    def check(self, facts: Facts) -> Iterable[Finding]:
        dead, channels = probed(facts, "dead_channels"), probed(facts, "latent_channels")
        if dead < channels:
            return
        nats = probed(facts, "kl_nats_per_element")
        said = f" at {nats:.2g} nats an element" if nats == nats else ""
        yield self.finding(
            f"All {int(channels)} latent channels are the same for every input{said}: the posterior has collapsed.",
            steps=at_step(facts),
            evidence=(evidence(facts, "dead_channels"), evidence(facts, "latent_channels")),
        )


class OutlierChannel(Rule):
    """A latent channel is many times larger than the others.

    What it checks: the standard deviation of each channel over that of the median living channel; above 5.

    Why it matters: one scale factor for all channels then shrinks the ordinary ones to near nothing. Spreads of 3 are
    usual in published models.

    Evidence it needs: vaelab probe on 8 clips or more, and 3 living channels.

    What to do: give a diffusion model per-channel means and standard deviations (probe.json has them); a penalty on
    outliers in a longer training.

    References: Movie Gen's outlier penalty, ComfyUI#1116, AutoencoderKLWan's latents_std; cause C6.
    """

    code = "KL223"
    name = "outlier-channel"
    finds = ("latent", "too-high")
    needs = ("probe.largest_channel_std_ratio", "probe.outlier_channels")

    def check(self, facts: Facts) -> Iterable[Finding]:
        count, ratio = probed(facts, "outlier_channels"), probed(facts, "largest_channel_std_ratio")
        if count < 1:
            return
        yield self.finding(
            f"{int(count)} latent channel{'s are' if count > 1 else ' is'} far larger than the others: the largest has"
            f" {ratio:.3g} times the median channel's standard deviation.",
            size=ratio,
            steps=at_step(facts),
            evidence=(evidence(facts, "largest_channel_std_ratio", "x"), evidence(facts, "outlier_channels")),
        )


class HotSpots(Rule):
    """Single latent values lie far outside the range of their channel.

    What it checks: the largest distance of a posterior mean from its channel's mean, in the channel's standard deviations;
    above 15 (a Gaussian of a million values reaches 5).

    Why it matters: such spots show as blobs in the output, and a diffusion model cannot hit them.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: look where they sit (channels.png); other normalisation layers, or a penalty on outliers.

    References: StyleGAN2 (blobs under instance normalisation), Movie Gen's outlier penalty; cause C6.
    """

    code = "KL224"
    name = "outlier-latents"
    finds = ("latent", "too-high")
    needs = ("probe.latent_max_over_std",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        farthest = probed(facts, "latent_max_over_std")
        if farthest <= 15:
            return
        yield self.finding(
            f"A latent value lies {farthest:.3g} standard deviations from the mean of its channel: a hot spot.",
            size=farthest,
            steps=at_step(facts),
            evidence=(evidence(facts, "latent_max_over_std", "x"),),
        )


class LogvarAtFloor(Rule):
    """The posterior's log-variance sits at its lower clamp.

    What it checks: the share of log-variances at or below -29, measured on clips; above 5%.

    Why it matters: beyond the clamp the gradient is zero, the noise is 3e-7 and the model is a plain autoencoder: its KL
    counts the clamp (14 nats an element), not information, and its decoder never sees a noisy latent.

    Evidence it needs: vaelab probe on 8 clips or more, of an autoencoder with a posterior.

    What to do: raise the KL weight ten- to hundredfold, add noise to the latent in training, or accept a plain
    autoencoder and say so.

    References: diffusers and latent-diffusion clamp logvar to [-30, 20]; cause C4.
    """

    code = "KL225"
    name = "logvar-at-floor"
    finds = ("latent", "too-low")
    needs = ("probe.logvar_floor_share",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        share = probed(facts, "logvar_floor_share")
        if share <= 0.05:
            return
        yield self.finding(
            f"{share:.0%} of the posterior's log-variances sit at their floor of -30: no noise and no gradient there.",
            size=share,
            steps=at_step(facts),
            evidence=(evidence(facts, "logvar_floor_share"), evidence(facts, "kl_logvar_part", "nats")),
        )


class LogvarAtCeiling(Rule):
    """The posterior's log-variance sits at its upper clamp.

    What it checks: the share of log-variances at or above 19, measured on clips; above 1%.

    Why it matters: a standard deviation of e^10 drowns the latent and overflows in half precision.

    Evidence it needs: vaelab probe on 8 clips or more, of an autoencoder with a posterior.

    What to do: go back to an earlier checkpoint, with a lower learning rate; raise the KL weight.

    References: diffusers and latent-diffusion clamp logvar to [-30, 20]; cause F4.
    """

    code = "KL226"
    name = "logvar-at-ceiling"
    finds = ("latent", "too-high")
    needs = ("probe.logvar_ceiling_share",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        share = probed(facts, "logvar_ceiling_share")
        if share <= 0.01:
            return
        yield self.finding(
            f"{share:.0%} of the posterior's log-variances sit at their ceiling of 20: samples of this latent are noise.",
            size=share,
            steps=at_step(facts),
            evidence=(evidence(facts, "logvar_ceiling_share"),),
        )


class ScaleFactorOff(Rule):
    """The declared scale factor does not bring the latents to a standard deviation of 1.

    What it checks: standard deviation of the latents x the declared factor, outside 0.8 to 1.25; critical outside 0.5 to 2.
    The factor is that of --scale, else of the checkpoint's config.json. A factor that is only the default of its class, or
    latents_std that is, is named but not held against the model: nobody computed it for these weights.

    Why it matters: a diffusion model is made for latents of standard deviation 1. With a stale factor the VAE's log is
    perfect and every picture of the pipeline is burnt, grey or noisy.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: paste the factor that vaelab probe prints, computed from the final weights.

    References: diffusers#437, Open-Sora#494, mar#2, DiffSynth-Studio#1536; cause C9.
    """

    code = "KL227"
    name = "scale-factor-off"
    finds = ("scale_factor", "contradicts")
    needs = ("probe.declared_scale_product|probe.default_scale_product", "probe.scale_factor")

    def check(self, facts: Facts) -> Iterable[Finding]:
        declared = "probe.declared_scale_product" in facts.run.measured
        name = "declared_scale_product" if declared else "default_scale_product"
        product, right = probed(facts, name), probed(facts, "scale_factor")
        away = max(product, 1 / max(product, 1e-12))
        if away <= SCALE_OFF:
            return
        if declared:
            text = f"Latents times the declared scale factor have a standard deviation of {number(product)} and not 1:"
            text += f" the factor of these weights is {number(right)}."
        else:
            text = (
                "config.json has the scale factor that its class sets by default; with it these latents have a standard"
            )
            text += (
                f" deviation of {number(product)}. Paste {number(right)} before a diffusion model is trained on them."
            )
        yield self.finding(
            text,
            size=away if declared else None,
            steps=at_step(facts),
            evidence=(evidence(facts, name), evidence(facts, "scale_factor")),
        )


class TwoScales(Rule):
    """The first frame of a clip needs another scale factor than the rest.

    What it checks: standard deviation of the first frame's latents over that of the others, outside 0.75 to 1.33.

    Why it matters: a causal model encodes the first frame as an image. One factor for both leaves one of them off;
    Pyramid-Flow uses two.

    Evidence it needs: vaelab probe on 8 clips or more, of a causal video model.

    What to do: use the two factors that vaelab probe prints.

    References: Pyramid-Flow's pipeline (image 1.8415, video 3.0986); cause C9.
    """

    code = "KL228"
    name = "first-frame-scale-differs"
    finds = ("scale_factor", "contradicts")
    needs = ("probe.first_frame_std_ratio",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        ratio = probed(facts, "first_frame_std_ratio")
        if 0.75 <= ratio <= 1.33:
            return
        yield self.finding(
            f"Latents of the first frame have {ratio:.2f} times the standard deviation of the others: give each its own"
            " scale factor.",
            steps=at_step(facts),
            evidence=(evidence(facts, "first_frame_std_ratio", "x"),),
        )


class SamplingCosts(Rule):
    """Decoding a sample of the posterior is much worse than decoding its mean.

    What it checks: PSNR of the mean less PSNR of a sample, over 0.5 dB; a warning over 2 dB.

    Why it matters: training decodes samples, evaluation the mean: the loss in the log then looks worse than the model is,
    and a diffusion model trained on samples sees the worse one.

    Evidence it needs: vaelab probe on 8 clips or more, of an autoencoder with a posterior.

    What to do: report both; a lower KL weight narrows the posterior.

    References: arithmetic: the noise of the posterior adds to the error of samples; cause C11.
    """

    code = "KL229"
    name = "sampling-costs-quality"
    finds = ("latent", "unstable")
    needs = ("probe.psnr_lost_by_sampling", "probe.psnr")

    def check(self, facts: Facts) -> Iterable[Finding]:
        lost = probed(facts, "psnr_lost_by_sampling")
        if lost <= 0.5:
            return
        yield self.finding(
            f"Decoding a sample of the posterior costs {lost:.1f} dB against decoding its mean ({probed(facts, 'psnr'):.1f}"
            " dB).",
            size=lost,
            steps=at_step(facts),
            evidence=(evidence(facts, "psnr_lost_by_sampling", "dB"), evidence(facts, "psnr", "dB")),
        )


class LatentFarFromPrior(Rule):
    """The latent is far larger than any that is used.

    What it checks: standard deviation of the latents above 20. Published autoencoders lie between 0.9 and 8.

    Why it matters: the latent has grown without bound; largest values and the scale factor move with every checkpoint.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: raise the KL weight ten- to hundredfold; compare several checkpoints: bounded is no fault.

    References: latent-diffusion#187, #270, #309; scale factors 0.13 to 1.15 in diffusers; cause C3.
    """

    code = "KL230"
    name = "latent-very-large"
    finds = ("latent", "too-high")
    needs = ("probe.latent_std",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        spread = probed(facts, "latent_std")
        if spread <= 20:
            return
        yield self.finding(
            f"The latents have a standard deviation of {number(spread)}, where published autoencoders have 0.9 to 8.",
            size=spread,
            steps=at_step(facts),
            evidence=(evidence(facts, "latent_std"), evidence(facts, "kl_mean_part", "nats")),
        )


class LatentAlive(Rule):
    """Every latent channel carries information, measured on clips.

    What it checks: no channel is dead in the sense of KL221.

    Why it matters: it speaks against posterior collapse and dead channels, which a log can only suspect from a small KL.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: nothing.

    References: Burda et al. 2016 (active units); against causes C1, C5.
    """

    code = "KL232"
    name = "latent-alive"
    finds = ("latent", "as-expected")
    needs = ("probe.dead_channels", "probe.latent_channels")

    def check(self, facts: Facts) -> Iterable[Finding]:
        if probed(facts, "dead_channels") > 0:
            return
        yield self.finding(
            f"All {int(probed(facts, 'latent_channels'))} latent channels carry information.",
            steps=at_step(facts),
            evidence=(evidence(facts, "active_share"),),
        )
