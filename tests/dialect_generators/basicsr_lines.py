"""The lines of BasicSR's MessageLogger, which CodeFormer and VQFR share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta


def message_log(name: str, made: Sequence[Mapping[str, str]], rates: Sequence[str], total: int) -> str:
    """rates: the learning rates as printed, generator first. total: the planned steps."""
    begun = datetime(2024, 5, 1, 8, 1)
    lines = [f"{begun},101 INFO: Network: DistributedDataParallel - VQAutoEncoder, with parameters: 65,118,851"]
    for i, row in enumerate(made, start=1):
        step = int(row["step"])
        lines.append(
            f"{begun + timedelta(minutes=i)},469 INFO: [{name[:5]}..][epoch:{step // 4000:3d}, iter:{step:8,d}, "
            f"lr:({''.join(rate + ',' for rate in rates)})] [eta: {timedelta(seconds=(total - step) // 2)}, "
            f"time (data): 0.580 (0.003)] " + "".join(f"{m}: {text} " for m, text in row.items() if m != "step")
        )
        if step % 5000 == 0:
            lines.append(f"{begun + timedelta(minutes=i)},802 INFO: Saving models and training states.")
    return "\n".join(lines) + "\n"
