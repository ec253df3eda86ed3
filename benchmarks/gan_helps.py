"""Does the GAN of a preset help? The same training with it and without, over several seeds, judged by what neither has trained on.

    python benchmarks/gan_helps.py video-tiny [KEY=VALUE ...] [--seeds 0 1 2] [--judge stlpips-vgg] [--save runs.jsonl]

Both runs of a seed are one run until the discriminator's first update (loss.disc_start - loss.disc_warmup); from there they
go on with equal weights, moments, data, noise and learning rates to the same last step, one with loss.disc=none. The averaged weights
are judged on the preset's held-out samples:

- psnr, ssim: against the original, dB and 0 to 1
- lpips: by the network --judge, which must not be the one of loss.perceptual
- hf_ratio: energy above 0.25 cycles a pixel, reconstruction over original; 1 is ideal
- frechet: Frechet distance between originals' and reconstructions' features of single places at the third depth of the judge,
  over all places of the held-out frames. It asks whether the texture looks like the data's, not whether it stands at its place.

A difference is given with its 95% interval (Student's t over the seeds). The interval is that of training again: other weights, order and noise, and
other maps where the data are generated; the example clips are the same few at every seed.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from vaelab.config import TrainConfig, load_config
from vaelab.data import Data, open_data, train_batches, val_batches
from vaelab.evaluation import in_eval_mode, pictures, validate
from vaelab.evaluation.distances import frechet_distance
from vaelab.losses import Perceptual, build_perceptual
from vaelab.losses.features import ConvolutionFeatures
from vaelab.models import Autoencoder
from vaelab.training.build import build_perceptual_network, build_step
from vaelab.training.distributed import Ranks
from vaelab.training.step import TrainingStep

SCORES = {
    "psnr": "higher",
    "ssim": "higher",
    "lpips": "lower",
    "hf_ratio": "near 1",
    "frechet": "lower",
    "grid_peak": "lower",
}
DEPTH = 2  # of five: textures of some ten pixels
BATCH = 4
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Student's t, two-sided 95%, by number of seeds."""


@dataclass
class Judge:
    """The network that scores and the held-out samples of the settings."""

    perceptual: Perceptual
    data: Data
    config: TrainConfig

    def scores(self, network: Autoencoder) -> dict[str, float]:
        samples = self.config.data.val_samples
        held_out = list(val_batches(self.data.val, self.config.data, BATCH, samples))
        scores = validate(network, held_out, self.perceptual, torch.device("cpu"))
        features = ConvolutionFeatures(self.perceptual.backbone)
        found: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        with torch.no_grad(), in_eval_mode(network):
            for batch in held_out:
                x = pictures.from_uint8(batch.pixels)
                for clip, rows in zip((x, pictures.in_range(network(x, sample=False).x)), found, strict=True):
                    frames = clip[:, :, ::4].transpose(1, 2).flatten(0, 1).expand(-1, 3, -1, -1)
                    rows.append(features(frames)[DEPTH].permute(0, 2, 3, 1).flatten(0, 2))
        distance = frechet_distance(torch.cat(found[0]), torch.cat(found[1]))
        return {name: scores[name] for name in SCORES if name != "frechet"} | {"frechet": distance}


def train(step: TrainingStep, config: TrainConfig, data: Data, first: int, last: int) -> None:
    """Updates ``first`` to ``last`` - 1, on the batches that a run of these settings has there."""
    size = config.run.batch_size * config.optim.accumulate
    torch.manual_seed(config.run.seed + 1 + first)
    with train_batches(
        data.train, config.data, config.run.batch_size, config.run.seed, position=first * size
    ) as batches:
        for number in range(first, last):
            taken = [pictures.from_uint8(next(batches).pixels) for _ in range(config.optim.accumulate)]
            step(taken, number)


