"""One process of ``vaelab smoke --ranks 2`` in which the discriminator's gradients are never averaged (Pyramid-Flow, PF-1)."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from vaelab.models.discriminator import PatchGAN
from vaelab.training.smoke_worker import main
from vaelab.training.step import TrainingStep

torch.set_num_threads(1)
wrapped = TrainingStep._wrapped
TrainingStep._wrapped = lambda self, net, *rest: net if isinstance(net, PatchGAN) else wrapped(self, net, *rest)  # type: ignore[method-assign]
main(Path(sys.argv[1]))
