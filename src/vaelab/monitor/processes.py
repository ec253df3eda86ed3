"""Which process of a training job this is, found without a collective call and without importing torch."""

from __future__ import annotations

import os
import sys

RANK_VARIABLES = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK")
"""Set by launchers that do not set RANK; the main process has 0 in each of them that is set."""


def is_main_process() -> bool:
    """Whether this is rank 0, or the only process.

    ``torch.distributed`` decides where it is initialised, then RANK (torchrun), then the launchers' own variables.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return bool(distributed.get_rank() == 0)
    if "RANK" in os.environ:
        return _is_zero("RANK")
    return all(_is_zero(name) for name in RANK_VARIABLES if name in os.environ)


def _is_zero(name: str) -> bool:
    """A value that is no number says nothing of ranks."""
    try:
        return int(os.environ[name]) == 0
    except ValueError:
        return True
