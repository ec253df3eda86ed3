"""Decoding: the right frames, no more than needed, upright, of the right size; images of every kind."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from media_files import frame_number, frame_pixels, write_sound, write_video
from vaelab.data import decode
from vaelab.data.crop import View, crop_and_resize, crop_box, random_view
from vaelab.data.decode import image_pixels, read_clip, read_image
from vaelab.data.example_clips import FOLDER
from vaelab.data.source import Undecodable

SIZE = (48, 64)
"""Height and width of the videos here."""


def numbers(clip: decode.Clip) -> list[int]:
    return [frame_number(pixels) for pixels in clip.pixels(View(), SIZE, 3)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", frames=48, rate=24)


@pytest.mark.parametrize("place", [0.0, 0.1, 0.37, 0.5, 0.99, 1.0])
def test_without_fps_the_frames_are_successive_and_the_time_is_right(video: Path, place: float) -> None:
    clip = read_clip(video, place, 9)
    first = min(int(place * 40), 39)
    assert numbers(clip) == list(range(first, first + 9))
    assert clip.time == pytest.approx(first / 24)


def test_every_start_can_be_drawn_and_none_leaves_the_file(video: Path) -> None:
    starts = {numbers(read_clip(video, place, 40))[0] for place in np.linspace(0, 1, 30)}
    assert starts == set(range(9))


@pytest.mark.parametrize("fps", [12, 8, 6, 3])
def test_the_strides_of_a_rate_that_divides_are_all_equal(video: Path, fps: int) -> None:
    # VidTok's loader takes 24 -> 3 frames a second with strides 8, 8, ..., 9
    for place in (0.0, 0.3, 1.0):
        assert set(np.diff(numbers(read_clip(video, place, 5, fps=fps)))) == {24 // fps}


@given(rate=st.integers(10, 60), fps=st.floats(5, 60), frames=st.integers(2, 12), gap=st.floats(0, 0.4))
def test_any_rates_give_the_nearest_frames_and_never_one_twice(rate: int, fps: float, frames: int, gap: float) -> None:
    if rate < fps:
        return
    decoded = [((number + gap) / rate, number) for number in range(200)]
    chosen = decode._choose(iter(decoded), frames, fps)
    assert chosen is not None and len({number for _, number in chosen}) == frames
    for place, (time, _) in enumerate(chosen):
        assert abs(time - chosen[0][0] - place / fps) <= 0.5 / rate + 2e-4


def test_a_rate_above_the_files_is_refused_with_both_numbers(video: Path) -> None:
    # VidTok repeats one frame 16 times
    with pytest.raises(Undecodable, match=r"has 24 frames a second and data.fps asks for 30"):
        read_clip(video, 0.5, 5, fps=30)


def test_film_rates_serve_whole_numbers(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=40, rate=Fraction(24000, 1001))
    assert numbers(read_clip(path, 0.0, 17, fps=24)) == list(range(17))


class _Counting:
    """A container that counts the frames it decodes."""

    def __init__(self, container: Any, count: list[int]) -> None:
        self.container, self.count = container, count

    def __getattr__(self, name: str) -> Any:
        return getattr(self.container, name)

    def __enter__(self) -> _Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def demux(self, stream: Any) -> Any:
        for packet in self.container.demux(stream):

            def decode_it(packet: Any = packet) -> list[Any]:
                frames = [self.seen(frame) for frame in packet.decode()]
                self.count[0] += len(frames)
                return frames

            yield SimpleNamespace(pts=packet.pts, time_base=packet.time_base, decode=decode_it)

    def seen(self, frame: Any) -> Any:
        return frame


def test_only_the_needed_frames_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = write_video(tmp_path / "v.mp4", frames=600, keyframes=10)
    count = [0]
    real = av.open
    monkeypatch.setattr(decode.av, "open", lambda *args: _Counting(real(*args), count))
    for place in (0.0, 0.5, 0.77, 1.0):
        count[0] = 0
        assert len(read_clip(long, place, 5, threads=1).frames) == 5
        assert 5 <= count[0] <= 5 + 10 + 1, f"{count[0]} frames decoded for 5, with a keyframe every 10"


def test_an_index_that_leads_too_far_is_not_trusted(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Misleading(_Counting):
        def seek(self, offset: int, stream: Any) -> None:
            late = stream.duration * 3 // 4 if offset else 0
            self.container.seek(late, stream=stream)

    real = av.open
    monkeypatch.setattr(decode.av, "open", lambda *args: Misleading(real(*args), [0]))
    assert numbers(read_clip(video, 0.5, 9)) == list(range(20, 29))


def test_a_header_that_promises_too_much_gives_an_earlier_clip(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = decode.video_info
    monkeypatch.setattr(decode, "video_info", lambda container: real(container)._replace(frames=400))
    got = numbers(read_clip(video, 0.2, 9))
    assert got == list(range(got[0], got[0] + 9)) and got[-1] < 48
    with pytest.raises(Undecodable, match="49 frames in a row could not be decoded; its header promises 400 frames"):
        read_clip(video, 0.2, 49)


def test_a_frame_that_the_decoder_marks_as_damaged_is_not_used(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaged(_Counting):
        def seen(self, frame: Any) -> Any:
            return SimpleNamespace(pts=frame.pts, time_base=frame.time_base, is_corrupt=True)

    real = av.open
    monkeypatch.setattr(decode.av, "open", lambda *args: Damaged(real(*args), [0]))
    with pytest.raises(Undecodable, match=r"damaged at 0\.00 s"):
        read_clip(video, 0.0, 5)


def test_a_clip_stays_within_its_part_of_the_time(video: Path) -> None:
    for place in (0.0, 0.5, 1.0):
        assert max(numbers(read_clip(video, place, 7, part=(0.0, 0.75)))) < 36
        assert min(numbers(read_clip(video, place, 7, part=(0.75, 1.0)))) >= 36


def test_a_variable_rate_gives_successive_frames_and_real_times(tmp_path: Path) -> None:
    times = np.cumsum([0] + [20, 20, 100, 40, 20, 20, 60] * 6)[:40].tolist()
    path = write_video(tmp_path / "v.mkv", frames=40, times=times)
    for place in (0.0, 0.4, 1.0):
        clip = read_clip(path, place, 9)
        got = numbers(clip)
        assert got == list(range(got[0], got[0] + 9))
        assert clip.time == pytest.approx(times[got[0]] / 1000, abs=2e-3)


def test_gaps_of_a_variable_rate_never_repeat_a_frame(tmp_path: Path) -> None:
    times = [20 * i if i < 20 else 1000 + 20 * i for i in range(40)]
    path = write_video(tmp_path / "v.mkv", frames=40, times=times)
    for place in np.linspace(0, 1, 7):
        try:
            got = numbers(read_clip(path, float(place), 12, fps=10))
        except Undecodable as error:
            assert "evenly spaced at 10 a second" in str(error)
        else:
            assert len(set(got)) == 12


def test_a_video_of_one_frame_is_an_image_and_no_clip(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=1)
    assert numbers(read_clip(path, 0.7, 1)) == [0]
    with pytest.raises(Undecodable, match="1 usable frames, and a clip of 5 needs 5"):
        read_clip(path, 0.7, 5)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="no video stream, only audio"):
        read_clip(write_sound(tmp_path / "a.mp4"), 0.0, 1)


def test_videos_are_read_from_bytes_too(video: Path) -> None:
    assert numbers(read_clip(io.BytesIO(video.read_bytes()), 0.5, 5)) == numbers(read_clip(video, 0.5, 5))


def test_a_telephones_rotation_is_applied(tmp_path: Path) -> None:
    data = write_video(tmp_path / "v.mp4", frames=3).read_bytes()
    matrix = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before the matrix
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)
    assert struct.unpack(">9i", data[matrix : matrix + 36]) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clip = read_clip(io.BytesIO(data[:matrix] + turned + data[matrix + 36 :]), 0.9, 1)
    upright = np.rot90(frame_pixels(2), k=-1)  # a quarter turn clockwise
    assert np.abs(clip.pixels(View(), upright.shape[:2], 3)[0].astype(int) - upright).mean() < 2


def test_odd_sizes_are_decoded(tmp_path: Path) -> None:
    clip = read_clip(write_video(tmp_path / "v.mp4", frames=4, size=(47, 63)), 0.0, 2)
    assert (clip.frames[0].height, clip.frames[0].width) == (47, 63)
    assert clip.pixels(View(), (16, 16), 3).shape == (2, 16, 16, 3)


def in_float(frame: Any, view: View, size: tuple[int, int]) -> np.ndarray:
    """The frame's crop computed without rounding, colours repeated over the pixels that share them (BT.601, limited range)."""
    planes = [
        np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width].astype(float) for p in frame.planes
    ]
    y, u, v = planes[0], *(np.kron(plane, np.ones((2, 2)))[: frame.height, : frame.width] for plane in planes[1:])
    y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    colours = (y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u)
    box = crop_box(frame.width, frame.height, view, size)
    wide = [Image.fromarray(colour.clip(0, 255).astype(np.float32)) for colour in colours]
    return np.stack([np.asarray(c.resize(size[::-1], Image.Resampling.LANCZOS, box=box)) for c in wide], -1).clip(
        0, 255
    )