def branch(plain: TrainingStep, config: TrainConfig, perceptual: Perceptual | None) -> TrainingStep:
    """A step of ``config``, with its GAN, that goes on from where ``plain``, without one, is now."""
    torch.manual_seed(config.run.seed)
    step = build_step(config, perceptual, Ranks())
    step.autoencoder.load_state_dict(plain.autoencoder.state_dict())
    step.load_state_dict(copy.deepcopy(plain.state_dict()))
    if step.ema is not None and plain.ema is not None:
        step.ema.network.load_state_dict(plain.ema.network.state_dict())
    return step


def two_runs(config: TrainConfig, judge: Perceptual) -> Iterator[tuple[str, dict[str, float]]]:
    """Name and scores: ``before`` the discriminator, and at the end ``without`` and ``with``."""
    data = open_data(config.data, config.run.seed)
    perceptual = build_perceptual_network(config, Ranks())
    judged = Judge(judge, data, config)
    loss = config.loss
    fork, end = max(0, loss.disc_start - loss.disc_warmup), config.run.steps
    torch.manual_seed(config.run.seed)
    without = config.model_copy(update={"loss": loss.model_copy(update={"disc": "none"})})
    plain = build_step(without, perceptual, Ranks())
    train(plain, config, data, 0, fork)
    gan = branch(plain, config, perceptual)
    yield "before", judged.scores(averaged(plain))
    for name, step in (("without", plain), ("with", gan)):
        train(step, config, data, fork, end)
        yield name, judged.scores(averaged(step))


def averaged(step: TrainingStep) -> Autoencoder:
    return step.autoencoder if step.ema is None else step.ema.network


def table(rows: list[dict]) -> str:
    """Markdown: each score's mean over the seeds in the three places, and the difference with its interval."""
    seeds = sorted({row["seed"] for row in rows})
    lines = [
        "| score | better | before the GAN | without | with | with - without |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for score, better in SCORES.items():
        values = {
            run: [row[score] for seed in seeds for row in rows if (row["seed"], row["run"]) == (seed, run)]
            for run in RUNS
        }
        means = " | ".join(f"{statistics.fmean(values[run]):.4g}" for run in RUNS)
        differences = [b - a for a, b in zip(values["without"], values["with"], strict=True)]
        lines.append(f"| {score} | {better} | {means} | {difference(differences)} |")
    return "\n".join(lines)


RUNS = ("before", "without", "with")


def difference(values: list[float]) -> str:
    mean = statistics.fmean(values)
    if len(values) not in T_95:
        return f"{mean:+.4g}"
    half = T_95[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:+.4g} ({mean - half:+.3g} to {mean + half:+.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--judge", choices=("stlpips-vgg", "stlpips-alex", "vgg16"), default="stlpips-vgg")
    parser.add_argument(
        "--save", type=Path, help="add the scores to this file, and train no seed that is in it with these settings"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = {"preset": options.preset, "settings": options.settings}
    rows: list[dict] = []
    if options.save is not None and options.save.exists():
        saved = [json.loads(line) for line in options.save.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in saved if runs.items() <= row.items() and row["seed"] in options.seeds]
    for seed in options.seeds:
        if any(row["seed"] == seed for row in rows):
            continue
        config = load_config(options.preset, [*options.settings, f"run.seed={seed}"])
        if config.loss.perceptual == options.judge and config.loss.perceptual_weight > 0:
            parser.error(f"the runs train on {options.judge}, so it cannot judge them: use another --judge")
        judge = build_perceptual(config.loss.model_copy(update={"perceptual": options.judge}), config.data.channels)
        begun, found = time.process_time(), []
        for run, scores in two_runs(config, judge):
            found.append({**runs, "seed": seed, "run": run, **scores})
            print(f"{time.process_time() - begun:6.0f} CPU s  {json.dumps(found[-1])}", flush=True)
        rows += found
        if options.save is not None:
            with options.save.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)
    print(table(rows))


if __name__ == "__main__":
    main()
