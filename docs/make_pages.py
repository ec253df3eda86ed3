"""Write the pages of docs/ that are made from the code: the first half of ``make site``. They are not committed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaelab.catalog import METRICS
from vaelab.causes import CAUSES, FAMILIES
from vaelab.config import yaml_text
from vaelab.config.describe import paragraphs
from vaelab.config.foreign import sources
from vaelab.config.presets import load_preset, preset_text, presets
from vaelab.dialects import DIALECTS
from vaelab.explain import Explanation, explain_cause, explain_metric, explain_rule, explain_trainer, first_sentence
from vaelab.lint import KNOWN_BUGS, LINT_RULES
from vaelab.report.schema import json_schema
from vaelab.rules import ALL_RULES, RETIRED

NOTE = "<!-- Made by docs/make_pages.py from src/vaelab: change that, not this page. -->"
RULE_FAMILIES = {
    "REC": "reconstruction",
    "KL": "latent",
    "ADV": "adversarial",
    "OPT": "optimisation",
    "NUM": "numerics",
    "ALG": "loss algebra",
    "SCH": "schedule and configuration",
    "DAT": "data",
    "RES": "resume and distributed training",
    "MET": "any metric with a direction",
}


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


def rules_page() -> str:
    """The page of all rules, by family, with an index."""
    parts = [
        "# Rules",
        NOTE,
        f"The {len(ALL_RULES)} checks that `vaelab diagnose` makes. A code never changes its meaning. A rule that lacks what "
        "it needs is listed in the report as not run. `--select` and `--ignore` take codes or their beginnings; "
        "`vaelab explain KL201` prints one entry. A letter with a number (C2, D7) is one of the [causes](causes.md).",
    ]
    for letters, family in RULE_FAMILIES.items():
        members = [rule for rule in ALL_RULES if rule.code.rstrip("0123456789") == letters]
        rows = [
            f"| [{r.code}](#{_anchor(f'{r.code} {r.name}')}) | {r.name} | {_text(first_sentence(r.documentation()))} |"
            for r in members
        ]
        parts.append(f"## {letters}. {family.capitalize()}")
        parts.append("\n".join(["| Code | Name | What it says |", "| --- | --- | --- |", *rows]))
        for rule in members:
            explanation = explain_rule(rule)
            summary = explanation.title.removeprefix(f"{rule.name}: ").rstrip(".")
            parts.append(_with_causes(_entry(f"{rule.code} {rule.name}", explanation, lead=summary)))
    parts.append("## Retired codes\n\nThey are no longer given and are never used again.")
    parts.append("\n".join(f"- {code} {_text(why)}" for code, why in RETIRED.items()))
    return "\n\n".join(parts) + "\n"


def lint_rules_page() -> str:
    """The page of lint's rules and of the known faults of public trainers, by trainer."""
    rows = [
        f"| [{r.code}](#{_anchor(f'{r.code} {r.name}')}) | {r.name} | {_text(first_sentence(r.documentation()))} |"
        for r in LINT_RULES
    ]
    parts = [
        "# Rules of lint, and known faults of public trainers",
        NOTE,
        f"The {len(LINT_RULES)} checks that `vaelab lint` makes on settings, and the {len(KNOWN_BUGS)} faults of public trainers' "
        "code that it names where they bite. Codes never change their meaning. [Linting](linting.md) says how to use it.",
        "\n".join(["| Code | Name | What it says |", "| --- | --- | --- |", *rows]),
    ]
    for rule in LINT_RULES:
        explanation = explain_rule(rule)
        summary = explanation.title.removeprefix(f"{rule.name}: ").rstrip(".")
        parts.append(_with_causes(_entry(f"{rule.code} {rule.name}", explanation, lead=summary)))
    for trainer, source in sources().items():
        bugs = [bug for bug in KNOWN_BUGS.values() if trainer in bug.trainers]
        parts.append(
            f"## {_text(source.title)}\n\nRead at {source.source}. Faults shared by several trainers are listed under each."
        )
        lines = [
            f"| {bug.code} | {_text(bug.title)} | {_text(bug.when.text)} | {_text(bug.fix)} | {_text(bug.place(trainer))} |"
            for bug in bugs
        ]
        parts.append(
            "\n".join(["| Code | Fault | Bites when | What to do | Where |", "| --- | --- | --- | --- | --- |", *lines])
        )
    return "\n\n".join(parts) + "\n"


