"""One process of ``vaelab smoke --ranks 2``: a sound run first, which must pass, then one whose discriminators are never
synchronised (Pyramid-Flow, PF-1), whose checks are the result."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from vaelab.config import load_config
from vaelab.models.discriminator import PatchGAN
from vaelab.training import distributed
from vaelab.training.smoke import smoke
from vaelab.training.smoke_worker import RESULT, SETTINGS
from vaelab.training.step import TrainingStep


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    config = load_config(str(folder / SETTINGS))
    ranks = distributed.start("cpu")
    sound = {check.name: check.passed for check in smoke(config, folder / "sound", ranks)}
    assert sound["ranks-equal"] is True and False not in sound.values(), sound
    wrapped = TrainingStep._wrapped

    def without_ddp(self, net, *rest):  # type: ignore[no-untyped-def]
        return net if isinstance(net, PatchGAN) else wrapped(self, net, *rest)

    TrainingStep._wrapped = without_ddp  # type: ignore[method-assign]
    checks = smoke(config, folder / "faulty", ranks)
    if ranks.is_main:
        (folder / RESULT).write_text(json.dumps({"checks": [asdict(c) for c in checks], "world": ranks.world}))
    distributed.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
