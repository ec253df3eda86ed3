"""Numbers written as text in records: a cell of a table, a string in JSON, a value in a printed dict.

A text is a number as a whole or it is none.
"""

from __future__ import annotations

import re

MISSING = frozenset(("", "none", "null", "n/a", "na", "<na>", "nil", "-", "--", "---", "\u2013", "\u2014"))

_NOT_FINITE = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<nan>1\.#(?:QNAN|SNAN|IND)0*|s?nan(?:\((?:ind|snan)\))?)|1\.#INF0*|inf(?:inity)?)", re.I
)
_FORTRAN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d{1,4})")


def number_in(text: str) -> float | None:
    """The number that ``text`` is, exactly as Python's ``float`` reads it; None if it is anything else.

    NaN and infinity are read in every spelling (``-nan(ind)``, ``1.#QNAN``, ``Infinity``), so are Fortran's exponents
    (``1.5D-03``) and the minus sign of typesetting.
    """
    try:
        return float(text) if "_" not in text else None  # float takes 1_0 for 10
    except ValueError:
        pass
    text = text.strip().replace("\u2212", "-")
    if match := _NOT_FINITE.fullmatch(text):
        return float("nan") if match["nan"] else float(f"{match['sign']}inf")
    if match := _FORTRAN.fullmatch(text):
        return float(f"{match[1]}e{match[2]}")
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def is_missing(text: str) -> bool:
    """Whether ``text`` says that nothing was logged: ``None``, ``null``, ``-`` or nothing at all. NaN is a value."""
    return text.strip().lower() in MISSING
