"""Every kind of source: what it finds, what it holds out, and the sentence when the data are not as they should be."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_files import frame_number, write_image, write_video
from vaelab.config.schema import DataConfig
from vaelab.data import Data, open_data, train_batches, val_batches
from vaelab.data.files import MediaFile
from vaelab.data.folders import list_folder
from vaelab.data.generated import GENERATED
from vaelab.data.identity import SAMPLE, one_of_each
from vaelab.data.radiomapseer import official_split
from vaelab.data.source import take
from vaelab.data.split import hash_share, split_files
from vaelab.errors import ConfigError, DataError


def config(**changes: object) -> DataConfig:
    return DataConfig.model_validate({"frames": 1, "resolution": (16, 24), "workers": 0, **changes})


def names(data: Data) -> tuple[set[str], set[str]]:
    train, val = ({part.name(index) for index in range(len(part))} for part in (data.train, data.val))
    return train, val


def fails(error: type[Exception], words: str, **changes: object) -> None:
    with pytest.raises(error, match=words) as raised:
        open_data(config(**changes), 0)
    assert "\n" not in str(raised.value)


# -- folders


def test_a_folder_is_searched_in_depth_without_hidden_and_unknown_files(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/er/c.webp", ".hidden.png", ".git/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    elsewhere = write_image(tmp_path / "elsewhere" / "x.png")
    (tmp_path / "deep" / "link.png").symlink_to(elsewhere)
    (tmp_path / "deep" / "round").symlink_to(tmp_path)
    listed = [file.name for file in list_folder(str(tmp_path), videos=False)]
    assert listed == sorted(listed), "the order must not be that of the file system"
    train, val = names(open_data(config(source="images", path=str(tmp_path)), 0))
    assert train | val == {"a.JPG", "b.png", "deep/er/c.webp", "deep/link.png"}, "elsewhere/x.png is the link's file"
    assert not train & val


def test_videos_and_images_of_one_folder_are_kept_apart(tmp_path: Path) -> None:
    for number in range(2):
        write_image(tmp_path / f"{number}.png")
        write_video(tmp_path / f"{number}.mp4", 3)
    for source, suffix in (("images", "png"), ("videos", "mp4")):
        train, val = names(open_data(config(source=source, path=str(tmp_path)), 0))
        assert train | val == {f"0.{suffix}", f"1.{suffix}"}


def test_wrong_folders_are_one_sentence(tmp_path: Path) -> None:
    fails(ConfigError, "videos needs data.path")
    fails(DataError, "does not exist. Check data.path", path=str(tmp_path / "no"))
    fails(DataError, "holds no video .known: .avi", path=str(tmp_path))
    fails(DataError, "is the only image", source="images", path=str(write_image(tmp_path / "one.png")))
    fails(DataError, "is not known as a video", path=str(tmp_path / "one.png"))
    fails(ConfigError, "set data.frames=1 .it is 17", source="images", path=str(tmp_path), frames=17)
    fails(ConfigError, "has no options: remove data.options .scenes", path=str(tmp_path), options={"scenes": 1})


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_have_the_settings_shape(tmp_path: Path, channels: int) -> None:
    for number in range(3):
        write_video(tmp_path / f"{number}.mp4", 12)
    settings = config(path=str(tmp_path), frames=5, channels=channels)
    with train_batches(open_data(settings, 0).train, settings, 2, 0) as batches:
        batch = next(batches)
    assert batch.pixels.shape == (2, channels, 5, 16, 24) and str(batch.pixels.dtype) == "torch.uint8"


# -- held out


@given(
    share=st.floats(0.01, 0.9),
    videos=st.sets(st.integers(0, 999), min_size=2, max_size=30),
    images=st.sets(st.integers(0, 999), max_size=30),
)
def test_the_split_is_complete_disjoint_and_never_empty(share: float, videos: set[int], images: set[int]) -> None:
    files = [MediaFile(f"{n}.mp4", Path(), True) for n in videos] + [
        MediaFile(f"{n}.png", Path(), False) for n in images
    ]
    train, held_out = split_files(files, share)
    assert sorted(f.name for f in train + held_out) == sorted(f.name for f in files)
    for kind, count in ((True, len(videos)), (False, len(images))):
        if count >= 2:
            assert any(f.is_video is kind for f in train) and any(f.is_video is kind for f in held_out)


def test_the_split_is_the_same_everywhere_and_when_files_are_added() -> None:
    assert hash_share("a/b.mp4") == pytest.approx(0.6899, abs=1e-4)
    few = [MediaFile(f"{n}.mp4", Path(), True) for n in range(200)]
    many = few + [MediaFile(f"{n}.mp4", Path(), True) for n in range(200, 400)]
    held_out = {f.name for f in split_files(few, 0.1)[1]}
    assert held_out == {f.name for f in split_files(many, 0.1)[1]} & {f.name for f in few}
    assert 8 < len(held_out) < 35


def test_one_video_is_split_in_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=50)
    data = open_data(config(path=str(path), frames=5, val_share=0.2, random_crop=False, flip=False), 0)
    for source, low, high in ((data.train, 0, 40), (data.val, 40, 50)):
        seen = [frame_number(p) for k in range(20) for p in take(source, 0, np.random.default_rng(k), 5).pixels]
        assert low <= min(seen) and max(seen) < high and len(set(seen)) > 6
    fails(
        DataError,
        "last 2 frames are held out .* needs 5. Set data.val_share to at least 0.12",
        path=str(path),
        frames=5,
    )
    smallest = open_data(config(path=str(path), frames=5, val_share=0.12), 0)
    assert len(list(val_batches(smallest.val, config(frames=5), 1, 1))) == 1


def test_held_out_data_of_their_own(tmp_path: Path) -> None:
    for number in range(3):
        write_video(tmp_path / "train" / f"{number}.mp4", 3)
        write_video(tmp_path / "val" / f"{number}.mp4", 3)
    data = open_data(config(path=str(tmp_path / "train"), val_path=str(tmp_path / "val")), 0)
    assert len(data.train) == len(data.val) == 3
    fails(
        ConfigError, "3 files are in data.path and in data.val_path", path=str(tmp_path), val_path=str(tmp_path / "val")
    )


def test_held_out_samples_are_centred_and_not_mirrored(tmp_path: Path) -> None:
    for number in range(2):
        write_video(tmp_path / f"{number}.mp4", 70)
    data = open_data(config(path=str(tmp_path), val_share=0.5), 0)
    for k in range(8):
        pixels = take(data.val, 0, np.random.default_rng(k), 1).pixels[0]
        assert frame_number(pixels) < 70
        assert pixels[:, 10].std() < 2 and pixels[:, 14].std() < 2


# -- annotations


def test_pyramid_flows_lists_are_read(tmp_path: Path) -> None:
    write_video(tmp_path / "clips" / "a.mp4", 8)
    lines = [
        {"video": "clips/a.mp4", "text": "a cat", "latent": "a.pt"},
        {"video": str(tmp_path / "b.mp4"), "text": ""},
        {"image": "c.png", "text": "a dog"},
        {"image": "d.png"},
        {"video": "clips/a.mp4", "text": "again"},
    ]
    path = tmp_path / "list.jsonl"
    path.write_text("\ufeff" + "\n".join(json.dumps(line) for line in lines) + "\n\n", encoding="utf-8")
    data = open_data(config(source="annotations", path=str(path)), 0)
    train, val = names(data)
    assert train | val == {"clips/a.mp4", str(tmp_path / "b.mp4"), "c.png", "d.png"}
    assert len(data.train) + len(data.val) == 4, "a.mp4 is listed twice and taken once"
    both = [part for part in (data.train, data.val) for i in range(len(part)) if part.name(i) == "clips/a.mp4"]
    index = next(i for i in range(len(both[0])) if both[0].name(i) == "clips/a.mp4")
    assert take(both[0], index, np.random.default_rng(0), 1).pixels.shape == (1, 16, 24, 3)


@pytest.mark.parametrize(
    "line", ["{", "[]", "3", "{}", '{"video": 3}', '{"video": ""}', '{"video": "a", "image": "b"}']
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "list.jsonl").write_text('{"video": "a.mp4"}\n\n' + line)
    fails(
        DataError,
        r"list.jsonl, line 3 .* Each line must be like",
        source="annotations",
        path=str(tmp_path / "list.jsonl"),
    )


def test_lists_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    fails(DataError, "names no file", source="annotations", path=str(tmp_path / "empty.jsonl"))
    fails(DataError, "does not exist. Check data.path", source="annotations", path=str(tmp_path / "none.jsonl"))
    (tmp_path / "images.jsonl").write_text('{"image": "a.png"}\n{"image": "b.png"}')
    fails(DataError, "they are images only", source="annotations", path=str(tmp_path / "images.jsonl"), frames=5)


# -- RadioMapSeer


def test_the_official_split_leaks_no_map() -> None:
    train, val, test = official_split()
    assert (len(train), len(val), len(test)) == (501, 100, 99)
    assert not train & val and not train & test and not val & test
    assert train | val | test == set(range(1, 701))
    # the first of NumPy's legacy shuffle with seed 42, plus 1
    assert {159, 501, 397, 156, 322} <= train


def radio_maps(root: Path, folder: str, transmitters: int) -> None:
    train, val, test = official_split()
    for number in (0, min(train), max(train), min(val), min(test)):
        for transmitter in range(transmitters):
            write_image(root / "gain" / folder / f"{number}_{transmitter}.png", number % 256, (256, 256), "L")


def test_radio_maps_are_split_by_city_map(tmp_path: Path) -> None:
    train, val, _ = official_split()
    radio_maps(tmp_path, "DPM", 3)
    radio_maps(tmp_path, "carsIRT4", 2)
    data = open_data(config(source="radiomapseer", path=str(tmp_path), channels=1, resolution=(256, 256)), 0)
    assert names(data)[0] == {f"DPM/{n}_{t}.png" for n in (min(train), max(train)) for t in range(3)}
    assert names(data)[1] == {f"DPM/{min(val)}_{t}.png" for t in range(3)}
    pixels = take(data.train, 0, np.random.default_rng(0), 1).pixels
    assert pixels.shape == (1, 256, 256, 1) and (pixels == min(train)).all()
    options = {"simulation": "IRT4", "cars": True}
    assert len(open_data(config(source="radiomapseer", path=str(tmp_path), options=options), 0).train) == 4


def test_another_layout_says_what_is_missing(tmp_path: Path) -> None:
    def wrong(error: type[Exception], words: str, **changes: object) -> None:
        fails(error, words, **{"source": "radiomapseer", "path": str(tmp_path), **changes})

    wrong(DataError, r"gain is missing .its parent holds nothing")
    (tmp_path / "gain" / "IRT2").mkdir(parents=True)
    wrong(DataError, r"gain/DPM is missing .its parent holds IRT2.. data.path must be the folder that holds gain/DPM")
    wrong(DataError, "holds 0 radio maps", options={"simulation": "IRT2"})
    wrong(ConfigError, "does not know sim;", options={"sim": "IRT2"})
    wrong(ConfigError, "one of DPM, IRT2, IRT4", options={"simulation": "IRT3"})
    wrong(ConfigError, "remove data.val_path", val_path=str(tmp_path))
    wrong(ConfigError, "set data.frames=1", frames=5)


# -- WebDataset


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three shards of two videos and one image each."""
    for shard in range(3):
        with tarfile.open(tmp_path / f"s-{shard:02d}.tar", "w") as archive:
            for key in range(2):
                content = write_video(tmp_path / "v.mp4", 60 + 10 * shard + key).read_bytes()
                add(archive, f"a/{key}.mp4", content)
                add(archive, f"a/{key}.json", b"{}")
                add(archive, f"a/{key}.thumb.jpg", b"")
            add(archive, "b.png", write_image(tmp_path / "i.png", 10 * shard).read_bytes())
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "s-*.tar", "s-{00..02}.tar"])
def test_shards_are_read_in_place(shards: Path, pattern: str) -> None:
    settings = config(
        source="webdataset", path=str(shards / pattern), resolution=(48, 64), random_crop=False, flip=False
    )
    data = open_data(settings, 0)
    train, val = names(data)
    # one item a sample, the video rather than its thumbnail
    assert train | val == {f"s-{s:02d}.tar/{n}" for s in range(3) for n in ("a/0.mp4", "a/1.mp4", "b.png")}
    for part in (data.train, data.val):
        for index in range(len(part)):
            shard = int(part.name(index)[2:4])
            pixels = take(part, index, np.random.default_rng(index), 1).pixels[0]
            if part.name(index).endswith("png"):
                assert (pixels == 10 * shard).all()
            else:
                assert frame_number(pixels) < 60 + 10 * shard + 2
    assert take(data.train, data.train.usable(5)[0], np.random.default_rng(0), 5).pixels.shape == (5, 48, 64, 3)  # type: ignore[attr-defined]


