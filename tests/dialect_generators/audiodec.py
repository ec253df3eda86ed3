"""AudioDec: a line a metric every 1,000 steps, the discriminator from step 200,000 on, an evaluation now and then."""

from __future__ import annotations

import numpy as np

from dialect_generators.curves_b import Series, broken, curves, squared_halves

SUFFIX = ".log"
DIALECT = "audiodec"
FAULTS = ("dwins", "nan")
COLUMNS = {
    "train/train/ppl_0": "perplexity", "train/train/vqloss": "quant_loss", "train/mel_loss": "rec_loss",
    "train/feature_matching_loss": "feature_matching_loss", "train/adversarial_loss": "g_loss_weighted",
    "train/generator_loss": "total_loss", "train/real_loss": "disc_loss_real", "train/fake_loss": "disc_loss_fake",
    "train/discriminator_loss": "disc_loss",
}  # fmt: skip
FIRST, EVERY, DISCRIMINATORS = 201_000, 1000, 8


def shown(name: str, value: float) -> float:
    """Four digits after the point."""
    return float(f"{value:.4f}")


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    c = curves(kind, rows, seed)
    real, fake = (DISCRIMINATORS * half for half in squared_halves(c))
    mel, vq = 20 * (0.1 + 0.9 * c.fit), 0.9 * c.noise(0.03)
    features = 2 + 1.5 * c.gap * c.noise(0.03)
    adversarial = DISCRIMINATORS * (0.25 + 0.2 * c.gap) + 2 * features
    columns = {
        "step": FIRST + EVERY * np.arange(len(c.t), dtype=np.float64),
        "train/train/ppl_0": 410 * c.noise(0.02),
        "train/train/ppl_1": 380 * c.noise(0.02),
        "train/train/vqloss": vq,
        "train/mel_loss": mel,
        "train/feature_matching_loss": features,
        "train/adversarial_loss": adversarial,
        "train/generator_loss": vq + mel + adversarial,
        "train/real_loss": real,
        "train/fake_loss": fake,
        "train/discriminator_loss": real + fake,
    }
    return broken(kind, columns, c)


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    columns = series(kind, rows, seed)
    lines = [
        "2024-07-14 09:58:02,118 (codecTrain:244) INFO: Successfully resumed from exp/checkpoint-200000steps.pkl.",
        "2024-07-14 09:58:02,120 (autoencoder:77) INFO: Encoder, projector, quantizer, and codebook are fixed",
    ]
    for i, step in enumerate(columns["step"].astype(int)):
        stamp = f"2024-07-{14 + (i + 600) // 1440:02d} {(i // 60 + 10) % 24:02d}:{i % 60:02d}:55,341"
        for name, values in columns.items():
            if name != "step":
                lines.append(f"{stamp} (trainerGAN:333) INFO: (Steps: {step}) {name} = {values[i]:.4f}.")
        if i % 50 == 49:
            lines.append(f"{stamp} (trainerGAN:167) INFO: (Steps: {step}) Start evaluation.")
            lines.append(f"{stamp} (trainerGAN:182) INFO: (Steps: {step}) Finished evaluation (25 steps per epoch).")
            mel = columns["train/mel_loss"][i] * 1.05
            lines.append(f"{stamp} (trainerGAN:190) INFO: (Steps: {step}) eval/mel_loss = {mel:.4f}.")
    return "\n".join(lines) + "\n"
