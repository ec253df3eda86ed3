"""Scores, intervals, data and published numbers of an evaluation."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluate_models import CLIP, faulty, healthy, held_out
from media_files import write_video
from small_training import small_config
from vaelab.cli.measured import evaluation_page
from vaelab.data.types import Batch
from vaelab.errors import CheckpointError, ConfigError, DataError
from vaelab.evaluation import validate
from vaelab.evaluation.clip_scores import ClipScores
from vaelab.evaluation.clips import open_clips
from vaelab.evaluation.evaluate import check_fvd, evaluate
from vaelab.evaluation.opening import find_models, lpips_network, pick_device
from vaelab.evaluation.pictures import to_uint8
from vaelab.evaluation.published import comparable, published
from vaelab.evaluation.radial import RadialSpectrum
from vaelab.evaluation.result import Evaluation, to_json, to_markdown
from vaelab.evaluation.scores import SCORES, ClipTable, chunk_scores, measured, stack
from vaelab.evaluation.spectrum import LEVELS, LineSpectrum, LocalGrid
from vaelab.evaluation.spectrum import Grid as Lines
from vaelab.models import build_autoencoder
from vaelab.models.grid import Grid
from vaelab.rules.evaluated import is_local_grid


def components_of(x: torch.Tensor, r: torch.Tensor) -> dict[str, float]:
    """x, r: (C, T, H, W)."""
    scores = ClipScores((2, 2))
    for a, b in zip(x.unbind(1), r.unbind(1), strict=True):
        scores.add(a, b)
    return scores.components()


def clips(count: int, noise: float, seed: int = 0) -> ClipTable:
    rng = torch.Generator().manual_seed(seed)
    made = []
    for i in range(count):
        x = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(i)) * 2 - 1
        scale = noise * (1 + i / count)
        made.append(components_of(x, x + scale * torch.randn(x.shape, generator=rng)))
    return ClipTable(f"noise {noise}", tuple(f"clip {i}" for i in range(count)), stack(made))


def test_scores_are_those_of_the_validation_during_training() -> None:
    model = healthy()
    pairs = list(held_out(3))
    batches = [Batch(to_uint8(x), [name], i) for i, (name, x) in enumerate(pairs)]
    during = validate(model, batches, None, torch.device("cpu"))
    after = evaluate({"m": model}, pairs).tables[0].scores()
    for name in ("psnr", "ssim", "rec_mse", "explained_variance", "hf_ratio", "flickering", "colour_shift"):
        assert after[name] == pytest.approx(during[name], rel=1e-4, abs=2e-5), name


def test_errors_after_a_change_of_range_or_order_follow_from_the_moments() -> None:
    x, r = torch.rand(3, 2, 8, 8) * 2 - 1, torch.rand(3, 2, 8, 8) * 3 - 1
    found = components_of(x, r)
    assert found["range_0_1"] == pytest.approx(float((2 * r - 1 - x).square().mean()))
    assert found["range_0_255"] == pytest.approx(float((r / 127.5 - 1 - x).square().mean()))
    assert found["range_inverted"] == pytest.approx(float((r + x).square().mean()))
    assert found["order_bgr"] == pytest.approx(float((r.flip(0) - x).square().mean()))
    assert found["order_gbr"] == pytest.approx(float((r[[1, 2, 0]] - x).square().mean()))


def test_motion_of_a_still_output_is_nothing_and_of_images_not_defined() -> None:
    x = torch.rand(3, 4, 8, 8) * 2 - 1
    still = stack([components_of(x, x[:, :1].expand_as(x))])
    table = ClipTable("still", ("a",), still)
    assert table.scores()["motion_ratio"] == 0
    image = ClipTable("image", ("a",), stack([components_of(x[:, :1], x[:, :1])]))
    assert math.isnan(image.scores()["motion_ratio"]) and image.scores()["psnr"] == 100


def test_grey_images_through_a_two_dimensional_model() -> None:
    model = build_autoencoder(small_config().model, 1).eval()
    found = evaluate({"m": model}, [("a", torch.rand(1, 1, 1, 16, 16) * 2 - 1)]).tables[0]
    assert {"bias_grey"} == {name for name in found.components if name.startswith(("bias_", "order_"))}
    numbers = measured(found)
    assert "evaluation.psnr" in numbers and "evaluation.motion_ratio" not in numbers and not found.chunked


# Grid ----------------------------------------------------------------------------------------------------------------


def spectrum_of(error: torch.Tensor, factor: int, x: torch.Tensor | None = None) -> LineSpectrum:
    spectrum = LineSpectrum(factor)
    spectrum.add(torch.zeros_like(error) if x is None else x, error)
    return spectrum


@settings(deadline=None, max_examples=30)
@given(
    factor=st.sampled_from([2, 4, 8, 16]),
    period=st.sampled_from([2, 4, 8]),
    level=st.floats(1, 20),
    size=st.integers(100, 200),
    seed=st.integers(0, 50),
)
def test_a_pattern_is_found_at_its_period_with_its_amplitude(
    factor: int, period: int, level: float, size: int, seed: int
) -> None:
    noise = 0.01 * torch.randn(3, 64, size, generator=torch.Generator().manual_seed(seed))
    wave = (level / LEVELS) * torch.cos(2 * torch.pi * torch.arange(size) / period)
    line = spectrum_of(noise + wave, factor).strongest()
    if factor % period:
        assert line.peak < 2.5
        return
    assert line.period == period and line.peak > 10
    assert line.level == pytest.approx(level, rel=0.1)


@given(st.sampled_from([2, 4, 8]), st.integers(0, 100))
def test_noise_and_smooth_errors_have_no_line(factor: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(3, 64, 128, generator=rng)
    smooth = torch.cumsum(noise, dim=-1)
    assert spectrum_of(noise, factor).strongest().peak < 2
    assert spectrum_of(smooth, factor).strongest().peak < 2


def test_a_pattern_in_the_originals_is_known_as_such() -> None:
    noise = 0.01 * torch.randn(3, 64, 128, generator=torch.Generator().manual_seed(0))
    blocks = 0.05 * torch.cos(2 * torch.pi * torch.arange(128) / 8)
    line = spectrum_of(noise - blocks, 8, x=noise + blocks).strongest()
    assert line.period == 8 and line.level == pytest.approx(line.input_level, rel=0.05)


def local_grid(r: torch.Tensor, x: torch.Tensor, factor: int = 4) -> Lines:
    gathered = LocalGrid((factor, factor))
    gathered.add(x, r)
    return gathered.strongest()


def textured(size: int = 64) -> torch.Tensor:
    """Ten pictures with a spectrum that falls as 1 / f."""
    place = torch.fft.fftfreq(size)
    radius = torch.hypot(place[:, None], place).clamp(min=1 / size)
    noise = torch.randn(10, size, size, generator=torch.Generator().manual_seed(0))
    x = torch.fft.ifft2(torch.fft.fft2(noise) / radius).real
    return 0.4 * x / x.std()


def blurred(x: torch.Tensor, sigma: float) -> torch.Tensor:
    place = torch.fft.fftfreq(x.shape[-1])
    squares = place[:, None].square() + place.square()
    return torch.fft.ifft2(torch.fft.fft2(x) * torch.exp(-2 * (torch.pi * sigma) ** 2 * squares)).real


@pytest.mark.parametrize(("factor", "period", "amplitude"), [(2, 2, 6), (4, 2, 6), (8, 2, 6), (4, 4, 19), (8, 4, 12)])
def test_a_pattern_that_follows_the_content_is_found_locally(factor: int, period: int, amplitude: float) -> None:
    x = textured()
    wave = torch.cos(2 * torch.pi * torch.arange(64) / period)
    sign = torch.sign(blurred(textured().flip(0), 4.0))  # another phase from place to place
    r = blurred(x, 1.0) + amplitude / LEVELS * sign * wave
    found = local_grid(r, x, factor)
    assert is_local_grid(found.peak, found.level) and found.period == period
    assert amplitude / 2 < found.level < amplitude, "the windows in which its sign changes have less"


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_blur_noise_and_sharpening_are_no_local_grid(factor: int) -> None:
    x = textured()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    outputs = [x, *(blurred(x, sigma) for sigma in (0.5, 1, 2, 4)), *(x + level * noise for level in (0.02, 0.1, 0.5))]
    for r in [*outputs, 2.5 * x - 1.5 * blurred(x, 1.0)]:
        found = local_grid(r, x, factor)
        assert not is_local_grid(found.peak, found.level)


def test_a_local_pattern_of_the_originals_is_not_the_decoders() -> None:
    x = textured()
    blocks = x + 0.05 * torch.cos(torch.pi * torch.arange(64))
    assert local_grid(blocks, x).peak > 1.5 > local_grid(blocks, blocks).peak


def test_windows_wider_than_a_frame_give_no_local_grid() -> None:
    assert math.isnan(local_grid(torch.rand(3, 24, 24), torch.rand(3, 24, 24), 8).peak)


@pytest.mark.parametrize(("size", "factor"), [(63, 3), (70, 5), (75, 5), (90, 4), (77, 7)])
def test_a_line_is_found_in_frames_that_are_no_multiple_of_two_strides(size: int, factor: int) -> None:
    noise = 0.1 * torch.randn(3, 8, size, generator=torch.Generator().manual_seed(0))
    found = spectrum_of(noise + 0.2 * torch.cos(2 * torch.pi * torch.arange(size) / factor), factor).strongest()
    assert found.period == factor and found.level == pytest.approx(0.2 * LEVELS, rel=0.2)


def test_frames_too_small_for_a_background_give_no_grid() -> None:
    assert math.isnan(spectrum_of(torch.rand(3, 8, 16), 8).strongest().peak)
    assert math.isnan(LineSpectrum(8).strongest().peak)


def test_spectra_of_parts_merge_to_that_of_the_whole() -> None:
    parts = [spectrum_of(torch.rand(3, 8, 64), 4) for _ in range(3)]
    merged = LineSpectrum(4)
    for part in parts:
        merged.merge(part)
    torch.testing.assert_close(merged.output, torch.stack([part.output for part in parts]).mean(0))


# Intervals -----------------------------------------------------------------------------------------------------------


def test_an_interval_holds_the_value_and_shrinks_with_clips() -> None:
    few, many = clips(6, 0.1), clips(48, 0.1)
    low, high = few.intervals()["psnr"]
    assert low < few.scores()["psnr"] < high
    assert np.diff(many.intervals()["psnr"])[0] < 0.7 * (high - low)
    assert clips(4, 0.1).intervals() == {}, "too few clips for an interval"


def test_the_interval_has_the_coverage_it_claims() -> None:
    """PSNR of many sets of 12 clips drawn from a known distribution: most intervals hold its mean."""
    rng, inside = np.random.default_rng(0), 0
    base = clips(12, 0.1).components
    for _ in range(60):
        table = ClipTable("x", tuple(map(str, range(12))), {**base, "psnr": rng.normal(30, 2, 12)})
        low, high = table.intervals(seed=1)["psnr"]
        inside += low < 30 < high
    assert 48 <= inside <= 59


def test_clips_of_one_file_are_drawn_together() -> None:
    """Five files of four equal clips tell no more than the five clips themselves."""
    one = clips(5, 0.1)
    four = {name: np.repeat(values, 4) for name, values in one.components.items()}
    names = tuple(f"{name}.mp4@{i}.00s" for name in one.names for i in range(4))
    repeated = ClipTable("x", names, four)
    assert repeated.intervals()["psnr"] == pytest.approx(one.intervals()["psnr"])
    assert ClipTable("x", tuple(f"a.mp4@{i}.0s" for i in range(20)), four).intervals() == {}


def test_paired_differences_are_sharper_than_the_intervals_themselves() -> None:
    good, bad = clips(10, 0.1), clips(10, 0.12)
    value, low, high = bad.differences(good)["psnr"]
    assert value == pytest.approx(bad.scores()["psnr"] - good.scores()["psnr"])
    assert low < value < high < 0
    alone = bad.intervals()["psnr"]
    assert high - low < 0.5 * (alone[1] - alone[0])
    same = good.differences(good)["psnr"]
    assert same == (0, 0, 0)


def test_other_clips_are_not_paired() -> None:
    with pytest.raises(ValueError, match="same clips"):
        clips(6, 0.1).differences(clips(5, 0.1))


# Data ----------------------------------------------------------------------------------------------------------------

GRID = Grid(2, 4, 4)


def test_a_folder_a_file_and_a_list_give_the_same_clips(tmp_path: Path) -> None:
    write_video(tmp_path / "data/a.mp4", frames=20)
    write_video(tmp_path / "data/b.mp4", frames=20)
    (tmp_path / "list.txt").write_text("data/a.mp4\ndata/b.mp4\n")
    folder = open_clips(str(tmp_path / "data"), None, GRID, 3, frames=3)
    listed = open_clips(str(tmp_path / "list.txt"), None, GRID, 3, frames=3)
    single = open_clips(str(tmp_path / "data/a.mp4"), None, GRID, 3, count=1, frames=3)
    assert folder.config.resolution == (48, 48), "not enlarged: the files have 48 x 64 pixels"
    first = [x for _, x in folder]
    assert first[0].shape == (1, 3, 3, 48, 48) and torch.equal(first[0], next(iter(listed))[1])
    assert len(list(single)) == 1 and "1 video" in single.title


def test_the_held_out_part_of_a_preset_with_another_size() -> None:
    found = open_clips("video-tiny", None, Grid(2, 4, 4), 3, count=2, frames=5, size=(32, 48))
    names, pixels = zip(*found, strict=True)
    assert pixels[0].shape == (1, 3, 5, 32, 48) and all(name.startswith("scene-") for name in names)
    assert "held-out data of video-tiny" in found.describe()


def test_images_are_single_frames(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    found = open_clips(str(tmp_path), None, GRID, 1)
    assert found.config.frames == 1 and next(iter(found))[1].shape == (1, 1, 1, 28, 28)
    with pytest.raises(DataError, match="images only"):
        open_clips(str(tmp_path), None, GRID, 3, frames=5)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("list.txt", b"missing.mp4\n", "does not exist"),
        ("list.txt", b"", "names no file"),
        ("list.txt", b"\xff\xfe\x00", "cannot be read as a list"),
        ("notes.md", b"text", "not known as a image file|not known as an image"),
    ],
)
def test_bad_data_is_said_in_one_sentence(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as raised:
        open_clips(str(tmp_path / name), None, GRID, 3)
    assert "\n" not in str(raised.value)


def test_no_data_and_sizes_off_the_grid(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No data were given"):
        open_clips(None, None, GRID, 3)
    with pytest.raises(DataError, match="holds no video and no image"):
        open_clips(str(tmp_path), None, GRID, 3)
    with pytest.raises(ConfigError, match="multiple of 2 frames, not 4"):
        open_clips("video-tiny", None, GRID, 3, frames=4)


# What goes with it ---------------------------------------------------------------------------------------------------


def test_published_scores_name_their_data_and_source() -> None:
    rows = published()
    assert len(rows) > 40
    for row in rows:
        assert row.data and row.model and row.source and row.kind in ("image", "video")
        assert any(value is not None for value in (row.psnr, row.rfid, row.rfvd))
        assert row.psnr is None or 20 < row.psnr < 40
        assert row.ssim is None or 0.5 < row.ssim < 1
    groups = [row.data for row in rows]
    assert len([1 for a, b in pairwise(groups) if a != b]) + 1 == len(set(groups)), "one block a data set"


def test_models_with_the_same_latent_channels_come_first() -> None:
    rows = comparable("video", 16)
    same = [row.channels == 16 for row in rows]
    assert same[0] and same == sorted(same, reverse=True) and all(row.kind == "video" for row in rows)


def test_lpips_says_why_it_is_not_there() -> None:
    network, text = lpips_network("auto", 8, 8)
    assert network is None and "LPIPS was not computed" in text
    with pytest.raises(ConfigError):
        lpips_network("stlpips-alex", 8, 8)
    with pytest.raises(ConfigError, match="not known"):
        lpips_network("squeeze", 64, 64)
    assert lpips_network("off", 64, 64)[0] is None
    found, text = lpips_network("auto", 64, 64)
    assert found is not None and "stlpips" in found.name and text == ""


def test_fvd_of_clips_that_are_too_short_is_refused_before_the_work() -> None:
    with pytest.raises(ConfigError, match="at least 8 frames"):
        check_fvd(5)


def test_fvd_compares_the_features_of_originals_and_reconstructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """With features that are quick to compute in the place of I3D's, which test_i3d.py checks."""

    def features(clips: torch.Tensor, layer: str) -> torch.Tensor:
        assert layer == "logits" and not (clips.abs() > 1).any()
        return clips.mean((2, 3, 4))

    monkeypatch.setattr("vaelab.evaluation.evaluate.i3d_features", features)
    models = {"good": healthy(), "dark": faulty("range_0_1")}
    good, dark = (table.fvd for table in evaluate(models, held_out(4), fvd=True).tables)
    assert 0 <= good["paired_i3d"] < 0.01 < dark["paired_i3d"] and good["fvd"] < dark["fvd"]
    assert evaluate({"nan": faulty("nan")}, held_out(2), fvd=True).tables[0].fvd == {}


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    from vaelab.errors import TrainError

    with pytest.raises(TrainError, match="--device nonsense"):
        pick_device("nonsense")
    with pytest.raises(CheckpointError, match="does not exist"):
        find_models([str(tmp_path / "none")])


