"""TiTok stage 1: the console lines of 1d-tokenizer."""

from __future__ import annotations

from datetime import datetime, timedelta

from dialect_generators.curves import curves

SUFFIX = ".log"
DIALECT = "titok_console"
FAULTS = ("stuck", "nan")
ROLES = {"Total Loss": "total_loss", "Recon Loss": "rec_loss", "LR": "lr"}
EVERY = 50


def records(kind: str = "healthy", rows: int = 200, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=2, floor=0.45)
    # knowing nothing of 1,024 codes costs ln 1024, and its noise is that of one batch
    rec = 6.93 * (1 + 0.02 * (c.rec - 1)) if kind == "stuck" else 6.93 * c.rec
    quantiser = 0.005 * c.jitter(0.05)
    return [
        {
            "step": str((i + 1) * EVERY),
            "LR": f"{1e-4 * min(1, (i + 1) * EVERY / 10000):.6f}",
            "Total Loss": f"{rec[i] + quantiser[i]:.4f}",
            "Recon Loss": f"{rec[i]:.4f}",
        }
        for i in range(rows)
    ]


def log(kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    begun = datetime(2025, 1, 21, 10)
    lines = []
    for i, row in enumerate(records(kind, rows, seed)):
        when = (begun + timedelta(minutes=i)).strftime("%m/%d %H:%M:%S")
        lines.append(
            f"\033[32m[{when} TiTok]: \033[0mData (t): 0.0032, 123.77/s/gpu Batch (t): 0.2592 LR: {row['LR']} "
            f"Step: {row['step']} Total Loss: {row['Total Loss']} Recon Loss: {row['Recon Loss']} "
        )
        if i % 100 == 99:
            prefix = f"\033[32m[{when} TiTok]: \033[0m"
            scores = {
                "CodebookEntropy": "tensor(9.8113, device='cuda:0')",
                "CodebookUsage": 0.93,
                "InceptionScore": 31.2,
                "rFID": round(40.0 / (1 + i / 50), 3),
            }
            said = ",\n ".join(f"'{name}': {value}" for name, value in scores.items())
            lines += [
                f"{prefix}Reconstructing images...",
                f"{prefix}Computing metrics on the validation set.",
                f"{prefix}EMA EVALUATION Step: {row['step']} ",
                f"{prefix}{{{said}}}",
            ]
    return "\n".join(lines) + "\n"
