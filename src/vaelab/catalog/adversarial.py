"""The GAN: losses of both sides, logits, the adaptive weight and the switch."""

from __future__ import annotations

from vaelab.catalog.types import Band, Metric

ADVERSARIAL: tuple[Metric, ...] = (
    Metric(
        "disc_loss",
        "discriminator loss",
        (
            "disc_loss",
            "discloss",
            "discriminator_loss",
            "loss/disc",
            "loss_.disc",
            "d_loss",
            "discr_loss",
            "step_discr_loss",
            "discriminator_adv_loss",
            "disc",
        ),
        "adversarial",
        "none",
        "hinge: 0 and up, chance 1.0; vanilla: chance ln 2 = 0.693 (mean of two halves) or 1.386 (sum)",
        meaning="The discriminator's loss on real inputs and on reconstructions: hinge is 0.5 (mean relu(1 - real) + "
        "mean relu(1 + fake)), times disc_factor in most trainers.",
        read_as="Inside the margin it is 1 - gap / 2, with gap = logits_real - logits_fake. 1.0 is chance: also what "
        "an untrained discriminator scores. 0.5 to 0.95 is useful, below 0.2 for long the discriminator wins, above "
        "1.05 it is untrained, inverted or its logits drift. Exactly 0 before the start step only says that "
        "disc_factor is 0.",
        fixes="It trains the critic that finds texture errors pixel losses do not see.",
        without="No GAN: smoother pictures.",
        bands=(
            Band(
                "disc_loss of about 1.0 is ideal",
                0.5,
                1.5,
                "hinge, mean of two",
                "refuted",
                "1.0 is chance. Freshly initialised discriminators score 1.09 to 1.18 against clearly blurred "
                "pictures.",
                "claim from users' log analyses, checked against untrained PatchGAN discriminators",
            ),
            Band(
                "0.5 to 0.95: a useful discriminator",
                0.5,
                0.95,
                "hinge, mean of two, after the start",
                "conditional",
                "Equals a gap of 0.1 to 1 while logits are inside the margin; must hold on held-out data too.",
                "arithmetic of the hinge loss; usage in public threads",
            ),
            Band(
                "below 0.2 for long: the discriminator has won",
                None,
                0.2,
                "hinge, mean of two, after the start",
                "holds",
                "Real and fake are both far outside the margin, so the generator's gradient says little.",
                "PKU-YuanGroup/Open-Sora-Plan#569; soumith/ganhacks#36",
            ),
            Band(
                "0.0 means the discriminator is perfect",
                0,
                0,
                "only after the start step",
                "conditional",
                "Before the start, latent-diffusion and RadioDiff multiply it by disc_factor = 0.",
                "UNIC-Lab/RadioDiff: denoising_diffusion_pytorch/loss.py; CompVis/latent-diffusion: "
                "ldm/modules/losses/contperceptual.py",
            ),
        ),
        sources=(
            "CompVis/latent-diffusion: ldm/modules/losses/contperceptual.py",
            "CompVis/taming-transformers#20",
            "CompVis/latent-diffusion#187",
        ),
    ),
    Metric(
        "non_saturated_d_loss",
        "discriminator loss without LeCam",
        ("non_saturated_d_loss",),
        "adversarial",
        "none",
        meaning="VidTok and Open-MAGVIT2: the discriminator loss before the LeCam term; despite its name it is hinge "
        "in VidTok.",
        read_as="As disc_loss; chance is 1.0 for hinge.",
        sources=("microsoft/VidTok: vidtok/modules/losses.py",),
    ),
    Metric(
        "lecam_loss",
        "LeCam regulariser",
        ("lecam_loss",),
        "adversarial",
        "none",
        meaning="Pulls the logits towards the running mean of the other side's logits.",
        read_as="Small and steady. disc_loss contains it in VidTok and Open-MAGVIT2.",
        fixes="It holds back logit drift and overfitting of the discriminator.",
        without="Both logits may drift together.",
        sources=("microsoft/VidTok: vidtok/modules/losses.py", "google/lecam-gan"),
    ),
    Metric(
        "gradient_penalty",
        "gradient penalty",
        ("gradient_penalty", "gp", "r1_penalty"),
        "adversarial",
        "none",
        meaning="Penalty on the discriminator's gradient with respect to its input.",
        read_as="Small and steady; growth means a steep discriminator.",
        sources=("lucidrains/magvit2-pytorch: magvit2_pytorch/magvit2_pytorch.py",),
    ),
    Metric(
        "logits_real",
        "mean logit on real data",
        ("logits_real", "logits/real", "avg_real_logits"),
        "adversarial",
        "none",
        "logits",
        meaning="Mean of the discriminator's output on real inputs.",
        read_as="Only with logits_fake: the gap real - fake is the one number to watch. A mean near 0 may hide a "
        "wide spread over patches. Both large with the same sign: drift.",
        sources=("CompVis/latent-diffusion#187", "FoundationVision/LlamaGen#27"),
    ),
    Metric(
        "logits_fake",
        "mean logit on reconstructions",
        ("logits_fake", "logits/fake", "avg_fake_logits"),
        "adversarial",
        "none",
        "logits",
        meaning="Mean of the discriminator's output on reconstructions.",
        read_as="Only with logits_real. 0.03 against 0.02 is as likely an untrained discriminator as a convincing VAE.",
        bands=(
            Band(
                "near-equal logits are an equilibrium",
                -0.02,
                0.02,
                "the gap, after thousands of steps",
                "refuted",
                "Equal logits are also what a useless discriminator gives. Decide by showing it blurred "
                "reconstructions.",
                "FoundationVision/LlamaGen#27; CompVis/taming-transformers#44",
            ),
        ),
        sources=("CompVis/latent-diffusion#187", "FoundationVision/LlamaGen#27"),
    ),
    Metric(
        "g_loss",
        "generator GAN loss",
        (
            "g_loss",
            "loss/g",
            "loss_.gen",
            "gen",
            "gan_loss",
            "generator_adv_loss",
            "adversarial_gen_loss",
            "g_adv_loss",
            "unsacled_g_loss",
            "unscaled_g_loss",
        ),
        "adversarial",
        "none",
        "logits with the sign turned; nats for non-saturating losses",
        meaning="-mean(logits_fake) in most trainers; non-saturating variants are always positive and start at ln 2 "
        "= 0.693.",
        read_as="Its sign has no meaning. Its slope does: running away while the gap stays is drift or a lost "
        "discriminator.",
        fixes="It carries the critic's view to the decoder.",
        without="No GAN texture.",
        bands=(
            Band(
                "negative g_loss means the VAE is winning",
                None,
                0,
                "-mean(logits_fake)",
                "refuted",
                "It says that the mean fake logit is above 0; the real one may be above 0 as well. Only the gap "
                "counts.",
                "JiahuiYu/generative_inpainting#426",
            ),
        ),
        sources=("JiahuiYu/generative_inpainting#426", "NVlabs/SPADE#122"),
    ),
    Metric(
        "g_loss_weighted",
        "weighted generator GAN loss",
        ("g_loss_weighted", "gen_w", "loss_.gen_w"),
        "adversarial",
        "none",
        meaning="d_weight x disc_factor x g_loss, as it stands in the total.",
        read_as="Divided by g_loss it gives the adaptive weight.",
        sources=("hpcaitech/Open-Sora: opensora/models/vae/losses.py",),
    ),
    Metric(
        "d_weight",
        "adaptive GAN weight",
        ("d_weight", "scalars/d_weight", "adaptive_weight"),
        "adversarial",
        "none",
        "ratio; in trainers that sum over pixels up to the pixel count times larger",
        meaning="disc_weight x |gradient of nll| / (|gradient of g_loss| + epsilon) at the decoder's last layer, "
        "clamped. The logged value already contains disc_weight.",
        read_as="Divide by disc_weight. It shows how weak the discriminator's gradient is, not how strong: the GAN's "
        "share at the last layer is disc_weight times the nll's whatever the value. Steady is fine; rising means a "
        "vanishing discriminator gradient or a worsening reconstruction; at disc_weight x 1e4 it is clamped. "
        "latent-diffusion and RadioDiff log it before the start, where it has no effect.",
        fixes="It keeps the GAN at a fixed share of the reconstruction gradient.",
        without="A constant weight must be tuned by hand.",
        bands=(
            Band(
                "d_weight above 20 destabilises",
                20,
                None,
                "any",
                "refuted",
                "In trainers that sum over pixels it is normally 1,000 and more. The limit that means something is "
                "the clamp.",
                "claim from users' log analyses, checked against CompVis/latent-diffusion: "
                "ldm/modules/losses/contperceptual.py",
            ),
            Band(
                "a high d_weight is the loudest voice",
                5,
                None,
                "any",
                "refuted",
                "6.6 with disc_weight 0.5 says the raw GAN gradient is 13.2 times smaller than the nll gradient.",
                "claim from users' log analyses, checked against jy0205/Pyramid-Flow: video_vae/modeling_loss.py",
            ),
            Band(
                "at the clamp the discriminator gives no gradient",
                None,
                None,
                "d_weight = disc_weight x clamp (1e4 in most trainers) after the start",
                "holds",
                "The generator's GAN gradient is 10,000 times smaller than the nll's.",
                "CompVis/latent-diffusion: ldm/modules/losses/contperceptual.py",
            ),
        ),
        sources=(
            "CompVis/latent-diffusion: ldm/modules/losses/contperceptual.py",
            "CompVis/taming-transformers#93",
            "PKU-YuanGroup/WF-VAE#7",
        ),
    ),
    Metric(
        "d_weight_clamped",
        "adaptive GAN weight at its clamp",
        ("d_weight_clamped",),
        "adversarial",
        "zero",
        "0 or 1; a share where it is a mean over steps",
        meaning="1 where the ratio of the two gradients was above its upper clamp.",
        read_as="Steadily 1: the discriminator gives the generator no gradient.",
        sources=("vaelab: src/vaelab/losses/adaptive.py",),
    ),
    Metric(
        "disc_factor",
        "GAN switch",
        ("disc_factor",),
        "adversarial",
        "none",
        "0 or 1 in most trainers",
        meaning="Multiplies both GAN losses: 0 before disc_start, then 1.",
        read_as="The step at which it becomes 1 is the GAN start. 0 to the end: the GAN never ran.",
        sources=(
            "CompVis/latent-diffusion: ldm/modules/losses/contperceptual.py",
            "jy0205/Pyramid-Flow: video_vae/modeling_loss.py",
        ),
    ),
)
