"""``vaelab reconstruct``: files of any size and length through a model, as a person calls it."""

from __future__ import annotations

import csv
import json
import re
import signal
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from evaluate_models import healthy, write_run
from forked_processes import Forked, vaelab
from media_files import frame_pixels, write_sound, write_video
from vaelab.cli.app import app
from vaelab.errors import ConfigError, DataError
from vaelab.evaluation.media import find_media, open_media
from vaelab.evaluation.panels import BACKGROUND, GAP, NOT_FINITE, STRIP, PictureFile, panels, suitable_gain
from vaelab.evaluation.reconstruct import How, reconstruct

WIDE = {"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of odd length, an odd image in a subfolder, and files that cannot be read."""
    folder = tmp_path_factory.mktemp("in")
    write_video(folder / "clip.mp4", frames=22, size=(30, 46))
    (folder / "sub").mkdir()
    Image.fromarray(frame_pixels(7, 33, 45)).save(folder / "sub/odd.png")
    return folder


def call(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner(env=WIDE).invoke(app, ["reconstruct", *map(str, arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_images_and_videos_of_a_folder(run: Path, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shown = call(run, files, "-o", out)
    assert "padded from 33 x 45 to 34 x 46 and cropped back" in shown, "said what was padded"
    assert "chunks of 17 frames" in shown
    made = frames_of(out / "clip_reconstruction.mp4")
    assert len(made) == 22
    picture = np.asarray(Image.open(out / "sub/odd_reconstruction.png"))
    assert picture.shape[1] > 3 * 45 and picture.shape[0] > 33
    with (out / "table.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert rows["clip.mp4"]["frames"] == "22" and rows["sub/odd.png"]["motion_ratio"] == ""
    content = json.loads((out / "table.json").read_text())
    assert content["mode"] == "mean" and len(content["files"]) == 2 and content["files"][0]["psnr"] > 0
    page = (out / "reconstructions.html").read_text()
    assert 'href="clip_reconstruction.mp4"' in page and "sub/odd_reconstruction.png" in page
    assert "| clip.mp4 |" in (out / "table.md").read_text()


def test_raw_and_averaged_weights_beside_each_other_and_alone(run: Path, files: Path, tmp_path: Path) -> None:
    shown = call(run, files / "sub", "-o", tmp_path, "--both", "--alone", "--tiled", "--tile", "16")
    assert "raw: " in shown and "EMA: " in shown and "tiles of 16 x 16 pixels that overlap by 4" in shown
    alone = np.asarray(Image.open(tmp_path / "odd_reconstruction_EMA_alone.png"))
    assert alone.shape == (33, 45, 3)
    assert np.asarray(Image.open(tmp_path / "odd_reconstruction.png")).shape[1] > 5 * 45


def test_a_sample_is_another_picture_than_the_mean(run: Path, files: Path, tmp_path: Path) -> None:
    image = files / "sub/odd.png"
    made = {}
    for name, options in (
        ("mean", ["--mode", "mean"]),
        ("one", ["--mode", "sample"]),
        ("two", ["--mode", "sample", "--seed", "2"]),
    ):
        call(run, image, "-o", tmp_path / name, "--alone", *options)
        made[name] = np.asarray(Image.open(tmp_path / name / "odd_reconstruction_reconstruction_alone.png"))
    assert not np.array_equal(made["mean"], made["one"]) and not np.array_equal(made["one"], made["two"])


def test_a_good_model_gives_the_file_back(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=24, size=(50, 62))
    seen = []
    rows = reconstruct(
        open_media(path), {"m": healthy()}, tmp_path / "b", How(alone=True), progress=lambda: seen.append(1)
    )
    assert len(seen) == 24 and rows[0].frames == 24 and rows[0].scores["psnr"] > 20 and rows[0].seam > 0
    originals, made = frames_of(path), frames_of(tmp_path / "b_m_alone.mp4")
    assert made[0].shape == originals[0].shape
    brightness = [frame[:, :20].mean() for frame in made]
    np.testing.assert_allclose(brightness, [frame[:, :20].mean() for frame in originals], atol=12)
    assert rows[0].cut == "chunks of 17 frames", "50 x 62 is on the grid"


def test_bad_files_are_named_and_the_others_done(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_video(folder / "good.mp4", frames=3, size=(16, 16))
    (folder / "text.png").write_text("no picture")
    (folder / "empty.mp4").write_bytes(b"")
    write_sound(folder / "sound.mp4")
    whole = write_video(folder / "cut.mp4", frames=24, size=(48, 48), options={"movflags": "faststart"}).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    shown = call(run, folder, "-o", tmp_path / "out", code=1)
    assert "good.mp4" in shown and (tmp_path / "out/good_reconstruction.mp4").exists()
    for name in ("text.png", "empty.mp4", "sound.mp4"):
        assert f"{name} cannot be decoded" in shown
    assert "0x" not in shown, "no address in memory"
    assert len(frames_of(tmp_path / "out/cut_reconstruction.mp4")) > 0, "what could be read is there"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"x", "not known as an image or a video"),
        ("a.png", b"", "cannot be decoded"),
        (None, b"", "does not exist"),
    ],
)
def test_nothing_to_read_is_one_sentence(
    run: Path, tmp_path: Path, name: str | None, content: bytes, words: str
) -> None:
    path = tmp_path / (name or "missing.mp4")
    if name:
        path.write_bytes(content)
    shown = call(run, path, "-o", tmp_path / "out", code=2)
    assert words in shown and len(shown.splitlines()) == 1
    assert not (tmp_path / "out").exists(), "no folder for nothing"


def test_an_empty_folder_and_a_place_that_cannot_be_written(run: Path, files: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image and no video"):
        find_media([str(tmp_path / "empty")])
    (tmp_path / "file").write_text("")
    shown = call(run, files, "-o", tmp_path / "file", code=2)
    assert "Cannot write" in shown
    with pytest.raises(ConfigError, match="Cannot write"), PictureFile(tmp_path / "no/such/folder/a.png", 0) as picture:  # type: ignore[arg-type]
        picture.add(np.zeros((4, 4, 3), np.uint8))


def test_files_of_one_name_do_not_overwrite_each_other(run: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 16), "red").save(tmp_path / folder / "x.png")
    call(run, tmp_path / "a/x.png", tmp_path / "b/x.png", "-o", tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").glob("*.png")} == {"x_reconstruction.png", "x_reconstruction_2.png"}


def test_panels_show_the_sign_of_the_error_and_what_is_not_finite() -> None:
    x = torch.zeros(3, 200, 100)
    r = x + 0.1
    r[:, :50] = torch.nan
    canvas = panels(x, [r], ["made"], gain=4)
    height, width = canvas.shape[:2]
    assert height % 2 == 0 and width % 2 == 0
    cell = 192 + GAP  # room for a title over a narrow picture
    original, made, error = (canvas[STRIP : STRIP + 200, GAP + i * cell :][:, :100] for i in range(3))
    assert (original == 128).all() and tuple(made[10, 10]) == NOT_FINITE == tuple(error[10, 10])
    assert made[150, 50, 0] == round(1.1 * 127.5) and error[150, 50, 0] == round(1.4 * 127.5)
    assert tuple(canvas[-1, -1]) == BACKGROUND


@pytest.mark.parametrize(("error", "gain"), [(0.9, 1), (0.1, 8), (0.011, 64), (0.0, 64)])
def test_the_gain_fills_the_range_without_cutting_the_error_off(error: float, gain: float) -> None:
    assert suitable_gain([torch.full((3, 8, 8), error), torch.full((3, 8, 8), -error / 2)]) == gain
    assert gain == 64 or gain * error <= 1 < 2 * gain * error


def test_a_gain_that_is_not_given_is_the_same_for_all_files_and_told(run: Path, files: Path, tmp_path: Path) -> None:
    call(run, files, "-o", tmp_path, "--both")
    page = (tmp_path / "reconstructions.html").read_text()
    assert "times in all files: grey is no error" in page and "reconstruction (raw)" in page
    named = [one["name"] for one in json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])]  # type: ignore[index]
    assert sorted(named) == ["clip.mp4", "sub/odd.png"]


def test_turned_grey_and_transparent_files_are_read_as_they_are_seen(tmp_path: Path) -> None:
    Image.new("L", (20, 10), 128).save(tmp_path / "grey.png")
    grey = open_media(tmp_path / "grey.png")
    assert (grey.height, grey.width) == (10, 20) and next(grey.read(3)).shape == (3, 10, 20)
    Image.new("RGB", (20, 10), (255, 0, 0)).save(tmp_path / "red.png")
    red = next(open_media(tmp_path / "red.png").read(1))
    assert red.shape == (1, 10, 20)
    torch.testing.assert_close(red, torch.full_like(red, 0.299 * 2 - 1), atol=0.01, rtol=0)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    turned = open_media(tmp_path / "turned.jpg")
    assert (turned.height, turned.width) == (20, 10)


def test_ctrl_c_leaves_a_table_and_whole_files(run: Path, tmp_path: Path) -> None:
    """A real process, interrupted in its second file."""
    folder = tmp_path / "in"
    write_video(folder / "a.mp4", frames=3, size=(16, 16))
    write_video(folder / "b.mp4", frames=500, size=(64, 64))
    process = Forked(vaelab, "reconstruct", run, folder, "-o", tmp_path / "out")
    first, part = tmp_path / "out/a_reconstruction.mp4", ".b_reconstruction.mp4.*.part"
    while process.poll() is None and not (first.exists() and list(first.parent.glob(part))):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130, process.output
    assert "Traceback" not in process.output and "Interrupted after 1 of 2 files" in process.output
    rows = json.loads((tmp_path / "out/table.json").read_text())["files"]
    assert [row["file"] for row in rows] == ["a.mp4"] and len(frames_of(first)) == 3
    assert not list(first.parent.glob("*.part")) and not list(first.parent.glob(".*.part"))
