"""How much does vaelab's training step save against the textbook step on the same networks?

    python benchmarks/step.py [--presets radio-map ...] [--pairs 3] [--device cpu] [--quick]

Two textbook steps. ``latent-diffusion``: each network has a pass of its own with its own forward of the autoencoder and of
the perceptual loss, and the discriminator is paid before disc_start too (latent-diffusion, RadioDiff). ``one forward``: the
reconstruction is used again and nothing is paid early. Both go back through the loss networks once for the adaptive weight
and once more for the update, leave the discriminator unfrozen, and call it apart for real and fake samples.

All steps act on the same weights, which stand still (learning rate 1e-30), take turns in one process, and must report the
same losses, weight and gradient norm. Times are ratios of neighbours: median (lowest to highest); on a CPU they are processor
time of one thread, which other work on the machine disturbs less. Operations are those of convolutions and matrix products at the preset's own size; nothing is computed for that. Memory on a CPU is what a process
of its own holds at most above weights, optimizers and EMA. vgg16 has random weights here: its speed is that of trained ones.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vaelab.config import TrainConfig
from vaelab.config.presets import load_preset
from vaelab.losses import Perceptual, build_perceptual, d_weight_ratio, disc_loss, gen_loss
from vaelab.losses.backbones import LAYOUTS, Backbone
from vaelab.training.build import build_step
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep

Sizes = dict[str, dict[str, Any]]
Step = Callable[[Tensor, int], dict[str, Tensor]]

FULL: Sizes = {"run": {"batch_size": 1}}
# What one CPU core does in seconds; the networks keep the preset's widths.
CPU: dict[str, Sizes] = {
    "radio-map": {"data": {"resolution": (48, 48)}, "run": {"batch_size": 1}, "optim": {"precision": "fp32"}},
    "video-tiny": {"run": {"batch_size": 1}},
    "video-causal-256": {
        "data": {"resolution": (48, 48), "frames": 9},
        "run": {"batch_size": 1},
        "optim": {"precision": "fp32"},
    },
}
TINY = {"resolution": (48, 48), "frames": 1}
SMALLEST: Sizes = {"data": TINY, "run": {"batch_size": 1}, "optim": {"precision": "fp32"}}
PHASES = ("GAN", "before the GAN")
TEXTBOOKS = ("latent-diffusion", "one forward")


def settings(name: str, sizes: Sizes) -> TrainConfig:
    """The preset at another size, with a learning rate that leaves the weights where they are."""
    merged = load_preset(name)
    still = {"lr": 1e-30, "min_lr": 0.0, "disc_lr": 1e-30, "disc_min_lr": 0.0}
    for section, options in (*sizes.items(), ("optim", still)):
        merged[section] = {**merged[section], **options}
    return TrainConfig.model_validate(merged)


def phase_step(config: TrainConfig, phase: str) -> int:
    loss = config.loss
    return loss.disc_start + loss.disc_ramp if phase == "GAN" else 0


def perceptual_network(config: TrainConfig) -> Perceptual:
    if config.loss.perceptual != "vgg16":
        return build_perceptual(config.loss, config.data.channels)
    widths, channels, number = iter([64] * 2 + [128] * 2 + [256] * 3 + [512] * 6), 3, 0
    state: dict[str, Tensor] = {}
    for i, layers in enumerate(LAYOUTS["vgg16"].slices):
        for kind, _, _ in layers:
            if kind == "conv":
                width = next(widths)
                key = f"net.slice{i + 1}.{number}"
                state[f"{key}.weight"] = torch.randn(width, channels, 3, 3) * (2 / (9 * channels)) ** 0.5
                state[f"{key}.bias"] = torch.zeros(width)
                channels = width
            number += 1
        state[f"lin{i}.model.1.weight"] = torch.rand(1, channels, 1, 1)
    return Perceptual(Backbone("vgg16", state), "vgg16 (random weights)", "none")


def build(config: TrainConfig, device: torch.device) -> tuple[TrainingStep, Tensor]:
    """Ours, and a batch."""
    torch.manual_seed(0)
    with device:
        step = build_step(config, perceptual_network(config).to(device), Ranks(device=device))
    data = config.data
    shape = (config.run.batch_size, data.channels, data.frames, *data.resolution)
    return step, torch.tanh(torch.randn(shape, device=device))


def textbook(ours: TrainingStep, x: Tensor, number: int, two_forwards: bool) -> dict[str, Tensor]:
    """One update of the same networks by the same optimizers, but with one graph for everything."""
    discriminator, loss, objective = ours.discriminator, ours.loss, ours.objective
    assert discriminator is not None and ours.disc_update is not None
    factor = objective.disc_factor(number)
    with ours._autocast():
        out = ours.autoencoder(x, sample=ours.sample)
        nll = objective.reconstruction(x, out.x.float()).nll
        kl = objective.kl(out.mean, out.logvar)
        total = nll + objective.kl_weight(number) * kl
        seen = {"nll_loss": nll, "kl_loss": kl}
        if factor > 0 or two_forwards:
            g_loss = gen_loss(loss.disc_loss, discriminator(out.x.float()).float())
            last = ours.autoencoder.last_layer
            (of_nll,) = torch.autograd.grad(nll, last, retain_graph=True)
            (of_g,) = torch.autograd.grad(g_loss, last, retain_graph=True)
            weight = loss.disc_weight * d_weight_ratio(of_nll, of_g, loss.d_weight_max).value
            total = total + weight * factor * g_loss
            if factor > 0:
                seen |= {"g_loss": g_loss, "d_weight": weight}
    total.backward()
    ours.disc_update.optimizer.zero_grad(set_to_none=True)  # what the generator's pass has left there
    r = out.x.detach()
    del out, nll, kl, total
    seen["grad_norm"] = ours.generator_update.apply(0.0).norm
    if ours.ema is not None:
        ours.ema.update(ours.autoencoder)
    if factor > 0 or two_forwards:
        with ours._autocast():
            if two_forwards:
                again = ours.autoencoder(x, sample=ours.sample).x
                objective.reconstruction(x, again.float())
                r = again.detach()
            real, fake = discriminator(x).float(), discriminator(r.float()).float()
            value = disc_loss(loss.disc_loss, real, fake) * factor
        value.backward()
        ours.disc_update.apply(0.0)
        if factor > 0 and not two_forwards:  # a second forward draws other noise
            seen["disc_loss"] = value
    return {name: value.detach() for name, value in seen.items()}


def steps(ours: TrainingStep) -> dict[str, Step]:
    """The three steps; textbook steps act on the networks and optimizers of ``ours``."""
    return {
        "vaelab": lambda x, number: ours([x], number),
        "latent-diffusion": lambda x, number: textbook(ours, x, number, two_forwards=True),
        "one forward": lambda x, number: textbook(ours, x, number, two_forwards=False),
    }


def seconds(step: Step, x: Tensor, number: int) -> tuple[float, dict[str, float]]:
    torch.manual_seed(1)
    gc.collect()
    clock = time.process_time if x.device.type == "cpu" else time.perf_counter
    start = clock()
    values = {name: float(value) for name, value in step(x, number).items()}  # a GPU has finished then
    return clock() - start, values


def check_same(values: dict[str, dict[str, float]], precision: str) -> None:
    """All steps measured the same update, or they are not to be compared."""
    tolerance = 1e-3 if precision == "fp32" else 3e-2
    for name, found in values.items():
        for key, value in found.items():
            expected = values["vaelab"][key]
            if abs(value - expected) > tolerance * abs(expected) + 1e-6:
                sys.exit(f"{key} is {value:g} in the step of {name} and {expected:g} in vaelab's: not the same update")


def timed(config: TrainConfig, device: torch.device, pairs: int) -> dict[str, dict[str, Any]]:
    """For each phase: seconds of ours, ratios to each textbook step, and on a GPU the highest memory of each."""
    ours, x = build(config, device)
    found: dict[str, dict[str, Any]] = {}
    for phase in PHASES:
        number, taken, memory = phase_step(config, phase), [], {}
        check_same(
            {name: seconds(step, x, number)[1] for name, step in steps(ours).items()}, config.optim.precision
        )  # also the warm-up
        for _ in range(pairs):
            turn = {}
            for name, step in steps(ours).items():
                before = 0
                if device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                    before = torch.cuda.memory_allocated()
                turn[name] = seconds(step, x, number)[0]
                if device.type == "cuda":
                    memory[name] = torch.cuda.max_memory_allocated() - before
            taken.append(turn)
        found[phase] = {
            "seconds": statistics.median(turn["vaelab"] for turn in taken),
            "ratios": {name: sorted(turn["vaelab"] / turn[name] for turn in taken) for name in TEXTBOOKS},
            "memory": memory,
        }
    return found


class NoModules(nullcontext):
    """In place of FlopCounterMode's tracker: all operations belong to the whole."""

    parents: ClassVar = {"Global"}


