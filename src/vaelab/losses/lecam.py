"""LeCam regularisation of the discriminator."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class LeCam(nn.Module):
    """LeCam regularisation (Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data").

    It keeps the logits on data near the running mean of those on reconstructions, and the other way round. The running
    means are buffers: they are in the checkpoint, and no value leaves the device.
    """

    ema_real: Tensor
    ema_fake: Tensor
    started: Tensor

    def __init__(self, decay: float, from_zero: bool = False) -> None:
        """decay: of the running means, in [0, 1). from_zero: they begin at 0, as in VidTok, and not at the first means."""
        super().__init__()
        self.decay = decay
        self.register_buffer("ema_real", torch.zeros(()))
        self.register_buffer("ema_fake", torch.zeros(()))
        self.register_buffer("started", torch.tensor(from_zero))

    @torch.no_grad()
    def update(self, real_mean: Tensor, fake_mean: Tensor) -> None:
        """Move the running means towards the mean logits of this step; the first call sets them, unless they began at 0.

        real_mean, fake_mean: scalars; with several processes the mean over all of them, so that all keep equal values.
        Does nothing in evaluation mode: validation batches must not move the state of training. Means that are not finite
        are left out: the step is skipped, and NaN in a running mean would make every later step NaN too.
        """
        if not self.training:
            return
        finite = torch.isfinite(real_mean) & torch.isfinite(fake_mean)
        decay = torch.where(self.started, self.decay, 0.0)
        for ema, value in ((self.ema_real, real_mean), (self.ema_fake, fake_mean)):
            ema.lerp_(torch.where(finite, value.detach().to(ema), ema), 1 - decay)
        self.started.logical_or_(finite)

    def penalty(self, logits_real: Tensor, logits_fake: Tensor) -> Tensor:
        """mean relu(real - ema_fake)^2 + mean relu(ema_real - fake)^2, a scalar in float32; 0 before the first update."""
        above = F.relu(logits_real.float() - self.ema_fake).square().mean()
        below = F.relu(self.ema_real - logits_fake.float()).square().mean()
        return torch.where(self.started, above + below, 0.0)
