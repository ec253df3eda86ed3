"""Speed of reading JSON lines and CSV, against the loops and libraries one would use by hand: CPU of the whole process.

    python benchmarks/bench_records.py --mb 100

Makes a log of full-precision numbers in each format in a temporary folder and reads it in one process per method. Time is CPU
seconds of that process, user and system, all threads, the start of Python and every import included; the start of Python with
numpy alone is given too. Every method must give the same sum of all values.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"
NAMES = ["rec_loss", "perceptual_loss", "kl_loss", "nll_loss", "g_loss", "d_weight", "disc_loss", "logits_real",
         "logits_fake", "grad_norm", "lr"]  # fmt: skip


def write_log(path: Path, mb: float, kind: str) -> None:
    """Rows of a step and eleven numbers as Python prints them (17 digits)."""
    import numpy as np

    rng = np.random.default_rng(0)
    with path.open("w") as file:
        if kind == "csv":
            file.write(",".join(["step", *NAMES]) + "\n")
        step = 0
        while file.tell() < mb * 1e6:
            for row in rng.lognormal(0, 2, (1000, len(NAMES))).tolist():
                if kind == "csv":
                    file.write(f"{step}," + ",".join(map(repr, row)) + "\n")
                else:
                    file.write(json.dumps({"step": step, **dict(zip(NAMES, row, strict=True))}) + "\n")
                step += 10


# Methods: each gives the sum of all values but the steps ---------------------------------------------------------------


def vaelab_reader(path: Path) -> float:
    """Sniffing and reading, up to the log's columns."""
    sys.path.insert(0, str(SRC))
    from vaelab.readers.registry import choose, Wanted  # noqa: I001
    from vaelab.readers.source import Source

    source = Source(path)
    (log,) = choose(source, Wanted())[0].read(source)
    return sum(float(column.values.sum()) for column in log.columns)


def json_loop(path: Path, module: str) -> float:
    from array import array
    from importlib import import_module

    loads = import_module(module).loads
    columns: dict[str, array[float]] = {}
    with path.open("rb") as file:
        for line in file:
            for name, value in loads(line).items():
                column = columns.get(name)
                if column is None:
                    column = columns[name] = array("d")
                column.append(value)
    return _sum(columns)


def csv_loop(path: Path) -> float:
    import csv
    from array import array

    with path.open(newline="") as file:
        reader = csv.reader(file)
        columns = {name: array("d") for name in next(reader)}
        arrays = list(columns.values())
        for row in reader:
            for column, cell in zip(arrays, row, strict=True):
                column.append(float(cell))
    return _sum(columns)


def _sum(columns: dict) -> float:
    import numpy as np

    return sum(float(np.frombuffer(values).sum()) for name, values in columns.items() if name != "step")


def pandas_csv(path: Path) -> float:
    import pandas as pd

    return float(pd.read_csv(path)[NAMES].to_numpy().sum(axis=0).sum())


def pandas_json(path: Path) -> float:
    import pandas as pd

    return float(pd.read_json(path, lines=True)[NAMES].to_numpy().sum(axis=0).sum())


def pyarrow_csv(path: Path) -> float:
    import pyarrow.csv

    table = pyarrow.csv.read_csv(path)
    return sum(float(table[name].to_numpy().sum()) for name in NAMES)


def pyarrow_json(path: Path) -> float:
    import pyarrow.json

    table = pyarrow.json.read_json(path)
    return sum(float(table[name].to_numpy().sum()) for name in NAMES)


def polars_csv(path: Path) -> float:
    import polars as pl

    table = pl.read_csv(path)
    return sum(float(table[name].sum()) for name in NAMES)


def polars_json(path: Path) -> float:
    import polars as pl

    table = pl.read_ndjson(path)
    return sum(float(table[name].sum()) for name in NAMES)


def nothing(path: Path) -> float:
    import numpy as np

    return float(np.nan)


METHODS: dict[str, dict[str, tuple[str, Callable[[Path], float]]]] = {
    "jsonl": {
        "vaelab": ("vaelab", vaelab_reader),
        "orjson": ("a loop over `orjson.loads`", lambda path: json_loop(path, "orjson")),
        "json": ("a loop over `json.loads`", lambda path: json_loop(path, "json")),
        "pandas": ("pandas `read_json(lines=True)`", pandas_json),
        "pyarrow": ("pyarrow `read_json`, all threads", pyarrow_json),
        "polars": ("polars `read_ndjson`, all threads", polars_json),
        "nothing": ("only Python and numpy, no reading", nothing),
    },
    "csv": {
        "vaelab": ("vaelab", vaelab_reader),
        "pyarrow": ("pyarrow `read_csv`, all threads", pyarrow_csv),
        "pandas": ("pandas `read_csv`", pandas_csv),
        "polars": ("polars `read_csv`, all threads", polars_csv),
        "loop": ("`csv.reader` and `float`", csv_loop),
        "nothing": ("only Python and numpy, no reading", nothing),
    },
}
BASE = {"jsonl": "orjson", "csv": "pyarrow"}


def run_method(kind: str, method: str, path: Path) -> dict[str, float]:
    """CPU seconds, peak memory (MB) and sum of one method in its own process; ``error`` if it failed."""
    command = [sys.executable, __file__, "--kind", kind, "--method", method, "--log", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status  # it has been waited for
    if status:
        return {"error": 1.0, "missing": float("ModuleNotFoundError" in err)}
    return {"cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024, "sum": float(out)}


def report(kind: str, path: Path, repeats: int) -> None:
    mb = path.stat().st_size / 1e6
    base = METHODS[kind][BASE[kind]][0]
    print(f"\n{kind}, {len(NAMES)} columns, full precision, {mb:.0f} MB, best of {repeats}\n")
    print(f"| method | CPU seconds | MB/s | peak memory | times {base} |\n|---|---|---|---|---|")
    results: dict[str, dict[str, float]] = {}
    for _ in range(repeats):  # in turn: other work on the machine meets every method alike
        for method in METHODS[kind]:
            result = run_method(kind, method, path)
            if method not in results or result.get("cpu", 0) < results[method].get("cpu", 0):
                results[method] = result
    expected = results[BASE[kind]].get("sum", results["vaelab"].get("sum", 0.0))
    for method, (name, _) in METHODS[kind].items():
        r = results[method]
        if "error" in r:
            print(f"| {name} | {'not installed' if r['missing'] else 'failed'} | | | |")
            continue
        if method != "nothing" and abs(r["sum"] - expected) > 1e-9 * abs(expected):
            name += f" (DIFFERENT SUM: {r['sum']!r}, not {expected!r})"
        ratio = f"{r['cpu'] / results[BASE[kind]]['cpu']:.2f}" if "cpu" in results[BASE[kind]] else ""
        print(f"| {name} | {r['cpu']:.2f} | {mb / r['cpu']:.0f} | {r['peak']:.0f} MB | {ratio} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=100, help="size of the logs to make")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kind", choices=METHODS, help="only this format")
    parser.add_argument("--method", help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        print(repr(METHODS[options.kind][options.method][1](options.log)))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in [options.kind] if options.kind else METHODS:
            path = Path(folder) / f"metrics.{kind}"
            write_log(path, options.mb, kind)
            report(kind, path, options.repeats)


if __name__ == "__main__":
    main()