def operations(config: TrainConfig) -> dict[str, dict[str, int]]:
    """Floating point operations of each step in each phase, from shapes alone."""
    config = config.model_copy(update={"optim": config.optim.model_copy(update={"precision": "fp32"})})
    found: dict[str, dict[str, int]] = {}
    # tensors on the device meta have a shape and no values: AdamW and autocast do not take them, and neither is counted
    with mock.patch("torch.optim.AdamW"), mock.patch("torch.autocast", lambda *_, **__: nullcontext()):
        ours, x = build(config, torch.device("meta"))
        for phase in PHASES:
            found[phase] = {}
            for name, step in steps(ours).items():
                counter = FlopCounterMode(display=False)
                counter.mod_tracker = NoModules()  # type: ignore[assignment]  # the sum alone: its hooks refuse a gradient at a module's input
                with counter:
                    step(x, phase_step(config, phase))
                found[phase][name] = counter.get_total_flops()
    return found


def peak_memory(name: str, sizes: Sizes, phase: str, step: str) -> int:
    """Bytes, measured in a process of its own; large blocks go back to the system at once."""
    job = json.dumps([name, sizes, phase, step])
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, __file__, "--memory-of", job]
    return int(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()[-1])


def report_memory(job: str) -> None:
    name, sizes, phase, step = json.loads(job)
    config = settings(name, sizes)
    ours, x = build(config, torch.device("cpu"))
    for _ in range(2):  # the optimizers' states are there only after the first
        steps(ours)[step](x, phase_step(config, phase))
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    highest, left = (int(status[key].split()[0]) * 1024 for key in ("VmHWM", "VmRSS"))
    print(highest - left)


