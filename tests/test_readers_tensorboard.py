"""TensorBoard event files: written by the real writer, by hand, cut, and damaged."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from vaelab.errors import LogError
from vaelab.readers import read, read_all
from vaelab.readers.building import build_runs
from vaelab.readers.event_proto import parse_event
from vaelab.readers.source import Source
from vaelab.readers.tensorboard import READER
from vaelab.run import Run

DATA = Path(__file__).parent / "data"


def scalar(step: int, tag: str, value: float) -> Event:
    """As torch's SummaryWriter writes it."""
    return Event(wall_time=1.7e9 + step, step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]))


def tensor_scalar(step: int, tag: str, tensor: TensorProto) -> Event:
    """As TensorFlow 2 writes it: the metadata follows the value."""
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    value = Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
    return Event(wall_time=1.7e9, step=step, summary=Summary(value=[value]))


def record(event: Event) -> bytes:
    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def write(path: Path, events: list[Event]) -> Path:
    path.write_bytes(b"".join(map(record, [Event(wall_time=1.0, file_version="brain.Event:2"), *events])))
    return path


def points(run: Run) -> dict[str, list[tuple[int, float]]]:
    found = {}
    for column in run.columns.values():
        rows = np.flatnonzero(column.logged)
        found[column.original] = list(zip(run.steps[rows].tolist(), column.values[rows].tolist(), strict=True))
    return found


def note_kinds(run: Run) -> list[str]:
    return [note.kind for note in run.notes]


def test_the_real_writer_round_trips(tmp_path: Path) -> None:
    writer = EventFileWriter(str(tmp_path))
    values = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    values[17, 1] = np.nan
    values[18, 2] = np.inf
    tags = ["train/rec_loss", "train/kl_loss", "lr"]
    for step, row in enumerate(values):
        for tag, value in zip(tags, row, strict=True):
            writer.add_event(scalar(step, tag, float(value)))
    writer.close()
    run = read(tmp_path)
    assert run.format == "tensorboard"
    assert list(run) == ["rec_loss", "kl_loss", "lr"]
    np.testing.assert_array_equal(np.stack([run[name] for name in run], 1), values.astype(np.float64))
    assert run.columns["kl_loss"].logged[17]
    assert run.line("rec_loss", 0) == 2  # record 1 is the file version
    assert not run.notes


TENSORS = {
    "float": TensorProto(dtype=1, float_val=[0.5]),
    "double": TensorProto(dtype=2, double_val=[-2.5]),
    "content": TensorProto(dtype=1, tensor_content=struct.pack("<f", 1.25)),
    "double content": TensorProto(dtype=2, tensor_content=struct.pack("<d", 1e300)),
    "half": TensorProto(dtype=19, half_val=[0x3E00]),
    "half content": TensorProto(dtype=19, tensor_content=struct.pack("<e", 1.5)),
    "bfloat16": TensorProto(dtype=14, half_val=[0x3FC0]),
    "int": TensorProto(dtype=3, int_val=[-7]),
    "int64": TensorProto(dtype=9, int64_val=[1 << 40]),
    "bool": TensorProto(dtype=10, bool_val=[True]),
}
EXPECTED = [0.5, -2.5, 1.25, 1e300, 1.5, 1.5, 1.5, -7.0, float(1 << 40), 1.0]


def test_tensor_scalars_of_every_type(tmp_path: Path) -> None:
    for tensor in TENSORS.values():
        tensor.tensor_shape.CopyFrom(TensorShapeProto())
    events = [tensor_scalar(step, tag, tensor) for step in range(4) for tag, tensor in TENSORS.items()]
    run = read(write(tmp_path / "events.out.tfevents.1", events))
    found = points(run)
    assert [found[tag] for tag in TENSORS] == [[(step, value) for step in range(4)] for value in EXPECTED]


def test_several_values_in_one_record(tmp_path: Path) -> None:
    values = [Summary.Value(tag="a", simple_value=1.0), Summary.Value(tag="b", simple_value=2.0)]
    run = read(write(tmp_path / "f.tfevents", [Event(step=5, wall_time=1.0, summary=Summary(value=values))]))
    assert points(run) == {"a": [(5, 1.0)], "b": [(5, 2.0)]}


