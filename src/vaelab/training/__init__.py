"""Training of VAE-GANs: the step, the loop, checkpoints, several processes, and the diagnosis inside."""

from vaelab.training.trainer import Outcome, Trainer, train

__all__ = ["Outcome", "Trainer", "train"]
