"""REC: what ``vaelab probe`` measured on a checkpoint's decoder."""

from __future__ import annotations

from vaelab.rules.evaluated import TRAINED
from vaelab.rules.evaluated_pictures import LOCAL_GRID, local_grid
from vaelab.rules.measured import Numbers, Probed


class OutputIgnoresLatent(Probed):
    """The decoder gives the same output whatever latent it gets.

    What it checks: squared change of the output when the latent of another clip is decoded, over the squared difference of
    the two clips; below 2%.
    Why it matters: the decoder is dead or has learned a constant picture; no loss weight helps before that is mended.
    What to do: look at the latent first: if that is dead too, it is posterior collapse; if it is alive, the decoder is
    broken: go back to the checkpoint before the reconstruction jumped.
    References: REC116 and REC117 in the log; causes B8, C1.
    """

    code = "REC131"
    name = "decoder-ignores-latent"
    finds = ("output", "collapsed")
    needs = ("probe.decoder_response",)
    shows = ("decoder_response", "active_share")

    def says(self, of: Numbers) -> str:
        response = of["decoder_response"]
        if response >= 0.02 or of["latent_bypass"] > 2:
            return ""
        return (
            f"The decoder's output changes by {response:.1%} of what it should when it gets the latent of another clip: it"
            " ignores its latent."
        )


class OutputFollowsLatent(Probed):
    """The decoder's output follows its latent.

    What it checks: as REC131; between 10% and what the clips differ by, and nearer to the clip of the latent.
    Why it matters: it speaks against a dead decoder, which a log can only suspect from a high loss.
    What to do: nothing.
    References: against cause B8.
    """

    code = "REC137"
    name = "decoder-follows-latent"
    finds = ("output", "as-expected")
    needs = ("probe.decoder_response", "probe.latent_bypass")
    shows = ("decoder_response", "latent_bypass x")

    def says(self, of: Numbers) -> str:
        response = of["decoder_response"]
        if response < 0.1 or of["latent_bypass"] >= 1:
            return ""
        return (
            f"With the latent of another clip the output changes by {response:.0%} of what the clips differ by, towards that"
            " clip: the decoder follows its latent."
        )


class OutputBypassesLatent(Probed):
    """The output is the clip that was encoded last, and not the one whose latent was decoded.

    What it checks: the latent of another clip is decoded right after a clip was encoded; squared distance of the output to
    the clip of that latent, over that to the clip encoded; above 2.
    Why it matters: something besides the latent leads from encoder to decoder (features kept in the module, a skip
    connection): the reconstruction says nothing of the latent, and a generated latent decodes to garbage.
    What to do: remove the connection; decode a saved latent in a new process.
    References: reasoning from what an autoencoder is.
    """

    code = "REC132"
    name = "output-bypasses-latent"
    finds = ("output", "contradicts")
    needs = ("probe.latent_bypass",)
    shows = ("latent_bypass x",)

    def says(self, of: Numbers) -> str:
        bypass = of["latent_bypass"]
        if bypass <= 2:
            return ""
        return (
            f"Decoding another clip's latent gives back the clip that was encoded last ({bypass:.3g} times closer): the"
            " output comes past the latent."
        )


class NoBottleneck(Probed):
    """The latent has room for every value of the clip.

    What it checks: values of the clip over values of its latent, below 1.
    Why it matters: such a model can copy its input; perfect reconstructions then say nothing, and a diffusion model on it
    saves nothing.
    Evidence it needs: vaelab probe.
    What to do: fewer latent channels or more compression.
    References: published video autoencoders compress 48 to 192 times in values.
    """

    code = "REC133"
    name = "no-bottleneck"
    finds = ("latent", "too-high")
    needs = ("probe.values_per_latent",)
    shows = ("values_per_latent",)

    def says(self, of: Numbers) -> str:
        ratio = of["values_per_latent"]
        if ratio >= 1:
            return ""
        return f"The latent holds {1 / ratio:.2g} values for each value of the clip: the model can copy its input."


class NotCausal(Probed):
    """A model that encodes the first frame alone lets later frames act on earlier ones.

    What it checks: one latent cell is changed: the largest change in earlier frames over the largest change; and the last
    frames of a clip are changed: the change of earlier latents over that of the last. Above 1%.
    Why it matters: images, clips of other lengths and decoding in chunks then give other results than in training:
    the first frame of a clip is not that image.
    Evidence it needs: vaelab probe of a video model whose clips have 1 + k x r frames.
    What to do: in a model of your own, pad in time in front only, and let no norm or attention span frames without a causal
    mask. Some published models are so by design (the decoder of LTX-Video, norms over time in CogVideoX and HunyuanVideo):
    decode them in the lengths they were trained on.
    References: MAGVIT-v2 (causal 3D convolutions); CausalVideoVAE here is causal exactly.
    """

    code = "REC134"
    name = "not-causal"
    finds = ("output", "contradicts")
    needs = ("probe.decoder_to_past|probe.encoder_to_past",)

    def says(self, of: Numbers) -> str:
        parts = " and ".join(f"the {name.removesuffix('_to_past')} by {of[name]:.0%}" for name in self.rests_on(of))
        return (
            f"Later frames act on earlier ones, of their own effect {parts}: the model is not causal." if parts else ""
        )

    def rests_on(self, of: Numbers) -> list[str]:
        return [name for name in ("decoder_to_past", "encoder_to_past") if of[name] > 0.01]


class FragileDecoder(Probed):
    """A little noise on the latent costs the decoder much.

    What it checks: PSNR between the output with noise of a tenth of each channel's standard deviation and the one without;
    below 20 dB.
    Why it matters: a diffusion model never hits a latent exactly. What its error costs is decided here, and training with a
    tiny KL weight never shows the decoder a noisy latent.
    What to do: a larger KL weight, or noise on the latent while the decoder is trained.
    References: rule of thumb, not calibrated.
    """

    code = "REC135"
    name = "decoder-fragile"
    finds = ("output", "unstable")
    needs = ("probe.psnr_of_noise_tenth",)
    shows = ("psnr_of_noise_tenth dB",)

    def says(self, of: Numbers) -> str:
        value = of["psnr_of_noise_tenth"]
        if value >= 20:
            return ""
        return (
            f"Noise of a tenth of the latent's standard deviation changes the output by {value:.1f} dB PSNR: a small error of"
            " a diffusion model will show."
        )


class GridInProbedOutput(Probed):
    """A grid follows the content of the decoder's output, measured on clips.

    What it checks: as the second part of REC121, on the clips of a probe, where the output follows its latent.
    Why it matters: no loss shows it, the eye does, and a diffusion model learns to make it too.
    What to do: as REC121.
    References: REC121; Odena et al. 2016; cause B5.
    """

    code = "REC140"
    name = "grid-in-probed-output"
    finds = ("output", "unstable")
    needs = ("probe.local_grid_peak", "probe.decoder_response")
    shows = LOCAL_GRID
    sized_by = "local_grid_level"

    def says(self, of: Numbers) -> str:
        return local_grid(of) if of["decoder_response"] > TRAINED else ""