def test_the_samples_are_those_that_the_webdataset_package_finds(shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    urls = [str(path) for path in sorted(shards.glob("*.tar"))]
    theirs = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False)
    expected = {(Path(s["__url__"]).name, s["__key__"]) for s in theirs}
    train, val = names(open_data(config(source="webdataset", path=str(shards)), 0))
    ours = {(name.partition("/")[0], name.partition("/")[2].partition(".")[0]) for name in train | val}
    assert ours == expected


def test_shards_that_are_none(tmp_path: Path) -> None:
    fails(DataError, "No .tar shard matches", source="webdataset", path=str(tmp_path / "*.tar"))
    (tmp_path / "s.tar").write_bytes(b"hello" * 300)
    fails(DataError, "s.tar cannot be read: .* uncompressed .tar", source="webdataset", path=str(tmp_path / "s.tar"))
    with tarfile.open(tmp_path / "s.tar", "w:gz") as archive:
        add(archive, "a.png", b"")
    fails(DataError, "uncompressed .tar", source="webdataset", path=str(tmp_path))
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        add(archive, "a.txt", b"")
    fails(DataError, "hold no image and no video", source="webdataset", path=str(tmp_path))


# -- generated


def test_generated_sources_are_opened_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Made:
        def __len__(self) -> int:
            return 3

    module = types.ModuleType("vaelab.data.moving_shapes")
    module.open_source = lambda settings, seed, held_out: opened.append((seed, held_out)) or Made()  # type: ignore[attr-defined,func-returns-value]
    monkeypatch.setitem(sys.modules, GENERATED["moving-shapes"], module)
    open_data(config(source="moving-shapes"), 7)
    assert opened == [(7, False), (7, True)]


