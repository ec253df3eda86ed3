"""Offline archives of Comet and ClearML, of the real libraries, and archives that are broken or hostile."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import archive, clearml_offline, comet_offline, detect, read
from vaelab.readers.source import Source
from write_tracker_runs import STEPS, rec


@pytest.fixture(scope="module")
def comet(tracker_runs: Callable[[str], Path]) -> Path:
    (path,) = tracker_runs("comet").glob("*.zip")
    return path


@pytest.fixture(scope="module")
def clearml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a session, beside its folder."""
    folder = tmp_path_factory.mktemp("offline")
    (session,) = (Path(__file__).parent / "data" / "clearml").glob("offline-*")
    shutil.copytree(session, folder / session.name)
    return Path(shutil.make_archive(str(folder / session.name), "zip", session))


def message(name: str, value: object, step: object) -> str:
    metric = {"metricName": name, "metricValue": value, "step": step}
    return json.dumps({"payload": {"message_id": 1, "metric": metric}, "type": "metric_msg"})


def pack(path: Path, **members: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("_", "."), content)
    return path


# Comet ---------------------------------------------------------------------------------------------------------------


def test_an_experiment_of_comet(comet: Path) -> None:
    run = read(comet)
    assert run.format == "comet" and detect(Source(comet))[0][:2] == ("comet", 1.0)
    assert run.steps.tolist() == list(range(0, 10 * STEPS, 10))
    np.testing.assert_array_equal(run["rec_loss"], [rec(i) for i in range(STEPS)])
    np.testing.assert_array_equal(run["disc_loss"], [np.nan if i == 3 else np.inf for i in range(STEPS)])
    assert run.epochs is not None and run.epochs.tolist() == [i // 10 for i in range(STEPS)]
    assert set(run) == {"rec_loss", "kl_loss", "disc_loss", "val/psnr"}
    assert run.config == {"lr": 1e-4, "kl_weight": 1e-6, "disc_start": 50}


def test_messages_of_an_experiment_that_was_killed(comet: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(comet) as file:
        content = file.read("messages.json")
    (tmp_path / "messages.json").write_bytes(content[: content.index(b'"step":150') + 5])
    run = read(tmp_path)
    assert run.format == "comet" and run.steps[-1] == 140
    assert [n.kind for n in run.notes] == ["torn_line"]


def test_messages_of_any_content(tmp_path: Path) -> None:
    lines = [
        message("rec_loss", 1, 5), message("rec_loss", "NaN", 6), message("rec_loss", "word", 7), "[]", "nonsense",
        message("kl_loss", 3.5, None), message("", 1, 1), message("sys.cpu", 1, 1), message("rec_loss", True, 8),
        message("rec_loss", 2, 10**30), message("rec_loss", 10**400, 9), '{"payload": 3, "type": "metric_msg"}',
        '{"payload": {"metric": 1}, "type": "metric_msg"}', '{"payload": {"param": []}, "type": "parameter_msg"}',
    ]  # fmt: skip
    run = read(pack(tmp_path / "a.zip", messages_json="\n".join(lines), experiment_json="{}"))
    assert run.steps.tolist() == [5, 6, 9]
    np.testing.assert_array_equal(run["rec_loss"], [1, np.nan, np.inf])
    assert run.series("kl_loss")[0].tolist() == [6]  # of the last step before it
    assert list(run) == ["rec_loss", "kl_loss"]


# ClearML -------------------------------------------------------------------------------------------------------------


def test_a_session_of_clearml_packed_and_as_a_folder(clearml: Path) -> None:
    for path in (clearml, clearml.with_suffix("") / "metrics.jsonl", clearml.with_suffix(""), clearml.parent):
        run = read(path)
        assert run.format == "clearml"
        assert run.steps.tolist() == list(range(0, 10 * STEPS, 10))
        np.testing.assert_array_equal(run["rec_loss"], [rec(i) for i in range(STEPS)])
        assert run.columns["rec_loss"].original == "train/rec_loss"
        assert run.columns["kl_loss"].original == "kl_loss"
        assert run.series("ssim")[0].tolist() == [10 * STEPS - 10]  # a single value belongs to the end
        assert run.config == {"lr": 1e-4, "kl_weight": 1e-6}


def test_a_nan_that_clearml_wrote_as_zero_is_told(clearml: Path) -> None:
    run = read(clearml)
    assert run.series("disc_loss")[1].tolist() == [0]
    assert any("cannot be told from real zeros" in n.text for n in run.notes)


def test_a_session_that_is_still_written(clearml: Path, tmp_path: Path) -> None:
    content = (clearml.with_suffix("") / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(content + content[:200])
    run = read(tmp_path)
    assert len(run) == STEPS and "torn_line" in [n.kind for n in run.notes]


# Archives ------------------------------------------------------------------------------------------------------------


def test_a_zip_bomb_is_refused(comet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_UNPACKED", 10_000)
    with pytest.raises(LogError, match="more than vaelab reads from an archive"):
        read(comet)
    monkeypatch.undo()
    monkeypatch.setattr(archive, "MOST_LINE", 1 << 21)
    bomb = pack(tmp_path / "bomb.zip", messages_json=b"0" * (1 << 23), experiment_json="{}")
    assert bomb.stat().st_size < 1 << 17
    with pytest.raises(LogError, match="has a line of more than"):
        read(bomb)


def test_archives_that_are_no_run(comet: Path, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="zip archive that is no offline run"):
        read(pack(tmp_path / "data.zip", labels_csv="a,b\n1,2\n"))
    with pytest.raises(LogError, match="zip archive without metrics"):
        read(comet, format="clearml")
    with pytest.raises(LogError, match="no metric in it"):
        read(pack(tmp_path / "none.zip", messages_json="{}", experiment_json="{}"))
    (tmp_path / "half.zip").write_bytes(comet.read_bytes()[:-100])
    with pytest.raises(LogError, match="not a whole zip archive"):
        read(tmp_path / "half.zip")
    (tmp_path / "table.parquet").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(LogError, match="Parquet"):
        read(tmp_path / "table.parquet")


def test_zips_of_data_beside_a_log_do_no_harm(tmp_path: Path) -> None:
    pack(tmp_path / "data.zip", labels_csv="a,b\n1,2\n")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    (tmp_path / "metrics.csv").write_text("step,rec_loss\n0,1\n1,2\n")
    assert read(tmp_path).format == "csv"


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_damaged_archive_is_read_or_refused(comet: Path, data: st.DataObject) -> None:
    broken = bytearray(comet.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        broken[data.draw(st.integers(4, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    path = comet.with_name("broken.zip")
    path.write_bytes(broken[: data.draw(st.integers(4, len(broken)))])
    for reader in (comet_offline.READER, clearml_offline.READER):
        try:
            reader.read(Source(path))
        except LogError as error:
            assert str(path) in str(error)
    path.unlink()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["payload", "type", "metric", "param", "metricName", "metricValue", "step", "iter", "value", "hyperparams"]), x)
), max_size=5))  # fmt: skip
def test_any_json_in_an_archive(tmp_path_factory: pytest.TempPathFactory, values: list[object]) -> None:
    content = "\n".join(json.dumps(value) for value in values)
    folder = tmp_path_factory.mktemp("any")
    path = pack(folder / "a.zip", messages_json=content, metrics_jsonl=content, task_json=content, experiment_json="{}")
    for reader in (comet_offline.READER, clearml_offline.READER):
        try:
            reader.read(Source(path))
        except LogError as error:
            assert str(path) in str(error)
    shutil.rmtree(folder)