def rows(name: str, sizes: Sizes, device: torch.device, pairs: int) -> list[str]:
    """Table rows of one preset."""
    config = settings(name, sizes)
    data = config.data
    shape = "x".join(map(str, (config.run.batch_size, data.channels, data.frames, *data.resolution)))
    counted, found, lines = operations(settings(name, FULL)), timed(config, device, pairs), []
    for phase in PHASES:
        memory = found[phase]["memory"]
        if not memory and phase == "GAN":
            memory = {step: peak_memory(name, sizes, phase, step) for step in ("vaelab", *TEXTBOOKS)}
        for other in TEXTBOOKS:
            ratios = found[phase]["ratios"][other]
            ops = counted[phase]["vaelab"] / counted[phase][other]
            held = "not measured"
            if memory:
                held = f"{memory['vaelab'] / memory[other]:.2f} ({memory['vaelab'] / 1e6:,.0f} of {memory[other] / 1e6:,.0f} MB)"
            lines.append(
                f"| {name}, {shape} | {phase} | {other} | {found[phase]['seconds']:.2f}"
                f" | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {held}"
                f" | {ops:.3f} ({counted[phase]['vaelab'] / 1e12:.3g} of {counted[phase][other] / 1e12:.3g} T) |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=list(CPU), default=list(CPU))
    parser.add_argument("--pairs", type=int, default=5, help="turns that every step takes in each phase")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="without it cpu, and then cuda if there is one")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, to see that it runs")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory_of:
        report_memory(arguments.memory_of)
        return
    names = [arguments.device] if arguments.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in map(torch.device, names):
        on = torch.cuda.get_device_name() if device.type == "cuda" else "1 thread"
        print(f"{device}, {on}; {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", end="; ")
        print(f"Python {platform.python_version()}, torch {torch.__version__}; {arguments.pairs} turns\n")
        print(
            "| preset, batch | phase | against | seconds, vaelab | time | memory | operations, one sample at full size |"
        )
        print("|---|---|---|---|---|---|---|")
        for name in arguments.presets:
            sizes = SMALLEST if arguments.quick else CPU[name] if device.type == "cpu" else FULL
            print("\n".join(rows(name, sizes, device, arguments.pairs)), flush=True)
        print(f"\nload at the end {os.getloadavg()[0]:.1f}\n")


if __name__ == "__main__":
    main()