def test_no_clip_at_all_is_an_error() -> None:
    with pytest.raises(DataError, match="no clip"):
        evaluate({"m": healthy()}, [])


def test_ctrl_c_keeps_the_clips_that_were_done() -> None:
    def interrupted() -> object:
        yield from list(held_out(2))
        raise KeyboardInterrupt

    result = evaluate({"a": healthy(), "b": healthy()}, interrupted())  # type: ignore[arg-type]
    assert result.interrupted and [len(table) for table in result.tables] == [2, 2]


def test_the_page_and_the_json_hold_every_score(tmp_path: Path) -> None:
    tables = evaluate({"one": healthy(), "two": healthy()}, held_out(5)).tables
    result = Evaluation(tables, "five clips", "video", 24, notes=("a note",))
    page = to_markdown(result)
    for name, score in SCORES.items():
        assert (f"\n| {score.title} |" in page) == (name != "lpips")
    assert "B - A" in page and "a note" in page and "MCL-JCV" in page
    import json

    content = json.loads(to_json(result))
    assert content["checkpoints"][0]["scores"]["psnr"]["low"] < content["measured"]["evaluation.psnr"]
    assert len(content["checkpoints"][1]["clips"]) == 5 and content["differences"][0]["psnr"]["value"] == 0
    assert "NaN" not in to_json(result)


