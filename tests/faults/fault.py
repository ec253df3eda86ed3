"""One fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest


class Fault(NamedTuple):
    """id: trainer and number, as in docs/faults.md. check: raises AssertionError where the fault is present.
    put_back: brings the fault into our functions. about: one line; it tells two faults of one id apart."""

    id: str
    about: str
    check: Callable[[], None]
    put_back: Callable[[pytest.MonkeyPatch], None]
