"""LlamaGen vq_train.py: three lines a record, of which only the last names the step."""

from __future__ import annotations

from datetime import datetime, timedelta

from dialect_generators.curves import curves, printed

SUFFIX = ".log"
DIALECT = "llamagen"
FAULTS = ("dwins", "collapse", "blowup", "nan")
ROLES = {
    "rec_loss": "rec_loss",
    "perceptual_loss": "perceptual_loss",
    "vq_loss": "quant_loss",
    "codebook_usage": "cluster_usage",
    "generator_adv_loss": "g_loss_weighted",
    "disc_adaptive_weight": "d_weight",
    "discriminator_adv_loss": "disc_loss",
    "logits_real": "logits_real",
    "logits_fake": "logits_fake",
}
EVERY = 100
GENERATOR = (
    "rec_loss", "perceptual_loss", "vq_loss", "commit_loss", "entropy_loss", "codebook_usage", "generator_adv_loss",
    "disc_adaptive_weight", "disc_weight",
)  # fmt: skip
DISCRIMINATOR = ("discriminator_adv_loss", "disc_weight", "logits_real", "logits_fake")


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed)
    weight = 0.5 * c.gan
    values = {
        "rec_loss": 0.12 * c.rec,
        "perceptual_loss": 0.6 * c.perceptual,
        "vq_loss": 0.0042 * c.jitter(0.05),
        "commit_loss": 0.00105 * c.jitter(0.05),
        "entropy_loss": 0 * c.rec,
        "codebook_usage": c.usage,
        "generator_adv_loss": -weight * c.fake,
        "disc_adaptive_weight": 1 + 0 * c.progress,
        "disc_weight": weight,
        "discriminator_adv_loss": weight * c.hinge,
        "logits_real": c.real,
        "logits_fake": c.fake,
    }
    total = sum(values[m] for m in GENERATOR[:5]) + values["generator_adv_loss"] + values["discriminator_adv_loss"]
    formats = dict.fromkeys(values, ".4f")
    made = []
    for i in range(rows):
        row = printed({m: v[i] for m, v in values.items()}, formats)
        made.append({"step": str((i + 1) * EVERY)} | row | {"Train Loss": f"{total[i]:.4f}", "Train Steps/Sec": "2.31"})
    return made


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    begun = datetime(2024, 5, 1, 8)
    start = int(0.4 * rows * EVERY)

    def line(text: str, at: int) -> str:
        return f"[\033[34m{begun + timedelta(seconds=40 * at)}\033[0m] {text}"

    lines = [
        line(
            f"Namespace(data_path='/data', vq_model='VQ-16', disc_start={start}, disc_weight=0.5, lr=0.0001, epochs=40)",
            0,
        ),
        line("VQ Model Parameters: 71,883,403", 0),
        line("Training for 40 epochs...", 0),
        line("Beginning epoch 0...", 0),
    ]
    for i, row in enumerate(records(kind, rows, seed), start=1):
        if i % 100 == 0:
            lines.append(line(f"Beginning epoch {i // 100}...", i))
        lines.append(line("(Generator) " + ", ".join(f"{m}: {row[m]}" for m in GENERATOR), i))
        lines.append(line("(Discriminator) " + ", ".join(f"{m}: {row[m]}" for m in DISCRIMINATOR), i))
        last = (
            f"(step={int(row['step']):07d}) Train Loss: {row['Train Loss']}, Train Steps/Sec: {row['Train Steps/Sec']}"
        )
        lines.append(line(last, i))
    return "\n".join(lines) + "\n"
