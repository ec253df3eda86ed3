"""pythae's console: bars without metrics, then two lines an epoch between rules."""

from __future__ import annotations

from dialect_generators.curves import curves, tqdm_bar

SUFFIX = ".log"
DIALECT = ""
FAULTS = ("blowup",)
ROLES = {"Train loss": "total_loss", "Eval loss": "val/total_loss"}
RULE = "-" * 74


def records(kind: str = "healthy", rows: int = 100, seed: int = 0) -> list[dict[str, str]]:
    c = curves(kind, rows, seed, gan_at=2, floor=0.3)
    return [
        {
            "step": str(i + 1),
            "Train loss": f"{round(95.0 * float(c.rec[i]), 4)}",
            "Eval loss": f"{round(97.0 * float(c.rec[i]), 4)}",
        }
        for i in range(rows)
    ]


def log(kind: str = "healthy", rows: int = 100, seed: int = 0) -> str:
    lines = [
        "Model passed sanity check !",
        "Ready for training.",
        "",
        "Training params:",
        " - max_epochs: 100",
        " - per_device_train_batch_size: 64",
        " - checkpoint saving every: None",
        "",
        "Successfully launched training !",
        "",
    ]
    for i, row in enumerate(records(kind, rows, seed), start=1):
        lines.append(tqdm_bar(f"Training of epoch {i}/100", 782, 782, {}))
        lines.append(tqdm_bar(f"Eval of epoch {i}/100", 157, 157, {}))
        lines += [RULE, f"Train loss: {row['Train loss']}", f"Eval loss: {row['Eval loss']}", RULE]
    return "\n".join(lines) + "\n"
