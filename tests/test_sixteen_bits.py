"""Images with 16 bits a channel: which value is white, and data of fewer bits that would be black."""

from __future__ import annotations

import io
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from evaluate_models import write_run
from vaelab.cli.app import app
from vaelab.config.schema import DataConfig
from vaelab.data import open_data
from vaelab.data.decode import read_image


def grey_16(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(out, "PNG")
    return out.getvalue()


def colour_16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write."""
    out = io.BytesIO()
    with av.open(out, "w", format="image2pipe") as container:
        stream = container.add_stream("png")
        stream.height, stream.width, stream.pix_fmt = *values.shape[:2], "rgb48be"
        frame = av.VideoFrame.from_ndarray(values.astype(np.uint16), format="rgb48le").reformat(format="rgb48be")
        container.mux([*stream.encode(frame), *stream.encode()])
    return out.getvalue()


@pytest.mark.parametrize("colour", [False, True])
def test_12_bits_in_a_file_of_16_are_as_bright_as_their_white(colour: bool) -> None:
    values = np.arange(4096).reshape(64, 64)
    values = np.stack([values, values[::-1], values.T], axis=2) if colour else values
    content = colour_16(values) if colour else grey_16(values)
    assert np.array_equal(np.asarray(read_image(content, 4095)), np.rint(values * 255 / 4095))
    assert np.asarray(read_image(content)).max() == 16
    assert np.asarray(read_image(content, 1000)).max() == 255  # above white


@pytest.mark.parametrize(
    ("top", "white", "says"),
    [
        (4095, 65535, "4 images of 16 bits were looked at: no value is above 4095 of 65535.*set data.white_level=4095"),
        (900, 65535, "no value is above 900 of 65535.*10-bit data, set data.white_level=1023"),
        (4095, 4095, ""),
        (60000, 65535, ""),
        (0, 65535, ""),
        (9000, 4095, "values reach 9000, and all above data.white_level=4095 becomes white"),
    ],
)
def test_data_that_would_be_black_are_said(tmp_path: Path, top: int, white: int, says: str) -> None:
    for number in range(4):
        values = np.linspace(0, top, 64).astype(np.uint16).reshape(8, 8)
        values[0, 0] = number if top > number else 0  # no two files are copies
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    config = DataConfig(source="images", path=str(tmp_path), frames=1, resolution=(8, 8), white_level=white)
    notes = " ".join(open_data(config, 0).notes)
    assert re.search(says, notes) if says else "16 bits" not in notes


@pytest.mark.parametrize("command", ["evaluate", "reconstruct", "probe"])
def test_the_commands_say_it_and_take_the_setting_of_the_run(command: str, tmp_path: Path) -> None:
    run, out, images = write_run(tmp_path / "run"), tmp_path / "out", tmp_path / "images"
    images.mkdir()
    for number in range(2):
        (images / f"{number}.png").write_bytes(grey_16(np.arange(64).reshape(8, 8) * 60 + number))
    size = [] if command == "reconstruct" else ["--clip", "1x8x8"]
    arguments = [command, str(run), str(images), *size, "-o", str(out)]
    settings = run / "config.yaml"
    for white, said in ((65535, True), (4095, False)):
        settings.write_text(settings.read_text().replace("white_level: 65535", f"white_level: {white}"))
        shown = " ".join(CliRunner(env={"COLUMNS": "400"}).invoke(app, arguments).output.split())
        assert ("set data.white_level=4095" in shown) is said, shown
