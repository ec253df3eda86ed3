"""Clips and images for training: any sample of a run can be made from its number alone.

Sample ``k`` of a run (0, 1, 2, ... over all processes) is a pure function of the settings, the seed and ``k``. So a run is
resumed with one integer, exactly, with any number of workers; and n processes together see what one process with n times
the batch size sees.
"""

from __future__ import annotations

from vaelab.data.loader import Batches, train_batches, val_batches
from vaelab.data.opening import Data, open_data
from vaelab.data.quarantine import Quarantine
from vaelab.data.source import Sample, Source, Undecodable
from vaelab.data.types import Batch, Quarantined

__all__ = [
    "Batch",
    "Batches",
    "Data",
    "Quarantine",
    "Quarantined",
    "Sample",
    "Source",
    "Undecodable",
    "open_data",
    "train_batches",
    "val_batches",
]
