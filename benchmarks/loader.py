"""What one training sample costs to decode: a clip of a long film, a crop of a photograph, and the start with many files.

    python benchmarks/loader.py [--seconds 60] [--repeats 12] [--files 50000] [--clips-per-second 20]

Writes its own film (1280 x 720, H.264, a keyframe every 250 frames, a moving ground with grain), photographs and folder, and
prints markdown tables. Processor seconds of one thread, all ways in turn on the same places, so that load meets them alike. decord
(``pip install decord``) is measured where it is installed; the plain loop over PyAV always.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from vaelab.config.schema import DataConfig
from vaelab.data import open_data
from vaelab.data.crop import View, crop_and_resize, crop_box, random_view
from vaelab.data.decode import image_pixels, read_clip

FRAMES, SIDE, RATE = 17, 256, 24
TARGET = (SIDE, SIDE)
Take = Callable[[float, View], object]


def texture(height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3) with detail of several sizes."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((height, width, 3), np.float32)
    for side in (8, 32, 128):
        small = rng.integers(0, 256, (height // side + 1, width // side + 1, 3), dtype=np.uint8)
        pixels += np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), np.float32) / 3
    return pixels.astype(np.uint8)


def write_film(path: Path, seconds: int) -> None:
    height, width = 720, 1280
    rng = np.random.default_rng(1)
    ground, grain = texture(2 * height, 2 * width), rng.normal(0, 3, (2 * height, 2 * width, 1)).astype(np.int16)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=RATE, options={"preset": "fast", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for n in range(seconds * RATE):
            top, left = int(height * (0.5 + 0.5 * np.sin(n / 330))), int(width * (0.5 + 0.5 * np.sin(n / 200)))
            y, x = rng.integers(0, height), rng.integers(0, width)
            pixels = ground[top : top + height, left : left + width].astype(np.int16)
            pixels += grain[y : y + height, x : x + width]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels.clip(0, 255).astype(np.uint8), "rgb24")))
        out.mux(stream.encode())


def in_turn(ways: dict[str, Take], repeats: int) -> dict[str, float]:
    """Processor seconds of one sample of each way: the mean over the same random places and crops."""
    rng = np.random.default_rng(2)
    spent = dict.fromkeys(ways, 0.0)
    for turn in range(repeats + 1):
        place, view = float(rng.random()), random_view(rng, random_crop=True, flip=True)
        for name, take in ways.items():
            begun = time.process_time()
            take(place, view)
            if turn:  # the first warms up
                spent[name] += time.process_time() - begun
    return {name: total / repeats for name, total in spent.items()}


def film_ways(path: Path) -> dict[str, Take]:
    def vaelab(place: float, view: View) -> object:
        return read_clip(path, place, FRAMES, threads=1).pixels(view, TARGET, 3)

    def plain(place: float, view: View) -> object:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            start = int(place * (stream.frames - FRAMES))
            container.seek(int(start / RATE / stream.time_base), stream=stream)
            kept = []
            for frame in container.decode(stream):
                if frame.time >= (start - 0.5) / RATE:
                    kept.append(crop_and_resize(frame.to_image(), view, TARGET, 3))
                if len(kept) == FRAMES:
                    return np.stack(kept)
        return None

    ways: dict[str, Take] = {"vaelab": vaelab, "loop over PyAV: whole frames to RGB, then crop and resize": plain}
    try:
        import decord
    except ImportError:
        return ways

    def frames(place: float, **size: int) -> np.ndarray:
        reader = decord.VideoReader(str(path), num_threads=1, **size)
        start = int(place * (len(reader) - FRAMES))
        return reader.get_batch(range(start, start + FRAMES)).asnumpy()

    ways["decord, whole frames"] = lambda place, view: frames(place)
    ways["decord, whole frames, then crop and resize"] = lambda place, view: [
        crop_and_resize(Image.fromarray(pixels), view, TARGET, 3) for pixels in frames(place)
    ]
    ways["decord, resized in the decoder, no crop"] = lambda place, view: frames(place, width=SIDE, height=SIDE)
    return ways


def photograph_ways(height: int, width: int) -> dict[str, Take]:
    out = io.BytesIO()
    grain = np.random.default_rng(3).normal(0, 4, (height, width, 1))
    Image.fromarray((texture(height, width) + grain).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    data = out.getvalue()

    def draft(place: float, view: View) -> object:
        image = Image.open(io.BytesIO(data))
        box = crop_box(*image.size, view, TARGET)
        smaller = max((k for k in (2, 4, 8) if 2 * k * SIDE <= box[2] - box[0]), default=1)
        image.draft("RGB", (width // smaller, height // smaller))
        inner = tuple(edge / smaller for edge in box)
        return np.asarray(image.resize(TARGET, Image.Resampling.LANCZOS, box=inner))

    return {
        "vaelab": lambda place, view: image_pixels(data, 65535, view, TARGET, 3),
        "Pillow, draft mode at the same size": draft,
        "Pillow, whole": lambda place, view: crop_and_resize(Image.open(io.BytesIO(data)), view, TARGET, 3),
    }


def start_times(folder: Path, files: int) -> list[tuple[float, float]]:
    """(processor seconds, seconds) of the first and the second start with so many files of many sizes."""
    rng = np.random.default_rng(4)
    for number in range(files):
        file = folder / f"{number % 100:02d}" / f"{number:06d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(number.to_bytes(4, "big") + bytes(int(rng.integers(0, 60_000))))
    settings = DataConfig(source="images", path=str(folder), frames=1, resolution=TARGET)
    times = []
    for _ in range(2):
        begun, clock = time.process_time(), time.perf_counter()
        open_data(settings, seed=0)
        times.append((time.process_time() - begun, time.perf_counter() - clock))
    return times


def table(title: str, seconds: dict[str, float], per_second: float) -> None:
    own = seconds["vaelab"]
    print(f"\n| {title} | CPU s | times vaelab | cores for {per_second:g} a second |\n|---|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.3f} | {value / own:.2f} | {value * per_second:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="length of the film")
    parser.add_argument("--film", type=Path, help="an existing film in place of one that is written")
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--clips-per-second", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = options.film or folder / "film.mp4"
        if options.film is None:
            write_film(film, options.seconds)
        rounds = [in_turn(film_ways(film), options.repeats) for _ in range(3)]
        median = {way: statistics.median(turn[way] for turn in rounds) for way in rounds[0]}
        table(f"a clip of {FRAMES}x{SIDE}x{SIDE} of a film of 1280x720", median, options.clips_per_second)
        for height, width in ((1200, 1600), (3024, 4032)):
            ways = photograph_ways(height, width)
            rounds = [in_turn(ways, options.repeats) for _ in range(3)]
            median = {way: statistics.median(turn[way] for turn in rounds) for way in rounds[0]}
            table(f"{SIDE}x{SIDE} of a JPEG of {width}x{height}", median, options.clips_per_second)
        for which, (cpu, clock) in zip(("first", "second"), start_times(folder / "many", options.files), strict=True):
            print(f"\n{options.files:,} files, {which} start: {cpu:.2f} CPU s, {clock:.2f} s")


if __name__ == "__main__":
    main()
