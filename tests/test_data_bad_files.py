"""Files that cannot be decoded: named once, replaced by real samples, fatal only beyond the stated share."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from media_files import frame_number, write_image, write_sound, write_video
from vaelab.config.schema import DataConfig
from vaelab.data import Batch, Quarantine, Quarantined, Sample, Undecodable, open_data, train_batches, val_batches
from vaelab.data.source import take
from vaelab.errors import DataError


def config(path: Path, **changes: object) -> DataConfig:
    return DataConfig.model_validate(
        {"path": str(path), "frames": 5, "resolution": (48, 64), "workers": 0, "val_share": 0.01, **changes}
    )


def reason(path: Path, frames: int = 5) -> str:
    """Why the one file cannot be decoded."""
    from vaelab.data.files import FileSource, MediaFile

    file = MediaFile(path.name, path, path.suffix in (".mp4", ".mkv"))
    with pytest.raises(Undecodable) as raised:
        take(FileSource([file], config(path), augment=True), 0, np.random.default_rng(0), frames)
    assert "\n" not in str(raised.value) and "0x" not in str(raised.value) and str(raised.value)
    return str(raised.value)


def test_damaged_videos(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", 40).read_bytes()
    for name, content in (("half", whole[: len(whole) // 2]), ("empty", b""), ("text", b"hello\n" * 100)):
        (tmp_path / f"{name}.mp4").write_bytes(content)
        assert "not a readable video: Invalid data" in reason(tmp_path / f"{name}.mp4")
    assert "no video stream, only audio" in reason(write_sound(tmp_path / "sound.mp4"))
    assert "too short: 3 usable frames, and a clip of 5 needs 5" in reason(write_video(tmp_path / "short.mp4", 3))
    assert "No such file" in reason(tmp_path / "gone.mp4")


def test_a_video_cut_off_in_the_middle_gives_only_real_frames(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "v.mp4", 60, options={"movflags": "faststart"}).read_bytes()
    (tmp_path / "v.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    from vaelab.data.files import FileSource, MediaFile

    settings = config(tmp_path, random_crop=False, flip=False)
    source = FileSource([MediaFile("v.mp4", tmp_path / "v.mp4", True)], settings, augment=True)
    decoded = 0
    for k in range(20):
        try:
            pixels = take(source, 0, np.random.default_rng(k), 5).pixels
        except Undecodable:
            continue
        decoded += 1
        seen = [frame_number(p) for p in pixels]
        assert seen == list(range(seen[0], seen[0] + 5))
    assert decoded > 5


def test_damaged_images(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(out, "PNG")
    whole = bytearray(out.getvalue())
    checksum = len(whole) - 12 - 2  # inside the checksum of the last pixel data, before IEND
    whole[checksum] ^= 255
    for name, content in (("sum", bytes(whole)), ("half", bytes(whole[:3000])), ("empty", b""), ("text", b"hi" * 99)):
        (tmp_path / f"{name}.png").write_bytes(content)
        assert "not a readable image" in reason(tmp_path / f"{name}.png", 1)
    assert "an image, and a clip of 5 frames" in reason(write_image(tmp_path / "i.png"), 5)


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "i.png").write_bytes(b"x")
    # chmod does not stop root, who runs many containers
    monkeypatch.setattr(Path, "open", refuse)
    assert "not a readable image: Permission denied" in reason(tmp_path / "i.png", 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_file_is_named_once_a_batch_and_replaced_by_a_real_sample(tmp_path: Path, workers: int) -> None:
    for number in range(4):
        write_video(tmp_path / f"good{number}.mp4", 12)
    (tmp_path / "bad.mp4").write_bytes(b"")
    settings = config(tmp_path, workers=workers)

    def run() -> list[Batch]:
        with train_batches(open_data(settings, 0).train, settings, 8, 3) as batches:
            return list(islice(batches, 3))

    batches = run()
    assert [file.name for batch in batches for file in batch.bad] == ["bad.mp4"] * 3
    assert all(name.startswith("good") for batch in batches for name in batch.names)
    assert all(sample.max() > 0 for batch in batches for sample in batch.pixels), "a black sample"
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(batches, run(), strict=True))


def test_a_replacement_does_not_change_the_other_samples(tmp_path: Path) -> None:
    for number in range(5):
        write_video(tmp_path / f"{number}.mp4", 12)
    settings = config(tmp_path)

    def batch() -> Batch:
        with train_batches(open_data(settings, 0).train, settings, 8, 3) as batches:
            return next(batches)

    before = batch()
    (tmp_path / before.names[2].split("@")[0]).write_bytes(b"")
    after = batch()
    for one, other in zip(before.names, after.names, strict=True):
        assert one == other or one.startswith(after.bad[0].name)
    assert before.names[2] != after.names[2]


@pytest.mark.parametrize("workers", [0, 1])
def test_when_nothing_can_be_decoded_the_error_says_so_in_one_sentence(tmp_path: Path, workers: int) -> None:
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(b"")
    settings = config(tmp_path, workers=workers)
    data = open_data(settings, 0)
    words = r"Sample 0 could not be made: 21 files.*\.mp4: not a readable video: Invalid data"
    with train_batches(data.train, settings, 2, 0) as batches, pytest.raises(DataError, match=words) as raised:
        next(batches)
    assert "Traceback" not in str(raised.value) and "\n" not in str(raised.value)
    with pytest.raises(DataError, match="could not be made"):
        next(val_batches(data.val, settings, 2, 2))


# -- the count


def batch(good: list[str], bad: list[str]) -> Batch:
    return Batch(torch.zeros(1), good, 0, [Quarantined(name, f"reason of {name}") for name in bad])


def test_a_bad_file_counts_once_and_good_ones_by_file_not_by_time() -> None:
    quarantine = Quarantine(100, 0.5)
    assert [f.name for f in quarantine.add(batch(["a.mp4@1.20s", "a.mp4@0.00s", "x@y.png"], ["b", "c"]))] == ["b", "c"]
    assert quarantine.add(batch(["a.mp4@3.00s"], ["c"])) == []
    assert quarantine.share == pytest.approx(2 / 4)


def test_the_share_stops_the_run_with_count_share_and_three_names() -> None:
    quarantine = Quarantine(40, 0.1)
    quarantine.add(batch([f"g{n}" for n in range(30)], [f"b{n}" for n in range(4)]))
    quarantine.check()
    quarantine.add(batch([], ["b4"]))
    with pytest.raises(DataError) as raised:
        quarantine.check()
    assert str(raised.value) == (
        "5 of 35 files (14%) cannot be decoded, more than data.max_bad_share=0.1 allows. The first: b0: reason of b0;"
        " b1: reason of b1; b2: reason of b2. Repair or remove them, or raise data.max_bad_share."
    )


@pytest.mark.parametrize(
    ("files", "share", "good", "bad", "stops"),
    [
        (1000, 0.05, 0, 19, False),  # too few seen
        (1000, 0.05, 10, 10, True),  # far above the limit, long before all were seen
        (1000, 0.05, 18, 2, False),  # 10%, which chance explains
        (1000, 0.05, 900, 51, True),  # more than 5% of all, certain
        (1000, 0.05, 950, 50, False),  # exactly the limit
        (1000, 0.0, 19, 1, True),  # none is allowed
        (3, 0.4, 1, 2, True),  # few files, all seen
        (3, 0.4, 1, 1, False),  # not all seen yet
        (1000, 1.0, 0, 1000, False),  # all may fail
    ],
)
def test_the_limit(files: int, share: float, good: int, bad: int, stops: bool) -> None:
    quarantine = Quarantine(files, share)
    quarantine.add(batch([f"g{n}" for n in range(good)], [f"b{n}" for n in range(bad)]))
    try:
        quarantine.check()
    except DataError:
        assert stops
    else:
        assert not stops


class _Fails:
    """Items of which some cannot be decoded."""

    def __init__(self, bad: Callable[[int], bool]) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return 50

    def name(self, index: int) -> str:
        return f"item{index}"

    def sample(self, index: int, rng: np.random.Generator, frames: int) -> Sample:
        if self.bad(index):
            raise Undecodable("broken")
        return Sample(np.ones((frames, 2, 2, 1), np.uint8), self.name(index))


def test_an_epoch_meets_every_bad_file_and_the_count_agrees(tmp_path: Path) -> None:
    settings, source = config(tmp_path), _Fails(lambda index: index % 5 == 0)
    quarantine = Quarantine(len(source), 1.0)
    with train_batches(source, settings, 5, 0) as batches:
        for made in islice(batches, 10):
            quarantine.add(made)
    assert set(quarantine.bad) == {f"item{n}" for n in range(0, 50, 5)}
    assert quarantine.share == pytest.approx(0.2)
