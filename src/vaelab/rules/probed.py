"""KL, REC: what ``vaelab probe`` measured on a checkpoint's latent and decoder."""

from __future__ import annotations

import math

from vaelab.rules.evaluated import LOCAL_GRID, TRAINED, local_grid
from vaelab.rules.measured import Entry, Numbers, rules_of

VISIBLE = 1.0  # root mean square in 8-bit levels
POSTERIOR = "vaelab probe on 8 clips or more, of an autoencoder with a posterior"


def _off(of: Numbers, name: str) -> float:
    """How many times a product that should be 1 is off, either way; NaN where it was not measured."""
    product = of[name]
    return max(product, 1 / max(product, 1e-12)) if not math.isnan(product) else math.nan


def _scale(of: Numbers) -> str:
    if "declared_scale_product" in of:
        said = (
            "Latents times the declared scale factor have a standard deviation of {declared_scale_product} and not 1: the factor of these"
            " weights is {scale_factor}."
        )
    else:
        said = (
            "config.json has the scale factor that its class sets by default; with it these latents have a standard deviation of"
            " {default_scale_product}. Paste {scale_factor} before a diffusion model is trained on them."
        )
    return said.format_map(of) if _off(of, _product(of)) > 1.25 else ""


def _product(of: Numbers) -> str:
    return "declared_scale_product" if "declared_scale_product" in of else "default_scale_product"


def _collapse(of: Numbers) -> str:
    nats = " at {kl_nats_per_element:.2g} nats an element" if "kl_nats_per_element" in of else ""
    said = (
        "All {latent_channels:.0f} latent channels are the same for every input"
        + nats
        + ": the posterior has collapsed."
    )
    return said.format_map(of)


def _reaches_back(of: Numbers) -> list[str]:
    return [name for name in ("decoder_to_past", "encoder_to_past") if of[name] > 0.01]


def _not_causal(of: Numbers) -> str:
    parts = " and ".join(f"the {name.removesuffix('_to_past')} by {of[name]:.0%}" for name in _reaches_back(of))
    return parts and f"Later frames act on earlier ones, of their own effect {parts}: the model is not causal."


