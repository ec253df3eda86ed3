"""KL: what ``vaelab probe`` measured on a checkpoint's latent."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.rules.measured import Numbers, Probed
from vaelab.words import number

SCALE_OFF = 1.25


class DeadChannelsMeasured(Probed):
    """Some latent channels carry nothing, measured on clips.

    What it checks: channels whose posterior mean varies over the data by no more than 0.01 (active units), and which are
    drowned in their own noise or still beside the median channel. Critical from half of the channels on.
    Why it matters: the reconstruction stops at the quality of the channels that are left, and a diffusion model on this
    latent has to learn channels of pure noise.
    What to do: a lower KL weight from the start, or a KL warm-up; a dead channel seldom comes back by itself.
    References: Burda et al. 2016 (active units); cause C5.
    """

    code = "KL221"
    name = "dead-channels-measured"
    finds = ("latent", "collapsed")
    needs = ("probe.dead_channels", "probe.latent_channels")
    shows = ("dead_channels", "active_share")

    def says(self, of: Numbers) -> str:
        dead, channels = of["dead_channels"], of["latent_channels"]
        if not 0 < dead < channels:
            return ""
        return (
            f"{int(dead)} of {int(channels)} latent channels carry nothing: their mean does not change with the input."
        )

    def size(self, of: Numbers) -> float:
        return of["dead_channels"] / of["latent_channels"]


class CollapseMeasured(Probed):
    """No latent channel carries anything, measured on clips.

    What it checks: every channel is dead in the sense of KL221.
    Why it matters: the decoder cannot know which input it is to paint. This is posterior collapse, seen in the latent
    itself and not concluded from a small KL.
    What to do: lower the KL weight a hundredfold, or warm it up from 0; check whether the KL is summed or averaged.
    References: WorldModels#12, moses#45; causes C1, C2.
    """

    code = "KL222"
    name = "posterior-collapse-measured"
    finds = ("latent", "collapsed")
    needs = ("probe.dead_channels", "probe.latent_channels")
    shows = ("dead_channels", "latent_channels")

    def says(self, of: Numbers) -> str:
        if of["dead_channels"] < of["latent_channels"]:
            return ""
        nats = f" at {of['kl_nats_per_element']:.2g} nats an element" if "kl_nats_per_element" in of else ""
        return f"All {int(of['latent_channels'])} latent channels are the same for every input{nats}: the posterior has collapsed."


class OutlierChannel(Probed):
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
    shows = ("largest_channel_std_ratio x", "outlier_channels")
    sized_by = "largest_channel_std_ratio"

    def says(self, of: Numbers) -> str:
        count = of["outlier_channels"]
        if count < 1:
            return ""
        return (
            f"{int(count)} latent channel{'s are' if count > 1 else ' is'} far larger than the others: the largest has"
            f" {of['largest_channel_std_ratio']:.3g} times the median channel's standard deviation."
        )


class HotSpots(Probed):
    """Single latent values lie far outside the range of their channel.

    What it checks: the largest distance of a posterior mean from its channel's mean, in the channel's standard deviations;
    above 15 (a Gaussian of a million values reaches 5).
    Why it matters: such spots show as blobs in the output, and a diffusion model cannot hit them.
    What to do: look where they sit (channels.png); other normalisation layers, or a penalty on outliers.
    References: StyleGAN2 (blobs under instance normalisation), Movie Gen's outlier penalty; cause C6.
    """

    code = "KL224"
    name = "outlier-latents"
    finds = ("latent", "too-high")
    needs = ("probe.latent_max_over_std",)
    shows = ("latent_max_over_std x",)
    sized_by = "latent_max_over_std"

    def says(self, of: Numbers) -> str:
        farthest = of["latent_max_over_std"]
        if farthest <= 15:
            return ""
        return f"A latent value lies {farthest:.3g} standard deviations from the mean of its channel: a hot spot."


class LogvarAtFloor(Probed):
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
    shows = ("logvar_floor_share", "kl_logvar_part nats")
    sized_by = "logvar_floor_share"

    def says(self, of: Numbers) -> str:
        share = of["logvar_floor_share"]
        if share <= 0.05:
            return ""
        return (
            f"{share:.0%} of the posterior's log-variances sit at their floor of -30: no noise and no gradient there."
        )


class LogvarAtCeiling(Probed):
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
    shows = ("logvar_ceiling_share",)
    sized_by = "logvar_ceiling_share"

    def says(self, of: Numbers) -> str:
        share = of["logvar_ceiling_share"]
        if share <= 0.01:
            return ""
        return f"{share:.0%} of the posterior's log-variances sit at their ceiling of 20: samples of this latent are noise."


class ScaleFactorOff(Probed):
    """The declared scale factor does not bring the latents to a standard deviation of 1.

    What it checks: standard deviation of the latents x the declared factor, outside 0.8 to 1.25; critical outside 0.5 to 2.
    The factor is that of --scale, else of the checkpoint's config.json. A factor that is only the default of its class, or
    latents_std that is, is named but not held against the model: nobody computed it for these weights.
    Why it matters: a diffusion model is made for latents of standard deviation 1. With a stale factor the VAE's log is
    perfect and every picture of the pipeline is burnt, grey or noisy.
    What to do: paste the factor that vaelab probe prints, computed from the final weights.
    References: diffusers#437, Open-Sora#494, mar#2, DiffSynth-Studio#1536; cause C9.
    """

    code = "KL227"
    name = "scale-factor-off"
    finds = ("scale_factor", "contradicts")
    needs = ("probe.declared_scale_product|probe.default_scale_product", "probe.scale_factor")

    def says(self, of: Numbers) -> str:
        product, right = of[self.product(of)], number(of["scale_factor"])
        if max(product, 1 / max(product, 1e-12)) <= SCALE_OFF:
            return ""
        if "declared_scale_product" in of:
            return (
                f"Latents times the declared scale factor have a standard deviation of {number(product)} and not 1:"
                f" the factor of these weights is {right}."
            )
        return (
            "config.json has the scale factor that its class sets by default; with it these latents have a standard"
            f" deviation of {number(product)}. Paste {right} before a diffusion model is trained on them."
        )

    def product(self, of: Numbers) -> str:
        return "declared_scale_product" if "declared_scale_product" in of else "default_scale_product"

    def rests_on(self, of: Numbers) -> Iterable[str]:
        return self.product(of), "scale_factor"

    def size(self, of: Numbers) -> float | None:
        product = of["declared_scale_product"]
        return max(product, 1 / max(product, 1e-12)) if product == product else None


class TwoScales(Probed):
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
    shows = ("first_frame_std_ratio x",)

    def says(self, of: Numbers) -> str:
        ratio = of["first_frame_std_ratio"]
        if 0.75 <= ratio <= 1.33:
            return ""
        return (
            f"Latents of the first frame have {ratio:.2f} times the standard deviation of the others: give each its own"
            " scale factor."
        )


class SamplingCosts(Probed):
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
    shows = ("psnr_lost_by_sampling dB", "psnr dB")
    sized_by = "psnr_lost_by_sampling"

    def says(self, of: Numbers) -> str:
        lost = of["psnr_lost_by_sampling"]
        if lost <= 0.5:
            return ""
        return (
            f"Decoding a sample of the posterior costs {lost:.1f} dB against decoding its mean ({of['psnr']:.1f} dB)."
        )


class LatentFarFromPrior(Probed):
    """The latent is far larger than any that is used.

    What it checks: standard deviation of the latents above 20. Published autoencoders lie between 0.9 and 8.
    Why it matters: the latent has grown without bound; largest values and the scale factor move with every checkpoint.
    What to do: raise the KL weight ten- to hundredfold; compare several checkpoints: bounded is no fault.
    References: latent-diffusion#187, #270, #309; scale factors 0.13 to 1.15 in diffusers; cause C3.
    """

    code = "KL230"
    name = "latent-very-large"
    finds = ("latent", "too-high")
    needs = ("probe.latent_std",)
    shows = ("latent_std", "kl_mean_part nats")
    sized_by = "latent_std"

    def says(self, of: Numbers) -> str:
        spread = of["latent_std"]
        if spread <= 20:
            return ""
        return f"The latents have a standard deviation of {number(spread)}, where published autoencoders have 0.9 to 8."


class LatentAlive(Probed):
    """Every latent channel carries information, measured on clips.

    What it checks: no channel is dead in the sense of KL221.
    Why it matters: it speaks against posterior collapse and dead channels, which a log can only suspect from a small KL.
    What to do: nothing.
    References: Burda et al. 2016 (active units); against causes C1, C5.
    """

    code = "KL232"
    name = "latent-alive"
    finds = ("latent", "as-expected")
    needs = ("probe.dead_channels", "probe.latent_channels")
    shows = ("active_share",)

    def says(self, of: Numbers) -> str:
        return "" if of["dead_channels"] > 0 else f"All {int(of['latent_channels'])} latent channels carry information."
