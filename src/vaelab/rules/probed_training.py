"""ADV, KL, OPT, REC: what ``vaelab probe --discriminator`` measured on the discriminator and the gradients."""

from __future__ import annotations

from vaelab.rules.measured import Numbers, Probed
from vaelab.words import number

YOUNG_UPDATES = 500
"""Updates of the discriminator before which its lack of skill is no fault."""


class UselessDiscriminator(Probed):
    """The discriminator tells neither reconstructions nor blurred reconstructions from data.

    What it checks: on held-out clips, the probability that a patch of the data scores above one of the reconstruction, and
    of the reconstruction under a Gaussian blur of 1.5 pixels: both ends of their 95% intervals below 0.7. Information only
    in the first 500 updates of the discriminator.
    Why it matters: at chance it is either in equilibrium or useless, and the log cannot tell which. Blur is what it is there
    for: one that does not see it has nothing to teach, and its gradient is noise times a large adaptive weight.
    Evidence it needs: vaelab probe --discriminator on 16 clips or more.
    What to do: raise its learning rate; train it alone for 1,000 steps before its loss is used; check its inputs.
    References: taming-transformers#20, #44; LlamaGen#27; causes D3, D10.
    """

    code = "ADV331"
    name = "discriminator-useless"
    finds = ("discriminator", "at-chance")
    needs = ("probe.disc_tells_fake_high", "probe.disc_tells_blurred_high")
    shows = ("disc_tells_fake", "disc_tells_blurred")

    def says(self, of: Numbers) -> str:
        if of["disc_tells_fake_high"] >= 0.7 or of["disc_tells_blurred_high"] >= 0.7:
            return ""
        age = "" if self.costs(of) else f" It has had {int(of['disc_updates'])} updates: look again later."
        return (
            f"On held-out clips the discriminator tells reconstructions from data with {of['disc_tells_fake']:.2f}"
            f" and blurred ones with {of['disc_tells_blurred']:.2f}, where 0.5 is chance: it is useless.{age}"
        )

    def costs(self, of: Numbers) -> bool:
        return not of["disc_updates"] < YOUNG_UPDATES


class Equilibrium(Probed):
    """The discriminator is near chance on reconstructions and does tell blurred ones: an equilibrium.

    What it checks: on held-out clips, the upper end of the interval for reconstructions below 0.7 and the lower end for
    blurred reconstructions above 0.75.
    Why it matters: a disc_loss at chance is then what a GAN is meant to reach, and no reason to change anything.
    Evidence it needs: vaelab probe --discriminator on 16 clips or more.
    What to do: nothing; compare LPIPS with the checkpoint before the GAN.
    References: Goodfellow et al. 2014; cause D17, against D3.
    """

    code = "ADV332"
    name = "discriminator-in-equilibrium"
    finds = ("discriminator", "as-expected")
    needs = ("probe.disc_tells_fake_high", "probe.disc_tells_blurred_low")
    shows = ("disc_tells_fake", "disc_tells_blurred")

    def says(self, of: Numbers) -> str:
        if of["disc_tells_fake_high"] >= 0.7 or of["disc_tells_blurred_low"] <= 0.75:
            return ""
        return (
            f"The discriminator is near chance on held-out reconstructions ({of['disc_tells_fake']:.2f}) and tells"
            f" blurred ones ({of['disc_tells_blurred']:.2f}): an equilibrium, not a useless discriminator."
        )


