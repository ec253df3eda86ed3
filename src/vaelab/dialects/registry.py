"""Every known trainer by its id, from the folders beside this file.

A folder holds all that is known of one trainer, or of one with its forks. ``DIALECTS`` in its ``__init__.py`` says what the
log means; the other parts are modules that are imported only when they are asked for: ``settings`` (its files of settings),
``faults`` (of its code), ``checkpoints`` (its layout of weights; needs torch).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from vaelab.dialects.types import Dialect
from vaelab.own_settings import own_conventions

_PACKAGE = "vaelab.dialects"
_FOLDERS = sorted(found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.ispkg)

UNKNOWN = Dialect("unknown", "a trainer vaelab does not know", (), input_range=None, declared=own_conventions)
DIALECTS: dict[str, Dialect] = {
    dialect.id: dialect for name in _FOLDERS for dialect in importlib.import_module(f"{_PACKAGE}.{name}").DIALECTS
} | {UNKNOWN.id: UNKNOWN}


@cache
def parts(kind: Literal["settings", "faults", "checkpoints"]) -> tuple[ModuleType, ...]:
    """The modules of this name in the trainers' folders, in the order of the folders' names."""
    folder = Path(__file__).parent
    has = [n for n in _FOLDERS if any(found.name == kind for found in pkgutil.iter_modules([str(folder / n)]))]
    return tuple(importlib.import_module(f"{_PACKAGE}.{name}.{kind}") for name in has)


def conventions(trainer: str, config: Mapping[str, Any]) -> Dialect:
    """Conventions of ``trainer`` (an id; others give ``unknown``) under ``config``, declared values by canonical names.

    Those of ``vaelab train``, and of a loop of one's own, follow the settings; what is not declared stays unknown.
    """
    known = DIALECTS.get(trainer, UNKNOWN)
    return known if known.declared is None else replace(known, **known.declared(config))
