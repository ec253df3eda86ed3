"""Make runs of trainers that are not ours, each in a forked child so that imports are paid once.

    python make.py --out DIR --repositories DIR [--trainer pythae_vae ...] [--seeds 0 1 2] [--run pythae_vae/nan-3 ...]

The environment is that of requirements.txt; requirements.txt also names the public repositories that are looked for below
--repositories. Runs that are there already are left alone. Without --run, each seed gets its healthy run and two faults.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

TRAINERS = (
    "misha_vqvae", "vq_example", "pythae_vae", "monai_ldm", "pytorch_vae", "explainingai", "pythae_factor", "magvit2",
    "soundstream",
)  # fmt: skip
JUNK = ("ckpt", "results", "checkpoints")
QUIET = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "WANDB_MODE": "offline", "WANDB_SILENT": "true",
    "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repositories", type=Path, required=True)
    parser.add_argument("--trainer", nargs="*", default=TRAINERS, choices=TRAINERS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--run", nargs="*", default=[], help="single runs, as trainer/fault-seed")
    options = parser.parse_args()
    os.environ |= QUIET | {"FAULTBENCH_REPOSITORIES": str(options.repositories.resolve())}
    trainers = sorted({name.split("/")[0] for name in options.run}) or options.trainer
    if len(trainers) > 1:  # their modules would get in each other's way: a process for each
        for trainer in trainers:
            mine = [name for name in options.run if name.startswith(f"{trainer}/")]
            seeds = [str(seed) for seed in options.seeds]
            rest = ["--out", str(options.out), "--repositories", str(options.repositories)]
            chosen = ["--run", *mine] if mine else ["--trainer", trainer, "--seeds", *seeds]
            subprocess.run([sys.executable, __file__, *rest, *chosen], check=False)
        return
    loop = importlib.import_module(trainers[0])
    if hasattr(loop, "warm"):
        loop.warm()
    runs = [name.split("/")[1] for name in options.run] or [r for seed in options.seeds for r in planned(loop, seed)]
    for run in runs:
        folder = options.out.resolve() / trainers[0] / run
        if not (folder / "run.json").exists():
            begun = time.time()
            ok = forked(loop, run, folder)
            print(f"{trainers[0]}/{run} {'made' if ok else 'FAILED'} {time.time() - begun:.0f} s", flush=True)


def planned(loop, seed: int) -> list[str]:
    """The healthy run of a seed and two of its faults; seeds go round the faults."""
    faults = list(loop.FAULTS)
    return [f"{name}-{seed}" for name in ("healthy", *(faults[(2 * seed + i) % len(faults)] for i in range(2)))]


def forked(loop, run: str, folder: Path) -> bool:
    """Train one run in a child process; whether it ended well."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fault, seed = run.rsplit("-", 1)
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] == 0
    code = 1
    try:
        import torch

        torch.set_num_threads(1)
        os.chdir(folder)
        loop.main(fault, int(seed), folder)
        for junk in JUNK:
            shutil.rmtree(folder / junk, ignore_errors=True)
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