class BlindToBlur(Probed):
    """The discriminator tells reconstructions from data, but not once they are blurred.

    What it checks: on held-out clips, the lower end of the interval for reconstructions above 0.75 and the upper end for
    blurred ones below it by 0.1 and more.
    Why it matters: it knows reconstructions by an artefact (a grid, grain) that the blur removes, and takes blur for
    real: its gradient will not sharpen the output.
    Evidence it needs: vaelab probe --discriminator on 16 clips or more.
    What to do: look for the artefact (vaelab evaluate names a grid); go on, and probe again.
    References: reasoning from the test of blurred reconstructions.
    """

    code = "ADV333"
    name = "discriminator-blind-to-blur"
    finds = ("discriminator", "at-chance")
    needs = ("probe.disc_tells_fake_low", "probe.disc_tells_blurred_high")
    shows = ("disc_tells_fake", "disc_tells_blurred")

    def says(self, of: Numbers) -> str:
        low = of["disc_tells_fake_low"]
        if low <= 0.75 or of["disc_tells_blurred_high"] >= low - 0.1:
            return ""
        return (
            f"The discriminator tells held-out reconstructions ({of['disc_tells_fake']:.2f}) but not blurred ones"
            f" ({of['disc_tells_blurred']:.2f}): it goes by an artefact, not by blur."
        )


class SaturatedDiscriminator(Probed):
    """On held-out clips the discriminator has won.

    What it checks: its loss below 0.15 of the chance level, and reconstructions told from data with 0.97 and more.
    Why it matters: inside the margin of the hinge it learns nothing more, and the generator chases it without end. A log
    shows this on training clips only, where memory looks the same.
    Evidence it needs: vaelab probe --discriminator on 16 clips or more.
    What to do: only if the reconstruction suffers in the log: a lower learning rate of the discriminator, LeCam, a later
    start, or a smaller discriminator.
    References: Open-Sora-Plan#569, magvit2-pytorch#16; causes D4, D12.
    """

    code = "ADV334"
    name = "discriminator-wins-held-out"
    finds = ("discriminator", "saturated")
    needs = ("probe.disc_loss_over_chance", "probe.disc_tells_fake")
    shows = ("disc_loss_over_chance", "disc_tells_fake")

    def says(self, of: Numbers) -> str:
        loss, tells = of["disc_loss_over_chance"], of["disc_tells_fake"]
        if loss >= 0.15 or tells < 0.97:
            return ""
        return (
            f"On held-out clips disc_loss is {loss:.2f} times its chance level, and reconstructions are told from data with"
            f" {tells:.3f}: the discriminator has won."
        )


class MemorisingDiscriminator(Probed):
    """The discriminator's gap is far larger on training clips than on held-out ones.

    What it checks: mean logit of data less that of reconstructions, on training and on held-out clips: the difference of
    the two is above 0 with 95%, and the training gap is 1.5 times the held-out one and more.
    Why it matters: it knows its training data by heart; the generator is pushed towards noise that only they have.
    Evidence it needs: vaelab probe --discriminator on 16 clips or more, with the run's training data at hand.
    What to do: differentiable augmentation, dropout, LeCam, more data.
    References: unleashing-transformers#17, lecam-gan#1; cause D9.
    """

    code = "ADV335"
    name = "discriminator-memorises"
    finds = ("discriminator", "contradicts")
    needs = ("probe.disc_memory_low", "probe.disc_gap", "probe.disc_gap_training")
    shows = ("disc_gap_training", "disc_gap")

    def says(self, of: Numbers) -> str:
        training, held_out = of["disc_gap_training"], of["disc_gap"]
        if of["disc_memory_low"] <= 0 or training < 1.5 * max(held_out, 0.0):
            return ""
        return (
            f"The discriminator's logit gap is {number(training)} on training clips and {number(held_out)} on held-out ones:"
            " it knows its training data by heart."
        )


