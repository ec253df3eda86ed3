"""Which trainer wrote a log, from the names of its columns, the format and the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from vaelab.dialects.config_names import flatten_config
from vaelab.dialects.registry import DIALECTS, bare_name, foreign_losses
from vaelab.dialects.types import Dialect, Signature


def detect(originals: Sequence[str], format: str, raw_config: Mapping[str, Any]) -> tuple[str, float, str]:
    """``(trainer id, confidence 0..1, reason)`` from the columns' original names, the file format and the config.

    The surest signature that fits wins; among equals the one that names most columns. A log with losses that the trainer
    does not have is of a fork: half as sure, and the reason says it.
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
    reason = _reason(signature, dialect, format)
    if others := foreign_losses(originals, dialect):
        reason += f"; but that one does not log {', '.join(others)}: a fork of it, whose formulas are not known"
        return dialect.id, signature.confidence / 2, reason
    return dialect.id, signature.confidence, reason


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
