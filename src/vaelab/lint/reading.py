"""From a file, a preset or a run's folder to plans, with the comments that switch findings off."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaelab.config import yaml_text
from vaelab.config.foreign import recognised, sources
from vaelab.config.load import load_config
from vaelab.config.presets import preset_names, preset_text
from vaelab.dialects.options import yaml_lines
from vaelab.dialects.plan import Plan
from vaelab.errors import ConfigError
from vaelab.files import open_regular
from vaelab.lint import own

LARGEST = 2_000_000  # bytes: settings are text of a few pages
ALL = "*"
_COMMENT = re.compile(r"#\s*vaelab:\s*ignore\b(.*)")
_CODE = re.compile(r"\b(?:LNT\d+|[A-Z]{2,5}-[A-Z\d]\w*)\b")

# option -> codes that a comment on its line switches off; "" holds those for the whole file
Suppressed = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Document:
    """What a source holds. source: as it is shown. plans: the trainings that it describes."""

    source: str
    plans: tuple[Plan, ...]
    suppressed: Suppressed = field(default_factory=dict)


class NotSettingsError(ConfigError):
    """A file that is no settings of a trainer that lint knows; a hook that is handed every changed file leaves it out."""


def read(source: str) -> Document:
    """The plans of ``source``: a preset's name, a file, the folder of a run of vaelab, or ``-`` for standard input.

    Raises ConfigError: missing, unreadable, too large, not text, not valid; NotSettingsError: not of a trainer that is known.
    """
    if source in preset_names():
        return _own(source, preset_text(source), source)
    path = Path(source)
    if source != "-" and path.is_dir():
        path = path / "config.yaml"
        if not path.is_file():
            raise ConfigError(
                f"{source} is a folder without config.yaml; give a file of settings, or the folder of a run"
            )
    text = _text(path, source)
    shown = "standard input" if source == "-" else str(path)
    python, parsed = path.suffix == ".py", None
    if not python and not _is_script(text, path):
        parsed = yaml_text.parse(text, shown)
        if not isinstance(parsed, dict):
            raise NotSettingsError(f"{shown} holds no settings ({_known()})")
        if own.matches(text, parsed):
            return _own(str(path), text, shown)
    try:
        plans = _foreign(text, parsed, str(path), shown)
    except SyntaxError as error:
        raise NotSettingsError(f"{shown} is not valid Python (line {error.lineno}): {error.msg}") from None
    return Document(shown, tuple(plans), _suppressed(text, {k: n for p in plans for k, n in p.options.lines.items()}))


def _foreign(text: str, parsed: Any, path: str, shown: str) -> list[Plan]:
    found = recognised(text, parsed)
    if not found:
        raise NotSettingsError(f"{shown} is not of a trainer that lint knows ({_known()})")
    try:
        plans = [plan for source in found for plan in source.plans(text, parsed, path)]
    except OSError as error:
        raise ConfigError(
            f"{shown} starts from {error.filename}, which cannot be read: {error.strerror or error}"
        ) from None
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        if isinstance(error, SyntaxError):
            raise
        raise ConfigError(
            f"{shown} looks like settings of a trainer that is known, but a value in it has another form than there"
            f" (a list in place of a number, say): {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None
    if not plans:
        raise NotSettingsError(
            f"{shown} names a trainer but does not start it: give the lines from the launcher to the last option"
        )
    return plans


def _known() -> str:
    titles = dict.fromkeys(source.title.partition(" (")[0] for source in sources().values())
    return "it knows vaelab's own settings and those of " + ", ".join(titles)


def _own(source: str, text: str, shown: str) -> Document:
    config = load_config(source) if source != "-" else None
    if config is None:
        raise ConfigError("settings of vaelab itself cannot be read from standard input: give the file's name")
    plan = own.plan(config, text)
    suppressed = dict(_suppressed(text, plan.options.lines))
    base = (yaml_text.parse(text, shown) or {}).get("base")
    if base in preset_names():
        inherited = preset_text(base)
        for option, codes in _suppressed(inherited, yaml_lines(inherited)).items():
            # an option that the file itself gives has its own comment or none
            if option and option not in plan.options.lines:
                suppressed.setdefault(option, codes)
    return Document(shown, (plan,), suppressed)


def _is_script(text: str, path: Path) -> bool:
    started = text.lstrip()
    return path.suffix in (".sh", ".bash", ".slurm") or started.startswith(("#!", "--")) or (
        path.suffix not in (".yaml", ".yml", ".json") and bool(re.search(r"\.py(\s|$)", text))
    )  # fmt: skip


def _text(path: Path, source: str) -> str:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with open_regular(path) as file:
                data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ConfigError(
                f"{source} is larger than {LARGEST // 1_000_000} MB: settings are not; is it a log? vaelab diagnose reads those"
            )
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            f"{source} does not exist; give a file or one of the presets {', '.join(preset_names())}"
        ) from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(
            f"{source} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}"
        ) from None
    if "\0" in text:
        raise ConfigError(f"{source} cannot be read: it is not text")
    if not text.strip():
        raise NotSettingsError(f"{source} is empty")
    return text


def _suppressed(text: str, lines: Mapping[str, int]) -> Suppressed:
    found: dict[str, frozenset[str]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _COMMENT.search(line)
        if match is None:
            continue
        codes = frozenset(_CODE.findall(match[1])) or frozenset([ALL])
        options = [] if line.lstrip().startswith("#") else [key for key, at in lines.items() if at == number]
        for option in options or [""]:
            found[option] = found.get(option, frozenset()) | codes
    return found