@pytest.mark.parametrize("size", [0.0, 0.6, 1.0])
def test_planes_that_are_resized_before_they_become_rgb_give_the_same_pixels(size: float) -> None:
    """Against whole frames converted by FFmpeg, as before, and against the conversion without rounding. FFmpeg's conversion of a whole
    frame rounds down and was 1.1 of 255 levels too dark."""
    clip = read_clip(FOLDER / "scene-03.mp4", 0.4, 3, threads=1)
    view, target = View(size, 0.3, 0.6), (32, 48)
    pixels = clip.pixels(view, target, 3).astype(float)
    exact = np.stack([in_float(frame, view, target) for frame in clip.frames])
    before = np.stack([crop_and_resize(frame.to_image(), view, target, 3) for frame in clip.frames]).astype(float)
    assert abs((pixels - exact).mean()) < 0.1 and np.abs(pixels - exact).mean() < 1.2
    assert np.abs(pixels - before).mean() < 2 and np.abs(pixels - before).max() < 32
    mirrored = clip.pixels(view._replace(mirrored=True), target, 3)
    assert np.array_equal(mirrored[:, :, ::-1], pixels)
    grey = clip.pixels(view, target, 1)[..., 0].astype(float)
    assert np.abs(grey - pixels @ (0.299, 0.587, 0.114)).max() <= 1


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video"])
@pytest.mark.parametrize("threads", [1, 3])
def test_frames_before_the_clip_that_no_other_needs_are_left_out_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, threads: int
) -> None:
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (80, 160, 3), dtype=np.uint8)
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options={"g": "60", "bf": "2"})
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 64, 96, "yuv420p", 800_000
        for number in range(120):
            moved = np.ascontiguousarray(ground[number // 8 : number // 8 + 64, number // 2 : number // 2 + 96])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, "rgb24")))
        container.mux(stream.encode())
    count = [0]
    real = av.open
    monkeypatch.setattr(decode.av, "open", lambda *args: _Counting(real(*args), count))

    def taken() -> tuple[list[np.ndarray], int]:
        count[0] = 0
        clips = [read_clip(path, place, 5, threads=threads) for place in (0.1, 0.33, 0.46, 0.7, 0.99)]
        return [clip.pixels(View(), (64, 96), 3) for clip in clips], count[0]

    pixels, decoded = taken()
    monkeypatch.setattr(decode, "_SKIPPABLE", frozenset())
    without, all_decoded = taken()
    assert all(np.array_equal(a, b) for a, b in zip(pixels, without, strict=True))
    assert decoded < 0.8 * all_decoded


# -- images


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_mode_become_8_bit(mode: str, channels: int) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 30), 65535, np.uint16))
    else:
        image = Image.new("RGB", (30, 20), (255, 255, 255)).convert(mode)
    pixels = crop_and_resize(read_image(encoded(image)), View(), (8, 8), channels)
    assert pixels.shape == (8, 8, channels) and pixels.dtype == np.uint8
    assert (pixels == 255).all()


