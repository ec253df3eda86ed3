"""Time to read the scalars of one TensorBoard event file: vaelab's reader, TensorBoard's own, and tbparse.

    python benchmarks/bench_tensorboard.py --points 1000000

Writes a file as torch's SummaryWriter lays it out (10 tags), reads it with each reader in a process of its own, and
prints a markdown table. TensorBoard's default keeps 10,000 points a tag; ``scalars=0`` keeps all.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TAGS = [f"train/{name}" for name in (
    "total_loss", "nll_loss", "rec_loss", "kl_loss", "g_loss", "disc_loss", "logits_real", "logits_fake", "d_weight", "lr",
)]  # fmt: skip


def write_events(path: Path, points: int) -> None:
    """``points`` scalars spread over ten tags, one event each, with TensorBoard's own protobufs and checksums."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    def record(event: Event) -> bytes:
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))

    with path.open("wb") as file:
        file.write(record(Event(wall_time=0.0, file_version="brain.Event:2")))
        for i in range(points):
            step, tag = divmod(i, len(TAGS))
            value = Summary.Value(tag=TAGS[tag], simple_value=(i * 2654435761 % 1000003) / 1e6)
            file.write(record(Event(wall_time=1.7e9 + i * 1e-3, step=step, summary=Summary(value=[value]))))


def vaelab_reader(folder: str) -> int:
    from vaelab.readers import read

    run = read(folder)
    return sum(int(column.logged.sum()) for column in run.columns.values())


def accumulator(folder: str, **guidance: int) -> int:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(folder, size_guidance=guidance or None)
    events.Reload()
    return sum(len(events.Scalars(tag)) for tag in events.Tags()["scalars"])


def accumulator_all(folder: str) -> int:
    return accumulator(folder, scalars=0)


def tbparse_reader(folder: str) -> int:
    from tbparse import SummaryReader

    return len(SummaryReader(folder).scalars)


READERS: dict[str, Callable[[str], int]] = {
    "vaelab (every checksum of scalar records verified)": vaelab_reader,
    "EventAccumulator, scalars=0": accumulator_all,
    "EventAccumulator, default": accumulator,
    "tbparse": tbparse_reader,
}


def measure(name: str, folder: str, results: multiprocessing.Queue[str]) -> None:
    start = time.perf_counter()
    kept = READERS[name](folder)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put(json.dumps({"seconds": seconds, "kept": kept, "peak": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--only", choices=["vaelab"], help="leave the slow readers out")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.out.tfevents.1.bench"
        write_events(path, arguments.points)
        megabytes = path.stat().st_size / 1e6
        rows = {}
        for name in READERS:
            if arguments.only and not name.startswith(arguments.only):
                continue
            results: multiprocessing.Queue[str] = context.Queue()
            process = context.Process(target=measure, args=(name, folder, results))
            process.start()
            process.join()
            if process.exitcode:
                print(f"{name} failed", file=sys.stderr)
                continue
            rows[name] = json.loads(results.get())
    base = rows.get("EventAccumulator, scalars=0")
    print(
        f"{arguments.points:,} points, {len(TAGS)} tags, {megabytes:.1f} MB; seconds include the import of the reader\n"
    )
    print("| reader | s | points/s | points kept | peak RSS | times faster than EventAccumulator, scalars=0 |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        ratio = f"{base['seconds'] / row['seconds']:.1f}" if base else "-"
        kept = row["kept"] / arguments.points
        print(
            f"| {name} | {row['seconds']:.2f} | {row['kept'] / row['seconds']:,.0f} | {row['kept']:,} ({kept:.0%}) "
            f"| {row['peak']:.0f} MB | {ratio} |"
        )


if __name__ == "__main__":
    main()
