"""What ``vaelab.Monitor`` costs a training loop: the time of one ``log`` call, and of the whole loop with and without it.

python benchmarks/bench_monitor.py [--steps 2000] [--values 14] [--step-ms 5] [--repeats 5]

The loop's own work is a fixed number of small numpy operations, about ``--step-ms`` a step, so the threads of the Monitor
compete with it for the interpreter as they do in a real loop. SummaryWriter of TensorBoard is the yardstick.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vaelab import Monitor

Values = dict[str, object]
Log = Callable[[int, Values], object]
Number = Callable[[float], object]
NAMES = (
    "rec_loss", "nll_loss", "kl_loss", "total_loss", "perceptual_loss", "d_weight", "disc_factor", "g_loss", "disc_loss",
    "logits_real", "logits_fake", "grad_norm", "lr", "disc_lr",
)  # fmt: skip


def work(rounds: int) -> None:
    a = np.ones((32, 32))
    for _ in range(rounds):
        a = np.tanh(a @ a)


def rounds_for(milliseconds: float) -> int:
    """How many rounds of ``work`` take so long on this machine."""
    work(200)
    begun = time.perf_counter()
    work(2000)
    return max(1, round(2000 * milliseconds / 1e3 / (time.perf_counter() - begun)))


def loop(log: Log, number: Number, steps: int, count: int, rounds: int) -> tuple[float, list[float]]:
    """``(seconds of the whole loop, microseconds of each call of log)``."""
    noise = np.random.default_rng(0).normal(size=(steps, count))
    calls = []
    begun = time.perf_counter()
    for step in range(steps):
        work(rounds)
        values = {NAMES[i]: number(1.0 / (1 + step / 100) + 0.01 * noise[step, i]) for i in range(count)}
        before = time.perf_counter()
        log(step, values)
        calls.append((time.perf_counter() - before) * 1e6)
    return time.perf_counter() - begun, calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--values", type=int, default=len(NAMES), choices=range(1, len(NAMES) + 1), metavar="1..14")
    parser.add_argument("--step-ms", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    size = options.steps, options.values, rounds_for(options.step_ms)

    import torch
    from torch.utils.tensorboard import SummaryWriter

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        writer = SummaryWriter(str(Path(folder, "tensorboard")))

        def to_tensorboard(step: int, values: Values) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        ways: dict[str, tuple[Callable[[], Log | Monitor], Number]] = {
            "nothing": (lambda: lambda step, values: None, float),
            "Monitor, floats": (Monitor, float),
            "Monitor, floats, path": (lambda: Monitor(path=tempfile.mkdtemp(dir=folder)), float),
            "Monitor, torch scalars": (Monitor, torch.tensor),
            "SummaryWriter, floats": (lambda: to_tensorboard, float),
        }
        found: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in ways}
        for _ in range(options.repeats):  # one after the other, so that other work on the machine meets all alike
            for name, (make, number) in ways.items():
                way = make()
                found[name].append(loop(way.log if isinstance(way, Monitor) else way, number, *size))
                if isinstance(way, Monitor):
                    way.close()
        writer.close()
    print(f"{options.steps} steps, {options.values} values a step, median of {options.repeats} repeats")
    print(f"{'':24}{'mean us':>9}{'median us':>11}{'99% us':>9}{'loop s':>9}{'loop / nothing':>16}")
    for name, repeats in found.items():
        mean, middle, high = (
            statistics.median(measure(calls) for _, calls in repeats)
            for measure in (statistics.mean, statistics.median, lambda calls: statistics.quantiles(calls, n=100)[98])
        )
        seconds = statistics.median(seconds for seconds, _ in repeats)
        ratio = statistics.median(own / bare for (own, _), (bare, _) in zip(repeats, found["nothing"], strict=True))
        print(f"{name:24}{mean:9.1f}{middle:11.1f}{high:9.1f}{seconds:9.2f}{ratio:16.3f}")


if __name__ == "__main__":
    main()