def test_16_bit_grey_is_scaled_and_not_cut_off() -> None:
    wide = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(np.asarray(read_image(encoded(Image.fromarray(wide)))), np.arange(256).reshape(16, 16))
    nearly = np.full((4, 4), 257 * 9 + 200, np.uint16)
    assert (np.asarray(read_image(encoded(Image.fromarray(nearly)))) == 10).all()


def test_transparent_parts_are_white_whatever_colour_hides_there() -> None:
    image = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    image.putpixel((0, 0), (10, 20, 30, 255))
    read = np.asarray(read_image(encoded(image)))
    assert read[0, 0].tolist() == [10, 20, 30] and read[3, 3].tolist() == [255, 255, 255]


def photograph(height: int, width: int) -> Image.Image:
    """Detail of every size, as a photograph has."""
    rng = np.random.default_rng(5)
    pixels = np.zeros((height, width, 3))
    for side in (2, 6, 20, 60):
        small = rng.integers(0, 256, (height // side + 1, width // side + 1, 3), dtype=np.uint8)
        pixels += np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)) * side**0.5
    return Image.fromarray((255 * (pixels - pixels.min()) / np.ptp(pixels)).astype(np.uint8))


@pytest.mark.parametrize("turned", [1, 3, 6])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height", [517, 520])
def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(turned: int, channels: int, height: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    data = encoded(photograph(height, 808), "JPEG", exif=exif, quality=92)
    whole = read_image(data)
    for view in (View(1.0, 0.2, 0.8), View(0.3, 0.9, 0.1)):
        for size in ((60, 64), (24, 20), (300, 300)):
            want = crop_and_resize(whole, view, size, channels).astype(float)
            got = image_pixels(data, 65535, view, size, channels).astype(float)
            assert np.abs(got - want).mean() < 1.5 and np.abs(got - want).max() < 16
            detail = [np.square(np.diff(pixels, axis=1)).mean() for pixels in (got, want)]
            assert 0.9 < detail[0] / detail[1] < 1.1


def test_no_more_of_a_jpeg_is_decoded_than_twice_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[int, int]] = []
    real = decode.crop_and_resize
    monkeypatch.setattr(
        decode, "crop_and_resize", lambda image, *args: decoded.append(image.size) or real(image, *args)
    )
    data = encoded(photograph(520, 808), "JPEG")
    for side in (520, 150, 130, 60, 32, 10):
        image_pixels(data, 65535, View(1.0, 0.5, 0.5), (side, side), 3)
    assert decoded == [(808, 520), (808, 520), (404, 260), (202, 130), (101, 65), (101, 65)]


