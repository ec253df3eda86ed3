"""Autoencoders and discriminators."""

from vaelab.models.autoencoder import Autoencoder, build_autoencoder, load_autoencoder
from vaelab.models.causal_video import CausalVideoVAE
from vaelab.models.classes import autoencoder_names
from vaelab.models.discriminator import PatchGAN, build_discriminator
from vaelab.models.grid import Grid
from vaelab.models.types import Reconstruction

__all__ = [
    "Autoencoder",
    "CausalVideoVAE",
    "Grid",
    "PatchGAN",
    "Reconstruction",
    "autoencoder_names",
    "build_autoencoder",
    "build_discriminator",
    "load_autoencoder",
]