MEASURED = rules_of(
    "probe", "vaelab probe on 8 clips or more",
    Entry("KL221", "dead-channels-measured", ("latent", "collapsed"), "dead_channels latent_channels", shows="active_share",
          where=lambda n: 0 < n["dead_channels"] < n["latent_channels"], size=lambda n: n["dead_channels"] / n["latent_channels"],
          says="{dead_channels:.0f} of {latent_channels:.0f} latent channels carry nothing: their mean does not change with the input.",
          title="Some latent channels carry nothing, measured on clips",
          checks="channels whose posterior mean varies over the data by no more than 0.01 (active units), and which are drowned in their own"
                 " noise or still beside the median channel. Critical from half of the channels on",
          matters="the reconstruction stops at the quality of the channels that are left, and a diffusion model on this latent has to learn"
                  " channels of pure noise",
          do="a lower KL weight from the start, or a KL warm-up; a dead channel seldom comes back by itself",
          refs="Burda et al. 2016 (active units); cause C5"),
    Entry("KL222", "posterior-collapse-measured", ("latent", "collapsed"), "dead_channels latent_channels",
          where=lambda n: n["dead_channels"] >= n["latent_channels"], says=_collapse,
          title="No latent channel carries anything, measured on clips", checks="every channel is dead in the sense of KL221",
          matters="the decoder cannot know which input it is to paint. This is posterior collapse, seen in the latent itself and not concluded"
                  " from a small KL",
          do="lower the KL weight a hundredfold, or warm it up from 0; check whether the KL is summed or averaged",
          refs="WorldModels#12, moses#45; causes C1, C2"),
    Entry("KL223", "outlier-channel", ("latent", "too-high"), "largest_channel_std_ratio outlier_channels",
          where=lambda n: n["outlier_channels"] >= 1, size="largest_channel_std_ratio",
          says="Latent channels that are far larger than the others: {outlier_channels:.0f}; the largest has {largest_channel_std_ratio:.3g}"
               " times the median channel's standard deviation.",
          title="A latent channel is many times larger than the others",
          checks="the standard deviation of each channel over that of the median living channel; above 5",
          matters="one scale factor for all channels then shrinks the ordinary ones to near nothing. Spreads of 3 are usual in published models",
          evidence="vaelab probe on 8 clips or more, and 3 living channels",
          do="give a diffusion model per-channel means and standard deviations (probe.json has them); a penalty on outliers in a longer training",
          refs="Movie Gen's outlier penalty, ComfyUI#1116, AutoencoderKLWan's latents_std; cause C6"),
    Entry("KL224", "outlier-latents", ("latent", "too-high"), "latent_max_over_std", where=lambda n: n["latent_max_over_std"] > 15,
          size="latent_max_over_std",
          says="A latent value lies {latent_max_over_std:.3g} standard deviations from the mean of its channel: a hot spot.",
          title="Single latent values lie far outside the range of their channel",
          checks="the largest distance of a posterior mean from its channel's mean, in the channel's standard deviations; above 15 (a Gaussian"
                 " of a million values reaches 5)",
          matters="such spots show as blobs in the output, and a diffusion model cannot hit them",
          do="look where they sit (channels.png); other normalisation layers, or a penalty on outliers",
          refs="StyleGAN2 (blobs under instance normalisation), Movie Gen's outlier penalty; cause C6"),
    Entry("KL225", "logvar-at-floor", ("latent", "too-low"), "logvar_floor_share", where=lambda n: n["logvar_floor_share"] > 0.05,
          size="logvar_floor_share", shows="kl_logvar_part", evidence=POSTERIOR,
          says="{logvar_floor_share:.0%} of the posterior's log-variances sit at their floor of -30: no noise and no gradient there.",
          title="The posterior's log-variance sits at its lower clamp",
          checks="the share of log-variances at or below -29, measured on clips; above 5%",
          matters="beyond the clamp the gradient is zero, the noise is 3e-7 and the model is a plain autoencoder: its KL counts the clamp (14"
                  " nats an element), not information, and its decoder never sees a noisy latent",
          do="raise the KL weight ten- to hundredfold, add noise to the latent in training, or accept a plain autoencoder and say so",
          refs="diffusers and latent-diffusion clamp logvar to [-30, 20]; cause C4"),
    Entry("KL226", "logvar-at-ceiling", ("latent", "too-high"), "logvar_ceiling_share", where=lambda n: n["logvar_ceiling_share"] > 0.01,
          size="logvar_ceiling_share", evidence=POSTERIOR,
          says="{logvar_ceiling_share:.0%} of the posterior's log-variances sit at their ceiling of 20: samples of this latent are noise.",
          title="The posterior's log-variance sits at its upper clamp",
          checks="the share of log-variances at or above 19, measured on clips; above 1%",
          matters="a standard deviation of e^10 drowns the latent and overflows in half precision",
          do="go back to an earlier checkpoint, with a lower learning rate; raise the KL weight",
          refs="diffusers and latent-diffusion clamp logvar to [-30, 20]; cause F4"),
    Entry("KL227", "scale-factor-off", ("scale_factor", "contradicts"), "declared_scale_product|default_scale_product scale_factor",
          says=_scale, size=lambda n: _off(n, "declared_scale_product"),
          title="The declared scale factor does not bring the latents to a standard deviation of 1",
          checks="standard deviation of the latents x the declared factor, outside 0.8 to 1.25; critical outside 0.5 to 2. The factor is that of"
                 " --scale, else of the checkpoint's config.json. A factor that is only the default of its class, or latents_std that is, is"
                 " named but not held against the model: nobody computed it for these weights",
          matters="a diffusion model is made for latents of standard deviation 1. With a stale factor the VAE's log is perfect and every"
                  " picture of the pipeline is burnt, grey or noisy",
          do="paste the factor that vaelab probe prints, computed from the final weights",
          refs="diffusers#437, Open-Sora#494, mar#2, DiffSynth-Studio#1536; cause C9"),
    Entry("KL228", "first-frame-scale-differs", ("scale_factor", "contradicts"), "first_frame_std_ratio",
          where=lambda n: _off(n, "first_frame_std_ratio") > 1.33,
          says="Latents of the first frame have {first_frame_std_ratio:.2f} times the standard deviation of the others: give each its own scale"
               " factor.",
          title="The first frame of a clip needs another scale factor than the rest",
          checks="standard deviation of the first frame's latents over that of the others, outside 0.75 to 1.33",
          matters="a causal model encodes the first frame as an image. One factor for both leaves one of them off; Pyramid-Flow uses two",
          evidence="vaelab probe on 8 clips or more, of a causal video model",
          do="use the two factors that vaelab probe prints", refs="Pyramid-Flow's pipeline (image 1.8415, video 3.0986); cause C9"),
    Entry("KL229", "sampling-costs-quality", ("latent", "unstable"), "psnr_lost_by_sampling psnr",
          where=lambda n: n["psnr_lost_by_sampling"] > 0.5, size="psnr_lost_by_sampling", evidence=POSTERIOR,
          says="Decoding a sample of the posterior costs {psnr_lost_by_sampling:.1f} dB against decoding its mean ({psnr:.1f} dB).",
          title="Decoding a sample of the posterior is much worse than decoding its mean",
          checks="PSNR of the mean less PSNR of a sample, over 0.5 dB; a warning over 2 dB",
          matters="training decodes samples, evaluation the mean: the loss in the log then looks worse than the model is, and a diffusion model"
                  " trained on samples sees the worse one",
          do="report both; a lower KL weight narrows the posterior",
          refs="arithmetic: the noise of the posterior adds to the error of samples; cause C11"),
    Entry("KL230", "latent-very-large", ("latent", "too-high"), "latent_std", where=lambda n: n["latent_std"] > 20, size="latent_std",
          shows="kl_mean_part", says="The latents have a standard deviation of {latent_std}, where published autoencoders have 0.9 to 8.",
          title="The latent is far larger than any that is used",
          checks="standard deviation of the latents above 20. Published autoencoders lie between 0.9 and 8",
          matters="the latent has grown without bound; largest values and the scale factor move with every checkpoint",
          do="raise the KL weight ten- to hundredfold; compare several checkpoints: bounded is no fault",
          refs="latent-diffusion#187, #270, #309; scale factors 0.13 to 1.15 in diffusers; cause C3"),
    Entry("KL232", "latent-alive", ("latent", "as-expected"), "dead_channels latent_channels", where=lambda n: n["dead_channels"] <= 0,
          shows="active_share", says="All {latent_channels:.0f} latent channels carry information.",
          title="Every latent channel carries information, measured on clips", checks="no channel is dead in the sense of KL221",
          matters="it speaks against posterior collapse and dead channels, which a log can only suspect from a small KL",
          do="nothing", refs="Burda et al. 2016 (active units); against causes C1, C5"),
    Entry("REC131", "decoder-ignores-latent", ("output", "collapsed"), "decoder_response", shows="active_share",
          where=lambda n: n["decoder_response"] < 0.02 and not n["latent_bypass"] > 2,
          says="The decoder's output changes by {decoder_response:.1%} of what it should when it gets the latent of another clip: it ignores its"
               " latent.",
          title="The decoder gives the same output whatever latent it gets",
          checks="squared change of the output when the latent of another clip is decoded, over the squared difference of the two clips; below 2%",
          matters="the decoder is dead or has learned a constant picture; no loss weight helps before that is mended",
          do="look at the latent first: if that is dead too, it is posterior collapse; if it is alive, the decoder is broken: go back to the"
             " checkpoint before the reconstruction jumped",
          refs="REC116 and REC117 in the log; causes B8, C1"),
    Entry("REC132", "output-bypasses-latent", ("output", "contradicts"), "latent_bypass", where=lambda n: n["latent_bypass"] > 2,
          says="Decoding another clip's latent gives back the clip that was encoded last ({latent_bypass:.3g} times closer): the output comes past"
               " the latent.",
          title="The output is the clip that was encoded last, and not the one whose latent was decoded",
          checks="the latent of another clip is decoded right after a clip was encoded; squared distance of the output to the clip of that latent,"
                 " over that to the clip encoded; above 2",
          matters="something besides the latent leads from encoder to decoder (features kept in the module, a skip connection): the"
                  " reconstruction says nothing of the latent, and a generated latent decodes to garbage",
          do="remove the connection; decode a saved latent in a new process", refs="reasoning from what an autoencoder is"),
    Entry("REC133", "no-bottleneck", ("latent", "too-high"), "values_per_latent", where=lambda n: n["values_per_latent"] < 1,
          says="The latent has more values than the clip (clip over latent: {values_per_latent:.2g}): the model can copy its input.",
          title="The latent has room for every value of the clip", checks="values of the clip over values of its latent, below 1",
          matters="such a model can copy its input; perfect reconstructions then say nothing, and a diffusion model on it saves nothing",
          evidence="vaelab probe", do="fewer latent channels or more compression",
          refs="published video autoencoders compress 48 to 192 times in values"),
    Entry("REC134", "not-causal", ("output", "contradicts"), "decoder_to_past|encoder_to_past", says=_not_causal,
          title="A model that encodes the first frame alone lets later frames act on earlier ones",
          checks="one latent cell is changed: the largest change in earlier frames over the largest change; and the last frames of a clip are"
                 " changed: the change of earlier latents over that of the last. Above 1%",
          matters="images, clips of other lengths and decoding in chunks then give other results than in training: the first frame of a clip is"
                  " not that image",
          evidence="vaelab probe of a video model whose clips have 1 + k x r frames",
          do="in a model of your own, pad in time in front only, and let no norm or attention span frames without a causal mask. Some published"
             " models are so by design (the decoder of LTX-Video, norms over time in CogVideoX and HunyuanVideo): decode them in the lengths"
             " they were trained on",
          refs="MAGVIT-v2 (causal 3D convolutions); CausalVideoVAE here is causal exactly"),
    Entry("REC135", "decoder-fragile", ("output", "unstable"), "psnr_of_noise_tenth", where=lambda n: n["psnr_of_noise_tenth"] < 20,
          says="Noise of a tenth of the latent's standard deviation changes the output by {psnr_of_noise_tenth:.1f} dB PSNR: a small error of a"
               " diffusion model will show.",
          title="A little noise on the latent costs the decoder much",
          checks="PSNR between the output with noise of a tenth of each channel's standard deviation and the one without; below 20 dB",
          matters="a diffusion model never hits a latent exactly. What its error costs is decided here, and training with a tiny KL weight never"
                  " shows the decoder a noisy latent",
          do="a larger KL weight, or noise on the latent while the decoder is trained", refs="rule of thumb, not calibrated"),
    Entry("REC137", "decoder-follows-latent", ("output", "as-expected"), "decoder_response latent_bypass",
          where=lambda n: n["decoder_response"] >= 0.1 and n["latent_bypass"] < 1,
          says="With the latent of another clip the output changes by {decoder_response:.0%} of what the clips differ by, towards that clip: the"
               " decoder follows its latent.",
          title="The decoder's output follows its latent",
          checks="as REC131; between 10% and what the clips differ by, and nearer to the clip of the latent",
          matters="it speaks against a dead decoder, which a log can only suspect from a high loss", do="nothing", refs="against cause B8"),
    Entry("REC140", "grid-in-probed-output", ("output", "unstable"), "local_grid_peak decoder_response",
          where=lambda n: n["decoder_response"] > TRAINED, says=local_grid, shows=LOCAL_GRID, size="local_grid_level",
          title="A grid follows the content of the decoder's output, measured on clips",
          checks="as the second part of REC121, on the clips of a probe, where the output follows its latent",
          matters="no loss shows it, the eye does, and a diffusion model learns to make it too", do="as REC121",
          refs="REC121; Odena et al. 2016; cause B5"),
    Entry("REC143", "grid-in-flat-field", ("output", "unstable"), "flat_level decoder_response", shows="flat_period", size="flat_level",
          where=lambda n: n["flat_level"] >= VISIBLE and n["decoder_response"] > TRAINED,
          says="One latent in all places decodes to a grid with a period of {flat_period} pixels and a root mean square of {flat_level:.1f}"
               " 8-bit levels: the decoder makes it by itself, also where the picture is flat.",
          title="The decoder makes a grid where its latent is flat",
          checks="the mean latent of the clips is decoded as one value for all places. Away from the borders the output then repeats with"
                 " the decoder's stride, and its deviation from flat is the decoder's own grid: a root mean square of 1 8-bit level or more,"
                 " in a decoder that follows its latent",
          matters="flat areas such as sky and walls show it most, and no content of the originals can excuse it. No loss sees it",
          do="as REC121: resize and convolve in place of transposed convolutions and pixel shuffles. Probe the checkpoint before the GAN too:"
             " if it has none, the grid is the GAN's, and a lower disc_weight removes it",
          refs="Odena et al. 2016, \"Deconvolution and checkerboard artifacts\"; REC121, REC140; cause B5. The limit is a rule of thumb:"
               " vaelab's shipped video-tiny has 0.006 at most, and no large model was measured"),
)  # fmt: skip
