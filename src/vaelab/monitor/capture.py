"""What ``Monitor.log`` takes from the training loop: copies that cost microseconds and never wait for a GPU.

A number on a GPU is copied there and read later, by a thread. A tensor gives its shape and, now and then, a few thousand of
its values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SAMPLE_VALUES = 4096
"""About so many values of a tensor are copied to see its range."""


@dataclass(frozen=True)
class Tensor:
    """A tensor as it was given. values: some of the values of its first item, copied; None if they were not asked for."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: Any = None


@dataclass
class Captured:
    """One call. numbers: floats, and what ``number`` turns into one. ignored: name -> why it was left out."""

    step: int | None = None
    time: float = 0.0
    numbers: list[tuple[str, Any]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)

    def add(self, values: Mapping[Any, Any], with_values: bool, prefix: str = "") -> None:
        """Take ``values``; nested mappings are joined with ``/``. with_values: copy some values of tensors."""
        for key, value in values.items():
            name = f"{prefix}{key}" if prefix else str(key)
            kind = type(value)
            if kind is float or kind is int:
                self.numbers.append((name, value))
            elif value is not None:
                try:
                    self._add_other(name, value, kind, with_values)
                except Exception as error:
                    self.ignored[name] = f"it cannot be read ({type(error).__name__}: {error})"

    def _add_other(self, name: str, value: Any, kind: type, with_values: bool) -> None:
        form = _FORMS.get(kind) or _FORMS.setdefault(kind, _form(kind))
        if form == "torch" and value.numel() == 1:
            # on a GPU the copy is queued behind the work that computes the value: nothing waits
            self.numbers.append((name, value.item() if value.is_cpu else value.detach().clone()))
        elif form == "number":
            self.numbers.append((name, float(value)))
        elif form == "mapping":
            self.add(value, with_values, f"{name}/")
        elif form in ("torch", "array"):
            self._add_array(name, value, with_values)
        else:
            self.ignored[name] = form

    def _add_array(self, name: str, value: Any, with_values: bool) -> None:
        count = math.prod(value.shape)
        if count == 1:
            self.numbers.append((name, value.item() if isinstance(value, np.ndarray) else value))
        elif count > 1:
            if name.rpartition("/")[2] in ("logits_real", "logits_fake"):
                self.numbers.append((name, _mean(value)))
            self.tensors.append(
                Tensor(name, tuple(value.shape), str(value.dtype), _some(value) if with_values else None)
            )


_FORMS: dict[type, str] = {}


def _form(kind: type) -> str:
    """``number``, ``mapping``, ``torch``, ``array``, or why a value of this type is left out."""
    if issubclass(kind, Mapping):
        return "mapping"
    if issubclass(kind, str | bytes):
        return "it is text"
    if hasattr(kind, "full_tensor"):
        # reading a DTensor is a collective call: on one rank alone it would wait for ever
        return "it is a DTensor; give its full_tensor(), which all ranks must call"
    if hasattr(kind, "detach") and hasattr(kind, "is_cpu"):
        return "torch"
    return (
        "array" if hasattr(kind, "shape") and hasattr(kind, "dtype") and not issubclass(kind, np.generic) else "number"
    )


def number(value: Any) -> float | None:
    """``value`` of a captured number as a float; None if it is none. May wait for a GPU."""
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1e308
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError, RuntimeError):
        return None


def array(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Captured values of a tensor as a flat array. May wait for a GPU."""
    if hasattr(values, "cpu"):
        values = values.float().cpu().numpy()  # numpy has no bfloat16
    return np.asarray(values, np.float64).ravel()


def _mean(value: Any) -> Any:
    if hasattr(value, "detach"):
        mean = value.detach().float().mean()
        return mean.item() if mean.is_cpu else mean
    return float(np.mean(value))


def _some(value: Any) -> Any:
    """A copy of about ``SAMPLE_VALUES`` values of the first item."""
    if hasattr(value, "detach"):
        value = value.detach()
    first = value[0] if len(value.shape) > 1 else value
    count = math.prod(first.shape)
    if len(first.shape) > 1:
        stride = math.ceil(math.sqrt(count / SAMPLE_VALUES))
        first = first[..., ::stride, ::stride]
    else:
        first = first[:: math.ceil(count / SAMPLE_VALUES)]
    return first.clone() if hasattr(first, "clone") else np.array(first)
