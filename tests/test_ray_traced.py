"""Ray-traced radio maps: layout, split, resumption and errors with a stand-in for Sionna RT, and one real map."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaelab.config.schema import DataConfig
from vaelab.data import ray_traced, sionna_process
from vaelab.data.radio_image import grey_to_gain
from vaelab.data.radiomapseer import official_split
from vaelab.data.ray_traced import transmitter_cell
from vaelab.data.sionna_process import SionnaProcess, find_llvm, llvm_version
from vaelab.errors import ConfigError, DataError

# The protocol of sionna_worker.py without Sionna: one block of a building in each area, free space around.
STAND_IN = """
    import json, os, sys
    import numpy as np
    for line in sys.stdin:
        q = json.loads(line)
        with open(os.environ["REQUESTS"], "a") as log:
            log.write(line)
        answer = {}
        if q["do"] == "bounds":
            answer = {"low": [0.0, 0.0], "high": [1100.0, 600.0]}
        else:
            n = q["cells"]
            at = (np.arange(n) + 0.5) / n * q["size"] - q["size"] / 2
            x, y = q["centre"][0] + at[None, :], q["centre"][1] - at[:, None]
            if q["do"] == "heights":
                np.save(q["file"], np.where(np.arange(n) < n // 2, 20, 0) * (np.arange(n) < n // 2)[:, None])
            else:
                d = np.hypot(x - q["tx"][0], y - q["tx"][1])
                np.save(q["file"], (10 ** -4.784 / np.maximum(d, 1) ** 2).astype(np.float32))
        print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replaces Sionna RT; the file that is returned lists what was asked."""
    use_worker(STAND_IN, tmp_path, monkeypatch)
    log = tmp_path / "requests.jsonl"
    log.touch()
    monkeypatch.setenv("REQUESTS", str(log))
    return log


def use_worker(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = folder / "worker.py"
    script.write_text(textwrap.dedent(code))
    monkeypatch.setattr(sionna_process, "WORKER", script)


def settings(folder: Path | None, resolution: tuple[int, int] = (16, 16), **options: Any) -> DataConfig:
    options = {"scenes": ["munich"], "maps": 3, "tx_per_map": 2, **options}
    path = str(folder) if folder else None
    return DataConfig(source="ray-traced", frames=1, channels=1, resolution=resolution, path=path, options=options)


def traced(log: Path) -> int:
    return sum(json.loads(line)["do"] == "trace" for line in log.read_text().splitlines())


def test_maps_are_written_in_radiomapseers_layout(tmp_path: Path, requests: Path) -> None:
    ray_traced.open_source(settings(tmp_path / "maps"), 0, False)
    files = sorted(file.relative_to(tmp_path / "maps").as_posix() for file in (tmp_path / "maps").rglob("*.png"))
    areas = json.loads((tmp_path / "maps" / "settings.json").read_text())["areas"][:3]
    pairs = [f"{area['map']}_{tx}.png" for area in areas for tx in (0, 1)]
    expected = [f"gain/RT/{p}" for p in pairs] + [f"png/antennas/{p}" for p in pairs]
    expected += [f"png/buildings_complete/{area['map']}.png" for area in areas]
    assert files == sorted(expected)
    for area in areas:
        buildings = np.asarray(Image.open(tmp_path / f"maps/png/buildings_complete/{area['map']}.png"))
        assert np.array_equal(np.argwhere(buildings), [[row, column] for row in range(8) for column in range(8)])
        assert set(np.unique(buildings)) == {0, 255}
        for tx in (0, 1):
            gain = np.asarray(Image.open(tmp_path / f"maps/gain/RT/{area['map']}_{tx}.png"))
            antenna = np.asarray(Image.open(tmp_path / f"maps/png/antennas/{area['map']}_{tx}.png"))
            assert gain.dtype == np.uint8 and gain.shape == antenna.shape == (16, 16)
            assert np.all(gain[buildings == 255] == 0)
            # free space: 20 dB a decade from the transmitter, whose cell the antenna image shows
            (place,) = np.argwhere(antenna == 255)
            assert gain[tuple(place)] == 255
            for row, column in np.argwhere(buildings == 0):
                distance = max(1.0, 16.0 * float(np.hypot(row - place[0], column - place[1])))
                assert grey_to_gain(gain[row, column]) == pytest.approx(-47.84 - 20 * np.log10(distance), abs=0.25)


def test_whole_maps_are_held_out_under_validation_numbers_of_the_official_split(tmp_path: Path, requests: Path) -> None:
    config = settings(tmp_path / "maps", maps=8).model_copy(update={"val_share": 0.25})
    names = [
        {source.name(i).split("/")[1].split("_")[0] for i in range(len(source))}
        for source in (ray_traced.open_source(config, 0, held_out) for held_out in (False, True))
    ]
    assert [len(part) for part in names] == [6, 2]
    assert {int(number) for number in names[0]} <= official_split().train
    assert {int(number) for number in names[1]} <= official_split().val
    areas = json.loads((tmp_path / "maps" / "settings.json").read_text())["areas"]
    centres = [tuple(area["centre"]) for area in areas]
    assert len(set(centres)) == len(centres) == 8  # 1100 m x 600 m holds 4 x 2 areas of 256 m
    for first in centres:
        for second in centres:
            assert first == second or max(abs(first[0] - second[0]), abs(first[1] - second[1])) >= 256


def test_samples_are_read_from_the_files(tmp_path: Path, requests: Path) -> None:
    config = settings(tmp_path / "maps", resolution=(12, 16)).model_copy(update={"random_crop": False, "flip": False})
    source = ray_traced.open_source(config, 0, False)
    sample = source.sample(0, np.random.default_rng(0), 1)
    pixels = sample.pixels if hasattr(sample, "pixels") else sample
    number = source.name(0).split("/")[1]
    image = np.asarray(Image.open(tmp_path / "maps" / "gain" / "RT" / number))
    assert image.shape == (16, 16) and pixels.shape == (1, 12, 16, 1)
    assert np.array_equal(pixels[0, :, :, 0], image[2:14])


def test_nothing_is_traced_twice_and_more_can_be_asked_for(tmp_path: Path, requests: Path) -> None:
    config = settings(tmp_path / "maps")
    ray_traced.open_source(config, 0, False)
    assert traced(requests) == 6
    before = {file: file.read_bytes() for file in (tmp_path / "maps").rglob("*.png")}
    ray_traced.open_source(config, 0, True)
    assert traced(requests) == 6
    (tmp_path / "maps" / "gain" / "RT" / next(f.name for f in before if f.parent.name == "RT")).unlink()
    ray_traced.open_source(config, 0, False)
    assert traced(requests) == 7
    ray_traced.open_source(settings(tmp_path / "maps", maps=4, tx_per_map=3), 0, False)
    assert traced(requests) == 13
    assert all(file.read_bytes() == content for file, content in before.items())


def test_a_complete_folder_needs_no_sionna(tmp_path: Path, requests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ray_traced.open_source(settings(tmp_path / "maps"), 0, False)
    use_worker("raise SystemExit(1)", tmp_path, monkeypatch)
    second = ray_traced.open_source(settings(tmp_path / "maps"), 5, False)
    assert [first.name(i) for i in range(len(first))] == [second.name(i) for i in range(len(second))]


def test_an_interrupted_run_goes_on_and_leaves_no_broken_file(
    tmp_path: Path, requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = settings(tmp_path / "maps"), tmp_path / "maps"
    real, calls = ray_traced._write_image, []

    def interrupt(file: Path, pixels: np.ndarray) -> None:
        calls.append(file)
        if len(calls) == 8:
            raise KeyboardInterrupt
        real(file, pixels)

    monkeypatch.setattr(ray_traced, "_write_image", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ray_traced.open_source(config, 0, False)
    assert len(list((folder / "gain" / "RT").glob("*.png"))) == 2
    monkeypatch.setattr(ray_traced, "_write_image", real)
    ray_traced.open_source(config, 0, False)
    assert len(list((folder / "gain" / "RT").glob("*.png"))) == 6
    assert traced(requests) == 3 + 4
    assert not list(folder.rglob("*.tmp"))


def test_a_folder_of_other_settings_is_refused(tmp_path: Path, requests: Path) -> None:
    ray_traced.open_source(settings(tmp_path / "maps"), 0, False)
    with pytest.raises(DataError, match=r"depth=3 there, 4 here"):
        ray_traced.open_source(settings(tmp_path / "maps", depth=4), 0, False)
    (tmp_path / "maps" / "settings.json").write_text("{")
    with pytest.raises(DataError, match=r"settings\.json is not readable"):
        ray_traced.open_source(settings(tmp_path / "maps"), 0, False)
    (tmp_path / "maps" / "settings.json").unlink()
    with pytest.raises(DataError, match="not vaelab's"):
        ray_traced.open_source(settings(tmp_path / "maps"), 0, False)


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, requests: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be used: .*data\.path"):
        ray_traced.open_source(settings(tmp_path / "file"), 0, False)


def test_the_cache_folder_depends_on_the_settings(
    tmp_path: Path, requests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ray_traced.open_source(settings(None), 0, False)
    ray_traced.open_source(settings(None, rays=10_000), 0, False)
    ray_traced.open_source(settings(None, tx_per_map=3), 0, False)  # more of the same maps
    assert len(list((tmp_path / "cache" / "vaelab" / "ray-traced").iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"maps": 9}, "more than the 8 areas"),
        ({"size_m": 600.0}, "Make data.options.size_m smaller"),
        ({"scenes": ["san_francisco"]}, "scenes"),
        ({"ray": 5}, "ray"),
        ({"rays": 5}, "rays"),
    ],
)
def test_impossible_options_are_named(tmp_path: Path, requests: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        ray_traced.open_source(settings(tmp_path / "maps", **options), 0, False)


def test_clips_are_refused(tmp_path: Path) -> None:
    config = settings(tmp_path).model_copy(update={"frames": 9})
    with pytest.raises(ConfigError, match=r"data\.frames=1"):
        ray_traced.open_source(config, 0, False)


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sionna_process, "_RUN", "import sys; sys.modules['sionna'] = None; " + sionna_process._RUN)
    with pytest.raises(DataError, match=r"pip install 'vaelab\[radio\]'"), SionnaProcess() as sionna:
        sionna.bounds("munich")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import os; input(); os.abort()", r"signal 6.*libllvm19.*DRJIT_LIBLLVM_PATH"),
        ("import sys; input(); sys.exit('LLVM API initialization failed')", r"exit code 1.*libllvm19"),
        ("import sys; input(); sys.exit('no such scene')", r"exit code 1: no such scene$"),
    ],
)
def test_the_end_of_the_process_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, text: str
) -> None:
    use_worker(code, tmp_path, monkeypatch)
    with pytest.raises(DataError, match=text), SionnaProcess() as sionna:
        sionna.bounds("munich")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("libLLVM.so.19.1", 19),
        ("libLLVM-19.so", 19),
        ("libLLVM-14.so.1", 14),
        ("libLLVM-14.0.6.so.1", 14),
        ("libLLVM-22.dylib", 22),
        ("libLLVM.so", None),
        ("libLLVMX86CodeGen.a", None),
    ],
)
def test_llvm_versions_are_read_from_names(name: str, version: int | None) -> None:
    assert llvm_version(name) == version


def test_the_newest_usable_llvm_is_taken() -> None:
    files = [Path("/a/libLLVM-15.so.1"), Path("/a/libLLVM.so.19.1"), Path("/b/libLLVM.so.22.1"), Path("/b/libLLVM.so")]
    assert find_llvm(files) == files[2]
    assert find_llvm(files[:1]) is None


def test_transmitters_stand_in_the_open_and_differ() -> None:
    buildings = np.zeros((64, 64), bool)
    buildings[:, :40] = True
    places = {transmitter_cell(buildings, 5, tx) for tx in range(20)}
    assert len(places) > 15
    assert all(not buildings[place] and min(place) >= 8 and max(place) < 56 for place in places)


def test_one_real_map(tmp_path: Path) -> None:
    pytest.importorskip("sionna.rt")
    config = settings(tmp_path, scenes=["simple_street_canyon"], size_m=40.0, maps=2, tx_per_map=1, rays=200_000)
    source = ray_traced.open_source(config, 0, False)
    image = np.asarray(Image.open(tmp_path / "gain" / "RT" / source.name(0).split("/")[1]))
    buildings = np.asarray(Image.open(next((tmp_path / "png" / "buildings_complete").glob("*.png"))))
    assert image.shape == buildings.shape == (16, 16)
    assert 0.1 <= (buildings > 0).mean() <= 0.8
    assert 100 < image.max() < 255
