"""REC: faults of single frames in what ``vaelab evaluate`` measured: a grid, blur, noise, colours."""

from __future__ import annotations

import math
from collections.abc import Iterable

from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.rules.evaluated import TRAINED, evidence, is_trained, measurement
from vaelab.words import number

LEVELS = 127.5  # 8-bit levels in one unit of the range -1 to 1
NOISY = 1.5  # energy of fine detail over that of the originals


def is_local_grid(peak: float, level: float) -> bool:
    """Whether a pattern in short windows of the output is a grid: power over that of both neighbours (and over the originals'),
    amplitude in 8-bit levels. White noise and blur have a peak of 1 and less."""
    return peak >= 1.5 and level >= 0.5


class GridInOutput(Rule):
    """A regular grid or checkerboard lies over the output.

    What it checks: lines in the spectrum of the error at the multiples of 1 / stride of the decoder: power over 2.5
    times that of the neighbouring frequencies, an amplitude over half an 8-bit level, and 1.5 times that of the same line in the
    originals. A pattern that follows the content is no such line: it is looked for in the spectra of short windows (four latents)
    of the output, at 1.5 times the power of both neighbours and of what the originals have there.

    Why it matters: no loss shows it, it is visible in flat areas, and a diffusion model learns to make it too.

    Evidence it needs: ``grid_peak`` or ``local_grid_peak`` of ``vaelab evaluate`` or ``vaelab probe``.

    What to do: resize and convolve in place of transposed convolutions and pixel shuffles; a lower weight of the GAN if the
    grid came with it; train longer; look at the pictures of ``vaelab reconstruct``.

    References: Odena et al. 2016; CompVis/taming-transformers#41; cause B5.
    """

    code = "REC121"
    name = "grid-in-output"
    finds = ("output", "unstable")
    needs = ("evaluation.grid_peak|evaluation.local_grid_peak|probe.local_grid_peak",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        peak, level = measurement(facts, "grid_peak"), measurement(facts, "grid_level")
        line = peak >= 2.5 and level >= max(0.5, 1.5 * measurement(facts, "grid_input_level"))
        if not line or not is_trained(facts):
            yield from self._local(facts)
            return
        yield self.finding(
            f"A pattern with a period of {number(measurement(facts, 'grid_period'))} pixels lies over the output: its line in"
            f" the spectrum of the error is {peak:.1f} times its neighbourhood, an amplitude of {level:.1f} 8-bit levels;"
            f" the originals have {measurement(facts, 'grid_input_level'):.1f} there.",
            size=level,
            evidence=evidence(facts, "grid_peak", "grid_period", "grid_level"),
        )

    def _local(self, facts: Facts) -> Iterable[Finding]:
        measured = facts.run.measured
        probed = measured.get("probe.decoder_response", 0.0) > TRAINED
        for source, trained in (("evaluation", is_trained(facts)), ("probe", probed)):
            names = [f"{source}.local_grid_{part}" for part in ("peak", "period", "level")]
            peak, period, level = (measured.get(name, math.nan) for name in names)
            if not trained or not is_local_grid(peak, level):
                continue
            yield self.finding(
                f"A pattern with a period of {number(period)} pixels follows the content of the output: in short windows it has"
                f" {peak:.1f} times the power of its neighbourhood, an amplitude of {level:.1f} 8-bit levels, and the originals"
                " do not have it.",
                size=level,
                evidence=[Evidence(name, measured[name]) for name in names],
            )
            return


class BlurredOutput(Rule):
    """Fine detail is missing from the output.

    What it checks: energy above 0.25 cycles a pixel against the originals' under 0.5, in a model that explains more than
    half of the variance.

    Why it matters: PSNR hardly sees it, people do. The best answer to a pixel loss alone is the average of what is
    plausible, which is blurred.

    Evidence it needs: ``evaluation.hf_ratio``.

    What to do: add or raise LPIPS, start the GAN; with few nats per element lower the KL weight first.

    References: Open-Sora-Plan report 1.0.0; causes B1, C2.
    """

    code = "REC123"
    name = "blurred-output"
    finds = ("output", "too-low")
    needs = ("evaluation.hf_ratio",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        ratio = measurement(facts, "hf_ratio")
        if ratio < 0.5 and is_trained(facts):
            yield self.finding(
                f"The output has {ratio:.0%} of the originals' fine detail (power above 0.25 cycles a pixel): it is blurred.",
                evidence=evidence(facts, "hf_ratio", "psnr"),
            )


class NoisyOutput(Rule):
    """The output has more fine detail than the originals: noise or invented texture.

    What it checks: energy above 0.25 cycles a pixel against the originals' over 1.5, without a regular grid, which REC121
    names.

    Why it matters: invented texture flickers in videos and is not in the right place; LPIPS and a GAN reward it.

    Evidence it needs: ``evaluation.hf_ratio``.

    What to do: less GAN or LPIPS weight; compare with the checkpoint before the GAN.

    References: criteria D6, B4; CompVis/latent-diffusion.
    """

    code = "REC124"
    name = "noisy-output"
    finds = ("output", "too-high")
    needs = ("evaluation.hf_ratio",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        ratio = measurement(facts, "hf_ratio")
        grid = any(True for _ in GridInOutput().check(facts))
        if ratio > NOISY and not grid and is_trained(facts):
            yield self.finding(
                f"The output has {number(ratio)} times the originals' fine detail (power above 0.25 cycles a pixel): noise, or"
                " texture that is not in the input.",
                evidence=evidence(facts, "hf_ratio", "psnr"),
            )


class ColourBias(Rule):
    """The colours or the brightness of all clips are shifted the same way.

    What it checks: mean of output minus input of a channel, over all clips: more than 4 of 255 levels, and more than half of
    what it is within a clip whatever its sign.

    Why it matters: LPIPS is nearly blind to it, and a chain of encodings adds it up.

    Evidence it needs: ``evaluation.colour_bias``.

    What to do: more pixel weight; train at the resolution of use; check that both sides of the loss are normalised alike.

    References: madebyollin/taesd#11; cause B6.
    """

    code = "REC125"
    name = "colour-bias"
    finds = ("output", "contradicts")
    needs = ("evaluation.colour_bias",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        bias = LEVELS * measurement(facts, "colour_bias")
        alike = not bias < LEVELS * measurement(facts, "colour_shift") / 2
        if not bias > 4 or not alike or not is_trained(facts):
            return
        names = {"bias_r": "red", "bias_g": "green", "bias_b": "blue", "bias_grey": "grey"}
        shifts = {word: LEVELS * measurement(facts, name) for name, word in names.items()}
        said = ", ".join(f"{word} {value:+.1f}" for word, value in shifts.items() if value == value)
        yield self.finding(
            f"The output's mean differs from the input's in all clips alike, in 8-bit levels: {said}.",
            size=bias,
            evidence=evidence(facts, "colour_bias"),
        )