def test_chunks_of_a_clip_are_compared_with_the_whole() -> None:
    table = evaluate({"m": healthy()}, held_out(2)).tables[0]
    assert CLIP.frames == 5 and set(chunk_scores(table)) == {"chunk_loss", "seam"}
    assert chunk_scores(ClipTable("x", ("a",), table.components)) == {}


def test_the_spectrum_shows_blur_noise_and_a_pattern_where_they_are() -> None:
    x = torch.rand(3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    blurred = torch.nn.functional.avg_pool2d(x[None], 5, 1, 2)[0]
    stripes = x + 0.5 * torch.cos(torch.arange(128) * math.pi / 2)  # a period of 4 pixels: 0.25 cycles a pixel
    shares = {}
    for name, r in (("same", x), ("blurred", blurred), ("stripes", stripes)):
        spectrum = RadialSpectrum()
        spectrum.add(x, r)
        original, made = spectrum.curves()
        shares[name] = made / original
    assert np.allclose(shares["same"], 1)
    assert shares["blurred"][1:3].mean() > 0.7 and shares["blurred"][15:].mean() < 0.1
    assert np.argmax(shares["stripes"]) in (15, 16) and abs(shares["stripes"][:12].mean() - 1) < 0.01


def test_spectra_of_frames_of_other_sizes_are_gathered_and_small_frames_leave_bins_out() -> None:
    small, large = RadialSpectrum(), RadialSpectrum()
    small.add(torch.rand(1, 16, 16), torch.rand(1, 16, 16))
    large.add(torch.rand(1, 200, 150), torch.rand(1, 200, 150))
    assert np.isnan(small.curves()).any() and np.isfinite(large.curves()).all()
    small.merge(large)
    assert np.isfinite(small.curves()).all()


def test_the_spectrum_is_kept_with_the_scores_and_drawn() -> None:
    tables = evaluate({"one": healthy(), "two": healthy()}, held_out(3)).tables
    result = Evaluation(tables, "three clips", "video", 24)
    import json

    kept = json.loads(to_json(result))["checkpoints"][0]["spectrum"]
    assert len(kept["cycles_per_pixel"]) == len(kept["original"]) == len(kept["reconstruction"]) == 32
    page = evaluation_page(result)
    assert "Power by size of detail" in page and "% in patterns of 8 to 32 pixels" in page
