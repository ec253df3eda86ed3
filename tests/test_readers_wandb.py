"""W&B run files that the real library wrote offline: nested and odd values, resumes, exit codes, a killed process."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.errors import LogError
from vaelab.readers import detect, read, read_all
from vaelab.readers.leveldb_log import BLOCK, LogRecords
from vaelab.readers.source import Source
from vaelab.readers.wandb_proto import Items, numbers_of, parse_item
from vaelab.run import Run
from write_tracker_runs import STEPS, rec


@pytest.fixture(scope="module")
def project(tracker_runs: Callable[[str], Path]) -> Path:
    return tracker_runs("wandb")


@pytest.fixture(scope="module")
def runs(project: Path) -> dict[str, Run]:
    """The runs of the project by their ids."""
    found = read_all(project)
    return {Path(run.source).stem.removeprefix("run-"): run for run in found}


def files(project: Path, run_id: str) -> list[Path]:
    return sorted(project.glob(f"wandb/offline-run-*/run-{run_id}.wandb"))


def test_the_runs_of_a_project_are_told_apart_by_their_ids(runs: dict[str, Run]) -> None:
    assert set(runs) == {"resumed", "failed", "own-step", "killed"}
    assert {run.format for run in runs.values()} == {"wandb"}


def test_a_resumed_run_is_one_run(runs: dict[str, Run]) -> None:
    run = runs["resumed"]
    assert run.steps.tolist() == list(range(STEPS))
    np.testing.assert_array_equal(run["rec_loss"], [rec(i) for i in range(STEPS)])
    assert [(e.kind, e.step) for e in run.events] == [("resume", 15), ("finished", STEPS - 1)]
    assert [n.count for n in run.notes if n.kind == "backward_steps"] == [5]


def test_two_starts_within_one_second_are_one_run(project: Path, tmp_path: Path) -> None:
    """wandb then names the second folder <time>-<id>-1."""
    import shutil

    for number, source in enumerate(files(project, "resumed")):
        shutil.copytree(source.parent, tmp_path / "wandb" / ("offline-run-20261121_100000-resumed" + "-1" * number))
    assert read(tmp_path / "wandb").steps.tolist() == list(range(STEPS))


def test_nested_and_odd_values(runs: dict[str, Run]) -> None:
    run = runs["failed"]
    assert run.columns["kl_loss"].original == "train.kl_loss"
    np.testing.assert_array_equal(run["disc_loss"][:6], [1, 1, 1, np.nan, np.inf, 1])
    assert run.columns["disc_loss"].logged.all()
    assert run.series("val/psnr")[0].tolist() == [0, 5]
    assert run.series("test/ssim")[1].tolist() == [0.75]  # it stands in the summary only
    assert not {"note", "flag", "hist", "_runtime", "_timestamp"} & set(run)
    assert any(n.kind == "other_summaries" for n in run.notes)


def test_the_config_with_later_changes(runs: dict[str, Run]) -> None:
    expected = {"lr": 1e-4, "kl_weight": 1e-6, "disc_start": 50, "batch_size": 8}
    assert runs["failed"].config == expected
    assert "_wandb" not in str(runs["failed"].raw_config)


def test_the_exit_code_is_an_event(runs: dict[str, Run]) -> None:
    (event,) = runs["failed"].events
    assert (event.kind, event.step) == ("crash", 9) and "exit code 3" in event.text
    assert not runs["killed"].events  # a killed process notes nothing


def test_a_step_metric_of_the_run_counts_the_steps(runs: dict[str, Run]) -> None:
    assert runs["own-step"].steps.tolist() == list(range(0, 10 * STEPS, 10))
    assert list(runs["own-step"]) == ["rec_loss"]


def test_a_killed_run_is_read_up_to_its_torn_end(runs: dict[str, Run]) -> None:
    run = runs["killed"]
    assert len(run) > 100 and run.steps.tolist() == list(range(len(run)))
    np.testing.assert_array_equal(run["rec_loss"], [rec(i) for i in range(len(run))])


def test_a_file_by_itself_and_its_folder(project: Path) -> None:
    (path,) = files(project, "failed")
    assert detect(Source(path))[0][:2] == ("wandb", 1.0)
    assert len(read(path)) == len(read(path.parent)) == len(read(path, format="wandb")) == 10
    assert len(read_all(project / "wandb")) == 4
    assert read(project / "wandb" / "latest-run").steps.tolist() == list(range(len(read(files(project, "killed")[0]))))


def test_one_run_beside_a_log_is_a_view_of_it(project: Path, tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    for path in files(project, "resumed"):
        (tmp_path / "wandb" / path.parent.name / "files").mkdir(parents=True)
        (tmp_path / "wandb" / path.parent.name / path.name).write_bytes(path.read_bytes())
        (tmp_path / "wandb" / path.parent.name / "files" / "output.log").write_text(
            "".join(f"step {i} loss: {rec(i):.4f}\n" for i in range(50))
        )
    assert (read(tmp_path).format, len(read(tmp_path))) == ("wandb", STEPS)
    (tmp_path / "metrics.csv").write_text("step,rec_loss\n0,1\n1,2\n")
    run = read(tmp_path)
    assert run.format == "csv"
    (note,) = [n for n in run.notes if n.kind == "left_aside"]
    assert note.count == 4


def test_no_whole_record_and_no_wandb_file(project: Path, tmp_path: Path) -> None:
    (path,) = files(project, "failed")
    for content, message in (
        (path.read_bytes()[:20], "without a whole record"),
        (path.read_bytes()[:200], "nothing was logged"),
        (b"step,a\n1,2\n", "does not begin with ':W&B'"),
    ):
        (tmp_path / "run-x.wandb").write_bytes(content)
        with pytest.raises(LogError, match=message):
            read(tmp_path / "run-x.wandb", format="wandb")


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_cut_file_gives_the_rows_before_the_cut(project: Path, data: st.DataObject) -> None:
    (path,) = files(project, "killed")
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    folder = project / "cut"
    folder.mkdir(exist_ok=True)
    (folder / "x.wandb").write_bytes(whole[:cut])
    try:
        run = read(folder / "x.wandb")
    except LogError:
        assert cut < 4000  # the first row of the run is behind it
        return
    assert run.steps.tolist() == list(range(len(run)))
    np.testing.assert_array_equal(run["rec_loss"], [rec(i) for i in range(len(run))])


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_damaged_block_costs_its_own_rows_only(project: Path, data: st.DataObject) -> None:
    (path,) = files(project, "killed")
    damaged = bytearray(path.read_bytes())
    place = data.draw(st.integers(BLOCK, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    folder = project / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / "x.wandb").write_bytes(damaged)
    run, whole = read(folder / "x.wandb"), read(path)
    assert len(run) >= len(whole) - 80  # a block holds fewer rows
    np.testing.assert_array_equal(run["rec_loss"], [rec(i) for i in run.steps.tolist()])
    assert any(n.kind in ("damaged_records", "torn_line") for n in run.notes)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=400), st.binary(max_size=8))
def test_random_bytes_are_a_log_error(tmp_path_factory: pytest.TempPathFactory, content: bytes, record: bytes) -> None:
    path = tmp_path_factory.mktemp("random") / "run-x.wandb"
    for body in (content, framed([record, content])):
        path.write_bytes(b":W&B\xe1\xbe\x00" + body)
        with pytest.raises(LogError):
            read(path, format="wandb")


def framed(records: list[bytes], preface: int = 7) -> bytes:
    """Records as LevelDB writes them into its log."""
    out = b""
    for record in records:
        first = True
        while True:
            room = BLOCK - (preface + len(out)) % BLOCK
            if room < 7:
                out += b"\0" * room
                continue
            part, record = record[: room - 7], record[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[first, not record]
            body = bytes([kind]) + part
            out += struct.pack("<IH", zlib.crc32(body), len(part)) + body
            first = False
            if not record:
                break
    return out


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 3 * BLOCK), max_size=12), st.integers(1, 3 * BLOCK))
def test_records_of_any_length_come_back(lengths: list[int], chunk: int) -> None:
    records = [bytes([i % 251]) * length for i, length in enumerate(lengths)]
    log = b"preface" + framed(records)
    stream = LogRecords((log[i : i + chunk] for i in range(0, len(log), chunk)), 7)
    assert list(stream) == records
    assert (stream.damaged, stream.cut_bytes) == (0, 0)


KEYS = st.lists(st.text(max_size=70), min_size=1, max_size=3)
VALUES = st.one_of(st.floats().map(repr), st.just("NaN"), st.just('{"a": 1}'), st.text(max_size=200).map(repr))


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=6))
def test_items_parsed_at_once_are_those_parsed_one_by_one(rows: list[tuple[list[str], str]]) -> None:
    from wandb.proto.wandb_internal_pb2 import HistoryRecord

    items, message, expected = Items(), HistoryRecord(), []
    for keys, value in rows:
        message.item.add(nested_key=keys, value_json=value)
        name = ""
        for key in keys:
            name = f"{name}.{key}" if name else key
        expected.append((name, value))
    data = message.SerializeToString()
    for _ in range(2):  # the second time the names are known
        assert [(name, text.decode()) for name, text in items.parse(data, 0, len(data))] == expected


def test_numbers_are_kept_in_every_form_of_the_protocol() -> None:
    from wandb.proto.wandb_internal_pb2 import HistoryItem

    for item, number in (
        (HistoryItem(key="a", number=0.1), 0.1),
        (HistoryItem(key="a", integer=-3), -3.0),
        (HistoryItem(key="a", value_json="-Infinity"), -np.inf),
        (HistoryItem(key="a", value_json='"Infinity"'), np.inf),
        (HistoryItem(key="a", json="7"), 7.0),
    ):
        data = item.SerializeToString()
        assert numbers_of(*parse_item(data, 0, len(data))) == [("a", number)]
    assert numbers_of("a", b'{"_type": "histogram", "x": 1}') == numbers_of("a", b"true") == numbers_of("a", b"{") == []
    assert numbers_of("a", b'{"b": {"c": 2}}') == [("a.b.c", 2.0)]
