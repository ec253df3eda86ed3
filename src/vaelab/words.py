"""Numbers in sentences."""

from __future__ import annotations


def number(value: float) -> str:
    """``37,881``, ``0.0069``, ``2.1e-07``: whole thousands, else four significant digits, powers of ten at the ends."""
    size = abs(value)
    if 1e6 <= size < 1e9:
        value = float(f"{value:.4g}")
    if 1000 <= size < 1e9:
        return f"{value:,.0f}"
    if size and (size >= 1e9 or size < 1e-4):
        return f"{value:.3g}"
    return f"{value:.4g}"


def rough(value: float) -> str:
    """Two significant digits, written as ``number`` does: ``3,500``, ``100``, ``0.0035``, ``1e+09``."""
    return number(float(f"{value:.2g}"))


def share_text(share: float) -> str:
    """A share as a percentage with two significant digits where it is small."""
    if share >= 0.995 and share < 1:
        return f"{share:.2%}"
    return f"{share:.1%}" if share >= 0.001 else f"{share * 100:.1g}%"


def belief(share: float) -> str:
    """A degree of belief as ``71%``; never 0% or 100%, which no evidence reaches."""
    return "over 99%" if share > 0.99 else "under 1%" if share < 0.01 else f"{share:.0%}"