def trainers_page() -> str:
    """The page of all public trainers whose logs are known: formulas, conventions, defaults, known faults."""
    parts = [
        "# Trainers",
        NOTE,
        "What each public trainer prints, from its code. `vaelab explain NAME` prints one entry. What cannot be had from their logs "
        "is in [Reading logs](reading-logs.md#trainers).",
    ]
    for trainer in sorted(DIALECTS.values(), key=lambda t: t.id):
        if trainer.id != "unknown":
            parts.append(_entry(trainer.id, explain_trainer(trainer), lead=trainer.title))
    return "\n\n".join(parts) + "\n"


def presets_page() -> str:
    """The page of all presets: what each expects, costs and looks like when healthy, and the options that it sets."""
    parts = [
        "# Presets",
        NOTE,
        "Complete settings for known jobs. `vaelab train NAME` starts one, `option=value` changes it, `vaelab presets NAME` prints "
        "all of its options. A YAML file may start from one with `base: NAME`. Options that are not named below have their "
        "defaults.",
        "\n".join(f"- [{name}](#{name})" for name in presets()),
    ]
    for name, config in presets().items():
        parts.append(f"## {name}")
        parts += [f"**{head}:** {text}" for head, text in paragraphs(config.description).items() if text]
        base = yaml_text.parse(preset_text(name), name).get("base")
        parts.append(f"It sets, over `{base}`:" if base else "It sets:")
        parts.append(f"```yaml\n{yaml_text.write(_set_by(name))}```")
    return "\n\n".join(parts) + "\n"


def _own(name: str) -> dict[str, Any]:
    """The options that the preset's own file sets."""
    settings = yaml_text.parse(preset_text(name), name)
    return {key: value for key, value in settings.items() if key in load_preset(name) and key != "description"}


def _set_by(name: str) -> dict[str, Any]:
    """The options that the preset's own file sets."""
    settings = yaml_text.parse(preset_text(name), name)
    return {key: value for key, value in settings.items() if key in load_preset(name) and key != "description"}


def schema_page() -> str:
    """The JSON schema of ``vaelab diagnose --format json``."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _entry(heading: str, explanation: Explanation, lead: str | None = None) -> str:
    parts = [f"### {heading}"] + ([_text(lead) + "."] if lead else [])
    for section in explanation.sections:
        if section.heading == "Names in logs":
            parts.append(f"**{section.heading}:** " + ", ".join(f"`{n}`" for n in section.lines[0].split(", ")))
        elif section.heading == "Columns and facts it needs":
            parts.append(f"**{section.heading}:** " + ", ".join(f"`{n}`" for n in section.lines))
        elif section.heading == "Sources":
            parts.append(f"**{section.heading}:** " + "; ".join(_source(line) for line in section.lines))
        elif len(section.lines) == 1:
            parts.append(f"**{section.heading}:** {_text(section.lines[0])}")
        else:
            parts.append(f"**{section.heading}:**\n\n" + "\n".join(f"- {_text(line)}" for line in section.lines))
    return "\n\n".join(parts)


def _with_causes(entry: str) -> str:
    """``entry`` with the ids of causes in its references as links."""
    head, mark, references = entry.partition("**References:**")
    linked = re.sub(r"\b[A-I]\d+\b", lambda m: _cause_link(m[0]), references)
    return head + mark + linked


def _cause_link(word: str) -> str:
    cause = CAUSES.get(word)
    return f"[{word}](causes.md#{_anchor(f'{cause.id} {cause.name}')})" if cause else word


def _source(text: str) -> str:
    """``owner/name#12`` as a link to that GitHub thread, anything else as text."""
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)#(\d+)", text)
    return f"[{_text(text)}](https://github.com/{match[1]}/issues/{match[2]})" if match else _text(text)


def _text(text: str) -> str:
    """Plain text in Markdown; a name in double backticks, as docstrings have them, becomes code."""
    return re.sub(r"``([^`]+)``|([\\`*_<>|\[\]])", lambda m: f"`{m[1]}`" if m[1] else f"\\{m[2]}", text)


def _anchor(heading: str) -> str:
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


PAGES: dict[str, Callable[[], str]] = {
    "metrics.md": metrics_page,
    "causes.md": causes_page,
    "rules.md": rules_page,
    "lint-rules.md": lint_rules_page,
    "presets.md": presets_page,
    "trainers.md": trainers_page,
    "schema/vaelab.diagnosis-1.json": schema_page,
}


def write(folder: Path) -> None:
    """Write all pages into ``folder``, a copy of docs/ or docs/ itself."""
    for name, page in PAGES.items():
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent)