def test_what_is_not_a_scalar_is_counted(tmp_path: Path) -> None:
    image = Summary.Value(tag="inputs", image=Summary.Image(height=1, width=1, encoded_image_string=b"x" * 1000))
    vector = Summary.Value(tag="v", tensor=TensorProto(dtype=1, float_val=[1.0, 2.0]))
    events = [Event(step=1, wall_time=1.0, summary=Summary(value=[value])) for value in (image, vector)]
    run = read(write(tmp_path / "f.tfevents", [*events, scalar(1, "loss", 1.0)]))
    (note,) = run.notes
    assert (note.kind, note.count) == ("other_summaries", 2)


@pytest.mark.parametrize(
    "text",
    [
        b'{"kl_weight": 1e-06}',
        b"kl_weight: 1.0e-06\n",
        b"|key|value|\n|---|---|\n|kl_weight|1e-06|",
        b"{'kl_weight': 1e-06}",
    ],
)
def test_a_config_in_a_text_summary_is_read(tmp_path: Path, text: bytes) -> None:
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    value = Summary.Value(tag="config", tensor=TensorProto(dtype=7, string_val=[text]), metadata=metadata)
    events = [Event(step=0, wall_time=1.0, summary=Summary(value=[value])), scalar(0, "loss", 1.0)]
    assert read(write(tmp_path / "f.tfevents", events)).config["kl_weight"] == 1e-6


