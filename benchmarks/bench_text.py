"""Speed of reading text logs, against the ways one would do it by hand, in one run.

    python benchmarks/bench_text.py --mb 100

Makes logs (MetricLogger, RadioDiff, `key: value`, tqdm bars) in a temporary folder, reads each in one process per method, and prints a
Markdown table. Every method must return all values; their sum is compared with that of the `re.findall` loop.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SRC = Path(__file__).resolve().parent.parent / "src"
METERS = [
    "vae_loss",
    "loss_scale",
    "total_loss",
    "logvar",
    "kl_loss",
    "nll_loss",
    "rec_loss",
    "perception_loss",
    "d_weight",
    "disc_factor",
    "g_loss",
    "disc_loss",
    "logits_real",
    "logits_fake",
    "weight_decay",
    "grad_norm",
]
PER_EPOCH, PRINT_EVERY = 2000, 10
PANDAS_SHARE = 10  # pandas gets a tenth of the lines, its time is scaled up


def write_metric_logger(path: Path, mb: float) -> None:
    """A log shaped like Pyramid-Flow's: 16 meters, lines of an epoch's end every 200 lines."""
    rng = np.random.default_rng(0)
    size = np.array([2, 0, 2, 0, 7, 2, -2, -1, 5, 0, -1, 0, -1, -1, -6, 3])
    with path.open("w") as file:
        epoch = 0
        while file.tell() < mb * 1e6:
            for i in range(0, PER_EPOCH, PRINT_EVERY):
                values = np.exp(rng.normal(size, 1.0, (2, len(METERS))))
                values[:, 12:14] *= (1, -1)
                text = "  ".join(f"{n}: {a:.4f} ({b:.4f})" for n, a, b in zip(METERS, *values.tolist(), strict=True))
                file.write(
                    f"Epoch: [{epoch}]  [{i:4d}/{PER_EPOCH}]  eta: 0:{i // 60 % 60:02d}:{i % 60:02d}  lr: 0.000100"
                    f"  min_lr: 0.000100  {text}  time: 0.1503  data: 0.0001  max mem: {41210 + epoch}\n"
                )
            file.write(f"Epoch: [{epoch}] Total time: 0:05:00 (0.1503 s / it)\nAveraged stats: lr: 0.000100  {text}\n")
            epoch += 1


def write_radiodiff(path: Path, mb: float) -> None:
    rng = np.random.default_rng(0)
    generator = ["total_loss", "logvar", "kl_loss", "nll_loss", "rec_loss", "d_weight", "disc_factor", "g_loss"]
    discriminator = ["disc_loss", "logits_real", "logits_fake"]
    with path.open("w") as file:
        step = 0
        while file.tell() < mb * 1e6:
            second = step // 10
            clock = f"2026-01-{1 + second // 86400 % 28:02d} {second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d},123"
            for names in (generator, discriminator):
                values = np.exp(rng.normal(2, 3, len(names))).tolist()
                text = "".join(f"train/{n}: {v:.5f}, " for n, v in zip(names, values, strict=True))
                file.write(f"{clock} [Train Step] {step}/9999999: {text}lr: 0.00001, \n")
            step += 10


LOSSES = [
    "total_loss",
    "rec_loss",
    "kl_loss",
    "perceptual_loss",
    "g_loss",
    "disc_loss",
    "logits_real",
    "logits_fake",
    "d_weight",
    "grad_norm",
]


def losses(rng: np.random.Generator) -> np.ndarray:
    values = np.exp(rng.normal(0, 1, len(LOSSES)))
    values[2] *= 1000
    values[6:8] *= rng.choice([-1, 1], 2)
    return values


def write_key_value(path: Path, mb: float) -> None:
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        step = 0
        while file.tell() < mb * 1e6:
            second = step // 10
            clock = f"2026-01-{1 + second // 86400 % 28:02d} {second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d},123"
            text = ", ".join(f"{n}: {v:.5f}" for n, v in zip(LOSSES, losses(rng).tolist(), strict=True))
            file.write(f"{clock} - trainer - INFO - step {step}: {text}\n")
            step += 10


def write_bars(path: Path, mb: float) -> None:
    """Lines of tqdm, with three significant digits as it prints them."""
    rng = np.random.default_rng(0)
    total = 5000
    with path.open("w") as file:
        step = 0
        while file.tell() < mb * 1e6:
            at = step % total
            drawn = "█" * (10 * at // total) + "▏▎▍▌▋▊▉"[at // 70 % 7]
            text = ", ".join(f"{n}={v:.3g}" for n, v in zip(LOSSES, losses(rng).tolist(), strict=True))
            file.write(
                f"Epoch {step // total}: {100 * at // total:3d}%|{drawn:<10}| {at}/{total} [{at // 60:02d}:{at % 60:02d}<1:14:10,  1.01s/it, {text}]\n"
            )
            step += 10


# Methods: each returns how many values it read and their sum ---------------------------------------------------------

ITEM = re.compile(r"([A-Za-z_]\w*)[:=] ?(-?\d+(?:\.\d*)?(?:e[+-]?\d+)?|nan|inf)")
METER = re.compile(r"([A-Za-z_/]+(?: mem)?): (-?[\d.]+|nan|inf)(?: \((-?[\d.]+|nan|inf)\))?")


def ours(path: Path) -> tuple[int, float]:
    sys.path.insert(0, str(SRC))
    from vaelab.readers.key_value import READER as KEY_VALUE
    from vaelab.readers.metric_logger import READER as METRIC_LOGGER
    from vaelab.readers.radiodiff_log import READER as RADIODIFF
    from vaelab.readers.source import Source

    source = Source(path)
    reader = max((METRIC_LOGGER, RADIODIFF, KEY_VALUE), key=lambda r: r.sniff(source.head(), source))
    (log,) = reader.read(source)
    columns = [c for c in log.columns if not (reader is RADIODIFF and c.original == "time")]
    arrays = [c.values for c in columns] + [c.epoch_mean for c in columns if c.epoch_mean is not None]
    count = sum(int(np.isfinite(a).sum()) for a in arrays)
    return count, float(sum(np.nansum(a) for a in arrays))


def re_findall(path: Path) -> tuple[int, float]:
    """One `findall` a line, value and average to an array per column."""
    from array import array

    columns: dict[str, array[float]] = {}
    with path.open() as file:
        for line in file:
            start = line.find("eta: ")
            start = line.find("]: ") if "[Train Step]" in line else start
            if start < 0 and "[Train Step]" not in line:
                continue
            for name, value, mean in METER.findall(line, max(start, 0)):
                if name == "eta":
                    continue
                columns.setdefault(name, array("d")).append(float(value))
                if mean:
                    columns.setdefault(name + " mean", array("d")).append(float(mean))
    return sum(map(len, columns.values())), sum(float(np.sum(np.array(c))) for c in columns.values())


def re_items(path: Path) -> tuple[int, float]:
    """One `findall` of names and values a line, to an array per column."""
    from array import array

    columns: dict[str, array[float]] = {}
    with path.open() as file:
        for line in file:
            for name, value in ITEM.findall(line):
                columns.setdefault(name, array("d")).append(float(value))
    return sum(map(len, columns.values())), sum(float(np.sum(np.array(c))) for c in columns.values())


def str_split(path: Path) -> tuple[int, float]:
    """`split` on the two spaces between meters (MetricLogger only)."""
    from array import array

    columns: dict[str, array[float]] = {}
    with path.open() as file:
        for line in file:
            if not line.startswith("Epoch: [") or "eta: " not in line:
                continue
            for part in line[line.index("eta: ") :].rstrip("\n").split("  ")[1:]:
                name, _, text = part.partition(": ")
                value, _, mean = text.partition(" (")
                columns.setdefault(name, array("d")).append(float(value))
                if mean:
                    columns.setdefault(name + " mean", array("d")).append(float(mean[:-1]))
    return sum(map(len, columns.values())), sum(float(np.sum(np.array(c))) for c in columns.values())


def _extract_keys(path: Path) -> list[tuple[str, str]]:
    """Name and pattern of every number, as one would write them down for a known log."""
    keys = []
    for name in [*METERS, "lr", "min_lr", "time", "data", "max mem"]:
        keys.append((name, rf"\b{name}: (-?[\d.]+)" if name != "lr" else r"\slr: (-?[\d.]+)"))
        if name in METERS:
            keys.append((name + " mean", rf"\b{name}: \S+ \((-?[\d.]+)\)"))
    return keys


def polars_extract(path: Path) -> tuple[int, float]:
    """`str.extract` a key. POLARS_MAX_THREADS says how many threads."""
    import polars as pl

    lines = pl.read_csv(path, has_header=False, separator="\x01", quote_char=None, new_columns=["line"])
    lines = lines.filter(
        pl.col("line").str.starts_with("Epoch: [") & pl.col("line").str.contains("eta: ", literal=True)
    )
    table = lines.select(pl.col("line").str.extract(p).cast(pl.Float64).alias(n) for n, p in _extract_keys(path))
    return sum(int(table[c].count()) for c in table.columns), float(sum(table[c].sum() for c in table.columns))


def pandas_extract(path: Path) -> tuple[int, float]:
    """`str.extract` a key on a tenth of the lines; the parent scales the time."""
    import pandas as pd

    with path.open() as file:
        lines = [line for line in file if line.startswith("Epoch: [") and "eta: " in line]
    series = pd.Series(lines[: len(lines) // PANDAS_SHARE])
    arrays = [series.str.extract(pattern, expand=False).astype(float) for _, pattern in _extract_keys(path)]
    return sum(int(a.count()) for a in arrays), float(sum(a.sum() for a in arrays))


METHODS: dict[str, tuple[str, Callable[[Path], tuple[int, float]]]] = {
    "ours": ("vaelab (numpy, 1 process)", ours),
    "re": ("`re.findall` per line", re_findall),
    "items": ("`re.findall` per line", re_items),
    "split": ("`str.split` per line", str_split),
    "polars1": ("polars `str.extract` per key, 1 thread", polars_extract),
    "polars": ("polars `str.extract` per key, all threads", polars_extract),
    "pandas": (f"pandas `str.extract` per key (1/{PANDAS_SHARE} of the lines, scaled)", pandas_extract),
}


def run_method(method: str, path: Path) -> dict[str, float]:
    """One method in its own process."""
    env = {**os.environ, **({"POLARS_MAX_THREADS": "1"} if method == "polars1" else {})}
    command = [sys.executable, __file__, "--method", method, "--log", str(path)]
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    if result.returncode:
        return {"error": 1.0, "missing": float("ModuleNotFoundError" in result.stderr)}
    return json.loads(result.stdout)


def child(method: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # imports are not part of the time
        few = Path(folder) / "few.log"
        with path.open("rb") as file:
            few.write_bytes(b"".join(file.readline() for _ in range(100)))
        METHODS[method][1](few)
    start, cpu = time.perf_counter(), time.process_time()
    count, total = METHODS[method][1](path)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "count": count, "total": total, "peak": peak}))


def report(title: str, path: Path, methods: list[str], repeats: int) -> None:
    mb = path.stat().st_size / 1e6
    print(f"\n{title}: {mb:.0f} MB, best of {repeats}\n")
    print(
        "| method | seconds | of CPU | MB/s | values/s | peak RSS | times the re loop (CPU) |\n|---|---|---|---|---|---|---|"
    )
    results = {
        m: min((run_method(m, path) for _ in range(repeats)), key=lambda r: r.get("seconds", 0)) for m in methods
    }
    base = results["re" if "re" in results else "items"]
    for method in methods:
        r, name = results[method], METHODS[method][0]
        if "error" in r:
            print(f"| {name} | {'not installed' if r['missing'] else 'failed'} | | | | | |")
            continue
        scale = PANDAS_SHARE if method == "pandas" else 1
        seconds = r["seconds"] * scale
        if scale == 1 and (r["count"] != base["count"] or abs(r["total"] - base["total"]) > 1e-9 * abs(base["total"])):
            name += f" (DIFFERENT VALUES: {r['count']:.0f}, not {base['count']:.0f})"
        print(
            f"| {name} | {seconds:.2f} | {r['cpu'] * scale:.2f} | {mb / seconds:.0f} | {r['count'] * scale / seconds / 1e6:.1f} M"
            f" | {r['peak']:.0f} MB | {base['cpu'] / (r['cpu'] * scale):.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=float, default=100, help="size of the logs to make")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--method", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        child(options.method, options.log)
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.log"
        write_metric_logger(path, options.mb)
        report("MetricLogger text", path, [m for m in METHODS if m != "items"], options.repeats)
        write_radiodiff(path, options.mb)
        report("RadioDiff text", path, ["ours", "re"], options.repeats)
        write_key_value(path, options.mb)
        report("key: value text", path, ["ours", "items"], options.repeats)
        write_bars(path, options.mb)
        report("tqdm bars", path, ["ours", "items"], options.repeats)


if __name__ == "__main__":
    main()
