"""What a user may give: files, folders, patterns, gzip, standard input, and things that are no logs."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vaelab.errors import LogError
from vaelab.readers import detect, read, read_all
from vaelab.readers.source import Source

CSV = "step,rec_loss,kl_loss\n" + "".join(f"{s},{1 / (s + 1):.4f},{s}\n" for s in range(0, 500, 10))
JSONL = "".join(f'{{"step": {s}, "rec_loss": {s}, "kl_loss": 1}}\n' for s in range(0, 50, 10))
DATA = Path(__file__).parent / "data"


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.csv"
    path.write_text(CSV)
    return path


def test_missing_empty_folder_and_binary(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="does not exist"):
        read(tmp_path / "no.log")
    (tmp_path / "empty.log").touch()
    with pytest.raises(LogError, match="is empty"):
        read(tmp_path / "empty.log")
    with pytest.raises(LogError, match="is a folder"):
        Source(tmp_path)
    (tmp_path / "model.ckpt").write_bytes(os.urandom(1000) + b"\0")
    with pytest.raises(LogError, match="binary"):
        read(tmp_path / "model.ckpt")
    with pytest.raises(LogError):
        read("a\0b")


@pytest.mark.parametrize("content", [b"\n\n\n", b"hello world\n", b"\xff" * 100, b"{", b"a,b\n", b"step,a\nx,y\n"])
def test_text_without_metrics(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(content)
    with pytest.raises(LogError):
        read(path)


def test_gzip_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"  # no .gz
    path.write_bytes(gzip.compress(CSV.encode()))
    assert len(read(path)) == 50
    path.write_bytes(gzip.compress(CSV[:500].encode()) + gzip.compress(CSV[500:].encode()))
    assert len(read(path)) == 50


def test_a_cut_gzip_file_gives_what_can_be_had(tmp_path: Path) -> None:
    path = tmp_path / "m.csv.gz"
    text = "step,rec_loss\n" + "".join(f"{i},{i * 0.37 % 1:.6f}\n" for i in range(20000))
    packed = gzip.compress(text.encode())
    path.write_bytes(packed[: len(packed) // 2])
    run = read(path)
    assert 5000 < len(run) < 15000
    assert [n.kind for n in run.notes if "gzip" in n.text] == ["truncated_gzip"]
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0xFF
    path.write_bytes(damaged)
    assert "truncated_gzip" in [n.kind for n in read(path).notes]
    path.write_bytes(packed[:9])
    with pytest.raises(LogError, match="no readable content"):
        read(path)


@pytest.mark.parametrize("size", [1, 10, 1000, 1 << 20])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_chunks_are_the_whole_file(tmp_path: Path, size: int, pack: object) -> None:
    path = tmp_path / "f"
    path.write_bytes(pack(CSV.encode()))  # type: ignore[operator]
    source = Source(path)
    assert source.head(17) == CSV.encode()[:17]
    assert b"".join(source.chunks(size)) == CSV.encode()
    assert source.read() == CSV.encode()
    assert source.head() == CSV.encode()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "m.csv"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes((mark + CSV).encode(encoding))
    assert len(read(path)) == 50


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [CSV, "".join(f"step {s}: rec_loss=0.{s}, note=pérdida\n" for s in range(10, 60))])
def test_utf16_without_a_mark(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "m.log"
    path.write_bytes(text.encode(encoding))
    assert len(read(path)) == 50


@pytest.mark.parametrize("text", [CSV, JSONL, CSV.replace("step", "epoch"), CSV.replace(",", " ")])
def test_a_table_whose_newest_row_stands_first_is_turned_round(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.log"
    path.write_text(text)
    whole = read(path)
    header, *rows = text.splitlines()
    lines = [header, *reversed(rows)] if header[0] != "{" else [*reversed(rows), header]
    path.write_text("\n".join(lines) + "\n")
    run = read(path)
    assert run.steps.tolist() == whole.steps.tolist() and run["rec_loss"].tolist() == whole["rec_loss"].tolist()
    (note,) = [n for n in run.notes if n.kind == "newest_first"]
    assert note.count == len(run)


def test_steps_of_each_epoch_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("epoch,step,rec_loss\n" + "".join(f"{i // 5},{i % 5},0.{50 + i}\n" for i in range(19, -1, -1)))
    assert read(path).steps.tolist() == list(range(20))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(gzip.compress(CSV.encode()))

    monkeypatch.setattr(sys, "stdin", Stdin())
    run = read("-")
    assert (run.source, len(run)) == ("<stdin>", 50)


def test_a_named_pipe(tmp_path: Path) -> None:
    import threading

    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_text(CSV))
    writer.start()
    assert len(read(path, format="csv")) == 50
    writer.join()


def test_the_most_telling_view_of_a_run_is_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(CSV)
    (tmp_path / "metrics.jsonl").write_text(JSONL)
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out.tfevents.1").write_bytes((DATA / "tb_lightning.tfevents").read_bytes())
    (tmp_path / "truth.json").write_text('{"step": 1, "rec_loss": 1}\n{"step": 2, "rec_loss": 1}')
    (tmp_path / "sample.png").write_bytes(b"\x89PNG")
    run = read(tmp_path)
    assert (run.format, run.source) == ("csv", str(tmp_path / "metrics.csv"))
    (note,) = [n for n in run.notes if n.kind == "left_aside"]
    assert note.count == 2
    assert "metrics.jsonl" in note.text and "tfevents" in note.text and "truth" not in note.text
    assert read(tmp_path, format="tensorboard").format == "tensorboard"


def test_a_view_that_holds_nothing_gives_way_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,rec_loss\n0,nan\n")
    (tmp_path / "a.csv").write_text("step,epoch\n0,0\n1,0\n")
    (tmp_path / "metrics.jsonl").write_text(JSONL)
    assert read(tmp_path).format == "json_lines"


def test_folders_of_runs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "lightning_logs" / "version_0").mkdir(parents=True)
        (tmp_path / name / "lightning_logs" / "version_0" / "metrics.csv").write_text(CSV)
        (tmp_path / name / "lightning_logs" / "version_0" / "hparams.yaml").write_text("kl_weight: 1e-6\n")
    runs = read_all(tmp_path)
    assert [Path(run.source).relative_to(tmp_path).parts[0] for run in runs] == ["a", "b"]
    assert [run.config["kl_weight"] for run in runs] == [1e-6, 1e-6]
    assert len(read_all([tmp_path / "a", tmp_path / "b"])) == 2
    assert len(read_all(str(tmp_path / "*" / "lightning_logs" / "*" / "*.csv"))) == 2
    assert len(read_all(str(tmp_path / "**" / "metrics.csv"))) == 2
    with pytest.raises(LogError, match="2 runs"):
        read(tmp_path)


def test_versions_are_runs_of_their_own(tmp_path: Path) -> None:
    for version in (0, 1):
        folder = tmp_path / "lightning_logs" / f"version_{version}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(CSV if version else CSV.replace("0,1.0000", "0,2.0000"))
    assert [run["rec_loss"][0] for run in read_all(tmp_path)] == [2, 1]


def test_a_copy_of_a_log_is_left_aside(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b.csv").write_text(CSV)
    run = read(tmp_path)
    assert "repeats" in run.notes[-1].text


def test_a_folder_without_a_log_says_what_was_looked_at(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no file has the name of a log"):
        read(tmp_path)
    (tmp_path / "notes.txt").write_text("hello\n")
    with pytest.raises(LogError, match=r"looked at 1 files \(notes.txt\)"):
        read(tmp_path)
    with pytest.raises(LogError, match="no file matches"):
        read_all(str(tmp_path / "*.csv"))
    with pytest.raises(LogError, match="no log was given"):
        read_all([])


def test_format_by_name_and_by_trainer(csv_file: Path) -> None:
    assert read(csv_file, format="CSV").trainer == "unknown"
    run = read(csv_file, format="pyramid-flow")
    assert (run.format, run.trainer, run.trainer_confidence) == ("csv", "pyramid_flow", 1.0)
    with pytest.raises(LogError, match="no log format or trainer 'nonsense'"):
        read(csv_file, format="nonsense")
    with pytest.raises(LogError, match="no whole TensorBoard record"):
        read(csv_file, format="tensorboard")
    with pytest.raises(LogError):
        read(csv_file, format="trainer-state")


def test_declared_values_win(csv_file: Path) -> None:
    (csv_file.parent / "config.yaml").write_text("model:\n  kl_weight: 1.0e-6\n  disc_start: 100\n")
    assert read(csv_file).config == {"kl_weight": 1e-6, "disc_start": 100}
    assert "config_file" in [n.kind for n in read(csv_file).notes]
    assert read(csv_file, config={"kl_weight": 0.5}).config["kl_weight"] == 0.5


def test_objects_in_a_hparams_file_are_plain_data(csv_file: Path) -> None:
    text = "loss: !!python/object:my.Loss\n  kl_weight: 1.0e-6\nresolution: !!python/tuple [64, 64]\n"
    (csv_file.parent / "hparams.yaml").write_text(text)
    assert read(csv_file).config == {"kl_weight": 1e-6, "resolution": [64, 64]}


def test_a_yaml_that_unfolds_without_end_is_cut(csv_file: Path) -> None:
    levels = ["a0: &a0 {kl_weight: 1}"]
    levels += [f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}, z: *a{i - 1}}}" for i in range(1, 40)]
    (csv_file.parent / "config.yaml").write_text("\n".join(levels))
    assert len(read(csv_file).raw_config) <= 100_000


def test_a_pipe_in_a_folder_is_not_waited_on(tmp_path: Path, csv_file: Path) -> None:
    os.mkfifo(tmp_path / "live.log")
    assert len(read(tmp_path)) == 50


def test_a_yaml_that_is_no_training_config_is_ignored(csv_file: Path) -> None:
    (csv_file.parent / "config.yaml").write_text("services:\n  db: {image: x}\n")
    (csv_file.parent / "hparams.yaml").write_text("[: broken")
    run = read(csv_file)
    assert not run.raw_config and not run.notes


def test_progress_ends_at_the_total(tmp_path: Path, csv_file: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "m.csv").write_text(CSV)
    seen: list[tuple[int, int | None]] = []
    read_all(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2 * len(CSV), 2 * len(CSV))
    assert {total for _, total in seen} == {2 * len(CSV)}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_detect_ranks_the_readers(csv_file: Path) -> None:
    ((name, confidence, what), *_) = detect(Source(csv_file))
    assert (name, confidence) == ("csv", 0.95)
    assert "CSV" in what


def test_one_unreadable_run_of_a_folder_does_not_hide_the_others(tmp_path: Path) -> None:
    for name, text in (("a", "step,rec_loss\n0,nan\n1,x\n"), ("b", CSV), ("c", CSV.replace("1.0000", "2.0000"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(text)
    (tmp_path / "a" / "metrics.csv").write_text("step,epoch\n" + "".join(f"{i},0\n" for i in range(9)))
    runs = read_all(tmp_path)
    assert [Path(run.source).parent.name for run in runs] == ["b", "c"]
    (note,) = [n for n in runs[0].notes if n.kind == "unreadable"]
    assert str(tmp_path / "a") in note.text
    with pytest.raises(LogError, match="no metric with a value"):
        read_all(tmp_path / "a")


def test_equal_runs_in_one_file_are_two_runs(tmp_path: Path) -> None:
    half = "step,rec_loss\n" + "".join(f"{i},{i}\n" for i in range(5)) + "".join(f"{i},{i}\n" for i in range(5))
    (tmp_path / "metrics.csv").write_text(half)
    assert len(read_all(tmp_path)) == len(read_all(tmp_path / "metrics.csv")) == 2


@pytest.fixture
def deep_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of folders, deeper than Python recurses; removed again, because pytest could not."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    yield tmp_path
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_a_folder_without_end(deep_folder: Path) -> None:
    (deep_folder / "metrics.csv").write_text(CSV)
    (deep_folder / "loop").symlink_to(deep_folder)
    assert len(read(deep_folder)) == 50


def test_a_repository_of_aim_says_how_to_export_it(tmp_path: Path) -> None:
    (tmp_path / ".aim" / "meta").mkdir(parents=True)
    (tmp_path / ".aim" / "meta" / "LOG").write_text("rec_loss: 1\n" * 20)
    for path in (tmp_path, tmp_path / ".aim"):
        with pytest.raises(LogError, match=r"repository of Aim.*Export"):
            read(path)
    (tmp_path / "metrics.csv").write_text(CSV)
    assert len(read(tmp_path)) == 50


@pytest.mark.parametrize(
    "name", ["<script>", "a\nb", "../../etc/passwd", "", " ", "train/", "x" * 3000, "\x1b[31m", "_step"]
)
def test_names_that_are_no_names(tmp_path: Path, name: str) -> None:
    import json

    (tmp_path / "metrics").mkdir()
    path = tmp_path / "messages.json"
    metrics = [{"metricName": n, "metricValue": 1.0, "step": i} for i in range(3) for n in (name, "rec_loss")]
    path.write_text(
        "".join(json.dumps({"payload": {"message_id": 1, "metric": m}, "type": "metric_msg"}) + "\n" for m in metrics)
    )
    run = read(path)
    assert run["rec_loss"].tolist() == [1, 1, 1]
    assert len(run) == 3


def test_the_project_settings_of_lightning_scripts_count_for_a_single_file(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("step,train/rec_loss,train/kl_loss\n" + "".join(f"{i},0.{9 - i % 3},3.1\n" for i in range(20)))
    (tmp_path / "2026-11-21T10-00-00-project.yaml").write_text(
        "model:\n  params:\n    lossconfig:\n      params:\n        disc_start: 50001\n"
    )
    assert read(log).config["disc_start"] == 50001


def test_rows_that_begin_behind_what_is_looked_at_first_are_found(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(
        "Loading item /data/0.png\n" * 20_000 + "".join(f"step {i} rec_loss 0.{i}\n" for i in range(10, 40))
    )
    assert len(read(path)) == 30


def test_a_stretch_of_zeros_in_a_text_log_makes_it_no_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    rows = [f"step {i} rec_loss 0.{i}\n".encode() for i in range(10, 90)]
    path.write_bytes(b"".join(rows[:40]) + b"\0" * 500 + b"\n" + b"".join(rows[40:]))
    assert len(read(path)) == 80