# -- one identity for each real file


def test_a_file_under_two_names_is_on_one_side_only(tmp_path: Path) -> None:
    for number in range(6):
        write_image(tmp_path / f"{number}.png", value=10 * number)
        (tmp_path / f"link-{number}.png").symlink_to(tmp_path / f"{number}.png")
        (tmp_path / f"hard-{number}.png").hardlink_to(tmp_path / f"{number}.png")
        (tmp_path / f"copy-{number}.png").write_bytes((tmp_path / f"{number}.png").read_bytes())
    data = open_data(config(source="images", path=str(tmp_path), val_share=0.5), 0)
    assert len(data.train) + len(data.val) == 6
    assert data.notes[0].startswith("18 files of data.path are the same as an earlier one")


def test_a_list_that_names_a_file_in_several_ways_takes_it_once(tmp_path: Path) -> None:
    ways = [f"{n}.png" for n in range(4)] + [f"./{n}.png" for n in range(4)] + [f"{tmp_path}/{n}.png" for n in range(4)]
    for number in range(4):
        write_image(tmp_path / f"{number}.png")
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join(json.dumps({"image": way}) for way in [*ways, "missing.png", "./missing.png"]))
    train, val = names(open_data(config(source="annotations", path=str(path)), 0))
    assert sorted(train | val) == ["0.png", "1.png", "2.png", "3.png", "missing.png"]


