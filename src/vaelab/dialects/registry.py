"""Every known trainer by its id, from the folders beside this file.

A folder holds all that is known of one trainer, or of one with its forks. ``DIALECTS`` in its ``__init__.py`` says what the
log means; the other parts are modules that are imported only when they are asked for: ``settings`` (its files of settings),
``faults`` (of its code), ``checkpoints`` (its layout of weights; needs torch).
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from vaelab.catalog import METRICS, canonical
from vaelab.dialects.types import Dialect
from vaelab.own_settings import own_conventions
from vaelab.patterns import pattern

PLAIN = {"loss", "train_loss", "val_loss", "test_loss"}  # of a progress bar, or of a callback of the user's
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


def conventions(trainer: str, config: Mapping[str, Any], originals: Iterable[str] = ()) -> Dialect:
    """Conventions of ``trainer`` (an id; others give ``unknown``) under ``config``, declared values by canonical names.

    Those of ``vaelab train``, and of a loop of one's own, follow the settings; what is not declared stays unknown.
    originals: the log's columns. With a loss among them that the trainer does not have they are a fork's: ``fork`` names
    these losses, and the formulas, defaults and known faults of the parent are gone.
    """
    known = DIALECTS.get(trainer, UNKNOWN)
    if known.declared is not None:
        known = replace(known, **known.declared(config))
    fork = foreign_losses(originals, known)
    if not fork:
        return known
    return replace(known, title=f"a fork of {known.title}", fork=fork, formulas={}, defaults={}, known_faults=())


def foreign_losses(originals: Iterable[str], dialect: Dialect) -> tuple[str, ...]:
    """Columns that name a loss which the trainer's public code does not log; a bar's plain ``loss`` is none."""
    if not dialect.losses:
        return ()
    names = {bare_name(name) for name in originals}
    losses = {name for name in names if "loss" in re.split(r"[_/.]", name)}
    return tuple(sorted(losses - dialect.losses - PLAIN))


_SPLIT_PATH = pattern(r"^(?:(?:train|training|val|val_ema|valid|validation|test|eval)[/.])+")
_SPLIT_WORD = pattern(r"^(?:train|training|val|val_ema|valid|validation|test|eval)_(?=.)")


def bare_name(name: str) -> str:
    """A column's own name in lower case, without its splits (``train/``, ``train/train/``) and Lightning's ``_step`` or ``_epoch``.

    A split with an underscore behind it (``train_loss``) is one only where a name that vaelab knows follows it.
    """
    text = _SPLIT_PATH.sub("", re.sub(r"\s+", "_", name.strip().lower()))
    text = re.sub(r"(?<=.)_(step|epoch)$", "", text) if text not in ("global_step",) else text
    rest = _SPLIT_WORD.sub("", text)
    return rest if rest != text and canonical(rest) in METRICS else text
