"""REC: faults of single frames in what ``vaelab evaluate`` measured: a grid, blur, noise, colours."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.rules.evaluated import is_trained
from vaelab.rules.measured import Evaluated, Numbers
from vaelab.words import number

LEVELS = 127.5  # 8-bit levels in one unit of the range -1 to 1
NOISY = 1.5  # energy of fine detail over that of the originals


def is_local_grid(peak: float, level: float) -> bool:
    """Whether a pattern in short windows of the output is a grid: power over that of both neighbours (and over the originals'),
    amplitude in 8-bit levels. White noise and blur have a peak of 1 and less."""
    return peak >= 1.5 and level >= 0.5


def local_grid(of: Numbers) -> str:
    """The sentence on such a pattern; empty where there is none."""
    peak, level = of["local_grid_peak"], of["local_grid_level"]
    if not is_local_grid(peak, level):
        return ""
    return (
        f"A pattern with a period of {number(of['local_grid_period'])} pixels follows the content of the output: in short windows it"
        f" has {peak:.1f} times the power of its neighbourhood, an amplitude of {level:.1f} 8-bit levels, and the originals do not"
        " have it."
    )


LOCAL_GRID = ("local_grid_peak", "local_grid_period", "local_grid_level")


class GridInOutput(Evaluated):
    """A regular grid or checkerboard lies over the output.

    What it checks: lines in the spectrum of the error at the multiples of 1 / stride of the decoder: power over 2.5
    times that of the neighbouring frequencies, an amplitude over half an 8-bit level, and 1.5 times that of the same line in the
    originals. A pattern that follows the content is no such line: it is looked for in the spectra of short windows (four latents)
    of the output, at 1.5 times the power of both neighbours and of what the originals have there.
    Why it matters: no loss shows it, it is visible in flat areas, and a diffusion model learns to make it too.
    Evidence it needs: ``grid_peak`` or ``local_grid_peak`` of ``vaelab evaluate``.
    What to do: resize and convolve in place of transposed convolutions and pixel shuffles; a lower weight of the GAN if the
    grid came with it; train longer; look at the pictures of ``vaelab reconstruct``.
    References: Odena et al. 2016; CompVis/taming-transformers#41; cause B5.
    """

    code = "REC121"
    name = "grid-in-output"
    finds = ("output", "unstable")
    needs = ("evaluation.grid_peak|evaluation.local_grid_peak",)
    shows = ("clips", "grid_peak", "grid_period", "grid_level")

    def says(self, of: Numbers) -> str:
        if not is_trained(of):
            return ""
        if not self._has_line(of):
            return local_grid(of)
        return (
            f"A pattern with a period of {number(of['grid_period'])} pixels lies over the output: its line in"
            f" the spectrum of the error is {of['grid_peak']:.1f} times its neighbourhood, an amplitude of"
            f" {of['grid_level']:.1f} 8-bit levels; the originals have {of['grid_input_level']:.1f} there."
        )

    def rests_on(self, of: Numbers) -> Iterable[str]:
        return self.shows if self._has_line(of) else ("clips", *LOCAL_GRID)

    def size(self, of: Numbers) -> float:
        return of["grid_level" if self._has_line(of) else "local_grid_level"]

    @staticmethod
    def _has_line(of: Numbers) -> bool:
        least = max(0.5, 1.5 * of["grid_input_level"])
        return of["grid_peak"] >= 2.5 and of["grid_level"] >= least


class BlurredOutput(Evaluated):
    """Fine detail is missing from the output.

    What it checks: energy above 0.25 cycles a pixel against the originals' under 0.5, in a model that explains more than
    half of the variance.
    Why it matters: PSNR hardly sees it, people do. The best answer to a pixel loss alone is the average of what is
    plausible, which is blurred.
    What to do: add or raise LPIPS, start the GAN; with few nats per element lower the KL weight first.
    References: Open-Sora-Plan report 1.0.0; causes B1, C2.
    """

    code = "REC123"
    name = "blurred-output"
    finds = ("output", "too-low")
    needs = ("evaluation.hf_ratio",)
    shows = ("clips", "hf_ratio", "psnr")

    def says(self, of: Numbers) -> str:
        ratio = of["hf_ratio"]
        if not ratio < 0.5 or not is_trained(of):
            return ""
        return f"The output has {ratio:.0%} of the originals' fine detail (power above 0.25 cycles a pixel): it is blurred."


class NoisyOutput(Evaluated):
    """The output has more fine detail than the originals: noise or invented texture.

    What it checks: energy above 0.25 cycles a pixel against the originals' over 1.5, without a regular grid, which REC121
    names.
    Why it matters: invented texture flickers in videos and is not in the right place; LPIPS and a GAN reward it.
    What to do: less GAN or LPIPS weight; compare with the checkpoint before the GAN.
    References: criteria D6, B4; CompVis/latent-diffusion.
    """

    code = "REC124"
    name = "noisy-output"
    finds = ("output", "too-high")
    needs = ("evaluation.hf_ratio",)
    shows = ("clips", "hf_ratio", "psnr")

    def says(self, of: Numbers) -> str:
        ratio = of["hf_ratio"]
        if not ratio > NOISY or GridInOutput().says(of) or not is_trained(of):
            return ""
        return (
            f"The output has {number(ratio)} times the originals' fine detail (power above 0.25 cycles a pixel): noise, or"
            " texture that is not in the input."
        )


class ColourBias(Evaluated):
    """The colours or the brightness of all clips are shifted the same way.

    What it checks: mean of output minus input of a channel, over all clips: more than 4 of 255 levels, and more than half of
    what it is within a clip whatever its sign.
    Why it matters: LPIPS is nearly blind to it, and a chain of encodings adds it up.
    What to do: more pixel weight; train at the resolution of use; check that both sides of the loss are normalised alike.
    References: madebyollin/taesd#11; cause B6.
    """

    code = "REC125"
    name = "colour-bias"
    finds = ("output", "contradicts")
    needs = ("evaluation.colour_bias",)
    shows = ("clips", "colour_bias")

    def says(self, of: Numbers) -> str:
        bias = self.size(of)
        alike = not bias < LEVELS * of["colour_shift"] / 2
        if not bias > 4 or not alike or not is_trained(of):
            return ""
        names = {"bias_r": "red", "bias_g": "green", "bias_b": "blue", "bias_grey": "grey"}
        said = ", ".join(f"{word} {LEVELS * of[name]:+.1f}" for name, word in names.items() if name in of)
        return f"The output's mean differs from the input's in all clips alike, in 8-bit levels: {said}."

    def size(self, of: Numbers) -> float:
        return LEVELS * of["colour_bias"]
