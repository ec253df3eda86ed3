"""Total, nll, reconstruction and perceptual losses."""

from __future__ import annotations

from vaelab.catalog.types import Band, Metric

_LDM = "CompVis/latent-diffusion: ldm/modules/losses/contperceptual.py"
_PF = "jy0205/Pyramid-Flow: video_vae/modeling_loss.py"
_RD = "UNIC-Lab/RadioDiff: denoising_diffusion_pytorch/loss.py"

LOSSES: tuple[Metric, ...] = (
    Metric(
        "total_loss",
        "total loss",
        (
            "total_loss",
            "vae_loss",
            "aeloss",
            "loss/total",
            "overall_vae_loss",
            "generator_loss",
            "step_gen_loss",
            "gen_loss",
            "total",
            "all",
            "loss_.all",
            "loss",
        ),
        "loss",
        "down",
        "depends on the trainer's reduction (a mean per pixel, or a sum over all pixels)",
        role="total",
        meaning="The value the generator's optimizer minimises: nll + kl_weight x KL + d_weight x disc_factor x "
        "g_loss.",
        read_as="Split it into its terms and read those. In trainers that sum over pixels it is the reconstruction "
        "loss times the number of pixels, so it adds nothing to that curve. It may step up or turn negative at the "
        "GAN start, because g_loss has no fixed sign; with a learned log-variance it may be negative from early on. "
        "Both are harmless.",
        fixes="It is what is optimised; it has no other use than to check that the terms add up.",
        without="Nothing is lost: its terms say more.",
        bands=(
            Band(
                "total 2,000 to 5,000 is healthy",
                2000,
                5000,
                "RadioDiff's text log, 256x256x1, sum over pixels",
                "refuted",
                "It is 65,536 x rec_loss there, so the band is rec_loss 0.031 to 0.076; the KL part is 0.13 of it.",
                "claim from users' log analyses, checked against RadioDiff's loss.py",
                trainer="radiodiff",
            ),
            Band(
                "a negative total is a bug",
                None,
                0,
                "any trainer with a GAN term or a learned log-variance",
                "refuted",
                "g_loss = -mean(logits_fake) may take any sign. A fault only if it runs away (total near -1e6).",
                "CompVis/latent-diffusion#383; CompVis/taming-transformers#137",
            ),
        ),
        sources=(_LDM, _PF, _RD),
    ),
    Metric(
        "nll_loss",
        "nll loss",
        ("nll_loss", "loss/nll", "loss_.nll", "nll"),
        "loss",
        "down",
        "depends on the trainer's reduction and loss weights",
        role="reconstruction",
        meaning="Weighted reconstruction: (pixel weight x pixel loss + perceptual weight x perceptual loss) / "
        "exp(logvar) + logvar, taken as a mean, or as a sum over the pixels of an image.",
        read_as="Compare it only between runs with the same weights, clip size and reduction; across runs compare "
        "PSNR and the perceptual loss. nll / rec_loss gives away the hidden weights or the pixel count.",
        fixes="It makes the output follow the input.",
        without="The decoder has no reason to resemble its input.",
        bands=(
            Band(
                "nll 0.12 to 0.18 is excellent",
                0.12,
                0.18,
                "Pyramid-Flow with pixel weight 10 only",
                "refuted",
                "At pixel weight 10 this is MSE of about 0.009 to 0.01, that is 26 to 26.5 dB: weak. With pixel "
                "weight 1 the same band would be useless.",
                "claim from users' log analyses, checked against Pyramid-Flow's loss",
                trainer="pyramid_flow",
            ),
            Band(
                "nll below 0.05 is a black screen",
                None,
                0.05,
                "any",
                "refuted",
                "A black output scores a high nll unless the data are black. Runs with nll 0.021 and 0.043 were the "
                "good ones.",
                "claim from users' log analyses, checked against two runs of the same user",
            ),
        ),
        sources=(_LDM, _PF, _RD),
    ),
    Metric(
        "rec_loss",
        "reconstruction loss",
        (
            "rec_loss",
            "recon_loss",
            "reconstruct_loss",
            "reconstruction_loss",
            "loss/rec",
            "loss_.nll_rec",
            "nll_rec",
            "l1_loss",
            "mse_loss",
            "mse",
            "recon",
        ),
        "reconstruction",
        "down",
        "depends on the trainer: MSE, L1, L1 + LPIPS, or a sum over pixels",
        role="reconstruction",
        meaning="Distance between input and reconstruction. Which distance differs between trainers, as the formulas say.",
        read_as="Turn it into PSNR: 10 log10(4 / MSE) for data in [-1, 1]. For L1, error of Gaussian shape gives "
        "RMSE = L1 / 0.80. Compare with step 0 of a fine-tuned model first, then with published models of the same "
        "compression: 4-channel video VAEs reach 29.6 to 32 dB, 16-channel ones 35 to 37 dB.",
        fixes="It pins colours, positions and structure to the input.",
        without="With a perceptual loss alone structure stays but colours drift and grids appear.",
        bands=(
            Band(
                "MSE below 0.01 is excellent",
                None,
                0.01,
                "MSE on [-1, 1]",
                "refuted",
                "0.01 is 26 dB and 0.0069 is 27.6 dB; published 4-channel video VAEs start at 29.6 dB (MSE 0.0044).",
                "claim from users' log analyses; microsoft/VidTok README",
            ),
            Band(
                "MSE below 0.001 is suspicious or memorised",
                None,
                0.001,
                "MSE on [-1, 1]",
                "refuted",
                "0.001 is 36 dB, which 16-channel video VAEs publish. Memorising shows as a gap to held-out data, "
                "not as a value.",
                "claim from users' log analyses; microsoft/VidTok README",
            ),
            Band(
                "MSE above 0.1 is a grey picture",
                0.1,
                None,
                "MSE on [-1, 1], only if 0.1 is near the data's variance",
                "conditional",
                "The constant picture scores the variance of the data: 0.2 to 0.3 on natural video, near 0 on dark "
                "or sparse data. Use skill = 1 - MSE / variance.",
                "claim from users' log analyses",
            ),
            Band(
                "rec rises, so the learning rate is too high",
                None,
                None,
                "any rise",
                "conditional",
                "Several other causes raise it: a KL weight that dominates, the GAN start, new data at an epoch, a "
                "resume.",
                "claim from users' log analyses",
            ),
            Band(
                "rec rises 2 to 6 times at the GAN start and returns",
                2,
                6,
                "ratio to the level before the GAN; back within 1,000 to 10,000 steps",
                "holds",
                "The expected shock of a fresh discriminator. Judge it against the level before the GAN, not against "
                "a number.",
                "samb-t/unleashing-transformers#17; ByteVisionLab/TokenFlow#22",
                unit="ratio to the level before the GAN",
            ),
        ),
        sources=(_PF, _LDM, _RD, "microsoft/VidTok README"),
    ),
    Metric(
        "rec_mse",
        "mean squared error",
        ("rec_mse",),
        "reconstruction",
        "down",
        "mean per value, for data in [-1, 1]",
        role="reconstruction",
        meaning="Mean (x - recon)^2 over all values, logged beside rec_loss whatever pixel loss is minimised; under val/ the mean "
        "over held-out samples, from the posterior's mean.",
        read_as="PSNR = 10 log10(4 / rec_mse): 0.01 is 26 dB, 0.001 is 36 dB. A quarter of it is 6 dB. Compare val/rec_mse with "
        "it: the gap is what the model has learned by heart (and, in training, the posterior's noise).",
        fixes="It is a measurement; it makes runs with different pixel losses comparable.",
        without="PSNR can only be bounded where the pixel loss is L1 or a sum.",
        sources=("vaelab: src/vaelab/losses/objective.py",),
    ),
    Metric(
        "rec_loss_max",
        "largest reconstruction loss since the row before",
        ("rec_loss_max",),
        "loss",
        meaning="Largest rec_loss of a batch among all steps since the row before, of any process.",
        read_as="Two or three times rec_loss is ordinary. Far more: a few samples out of range, which the rows themselves "
        "do not show.",
        sources=("vaelab: src/vaelab/training/window.py",),
    ),
    Metric(
        "perceptual_loss",
        "perceptual loss (LPIPS)",
        (
            "perceptual_loss",
            "perception_loss",
            "p_loss",
            "lpips_loss",
            "percep_loss",
            "percep_rec_loss",
            "loss_.nll_per",
            "nll_per",
        ),
        "reconstruction",
        "down",
        "LPIPS distance (0 is identical); a sum over pixels in Open-Sora",
        role="perceptual",
        meaning="Distance between input and reconstruction in the features of a fixed network (LPIPS with VGG in "
        "most trainers).",
        read_as="Compare with step 0 and with the level before the GAN in the same code. Training code uses the VGG "
        "network and papers mostly AlexNet, which differ by about 1.5 to 2 times; published video VAEs lie at 0.0175 "
        "to 0.114.",
        fixes="It works against blur: a pixel loss alone is minimised by an average of all likely pictures.",
        without="Soft pictures at a good PSNR.",
        bands=(
            Band(
                "perceptual loss below 0.10 is not blurry",
                None,
                0.10,
                "unknown network and data",
                "refuted",
                "0.10 to 0.114 is the level of the weakest published video VAEs. Backbone and data decide.",
                "WF-VAE paper, table 1; microsoft/VidTok README",
            ),
            Band(
                "still blurry, so raise the perceptual weight",
                None,
                None,
                "only after KL noise and a missing GAN are excluded",
                "conditional",
                "Too heavy a perceptual loss lowers PSNR and makes video flicker: WF-VAE lowers its weight from 1.0 "
                "to 0.1 in its last stage.",
                "WF-VAE paper, stage III",
            ),
        ),
        sources=("richzhang/PerceptualSimilarity#82", "WF-VAE paper, table 1"),
    ),
    Metric(
        "logvar",
        "output log-variance",
        ("logvar", "scalars/logvar"),
        "loss",
        "none",
        "natural log of the decoder's output variance",
        role="weight",
        meaning="One number L that divides the reconstruction loss: nll = rec / exp(L) + L. It is learned in sgm and "
        "VidTok and is never given to an optimizer in latent-diffusion, RadioDiff and Pyramid-Flow, so it stays at "
        "its start value there.",
        read_as="Its best value is ln(mean rec), so a falling logvar follows a falling reconstruction loss and turns "
        "the nll negative. Constant at 0: not learned, and then it has no effect.",
        fixes="It weighs reconstruction against KL and GAN by the size of the error.",
        without="The balance is set by fixed weights instead.",
        bands=(
            Band(
                "the nll is 0 when reconstruction is perfect",
                0,
                None,
                "logvar fixed at 0 and no constant added",
                "conditional",
                "With a learned logvar the nll is 1 + ln(rec) per pixel at best: negative once rec is below 0.368.",
                "Stability-AI/generative-models: sgm/modules/autoencoding/losses/discriminator_loss.py",
            ),
        ),
        sources=("huggingface/diffusers#5731", "hpcaitech/Open-Sora#651"),
    ),
    Metric(
        "wavelet_loss",
        "wavelet loss",
        ("wavelet_loss", "wl_loss"),
        "loss",
        "down",
        "sum over a clip in WF-VAE",
        role="reconstruction",
        meaning="Distance between the wavelet bands inside encoder and decoder (WF-VAE, Open-Sora-Plan).",
        read_as="By its trend only; no public reference values.",
        fixes="It keeps the low-frequency path of encoder and decoder symmetric.",
        without="WF-VAE's two paths need not agree.",
        sources=("PKU-YuanGroup/WF-VAE: causalvideovae/model/losses/perceptual_loss.py",),
    ),
    Metric(
        "perceptual_weight",
        "weight of the perceptual term",
        ("perceptual_weight", "lpips_weight", "lambda_perceptual", "lambda_lpips", "percep_weight"),
        "loss",
        unit="per unit of perceptual_loss",
        role="weight",
        meaning="What perceptual_loss is multiplied by in the total.",
        read_as="0.1 to 1 in recipes, against a pixel loss that is a mean; 0 switches the term off.",
        sources=("CompVis/taming-transformers: vqperceptual.py",),
    ),
)