def test_hparams_are_read(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    summary = hparams_pb({"lr": 0.5, "disc_start": 100, "opt": "adam", "amp": True})
    event = Event(wall_time=1.0, summary=Summary.FromString(summary.SerializeToString()))
    run = read(write(tmp_path / "f.tfevents", [event, scalar(0, "loss", 1.0)]))
    assert run.raw_config == {"lr": 0.5, "disc_start": 100.0, "opt": "adam", "amp": True}


def test_the_epoch_tag_counts_epochs(tmp_path: Path) -> None:
    events = [scalar(step, tag, v) for step in range(4) for tag, v in (("loss", 1.0 + step), ("epoch", step // 2))]
    run = read(write(tmp_path / "f.tfevents", events))
    assert list(run) == ["total_loss"]
    assert run.epochs is not None and run.epochs.tolist() == [0, 0, 1, 1]


def test_tag_after_tag_is_one_run(tmp_path: Path) -> None:
    events = [scalar(step, tag, step) for tag in ("a", "b") for step in range(50)]
    run = read(write(tmp_path / "f.tfevents", events))
    assert len(run) == 50
    assert not run.notes


def test_a_resume_in_a_second_file_is_stitched(tmp_path: Path) -> None:
    first = [scalar(step, tag, 1.0) for step in range(0, 100, 5) for tag in ("a", "b")]
    second = [scalar(step, tag, 2.0) for step in range(50, 120, 5) for tag in ("a", "b")]
    write(tmp_path / "events.out.tfevents.1", first)
    later = write(tmp_path / "events.out.tfevents.0", second)  # the order is that of the clock, not of the names
    later.write_bytes(later.read_bytes()[len(record(Event(wall_time=1.0, file_version="brain.Event:2"))) :])
    run = read(tmp_path)
    assert run.steps.tolist() == [*range(0, 120, 5)]
    assert run["a"].tolist() == [1.0] * 10 + [2.0] * 14
    assert [event.kind for event in run.events] == ["resume"]


def test_a_second_file_that_goes_on_is_a_resume_and_one_of_another_writer_is_none(tmp_path: Path) -> None:
    write(tmp_path / "events.out.tfevents.1", [scalar(step, "a", 1.0) for step in range(0, 100, 5)])
    write(tmp_path / "events.out.tfevents.2", [scalar(step, "a", 2.0) for step in range(100, 150, 5)])
    write(tmp_path / "events.out.tfevents.3", [scalar(step, "val/a", 2.0) for step in range(150, 160, 5)])
    run = read(tmp_path)
    assert len(run) == 32 and [(event.kind, event.step) for event in run.events] == [("resume", 100)]


def test_a_restart_in_the_same_folder_is_another_run(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"events.out.tfevents.{number}", [scalar(step, "a", number) for step in range(0, 50, 5)])
    assert [run["a"][0] for run in read_all(tmp_path)] == [1.0, 2.0]


def test_training_and_validation_writers_are_one_run(tmp_path: Path) -> None:
    for split, tag in (("train", "epoch_loss"), ("validation", "epoch_loss")):
        (tmp_path / split).mkdir()
        write(tmp_path / split / "events.out.tfevents.1", [scalar(step, tag, step) for step in range(3)])
    run = read(tmp_path)
    assert [column.original for column in run.columns.values()] == ["epoch_loss", "validation/epoch_loss"]


def test_micro_batches_of_one_step(tmp_path: Path) -> None:
    events = [scalar(step, tag, 10 * step + i) for step in range(3) for i in (0, 1) for tag in ("a", "b")]
    run = read(write(tmp_path / "f.tfevents", events))
    assert run["a"].tolist() == [1, 11, 21]
    assert run.notes[0].kind == "duplicate_steps"


def test_a_real_log() -> None:
    run = read(DATA / "tb_lightning.tfevents")
    assert run.trainer == "ldm"
    assert {"rec_loss", "kl_loss", "d_weight", "val/rec_loss"} <= set(run)
    assert sum(note.kind == "duplicate_column" for note in run.notes) == 2


def test_every_cut_gives_the_points_before_it() -> None:
    records = [record(scalar(step, tag, step)) for step in (0, 1, 200, 70000) for tag in ("train/rec_loss", "kl")]
    whole = b"".join(records)
    expected = points(read_bytes(whole))
    ends = np.cumsum([len(r) for r in records])
    for cut in range(len(whole)):
        whole_records = int((ends <= cut).sum())
        if not whole_records:
            with pytest.raises(LogError, match="no whole TensorBoard record"):
                read_bytes(whole[:cut])
            continue
        run = read_bytes(whole[:cut])
        found = points(run)
        assert all(expected[tag][: len(values)] == values for tag, values in found.items())
        assert sum(map(len, found.values())) == whole_records
        assert ("torn_line" in note_kinds(run)) == (cut not in ends)


def read_bytes(data: bytes, chunk: int = 1 << 20) -> Run:
    class Memory(Source):
        def __init__(self) -> None:
            self.name, self.notes, self.path, self.size = "memory", [], None, len(data)

        def raw_chunks(self, size: int = 0):  # type: ignore[no-untyped-def]
            return (data[i : i + chunk] for i in range(0, len(data), chunk))

    (log,) = READER.read(Memory())
    (run,) = build_runs(log)
    return run


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_pieces_of_any_size_give_the_same(chunk: int) -> None:
    data = (DATA / "tb_lightning.tfevents").read_bytes()[:6000]
    assert points(read_bytes(data, chunk)) == points(read_bytes(data))


def test_one_flipped_byte_never_gives_a_wrong_point() -> None:
    records = [record(scalar(step, tag, step)) for step in range(6) for tag in ("a", "bc")]
    whole = b"".join(records)
    expected = points(read_bytes(whole))
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x21
        run = read_bytes(bytes(damaged))
        found = points(run)
        assert all(set(found[tag]) <= set(expected[tag]) for tag in found)
        assert sum(map(len, found.values())) >= len(records) - 1
        assert "damaged_records" in note_kinds(run) or place >= len(whole) - len(records[-1])


def test_a_damaged_stretch_between_good_records() -> None:
    good = [record(scalar(step, "a", step)) for step in range(4)]
    run = read_bytes(good[0] + good[1] + b"\x00" * 5000 + good[2] + good[3], chunk=512)
    assert points(run) == {"a": [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]}
    assert "5,000 damaged bytes in 1 place" in run.notes[0].text


FLOATS = st.floats(width=32)
TAGS = st.text(min_size=1, max_size=12).map(lambda t: "m" + t)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 40), TAGS, FLOATS, st.booleans()), min_size=1, max_size=40))
def test_fast_and_careful_decoding_agree(rows: list[tuple[int, str, float, bool]]) -> None:
    """All points, in the order of the file, against protobuf's own parser."""
    events = [
        tensor_scalar(step, tag, TensorProto(dtype=1, float_val=[value])) if tensor else scalar(step, tag, value)
        for step, tag, value, tensor in rows
    ]
    from vaelab.readers.tensorboard import _Points
    from vaelab.readers.tfrecord import RecordStream

    reader = _Points()
    for part in RecordStream([b"".join(map(record, events * 2))]):  # twice: the second time by the known layout
        reader.parts.append(reader._decode(part))
    names = {number: tag for tag, number in reader.tags.items()}
    (series,) = reader.parts
    assert [names[t] for t in series.tag.tolist()] == [tag for _, tag, _, _ in rows] * 2
    assert series.step.tolist() == [step for step, *_ in rows] * 2
    np.testing.assert_array_equal(series.value, np.array([value for _, _, value, _ in rows] * 2))
    assert reader.damaged == 0


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_event(data, 0, len(data))
    with contextlib.suppress(LogError):
        read_bytes(data or b"\0")
