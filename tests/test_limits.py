"""What a log may grow to: a bomb of a few megabytes ends in one sentence and never in all of the memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vaelab.errors import LogError
from vaelab.readers import detect, read, source
from vaelab.readers.source import Source

MIB = 1 << 20


@pytest.fixture
def memory() -> Iterator[None]:
    """Python's own memory stays below 256 MiB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 256 * MIB, f"{peak / MIB:,.0f} MiB"


def bomb(path: Path, start: bytes, piece: bytes, times: int) -> Path:
    """``piece`` again and again, a gzip member each, so that it is packed once."""
    path.write_bytes(gzip.compress(start) + gzip.compress(piece * (64 * MIB // len(piece)), 6) * times)
    return path


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("train.log.gz", b"step: 1 loss: 0.5\nstep: 2 loss: 0.4\nstep: 3 loss: "),
        ("metrics.jsonl.gz", b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n{"step": 3, "loss": '),
        ("metrics.csv.gz", b"step,rec_loss\n1,0.5\n2,0.4\n3,0.3\n4,"),
        ("pf.log.gz", b"Epoch: [0]  [ 0/10]  eta: 0:00:10  lr: 0.1  loss: 0.5 (0.5)  time: 0.5  data: 0.1\n" * 3),
    ],
)
def test_a_line_without_end(name: str, start: bytes, tmp_path: Path, memory: None) -> None:
    packed = bomb(tmp_path / name, start, b"7", 160)  # 10 GiB in 10 MB
    assert packed.stat().st_size < 12_000_000
    with pytest.raises(LogError, match="has a line of more than 16 MiB: it is no training log"):
        read(packed)


def test_progress_bars_in_one_line_are_no_line_without_end(tmp_path: Path) -> None:
    bars = b"".join(b"\r 50%%|##   | %d/4000000 [00:10<00:10, loss=0.5]" % i for i in range(400_000))
    assert len(bars) > source.MOST_LINE
    (tmp_path / "bar.log").write_bytes(bars)
    assert b"".join(Source(tmp_path / "bar.log").chunks()) == bars


def test_a_file_that_unpacks_to_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: None
) -> None:
    monkeypatch.setattr(source, "MOST_UNPACKED", 100 * MIB)
    packed = bomb(tmp_path / "a.log.gz", b"step: 1 loss: 0.5\n", b"no numbers in this line\n", 40)
    with pytest.raises(LogError, match="unpacks to more than"):
        for _ in Source(packed).chunks():
            pass
    packed = bomb(tmp_path / "b.db.gz", b"SQLite format 3\0", b"\0", 40)
    with pytest.raises(LogError, match="unpacks to more than"), Source(packed).local_file():
        pass


def test_a_pipe_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(b"step: 1 loss: 0.5\n" * 200_000)

    monkeypatch.setattr(source, "MOST_UNPACKED", 2 * MIB)
    monkeypatch.setattr("sys.stdin", Stdin)
    with pytest.raises(LogError, match="<stdin> has more than"):
        read("-")


def test_a_log_that_is_read_as_a_whole_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_WHOLE", 10 * MIB)
    (tmp_path / "trainer_state.json").write_text('{"log_history": [' + '{"step": 1, "loss": 1},\n' * 500_000 + "]}")
    with pytest.raises(LogError, match="in one piece: write its rows as JSON lines"):
        read(tmp_path / "trainer_state.json")


def test_a_member_of_an_archive_with_a_line_without_end(tmp_path: Path, memory: None) -> None:
    packed = tmp_path / "comet.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("experiment.json", "{}")
        with archive.open("messages.json", "w") as member:
            for _ in range(70):
                member.write(b"7" * MIB)
    (found, *_) = detect(Source(packed))
    assert found[:2] == ("comet", 1.0)
    with pytest.raises(LogError, match="line of more than 64 MiB"):
        read(packed)
