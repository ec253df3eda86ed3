"""REC: what a probed decoder makes of a latent that is the same everywhere."""

from __future__ import annotations

from vaelab.rules.evaluated import TRAINED
from vaelab.rules.measured import Numbers, Probed
from vaelab.words import number

VISIBLE = 1.0  # root mean square in 8-bit levels


class GridInFlatField(Probed):
    """The decoder makes a grid where its latent is flat.

    What it checks: the mean latent of the clips is decoded as one value for all places. Away from the borders the output then
    repeats with the decoder's stride, and its deviation from flat is the decoder's own grid: a root mean square of 1 8-bit level
    or more, in a decoder that follows its latent.

    Why it matters: flat areas such as sky and walls show it most, and no content of the originals can excuse it. No loss sees it.

    What to do: as REC121: resize and convolve in place of transposed convolutions and pixel shuffles. Probe the checkpoint before the
    GAN too: if it has none, the grid is the GAN's, and a lower disc_weight removes it.

    References: Odena et al. 2016, "Deconvolution and checkerboard artifacts"; REC121, REC140; cause B5. The limit is a rule of thumb:
    vaelab's shipped video-tiny has 0.006 at most, and no large model was measured.
    """

    code = "REC143"
    name = "grid-in-flat-field"
    finds = ("output", "unstable")
    needs = ("probe.flat_level", "probe.decoder_response")
    shows = ("flat_level 8-bit levels", "flat_period pixels")
    sized_by = "flat_level"

    def says(self, of: Numbers) -> str:
        level = of["flat_level"]
        if not level >= VISIBLE or of["decoder_response"] <= TRAINED:
            return ""
        return (
            f"One latent in all places decodes to a grid with a period of {number(of['flat_period'])} pixels and a root mean square"
            f" of {level:.1f} 8-bit levels: the decoder makes it by itself, also where the picture is flat."
        )