def test_a_photographs_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise to be upright
    assert read_image(encoded(Image.new("RGB", (30, 20)), "JPEG", exif=exif)).size == (20, 30)


# -- crops


@given(
    size=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    target=st.tuples(st.integers(8, 512), st.integers(8, 512)),
    view=st.builds(View, *[st.floats(0, 1)] * 3, st.booleans()),
)
def test_a_crop_lies_in_the_picture_has_the_targets_shape_and_is_not_enlarged_needlessly(
    size: tuple[int, int], target: tuple[int, int], view: View
) -> None:
    left, top, right, bottom = crop_box(*size, view, target)
    assert -1e-6 <= left < right <= size[0] and -1e-6 <= top < bottom <= size[1]
    assert (right - left) / (bottom - top) == pytest.approx(target[1] / target[0], rel=1e-3)
    assert (right - left) >= min(target[1], size[0], size[1] * target[1] / target[0]) * (1 - 1e-6)


def test_a_picture_of_the_targets_size_is_taken_value_by_value() -> None:
    values = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    view = View(0.0, 0.3, 0.9)
    assert np.array_equal(crop_and_resize(Image.fromarray(values), view, (32, 32), 1)[..., 0], values)
    mirrored = crop_and_resize(Image.fromarray(values), view._replace(mirrored=True), (32, 32), 1)
    assert np.array_equal(mirrored[..., 0], values[:, ::-1])


def test_what_is_drawn_after_the_view_does_not_depend_on_the_settings() -> None:
    after = set()
    for random_crop in (False, True):
        for flip in (False, True):
            rng = np.random.default_rng(5)
            view = random_view(rng, random_crop, flip)
            after.add(rng.random())
            assert random_crop or view[:3] == (1.0, 0.5, 0.5)
    assert len(after) == 1
    sides = [random_view(np.random.default_rng(i), False, True).mirrored for i in range(200)]
    assert 60 < sum(sides) < 140
