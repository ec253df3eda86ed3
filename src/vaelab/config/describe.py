"""Descriptions of presets for people: their parts, and the page ``docs/presets.md``."""

from __future__ import annotations

from typing import Any

from vaelab.config import yaml_text
from vaelab.config.presets import load_preset, preset_text, presets

PARTS = ("What", "Needs", "Memory", "Healthy", "Corrected", "Limits")
NOTE = "<!-- Made from src/vaelab/config/presets/*.yaml: change those, then  make docs. -->"


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
        parts.append(f"```yaml\n{yaml_text.write(_own(name))}```")
    return "\n\n".join(parts) + "\n"


def _own(name: str) -> dict[str, Any]:
    """The options that the preset's own file sets."""
    settings = yaml_text.parse(preset_text(name), name)
    return {key: value for key, value in settings.items() if key in load_preset(name) and key != "description"}


if __name__ == "__main__":
    print(presets_page(), end="")
