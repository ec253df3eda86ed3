"""Numbers as people read them: sensible digits, thousands separators, units. No number is judged here."""

from __future__ import annotations

import math

NOTHING = "-"


def number(value: float | str | None, digits: int = 4) -> str:
    """``value`` with ``digits`` significant digits: 0.00153, 27.62, 37,881, 1e-12, NaN; ``-`` for None."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e7 or size < 1e-3:
        mantissa, exponent = f"{value:.{min(digits, 3) - 1}e}".split("e")
        return f"{_strip(mantissa)}e{int(exponent)}"
    if size >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    # one digit fewer after the point for each digit before it
    decimals = digits - 1 - math.floor(math.log10(size))
    return _strip(f"{value:.{decimals}f}")


def quantity(value: float | str | None, unit: str = "") -> str:
    """``value`` with its unit: ``27.6 dB``, ``12.3 nats/element``, ``34.2%``."""
    if value is None:
        return NOTHING
    if not isinstance(value, str) and unit == "dB" and math.isfinite(value):
        return f"{value:.1f} dB"
    text = number(value, digits=3)
    return f"{text}%" if unit == "%" else f"{text} {unit}" if unit else text


def steps(value: int | None) -> str:
    """A step with thousands separators: ``12,345``; ``-`` for None."""
    return NOTHING if value is None else f"{int(value):,}"


def step_range(first: int | None, last: int | None, unit: str = "step") -> str:
    """``steps 2,000 to 10,000``, ``step 2,000``, or an empty text if neither end is known."""
    if first is None and last is None:
        return ""
    if first is None or last is None or first == last:
        return f"{unit} {steps(first if first is not None else last)}"
    return f"{unit}s {steps(first)} to {steps(last)}"


def percent(share: float) -> str:
    """A share in [0, 1] as ``71%``."""
    return f"{100 * share:.0f}%"


def _strip(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
