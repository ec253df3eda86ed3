"""Write docs/metrics.md and docs/causes.md from the catalogues: ``PYTHONPATH=src python docs/make_pages.py``."""

from __future__ import annotations

import re
from pathlib import Path

from vaelab.catalog import METRICS
from vaelab.causes import CAUSES, FAMILIES
from vaelab.explain import Explanation, explain_cause, explain_metric

NOTE = "<!-- Made by docs/make_pages.py from the catalogues in src/vaelab: change those, not this page. -->"


def metrics_page() -> str:
    """The page of all metrics, by family."""
    parts = [
        "# Metrics",
        NOTE,
        "What each column of a VAE-GAN training log measures and how to read it. Names differ between trainers and so do "
        "formulas, so the formula is given for each. Rules of thumb are marked: **holds**, **conditional** (only under "
        "the condition given) or **refuted**.",
    ]
    for family in dict.fromkeys(m.family for m in METRICS.values()):
        parts.append(f"## {family.capitalize()}")
        parts += [_entry(f"`{m.name}`: {m.title}", explain_metric(m)) for m in METRICS.values() if m.family == family]
    return "\n\n".join(parts) + "\n"


def causes_page() -> str:
    """The page of all causes, by family, with an index."""
    parts = [
        "# Causes",
        NOTE,
        "What can be behind a finding, how it differs from its look-alikes, the cheapest test that decides, and the fix. "
        "Ids and names are stable.",
    ]
    for letter, family in FAMILIES.items():
        members = [c for c in CAUSES.values() if c.family == letter]
        parts.append(f"## {letter}. {family.capitalize()}")
        parts.append("\n".join(f"- [{c.id}](#{_anchor(f'{c.id} {c.name}')}) {_text(c.title)}" for c in members))
        parts += [_entry(f"{c.id} {c.name}", explain_cause(c), lead=c.title) for c in members]
    return "\n\n".join(parts) + "\n"


def _entry(heading: str, explanation: Explanation, lead: str | None = None) -> str:
    parts = [f"### {heading}"] + ([_text(lead) + "."] if lead else [])
    for section in explanation.sections:
        if section.heading == "Names in logs":
            parts.append(f"**{section.heading}:** " + ", ".join(f"`{n}`" for n in section.lines[0].split(", ")))
        elif section.heading == "Sources":
            parts.append(f"**{section.heading}:** " + "; ".join(_source(line) for line in section.lines))
        elif len(section.lines) == 1:
            parts.append(f"**{section.heading}:** {_text(section.lines[0])}")
        else:
            parts.append(f"**{section.heading}:**\n\n" + "\n".join(f"- {_text(line)}" for line in section.lines))
    return "\n\n".join(parts)


def _source(text: str) -> str:
    """``owner/name#12`` as a link to that GitHub thread, anything else as text."""
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)#(\d+)", text)
    return f"[{_text(text)}](https://github.com/{match[1]}/issues/{match[2]})" if match else _text(text)


def _text(text: str) -> str:
    for mark in "\\`*_<>|[]":
        text = text.replace(mark, f"\\{mark}")
    return text


def _anchor(heading: str) -> str:
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


if __name__ == "__main__":
    here = Path(__file__).parent
    for name, page in (("metrics.md", metrics_page()), ("causes.md", causes_page())):
        (here / name).write_text(page, encoding="utf-8")
        print(here / name)