class GanGradientShare(Probed):
    """The GAN's gradient is nearly all, or nearly nothing, of the gradient at the decoder's last layer.

    What it checks: its share in the sum of the gradient norms of the weighted terms: above 0.8, or below 0.0001 although
    the GAN is on.
    Why it matters: values of loss terms do not say who trains the decoder; gradients do. Above 0.8 the output follows the
    discriminator alone; at 0 the GAN is not connected.
    Evidence it needs: vaelab probe --discriminator of a checkpoint after disc_start.
    What to do: lower disc_weight, or make it adaptive; at 0, check disc_weight, disc_factor and the detaching of the
    reconstruction.
    References: Esser et al. 2021, equation 7 (the adaptive weight makes it disc_weight / (1 + disc_weight)); causes D6,
    D7, D18.
    """

    code = "ADV336"
    name = "gan-gradient-share"
    finds = ("generator_adversarial", "too-high")
    needs = ("probe.gradient_share_gan",)
    shows = ("gradient_share_gan",)

    def says(self, of: Numbers) -> str:
        share = of["gradient_share_gan"]
        if 1e-4 <= share <= 0.8:
            return ""
        what = "all but everything" if share > 0.8 else "nothing"
        return f"The GAN's share of the gradient at the decoder's last layer is {share:.2%}: {what}."


class KlGradientShare(Probed):
    """The KL has most of the gradient that reaches the encoder.

    What it checks: its share in the sum of the gradient norms at the posterior's mean and logvar; above 0.5.
    Why it matters: KL202 sees the share of the loss's value; this is the share of what trains the encoder, and rewrites the
    latent in a fine-tune.
    Evidence it needs: vaelab probe --discriminator.
    What to do: lower the KL weight until its share is some percent.
    References: criterion of experts for fine-tunes; cause C2.
    """

    code = "KL231"
    name = "kl-gradient-dominates"
    finds = ("kl", "too-high")
    needs = ("probe.latent_gradient_share_kl",)
    shows = ("latent_gradient_share_kl",)

    def says(self, of: Numbers) -> str:
        share = of["latent_gradient_share_kl"]
        return (
            f"{share:.0%} of the gradient at the latent is the KL's: it decides what the encoder learns."
            if share > 0.5
            else ""
        )


class PerceptualGradientDead(Probed):
    """The perceptual loss has a weight but passes no gradient to the output.

    What it checks: its share in the sum of gradient norms at the reconstruction; below 0.00001.
    Why it matters: the log shows a plausible perceptual_loss that trains nothing: computed under no_grad, or on a detached
    output.
    Evidence it needs: vaelab probe --discriminator with the weights of the perceptual network at hand.
    What to do: compute it outside no_grad and on the reconstruction itself; freeze the network's weights, not its input.
    References: diffusers train_autoencoderkl.py (LPIPS under no_grad); cause B2.
    """

    code = "REC136"
    name = "perceptual-gradient-dead"
    finds = ("perceptual", "zero")
    needs = ("probe.perceptual_gradient",)
    shows = ("perceptual_gradient",)
    about = ("perceptual_loss",)

    def says(self, of: Numbers) -> str:
        if of["perceptual_gradient"] >= 1e-5:
            return ""
        return "The perceptual loss passes no gradient to the output: it is computed, logged, and trains nothing."


class ClipMeasured(Probed):
    """The gradient is clipped on most updates, measured.

    What it checks: the share of measured updates whose gradient norm is above clip_grad; above one half.
    Why it matters: above the threshold on most steps, the clip no longer guards against outliers; it normalises the step. With
    Adam a constant clip changes little.
    Evidence it needs: vaelab probe --discriminator.
    What to do: set clip_grad near the 90th percentile of the norm.
    References: google tuning_playbook; cause E4.
    """

    code = "OPT421"
    name = "clip-on-most-updates"
    finds = ("gradient_norm", "too-high")
    needs = ("probe.clip_share", "probe.grad_norm_p90")
    shows = ("clip_share", "grad_norm_p90")

    def says(self, of: Numbers) -> str:
        share = of["clip_share"]
        if share <= 0.5:
            return ""
        return (
            f"{share:.0%} of the measured updates are clipped: clip_grad is {number(of['clip_grad'])}, the 90th"
            f" percentile of the norm {number(of['grad_norm_p90'])}."
        )
