"""REC: faults over time in what ``vaelab evaluate`` measured: frozen or flickering output, first frames, seams."""

from __future__ import annotations

from vaelab.rules.evaluated import is_trained, wrong_range
from vaelab.rules.evaluated_pictures import NOISY
from vaelab.rules.measured import Evaluated, Numbers
from vaelab.words import number


class FrozenOutput(Evaluated):
    """The output does not move although the clips do.

    What it checks: mean change from frame to frame of the output over that of the originals: under 0.02 in an output that
    explains some of the variance, or under 0.1 where the first frame is more than 3 dB better than the rest.
    Why it matters: on slow clips the loss of a frozen video is low; the temporal layers carry nothing.
    Evidence it needs: ``evaluation.motion_ratio`` on clips that move.
    What to do: check the number of frames (1 + n x temporal compression) and the order of the axes.
    References: Lightricks/LTX-Video-Trainer#3; causes B10, A8.
    """

    code = "REC122"
    name = "frozen-output"
    finds = ("output", "stuck")
    needs = ("evaluation.motion_ratio",)
    shows = ("clips", "motion_ratio", "first_frame")

    def says(self, of: Numbers) -> str:
        motion, first = of["motion_ratio"], of["first_frame"]
        still = motion < 0.02 and of["explained_variance"] > 0.3
        if not (still or (motion < 0.1 and first > 3)) or wrong_range(of) is not None:
            return ""
        better = f"; the first frame is {first:.1f} dB better than the rest" if first > 1 else ""
        return (
            f"The output changes from frame to frame {motion:.1%} as much as the clips do{better}: the video is frozen."
        )


class FlickeringOutput(Evaluated):
    """The output changes from frame to frame more than the clips do.

    What it checks: mean change from frame to frame of the output over that of the originals: more than 1.5, without
    the fine noise that REC124 names.
    Why it matters: scores of single frames do not see flicker, viewers see it first.
    Evidence it needs: ``evaluation.motion_ratio`` on clips that move.
    What to do: a three-dimensional discriminator, less LPIPS, a loss on frame differences.
    References: Overworldai/owl-vaes#10; cause B9.
    """

    code = "REC130"
    name = "flickering-output"
    finds = ("output", "unstable")
    needs = ("evaluation.motion_ratio",)
    shows = ("clips", "motion_ratio", "flickering")

    def says(self, of: Numbers) -> str:
        motion = of["motion_ratio"]
        if not motion > 1.5 or of["hf_ratio"] > NOISY or not is_trained(of):
            return ""
        return f"The output changes {number(motion)} times as much from frame to frame as the clips do: it flickers."


class FirstFrameDiffers(Evaluated):
    """The first frame is much worse than the others.

    What it checks: PSNR of the first frame minus that of the rest under -3 dB.
    Why it matters: a causal model encodes the first frame alone, and images are such frames; a ghost there is the mark of
    a frame count off the causal grid, or of a model that saw no images.
    What to do: clips of 1 + n x temporal compression frames; mix images into the training.
    References: zai-org/CogVideo#102; cause A8.
    """

    code = "REC128"
    name = "first-frame-worse"
    finds = ("output", "worse")
    needs = ("evaluation.first_frame",)
    shows = ("clips", "first_frame")

    def says(self, of: Numbers) -> str:
        gap = of["first_frame"]
        return f"The first frame has {-gap:.1f} dB less PSNR than the others." if gap < -3 and is_trained(of) else ""


class ChunkSeams(Evaluated):
    """Cutting a video into chunks shows at their borders.

    What it checks: the change of the error from frame to frame at the borders of chunks over that elsewhere: more than 2;
    or more than 1 dB of PSNR lost by chunks.
    Why it matters: long videos are only ever decoded in chunks, and the training never saw the borders.
    Evidence it needs: ``evaluation.seam``, of clips that hold two chunks.
    What to do: share more frames between chunks, or cache the causal context; use chunks of the training's length.
    References: WF-VAE paper, table 5 (Allegro 31.71 to 25.31 dB in blocks); cause B12.
    """

    code = "REC129"
    name = "chunk-seams"
    finds = ("output", "jumped")
    needs = ("evaluation.seam",)
    shows = ("clips", "seam", "chunk_loss")

    def says(self, of: Numbers) -> str:
        seam, loss = of["seam"], of["chunk_loss"]
        if not (seam > 2 or loss > 1) or not is_trained(of):
            return ""
        return (
            f"At the borders of chunks the error changes {seam:.1f} times as much as from frame to frame elsewhere, and"
            f" chunks cost {loss:.1f} dB."
        )
