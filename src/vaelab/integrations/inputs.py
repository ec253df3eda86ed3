"""The input of a training step, found in a batch of whatever form a data loader makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaelab.monitor.observed import role_of


def input_of(batch: Any) -> Any:
    """The pictures or clips in ``batch``: itself, its first item, or the value under a usual name (``pixel_values``, ``image``
    ...); None if there is no tensor of at least four axes."""
    if isinstance(batch, Mapping):
        named = [value for key, value in batch.items() if role_of(str(key)) == "x"]
        return next((value for value in named if _is_picture(value)), None)
    if isinstance(batch, list | tuple) and batch:
        return input_of(batch[0])
    return batch if _is_picture(batch) else None


def _is_picture(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and len(value.shape) >= 4
