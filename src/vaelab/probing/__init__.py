"""Looks at a trained checkpoint on some clips: latent, decoder, discriminator, gradients (``docs/probing.md``)."""

from vaelab.probing.probe import probe
from vaelab.probing.result import ProbeResult, Table

__all__ = ["ProbeResult", "Table", "probe"]
