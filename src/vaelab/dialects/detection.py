"""Which trainer wrote a log, from the names of its columns, the format and the config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

from vaelab.catalog import METRICS, canonical
from vaelab.dialects.config_names import flatten_config
from vaelab.dialects.registry import DIALECTS
from vaelab.dialects.types import Dialect, Signature


def detect(originals: Sequence[str], format: str, raw_config: Mapping[str, Any]) -> tuple[str, float, str]:
    """``(trainer id, confidence 0..1, reason)`` from the columns' original names, the file format and the config.

    The surest signature that fits wins; among equals the one that names most columns.
    """
    columns = {bare_name(name) for name in originals}
    settings = columns | {bare_name(key) for key in flatten_config(raw_config)}
    fitting = [
        (signature, dialect)
        for dialect in DIALECTS.values()
        for signature in dialect.recognised_by
        if _fits(signature, columns, settings, format)
    ]
    if not fitting:
        return "unknown", 0.0, "the columns fit no trainer vaelab knows; names are read by the catalogue's aliases"
    signature, dialect = max(fitting, key=lambda fit: (fit[0].confidence, len(fit[0].columns)))
    return dialect.id, signature.confidence, _reason(signature, dialect, format)


def _fits(signature: Signature, columns: Set[str], settings: Set[str], format: str) -> bool:
    return (
        (not signature.formats or format in signature.formats)
        and signature.columns <= columns
        and not signature.without & columns
        and signature.settings <= settings
    )


def _reason(signature: Signature, dialect: Dialect, format: str) -> str:
    for kind, names in (("columns", signature.columns), ("settings", signature.settings)):
        if names:
            return f"{kind} {', '.join(sorted(names))} as {dialect.title} names them"
    return f"the format {format}, which {dialect.title} writes"


_SPLIT_PATH = re.compile(r"^(?:(?:train|training|val|val_ema|valid|validation|test|eval)[/.])+")
_SPLIT_WORD = re.compile(r"^(?:train|training|val|val_ema|valid|validation|test|eval)_(?=.)")


def bare_name(name: str) -> str:
    """A column's own name in lower case, without its splits (``train/``, ``train/train/``) and Lightning's ``_step`` or ``_epoch``.

    A split with an underscore behind it (``train_loss``) is one only where a name that vaelab knows follows it.
    """
    text = _SPLIT_PATH.sub("", re.sub(r"\s+", "_", name.strip().lower()))
    text = re.sub(r"(?<=.)_(step|epoch)$", "", text) if text not in ("global_step",) else text
    rest = _SPLIT_WORD.sub("", text)
    return rest if rest != text and canonical(rest) in METRICS else text
