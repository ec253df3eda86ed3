"""One folder a trainer: what its columns mean, how its settings are read, its known faults, its checkpoints.

Adding a trainer is adding a folder with ``DIALECTS`` in its ``__init__.py``, each entry checked against the trainer's source;
``settings.py``, ``faults.py`` and ``checkpoints.py`` beside it are optional. Nothing elsewhere lists trainers.
"""

from __future__ import annotations

from vaelab.dialects.config_names import canonical_config
from vaelab.dialects.detection import detect
from vaelab.dialects.registry import DIALECTS, UNKNOWN, bare_name, conventions, parts
from vaelab.dialects.types import Dialect, KLReduction, KnownFault, RecKind, Reduction, Signature

__all__ = [
    "DIALECTS", "UNKNOWN", "Dialect", "KLReduction", "KnownFault", "RecKind", "Reduction", "Signature", "bare_name",
    "canonical_config", "conventions", "detect", "parts",
]  # fmt: skip
