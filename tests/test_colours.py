"""One conversion of a video's values for training, evaluation and reconstruction: flat clips of known colours come out as those."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from vaelab.data.crop import View
from vaelab.data.decode import read_clip
from vaelab.evaluation.clips import open_clips
from vaelab.evaluation.media import open_media
from vaelab.evaluation.pictures import to_uint8
from vaelab.models.grid import Grid

SIDE = 32
ANY_SIZE = Grid(1, 1, 1, first_frame_alone=False)
# brightness and two colours in limited range, 8 bits
COLOURS = [(60, 120, 140), (97, 131, 119), (128, 128, 128), (151, 112, 133), (190, 139, 117), (73, 110, 126)]


def as_rgb(y: int, u: int, v: int) -> np.ndarray:
    """ITU-R BT.601, limited range, without rounding."""
    bright, blue, red = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    return np.array([bright + 1.402 * red, bright - 0.344136 * blue - 0.714136 * red, bright + 1.772 * blue])


def write_flat(path: Path, layout: str) -> Path:
    """A lossless clip, one colour a frame."""
    wide = "10" in layout
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = SIDE, SIDE, layout
        for colour in COLOURS:
            frame = av.VideoFrame(SIDE, SIDE, layout)
            for plane, value in zip(frame.planes, colour, strict=True):
                kind = np.uint16 if wide else np.uint8
                values = np.full(plane.buffer_size // kind().itemsize, value * 4 if wide else value, kind)
                plane.update(values.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"])
def test_the_colours_of_a_flat_clip_are_those_that_were_written(tmp_path: Path, layout: str) -> None:
    """FFmpeg's own default rounds down where colours have fewer values than brightness: 1 to 2 levels too dark on average."""
    path = write_flat(tmp_path / "flat.mkv", layout)
    clip = read_clip(path, 0.0, len(COLOURS))
    assert clip.frames[0].format.name == layout
    trained_on = clip.pixels(View(), (SIDE, SIDE), 3)
    (_, evaluated), *_ = open_clips(str(path), None, ANY_SIZE, 3, 1, len(COLOURS), (SIDE, SIDE))
    reconstructed = [to_uint8(frame).permute(1, 2, 0).numpy() for frame in open_media(path).read(3)]
    assert np.array_equal(to_uint8(evaluated)[0].permute(1, 2, 3, 0).numpy(), trained_on)
    assert np.array_equal(reconstructed, trained_on)
    away = np.stack([pixels - as_rgb(*colour) for pixels, colour in zip(trained_on, COLOURS, strict=True)])
    assert np.abs(away).max() < 0.6 and np.abs(away.mean((0, 1, 2))).max() < 0.3
