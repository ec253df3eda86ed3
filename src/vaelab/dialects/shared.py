"""Formulas and option names that several trainers took from one another."""

from __future__ import annotations

ADAPTIVE = (
    "disc_weight * clamp(|d nll/d W_last| / (|d g_loss/d W_last| + 1e-4), 0, 1e4): the printed value already contains"
    " disc_weight"
)
HINGE = "disc_factor * 0.5 * (mean relu(1 - D(x)) + mean relu(1 + D(recon))): 1.0 when D cannot tell them apart"
LOSSCONFIG = ("kl_weight", "perceptual_weight", "disc_weight", "disc_start", "disc_factor", "logvar_init")
