"""Previews are complete pictures and films that a person and a browser can read."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaelab.errors import TrainError
from vaelab.evaluation import preview, write_preview
from vaelab.evaluation.preview import GAP, NOT_FINITE, STRIP

av = pytest.importorskip("av")
torch.set_num_threads(1)


def clips(frames: int = 3, height: int = 16, width: int = 24, channels: int = 3, count: int = 2) -> torch.Tensor:
    """Frame t is plain, at -0.5 + 0.2 t."""
    level = -0.5 + 0.2 * torch.arange(frames).view(1, 1, frames, 1, 1)
    return level.expand(count, channels, frames, height, width).clone()


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_clip_gives_a_png_and_an_mp4_that_browsers_play(tmp_path: Path) -> None:
    x = clips(frames=5)
    files = write_preview(tmp_path / "previews", 1200, x, x + 0.1, ["a", "b"])
    assert [path.name for path in files] == ["preview_00001200.png", "preview_00001200.mp4"]
    assert sorted(path.name for path in (tmp_path / "previews").iterdir()) == sorted(path.name for path in files)
    with av.open(str(files[1])) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == stream.height % 2 == 0
        decoded = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert len(decoded) == 5
    place = (STRIP + STRIP + 20, GAP + 20)  # inside the original of the first clip
    assert [int(frame[place][0]) for frame in decoded] == pytest.approx([64, 89, 115, 140, 166], abs=4)
    content = files[1].read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")  # plays before it is loaded in full


def test_columns_are_original_reconstruction_and_amplified_error(tmp_path: Path) -> None:
    x = clips(frames=1, height=200, width=200, count=1)
    (path,) = write_preview(tmp_path, 1, x, x + 0.1, ["a"])
    row, cell = STRIP + STRIP + 100, 200 + GAP
    original, reconstruction, error = (int(picture(path)[row, GAP + i * cell + 100, 0]) for i in range(3))
    assert (original, reconstruction) == (round(0.5 * 127.5), round(0.6 * 127.5))
    assert error == pytest.approx(127.5 * 1.4, abs=1)  # 4 x 0.1 above grey


def test_the_png_says_where_its_tiles_lie(tmp_path: Path) -> None:
    x = clips(frames=5)
    with Image.open(write_preview(tmp_path, 1, x, -x, ["a", "b"])[0]) as shown:
        tiles, pixels = json.loads(shown.info["tiles"]), np.asarray(shown)
    assert (tiles["width"], tiles["height"]) == (192, 128) and len(tiles["lefts"]) == 3 and len(tiles["tops"]) == 2
    for top in tiles["tops"]:
        for left, level in zip(tiles["lefts"], (-0.5, -0.1, 0.3), strict=True):
            for start, value in ((left, level), (left + tiles["cell"], -level)):
                tile = pixels[top : top + tiles["height"], start : start + tiles["width"]]
                assert tile.min() == tile.max() == round(127.5 * (1 + value))


def test_the_png_shows_first_middle_and_last_frame(tmp_path: Path) -> None:
    x = clips(frames=5, height=200, width=200, count=1)
    found = picture(write_preview(tmp_path, 1, x, x, ["a"])[0])
    group = 3 * (200 + GAP) + 2 * GAP
    levels = [int(found[STRIP + STRIP + 100, GAP + i * group + 100, 0]) for i in range(3)]
    assert levels == [round((0.5 + 0.2 * t) * 127.5) for t in (0, 2, 4)]


@pytest.mark.parametrize(("height", "width"), [(16, 24), (7, 5), (1, 1), (300, 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_gives_something_to_see(tmp_path: Path, height: int, width: int, channels: int) -> None:
    x = clips(2, height, width, channels)
    still, film = write_preview(tmp_path, 1, x, x, ["a", "b"])
    assert min(Image.open(still).size) >= 192
    with av.open(str(film)) as container:
        assert len(list(container.decode(video=0))) == 2


def test_enlarging_keeps_the_pixels_sharp(tmp_path: Path) -> None:
    x = torch.full((1, 1, 1, 2, 2), -1.0)
    x[..., 0, 0] = 1
    (path,) = write_preview(tmp_path, 1, x, x, ["a"])
    tile = picture(path)[2 * STRIP : 2 * STRIP + 192, GAP : GAP + 192]
    assert set(np.unique(tile)) == {0, 255}
    assert tile[:96, :96].min() == 255
    assert tile[96:, 96:].max() == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_magenta(tmp_path: Path, bad: float) -> None:
    x = clips(frames=1, height=200, width=200, count=1)
    r = x.clone()
    r[..., 50:150, 50:150] = bad
    found = picture(write_preview(tmp_path, 1, x, r, ["a"])[0])
    row, cell = 2 * STRIP + 100, 200 + GAP
    assert [tuple(found[row, GAP + i * cell + 100]) == NOT_FINITE for i in range(3)] == [False, True, True]
    assert tuple(found[2 * STRIP + 10, GAP + cell + 10]) != NOT_FINITE


def test_labels_differ_with_name_and_score(tmp_path: Path) -> None:
    def strip(r: torch.Tensor, name: str) -> bytes:
        (path,) = write_preview(tmp_path, 1, x, r, [name])
        return picture(path)[STRIP : 2 * STRIP].tobytes()

    x = clips(frames=1, count=1)
    assert len({strip(x, "a"), strip(x, "b"), strip(x + 0.1, "a"), strip(x * math.nan, "a")}) == 4


def test_any_name_can_be_written(tmp_path: Path) -> None:
    x = clips(frames=1, count=3)
    assert write_preview(tmp_path, 1, x, x, ["城市/räume.png", "x" * 5000, ""])


def test_a_preview_is_replaced_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = clips()
    _, film = write_preview(tmp_path, 1, x, x, ["a", "b"])
    before = film.read_bytes()

    def fails(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preview, "_write_mp4", fails)
    with pytest.raises(TrainError, match=r"step 1 .*No space left"):
        write_preview(tmp_path, 1, x, x + 0.1, ["a", "b"])
    assert film.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_without_the_encoder_there_is_still_the_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview.av, "codecs_available", set())
    assert [path.suffix for path in write_preview(tmp_path, 1, clips(), clips(), ["a", "b"])] == [".png"]


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "previews").write_text("")
    with pytest.raises(TrainError, match="previews"):
        write_preview(tmp_path / "previews", 1, clips(), clips(), ["a", "b"])


def test_shapes_and_names_must_fit(tmp_path: Path) -> None:
    x = clips()
    with pytest.raises(ValueError, match="1 or 3 channels"):
        write_preview(tmp_path, 1, x[:, :2], x[:, :2], ["a", "b"])
    with pytest.raises(ValueError, match="1 names"):
        write_preview(tmp_path, 1, x, x, ["a"])
    assert write_preview(tmp_path, 1, x[:0], x[:0], []) == []
