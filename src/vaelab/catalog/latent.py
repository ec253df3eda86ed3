"""The latent: KL, codebooks and latent statistics."""

from __future__ import annotations

from vaelab.catalog.types import Band, Metric

LATENT: tuple[Metric, ...] = (
    Metric(
        "kl_loss",
        "KL loss",
        ("kl_loss", "kl", "loss_.kl", "kl_div", "kld_loss", "kld"),
        "latent",
        "none",
        "nats, reduced as the trainer does: per sample, per channel or per element",
        meaning="How far the encoder's posterior is from N(0, 1): the number of nats the latent carries about the "
        "input. Pyramid-Flow sums over time and space and averages over channels; latent-diffusion, RadioDiff, sgm "
        "and diffusers sum over everything of a sample; a few average over every element.",
        read_as="Divide by the number of latent elements to get nats per element (x 1.443 for bits). The same "
        "posterior reads 12.3, 18,930, 37,859 or 605,745 under four conventions. Below about 0.05 nats per element "
        "the latent is starved; a few to 12 is usual at weights of 1e-6 and less. With a tiny weight a rising KL is "
        "normal.",
        fixes="It keeps the latent near a scale and smoothness that a generative model can learn.",
        without="Latent scale and outliers are unbounded; reconstruction itself does not suffer.",
        bands=(
            Band(
                "KL 200 to 800 is excellent",
                200,
                800,
                "Pyramid-Flow, 17 frames of 256x256, 16 channels",
                "refuted",
                "It is 0.07 to 0.26 nats per latent element: strongly over-regularised. The run so praised ended 6.6 "
                "dB below the same user's run with KL 37,000.",
                "claim from users' log analyses, checked against jy0205/Pyramid-Flow: video_vae/modeling_enc_dec.py",
                trainer="pyramid_flow",
            ),
            Band(
                "KL above 5,000 gives noise and blur",
                5000,
                None,
                "any",
                "refuted",
                "The other way round: a high KL means more information and a sharper reconstruction. 5,000 is 1.6 "
                "nats per element in Pyramid-Flow's units.",
                "claim from users' log analyses, checked against jy0205/Pyramid-Flow: video_vae/modeling_enc_dec.py",
            ),
            Band(
                "KL 0 to 10 is posterior collapse",
                0,
                10,
                "Pyramid-Flow, 17 frames of 256x256, 16 channels",
                "conditional",
                "10 / 3,072 is 0.003 nats per element, which is collapse for that clip size. The sharp test is per "
                "channel.",
                "claim from users' log analyses; molecularsets/moses#45",
                trainer="pyramid_flow",
            ),
            Band(
                "the weighted KL should be a noticeable share of the loss",
                0.01,
                0.5,
                "share of the total by value",
                "refuted",
                "Tokenizers of the latent-diffusion family run at a negligible share (RadioDiff 0.005 %). More than "
                "half in the first steps of a fine-tune means the weight will rewrite the latent.",
                "recipes of latent-diffusion, RadioDiff, VidTok and WF-VAE (KL weight 1e-6)",
            ),
            Band(
                "fewer than 0.05 nats per element starves the latent",
                None,
                0.05,
                "nats per latent element, mean",
                "holds",
                "At 0.05 the posterior's sigma is about 0.95: almost only noise. A rule of thumb for the mean over "
                "channels.",
                "arithmetic: sigma = exp(-nats) for a latent of unit variance",
            ),
            Band(
                "KL rises for long at a tiny weight",
                None,
                None,
                "effective beta of 1e-6 or less",
                "holds",
                "The encoder sharpens its posterior because nearly nothing holds it. Watch the latent's std and "
                "outliers instead.",
                "CompVis/latent-diffusion#187; facebookresearch/improved_vrnn#4",
            ),
        ),
        sources=(
            "jy0205/Pyramid-Flow: video_vae/modeling_enc_dec.py",
            "Project-MONAI/tutorials#1926",
            "CompVis/latent-diffusion#187",
        ),
    ),
    Metric(
        "kl_nats_per_element",
        "KL per latent element",
        ("kl_nats_per_element",),
        "latent",
        "none",
        "nats per latent element",
        meaning="The KL to N(0, 1) as a mean over all latent elements, whatever kl_reduction the loss uses.",
        read_as="Below about 0.05 the latent is starved; a few to 12 is usual at weights of 1e-6 (sum) and less; times 1.443 it is "
        "bits. Growth at a tiny weight is normal.",
        fixes="It is a measurement that compares across trainers and latent shapes.",
        without="The same posterior reads 12.3 or 605,745, by reduction.",
        sources=("vaelab: src/vaelab/losses/latent.py",),
    ),
    Metric(
        "latents_std",
        "latent standard deviation",
        ("latents_std", "latent_std", "z_std"),
        "latent",
        "none",
        "in units of the latent",
        meaning="Standard deviation of the sampled latents of a batch.",
        read_as="1 / std over the training set is the scale factor for a diffusion model, to be computed when the "
        "VAE is final. Bounded while reconstruction improves is healthy; steady growth over 10,000 steps and more is "
        "drift.",
        fixes="It is a measurement, not a loss.",
        without="A wrong scale factor is found only when the diffusion model fails.",
        bands=(
            Band(
                "latent std should be 0.9 to 1.1",
                0.9,
                1.1,
                "after multiplying by the scale factor",
                "conditional",
                "The band is for scaled latents. Raw std of 1.8 (first frame) and 3.1 (video) is what Pyramid-Flow "
                "ships.",
                "Project-MONAI/tutorials#1926",
            ),
        ),
        sources=("LTH14/mar#2", "modelscope/DiffSynth-Studio#1536"),
    ),
    Metric(
        "latent_abs_mean",
        "mean absolute latent",
        ("latent_abs_mean", "abs_mu_(0.0):_average_of_abs_z", "average_of_abs_z"),
        "latent",
        meaning="Mean absolute value of the latents of a batch (vqgan-training, vaelab).",
        read_as="About 0.8 for a latent of unit variance. Follow its trend as that of the latent's scale.",
        sources=("cloneofsimo/vqgan-training: vae_trainer.py",),
    ),
    Metric(
        "latent_mean_std",
        "standard deviation of the posterior means",
        ("latent_mean_std",),
        "latent",
        "none",
        "in units of the latent",
        meaning="Standard deviation of the posterior's means over a batch: the part of the latent that carries the picture.",
        read_as="With latent_noise_std: their ratio is signal to noise. 0 while latents_std is 1 is posterior collapse.",
        sources=("vaelab: src/vaelab/losses/latent.py",),
    ),
    Metric(
        "latent_noise_std",
        "posterior noise",
        ("latent_noise_std",),
        "latent",
        "none",
        "in units of the latent",
        meaning="Root of the mean posterior variance: the noise that sampling adds to the latent.",
        read_as="Near 0 at a tiny KL weight (the encoder is nearly deterministic); near 1 with latent_mean_std near 0 is collapse.",
        sources=("vaelab: src/vaelab/losses/latent.py",),
    ),
    Metric(
        "latent_active_share",
        "share of active latent channels",
        ("latent_active_share",),
        "latent",
        "up",
        "0 to 1",
        meaning="Share of latent channels whose posterior mean varies by more than 0.01 (variance) over batch, time and space.",
        read_as="1 is healthy. A channel that is not active carries nothing: fewer channels would do, or the KL weight is too high.",
        sources=("Burda et al. 2016, Importance Weighted Autoencoders", "vaelab: src/vaelab/losses/latent.py"),
    ),
    Metric(
        "quant_loss",
        "codebook loss",
        ("quant_loss", "codebook_quant_loss", "commit_loss", "commitment_loss", "aux_loss", "codebook_loss"),
        "latent",
        "none",
        "mean squared distance in units of the latent",
        meaning="Distance between encoder outputs and their codes (codebook and commitment terms), in trainers with "
        "a codebook.",
        read_as="Together with codebook usage: low with falling usage is collapse, slowly rising with a growing "
        "latent is usual.",
        fixes="It keeps encoder outputs near the codes that stand for them.",
        without="Encoder outputs run away from the codes and reconstruction stalls.",
        sources=(
            "CompVis/taming-transformers: taming/modules/vqvae/quantize.py",
            "TencentARC/SEED-Voken: src/Open_MAGVIT2/modules/losses/vqperceptual.py",
        ),
    ),
    Metric(
        "entropy_loss",
        "codebook entropy loss",
        ("entropy_loss", "codebook_entropy_loss"),
        "latent",
        meaning="Entropy per sample minus entropy of the code distribution: it asks for sure choices spread over all "
        "codes.",
        read_as="Negative is normal. Read codebook usage for the result.",
        fixes="It keeps lookup-free and index-propagation quantisers from leaving codes unused.",
        without="Few codes are used.",
        sources=("TencentARC/SEED-Voken: src/Open_MAGVIT2/modules/losses/vqperceptual.py",),
    ),
    Metric(
        "codebook_entropy",
        "entropy of code usage",
        ("codebook_entropy", "codebook_avg_entropy_loss"),
        "latent",
        "up",
        meaning="Entropy of the average code distribution.",
        read_as="At most the log of the codebook size; a fall means that fewer codes are used.",
        sources=("TencentARC/SEED-Voken: src/Open_MAGVIT2/modules/losses/vqperceptual.py",),
    ),
    Metric(
        "sample_entropy",
        "entropy of one sample's code",
        ("sample_entropy", "per_sample_entropy", "codebook_sample_entropy_loss"),
        "latent",
        meaning="Entropy of the code distribution of a single latent vector.",
        read_as="Falls towards 0 as choices become sure.",
        sources=("TencentARC/SEED-Voken: src/Open_MAGVIT2/modules/losses/vqperceptual.py",),
    ),
    Metric(
        "perplexity",
        "codebook perplexity",
        ("perplexity",),
        "latent",
        "up",
        "codes",
        meaning="exp of the entropy of code usage in a batch: the number of codes in even use.",
        read_as="A small batch cannot show more codes than it has latent vectors; count over an epoch before calling "
        "it collapse.",
        sources=("lucidrains/vector-quantize-pytorch#63", "google-deepmind/sonnet#257"),
    ),
    Metric(
        "cluster_usage",
        "codebook usage",
        ("cluster_usage", "codebook_usage"),
        "latent",
        "up",
        meaning="Number or share of codes used in a batch.",
        read_as="IBQ publishes 99, 96 and 84 % for 2^10, 2^14 and 2^18 codes.",
        sources=("TencentARC/SEED-Voken README", "lucidrains/vector-quantize-pytorch#170"),
    ),
)
