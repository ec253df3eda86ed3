"""What ``vaelab.Monitor`` costs a training loop: the time of one ``log`` call, and of the whole loop with and without it.

python benchmarks/bench_monitor.py [--steps 2000] [--values 14] [--step-ms 5] [--repeats 5]

The loop's own work is a fixed number of small numpy operations, about ``--step-ms`` a step, so the threads of the Monitor
compete with it for the interpreter as they do in a real loop. "Own" is processor time, of the call or of the whole program;
the other times are by the clock. SummaryWriter of TensorBoard is the yardstick.
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
    """How many rounds of ``work`` take so much processor time on this machine."""
    work(200)
    begun = time.process_time()
    work(2000)
    return max(1, round(2000 * milliseconds / 1e3 / (time.process_time() - begun)))


def loop(log: Log, number: Number, steps: int, count: int, rounds: int) -> tuple[float, list[float], list[float]]:
    """``(processor seconds of the whole loop, microseconds of each call of log, processor microseconds of each call)``.

    Processor time counts what the program uses, threads included in the first and not in the last; it does not count what
    other programs on the machine take.
    """
    noise = np.random.default_rng(0).normal(size=(steps, count))
    calls, own = [], []
    begun = time.process_time()
    for step in range(steps):
        work(rounds)
        values = {NAMES[i]: number(1.0 / (1 + step / 100) + 0.01 * noise[step, i]) for i in range(count)}
        before, before_own = time.perf_counter(), time.thread_time()
        log(step, values)
        own.append((time.thread_time() - before_own) * 1e6)
        calls.append((time.perf_counter() - before) * 1e6)
    return time.process_time() - begun, calls, own


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
        found: dict[str, list[tuple[float, list[float], list[float]]]] = {name: [] for name in ways}
        for _ in range(options.repeats):  # one after the other, so that other work on the machine meets all alike
            for name, (make, number) in ways.items():
                way = make()
                found[name].append(loop(way.log if isinstance(way, Monitor) else way, number, *size))
                if isinstance(way, Monitor):
                    way.close()
        writer.close()
    print(f"{options.steps} steps, {options.values} values a step, median of {options.repeats} repeats")
    print(f"{'':24}{'mean us, own':>14}{'median us':>11}{'99% us':>10}{'loop s, own':>13}{'loop / nothing':>16}")
    for name, repeats in found.items():
        own = statistics.median(statistics.mean(own) for _, _, own in repeats)
        middle = statistics.median(statistics.median(calls) for _, calls, _ in repeats)
        high = statistics.median(statistics.quantiles(calls, n=100)[98] for _, calls, _ in repeats)
        seconds = statistics.median(seconds for seconds, _, _ in repeats)
        ratio = statistics.median(mine[0] / bare[0] for mine, bare in zip(repeats, found["nothing"], strict=True))
        print(f"{name:24}{own:14.1f}{middle:11.1f}{high:10.1f}{seconds:13.2f}{ratio:16.3f}")


if __name__ == "__main__":
    main()
