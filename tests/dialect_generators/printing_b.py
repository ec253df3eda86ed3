"""How bars and tables print numbers: tqdm's postfix, Lightning's padding of it, and a CSV as TensorBoard and W&B export it."""

from __future__ import annotations

from collections.abc import Mapping

from dialect_generators.curves_b import Series


def tqdm_number(value: float) -> str:
    """Three significant digits, as ``tqdm.format_num`` prints a postfix."""
    short, full = f"{value:.3g}".replace("e+0", "e+").replace("e-0", "e-"), str(value)
    return short if len(short) < len(full) else full


def lightning_number(value: float) -> str:
    """tqdm's number, padded with zeros to five characters as Lightning's bar pads it."""
    text = tqdm_number(value)
    if "e" in text or "n" in text:
        return text
    if "." not in text and len(text) < 5:
        text += "."
    return text.ljust(5, "0")


def bar(label: str, done: int, total: int, tail: str, rate: str = "1.35it/s") -> str:
    """One state of a tqdm bar, without the carriage return."""
    eighths = int(80 * done / total)
    drawn = "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")
    left = f"{label}: {100 * done // total:3d}%|{drawn:<10}| {done}/{total}"
    seconds = done * 2 // 3
    return f"{left} [{seconds // 60:02d}:{seconds % 60:02d}<{(total - done) // 90:02d}:00, {rate:>9}{tail}]"


def csv(series: Series, names: Mapping[str, str] | None = None, step: str = "step") -> str:
    """A table of the columns in full precision; a cell without a value is empty. names: name in ``series`` -> heading."""
    headings = {name: (names or {}).get(name, name) for name in series if name != "step"}
    lines = [",".join([step, *headings.values()])]
    for i, at in enumerate(series["step"]):
        lines.append(",".join([str(int(at)), *(repr(float(series[name][i])) for name in headings)]))
    return "\n".join(lines) + "\n"