def test_a_shard_that_was_copied_into_the_held_out_data_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for number in range(3):
            shard.add(write_image(tmp_path / "images" / f"{number}.png"), arcname=f"{number}.png")
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "other-name.tar").write_bytes((tmp_path / "a.tar").read_bytes())
    fails(
        ConfigError,
        "3 files are in data.path and in data.val_path",
        source="webdataset",
        path=str(tmp_path / "a.tar"),
        val_path=str(tmp_path / "val"),
    )


def test_files_of_one_size_that_differ_only_between_the_samples_are_both_kept(tmp_path: Path) -> None:
    content = bytearray(8 * SAMPLE)
    files = []
    for number in (1, 2, 1):
        content[2 * SAMPLE] = number
        path = tmp_path / f"{len(files)}.png"
        path.write_bytes(content)
        files.append(MediaFile(path.name, path, is_video=False))
    cache = tmp_path / "cache.json"
    for _ in range(2):
        kept, left = one_of_each(files, cache)
        assert [file.name for file in kept] == ["0.png", "1.png"]
        assert [(again.name, first.name) for again, first in left] == [("2.png", "0.png")]
    (tmp_path / "1.png").write_bytes(b"x" * len(content))  # what the cache knew of it is no longer so
    assert [file.name for file in one_of_each(files, cache)[0]] == ["0.png", "1.png"]
    cache.write_text("damaged")
    assert len(one_of_each(files, cache)[0]) == 2
