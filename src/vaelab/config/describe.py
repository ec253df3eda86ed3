"""Descriptions of presets for people, cut into their parts."""

from __future__ import annotations

PARTS = ("What", "Needs", "Memory", "Healthy", "Corrected", "Limits")


def paragraphs(description: str) -> dict[str, str]:
    """``{"What": ..., "Needs": ...}`` from lines ``What: ...``; a text without such lines is ``What``."""
    found: dict[str, str] = {}
    for line in description.splitlines():
        head, colon, rest = line.partition(": ")
        if colon and head in PARTS:
            found[head] = rest.strip()
        elif line.strip():
            found["What"] = f"{found.get('What', '')} {line.strip()}".strip()
    return {"What": "", "Needs": "", **found}
