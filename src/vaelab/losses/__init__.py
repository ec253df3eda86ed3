"""Losses of a VAE-GAN: reconstruction, KL, adversarial, and the objective that adds them (``docs/losses.md``)."""

from vaelab.losses.adaptive import Ratio, d_weight_ratio
from vaelab.losses.adversarial import disc_loss, gen_loss
from vaelab.losses.latent import kl_divergence, kl_per_element, latent_stats
from vaelab.losses.lecam import LeCam
from vaelab.losses.objective import Objective, Terms
from vaelab.losses.perceptual import Perceptual, build_perceptual
from vaelab.losses.pixel import pixel_loss
from vaelab.losses.weights import PerceptualWeightsError

__all__ = [
    "LeCam",
    "Objective",
    "Perceptual",
    "PerceptualWeightsError",
    "Ratio",
    "Terms",
    "build_perceptual",
    "d_weight_ratio",
    "disc_loss",
    "gen_loss",
    "kl_divergence",
    "kl_per_element",
    "latent_stats",
    "pixel_loss",
]
