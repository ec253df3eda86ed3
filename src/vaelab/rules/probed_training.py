"""ADV, KL, OPT, REC: what ``vaelab probe --discriminator`` measured on the discriminator and the gradients."""

from __future__ import annotations

from vaelab.rules.measured import Entry, Numbers, rules_of

YOUNG_UPDATES = 500
"""Updates of the discriminator before which its lack of skill is no fault."""
CLIPS = "vaelab probe --discriminator on 16 clips or more"


def _grown(of: Numbers) -> bool:
    return not of["disc_updates"] < YOUNG_UPDATES


def _useless(of: Numbers) -> str:
    age = "" if _grown(of) else " It has had {disc_updates:.0f} updates: look again later."
    said = (
        "On held-out clips the discriminator tells reconstructions from data with {disc_tells_fake:.2f} and blurred ones with"
        " {disc_tells_blurred:.2f}, where 0.5 is chance: it is useless."
    )
    return (said + age).format_map(of)


def _share(of: Numbers) -> str:
    what = "all but everything" if of["gradient_share_gan"] > 0.8 else "nothing"
    return f"The GAN's share of the gradient at the decoder's last layer is {of['gradient_share_gan']:.2%}: {what}."


MEASURED = rules_of(
    "probe", "vaelab probe --discriminator",
    Entry("ADV331", "discriminator-useless", ("discriminator", "at-chance"), "disc_tells_fake_high disc_tells_blurred_high",
          where=lambda n: n["disc_tells_fake_high"] < 0.7 and n["disc_tells_blurred_high"] < 0.7, says=_useless, costs=_grown,
          shows="disc_tells_fake disc_tells_blurred", evidence=CLIPS,
          title="The discriminator tells neither reconstructions nor blurred reconstructions from data",
          checks="on held-out clips, the probability that a patch of the data scores above one of the reconstruction, and of the reconstruction"
                 " under a Gaussian blur of 1.5 pixels: both ends of their 95% intervals below 0.7. Information only in the first 500 updates"
                 " of the discriminator",
          matters="at chance it is either in equilibrium or useless, and the log cannot tell which. Blur is what it is there for: one that does"
                  " not see it has nothing to teach, and its gradient is noise times a large adaptive weight",
          do="raise its learning rate; train it alone for 1,000 steps before its loss is used; check its inputs",
          refs="taming-transformers#20, #44; LlamaGen#27; causes D3, D10"),
    Entry("ADV332", "discriminator-in-equilibrium", ("discriminator", "as-expected"), "disc_tells_fake_high disc_tells_blurred_low",
          where=lambda n: n["disc_tells_fake_high"] < 0.7 and n["disc_tells_blurred_low"] > 0.75, shows="disc_tells_fake disc_tells_blurred",
          says="The discriminator is near chance on held-out reconstructions ({disc_tells_fake:.2f}) and tells blurred ones"
               " ({disc_tells_blurred:.2f}): an equilibrium, not a useless discriminator.",
          title="The discriminator is near chance on reconstructions and does tell blurred ones: an equilibrium",
          checks="on held-out clips, the upper end of the interval for reconstructions below 0.7 and the lower end for blurred reconstructions"
                 " above 0.75",
          matters="a disc_loss at chance is then what a GAN is meant to reach, and no reason to change anything", evidence=CLIPS,
          do="nothing; compare LPIPS with the checkpoint before the GAN", refs="Goodfellow et al. 2014; cause D17, against D3"),
    Entry("ADV333", "discriminator-blind-to-blur", ("discriminator", "at-chance"), "disc_tells_fake_low disc_tells_blurred_high",
          where=lambda n: n["disc_tells_fake_low"] > 0.75 and n["disc_tells_blurred_high"] < n["disc_tells_fake_low"] - 0.1,
          shows="disc_tells_fake disc_tells_blurred",
          says="The discriminator tells held-out reconstructions ({disc_tells_fake:.2f}) but not blurred ones ({disc_tells_blurred:.2f}): it"
               " goes by an artefact, not by blur.",
          title="The discriminator tells reconstructions from data, but not once they are blurred",
          checks="on held-out clips, the lower end of the interval for reconstructions above 0.75 and the upper end for blurred ones below it by"
                 " 0.1 and more",
          matters="it knows reconstructions by an artefact (a grid, grain) that the blur removes, and takes blur for real: its gradient will not"
                  " sharpen the output",
          evidence=CLIPS, do="look for the artefact (vaelab evaluate names a grid); go on, and probe again",
          refs="reasoning from the test of blurred reconstructions"),
    Entry("ADV334", "discriminator-wins-held-out", ("discriminator", "saturated"), "disc_loss_over_chance disc_tells_fake",
          where=lambda n: n["disc_loss_over_chance"] < 0.15 and n["disc_tells_fake"] >= 0.97,
          says="On held-out clips disc_loss is {disc_loss_over_chance:.2f} times its chance level, and reconstructions are told from data with"
               " {disc_tells_fake:.3f}: the discriminator has won.",
          title="On held-out clips the discriminator has won",
          checks="its loss below 0.15 of the chance level, and reconstructions told from data with 0.97 and more",
          matters="inside the margin of the hinge it learns nothing more, and the generator chases it without end. A log shows this on training"
                  " clips only, where memory looks the same",
          evidence=CLIPS,
          do="only if the reconstruction suffers in the log: a lower learning rate of the discriminator, LeCam, a later start, or a smaller"
             " discriminator",
          refs="Open-Sora-Plan#569, magvit2-pytorch#16; causes D4, D12"),
    Entry("ADV335", "discriminator-memorises", ("discriminator", "contradicts"), "disc_memory_low disc_gap disc_gap_training",
          where=lambda n: n["disc_memory_low"] > 0 and n["disc_gap_training"] >= 1.5 * max(n["disc_gap"], 0.0),
          says="The discriminator's logit gap is {disc_gap_training} on training clips and {disc_gap} on held-out ones: it knows its training"
               " data by heart.",
          title="The discriminator's gap is far larger on training clips than on held-out ones",
          checks="mean logit of data less that of reconstructions, on training and on held-out clips: the difference of the two is above 0 with"
                 " 95%, and the training gap is 1.5 times the held-out one and more",
          matters="it knows its training data by heart; the generator is pushed towards noise that only they have",
          evidence=f"{CLIPS}, with the run's training data at hand", do="differentiable augmentation, dropout, LeCam, more data",
          refs="unleashing-transformers#17, lecam-gan#1; cause D9"),
    Entry("ADV336", "gan-gradient-share", ("generator_adversarial", "too-high"), "gradient_share_gan",
          where=lambda n: n["gradient_share_gan"] > 0.8 or n["gradient_share_gan"] < 1e-4, says=_share,
          title="The GAN's gradient is nearly all, or nearly nothing, of the gradient at the decoder's last layer",
          checks="its share in the sum of the gradient norms of the weighted terms: above 0.8, or below 0.0001 although the GAN is on",
          matters="values of loss terms do not say who trains the decoder; gradients do. Above 0.8 the output follows the discriminator alone; at"
                  " 0 the GAN is not connected",
          evidence="vaelab probe --discriminator of a checkpoint after disc_start",
          do="lower disc_weight, or make it adaptive; at 0, check disc_weight, disc_factor and the detaching of the reconstruction",
          refs="Esser et al. 2021, equation 7 (the adaptive weight makes it disc_weight / (1 + disc_weight)); causes D6, D7, D18"),
    Entry("KL231", "kl-gradient-dominates", ("kl", "too-high"), "latent_gradient_share_kl", where=lambda n: n["latent_gradient_share_kl"] > 0.5,
          says="{latent_gradient_share_kl:.0%} of the gradient at the latent is the KL's: it decides what the encoder learns.",
          title="The KL has most of the gradient that reaches the encoder",
          checks="its share in the sum of the gradient norms at the posterior's mean and logvar; above 0.5",
          matters="KL203 sees the share of the loss's value; this is the share of what trains the encoder, and rewrites the latent in a fine-tune",
          do="lower the KL weight until its share is some percent", refs="criterion of experts for fine-tunes; cause C2"),
    Entry("REC136", "perceptual-gradient-dead", ("perceptual", "zero"), "perceptual_gradient", where=lambda n: n["perceptual_gradient"] < 1e-5,
          says="The perceptual loss passes no gradient to the output: it is computed, logged, and trains nothing.", about="perceptual_loss",
          title="The perceptual loss has a weight but passes no gradient to the output",
          checks="its share in the sum of gradient norms at the reconstruction; below 0.00001",
          matters="the log shows a plausible perceptual_loss that trains nothing: computed under no_grad, or on a detached output",
          evidence="vaelab probe --discriminator with the weights of the perceptual network at hand",
          do="compute it outside no_grad and on the reconstruction itself; freeze the network's weights, not its input",
          refs="diffusers train_autoencoderkl.py (LPIPS under no_grad); cause B2"),
    Entry("OPT421", "clip-on-most-updates", ("gradient_norm", "too-high"), "clip_share grad_norm_p90", where=lambda n: n["clip_share"] > 0.5,
          says="{clip_share:.0%} of the measured updates are clipped: clip_grad is {clip_grad}, the 90th percentile of the norm {grad_norm_p90}.",
          title="The gradient is clipped on most updates, measured",
          checks="the share of measured updates whose gradient norm is above clip_grad; above one half",
          matters="above the threshold on most steps, the clip no longer guards against outliers; it normalises the step. With Adam a constant"
                  " clip changes little",
          do="set clip_grad near the 90th percentile of the norm", refs="google tuning_playbook; cause E4"),
)  # fmt: skip
