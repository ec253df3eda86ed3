"""What public trainers mean by the columns they print: loss algebra, reductions, defaults, spelling and known faults.

Each entry was checked against the trainer's source. Adding a trainer is one entry in the file of its family, and one line in
``detection`` that says how its log is recognised.
"""

from __future__ import annotations

from vaelab.trainers.config_names import canonical_config
from vaelab.trainers.detection import bare_name, detect
from vaelab.trainers.registry import TRAINERS, conventions
from vaelab.trainers.types import KLReduction, KnownFault, RecKind, Reduction, Trainer

__all__ = [
    "TRAINERS", "KLReduction", "KnownFault", "RecKind", "Reduction", "Trainer", "bare_name", "canonical_config",
    "conventions", "detect",
]  # fmt: skip
