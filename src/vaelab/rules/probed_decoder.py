"""REC: what ``vaelab probe`` measured on a checkpoint's decoder."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.facts import Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.probed import at_step, evidence, probed


class OutputIgnoresLatent(Rule):
    """The decoder gives the same output whatever latent it gets.

    What it checks: squared change of the output when the latent of another clip is decoded, over the squared difference of
    the two clips; below 2%.

    Why it matters: the decoder is dead or has learned a constant picture; no loss weight helps before that is mended.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: look at the latent first: if that is dead too, it is posterior collapse; if it is alive, the decoder is
    broken: go back to the checkpoint before the reconstruction jumped.

    References: REC116 and REC117 in the log; causes B8, C1.
    """

    code = "REC131"
    name = "decoder-ignores-latent"
    finds = ("output", "collapsed")
    needs = ("probe.decoder_response",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        response, bypass = probed(facts, "decoder_response"), probed(facts, "latent_bypass")
        if response >= 0.02 or bypass > 2:
            return
        yield self.finding(
            f"The decoder's output changes by {response:.1%} of what it should when it gets the latent of another clip: it"
            " ignores its latent.",
            steps=at_step(facts),
            evidence=(evidence(facts, "decoder_response"), evidence(facts, "active_share")),
        )


class OutputFollowsLatent(Rule):
    """The decoder's output follows its latent.

    What it checks: as REC131; between 10% and what the clips differ by, and nearer to the clip of the latent.

    Why it matters: it speaks against a dead decoder, which a log can only suspect from a high loss.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: nothing.

    References: against cause B8.
    """

    code = "REC137"
    name = "decoder-follows-latent"
    finds = ("output", "as-expected")
    needs = ("probe.decoder_response", "probe.latent_bypass")

    def check(self, facts: Facts) -> Iterable[Finding]:
        response, bypass = probed(facts, "decoder_response"), probed(facts, "latent_bypass")
        if response < 0.1 or bypass >= 1:
            return
        yield self.finding(
            f"With the latent of another clip the output changes by {response:.0%} of what the clips differ by, towards that"
            " clip: the decoder follows its latent.",
            steps=at_step(facts),
            evidence=(evidence(facts, "decoder_response"), evidence(facts, "latent_bypass", "x")),
        )


class OutputBypassesLatent(Rule):
    """The output is the clip that was encoded last, and not the one whose latent was decoded.

    What it checks: the latent of another clip is decoded right after a clip was encoded; squared distance of the output to
    the clip of that latent, over that to the clip encoded; above 2.

    Why it matters: something besides the latent leads from encoder to decoder (features kept in the module, a skip
    connection): the reconstruction says nothing of the latent, and a generated latent decodes to garbage.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: remove the connection; decode a saved latent in a new process.

    References: reasoning from what an autoencoder is.
    """

    code = "REC132"
    name = "output-bypasses-latent"
    finds = ("output", "contradicts")
    needs = ("probe.latent_bypass",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        bypass = probed(facts, "latent_bypass")
        if bypass <= 2:
            return
        yield self.finding(
            f"Decoding another clip's latent gives back the clip that was encoded last ({bypass:.3g} times closer): the"
            " output comes past the latent.",
            steps=at_step(facts),
            evidence=(evidence(facts, "latent_bypass", "x"),),
        )


class NoBottleneck(Rule):
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

    def check(self, facts: Facts) -> Iterable[Finding]:
        ratio = probed(facts, "values_per_latent")
        if ratio >= 1:
            return
        yield self.finding(
            f"The latent holds {1 / ratio:.2g} values for each value of the clip: the model can copy its input.",
            steps=at_step(facts),
            evidence=(evidence(facts, "values_per_latent"),),
        )


class NotCausal(Rule):
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

    def check(self, facts: Facts) -> Iterable[Finding]:
        parts = {part: probed(facts, f"{part}_to_past") for part in ("decoder", "encoder")}
        leaks = [part for part, value in parts.items() if value > 0.01]
        if not leaks:
            return
        said = " and ".join(f"the {part} by {parts[part]:.0%}" for part in leaks)
        yield self.finding(
            f"Later frames act on earlier ones, of their own effect {said}: the model is not causal.",
            steps=at_step(facts),
            evidence=tuple(evidence(facts, f"{part}_to_past") for part in leaks),
        )


class FragileDecoder(Rule):
    """A little noise on the latent costs the decoder much.

    What it checks: PSNR between the output with noise of a tenth of each channel's standard deviation and the one without;
    below 20 dB.

    Why it matters: a diffusion model never hits a latent exactly. What its error costs is decided here, and training with a
    tiny KL weight never shows the decoder a noisy latent.

    Evidence it needs: vaelab probe on 8 clips or more.

    What to do: a larger KL weight, or noise on the latent while the decoder is trained.

    References: rule of thumb, not calibrated.
    """

    code = "REC135"
    name = "decoder-fragile"
    finds = ("output", "unstable")
    needs = ("probe.psnr_of_noise_tenth",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        value = probed(facts, "psnr_of_noise_tenth")
        if value >= 20:
            return
        yield self.finding(
            f"Noise of a tenth of the latent's standard deviation changes the output by {value:.1f} dB PSNR: a small error of"
            " a diffusion model will show.",
            steps=at_step(facts),
            evidence=(evidence(facts, "psnr_of_noise_tenth", "dB"),),
        )
