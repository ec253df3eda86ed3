"""Training commands inside a shell script: line continuations, comments, variables."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Any

from vaelab.config import yaml_text
from vaelab.errors import ConfigError


@dataclass(frozen=True)
class Command:
    """One start of a Python program. launcher: options before the program (torchrun's), options: those after it."""

    program: str
    launcher: dict[str, Any]
    options: dict[str, Any]


def commands(text: str, program: str) -> list[Command]:
    """All starts of ``program`` (a file name such as train_video_vae.py), with variables put in.

    A bare list of options (``--lr 1e-4 ...``) counts as one start. Raises ConfigError for an unclosed quote.
    """
    found, variables = [], dict[str, str]()
    for number, line in _logical_lines(text):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise ConfigError(f"line {number} of the script is not a complete command: {str(error).lower()}") from None
        assignments = []
        while words and words[0] == "export":
            words.pop(0)
        while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
            assignments.append(words.pop(0).partition("="))
        for name, _, value in assignments:
            variables[name] = _expanded(value, variables)
        words = [_expanded(word, variables) for word in words]
        place = next((i for i, word in enumerate(words) if word.rsplit("/", 1)[-1] == program), None)
        if place is not None:
            found.append(Command(program, _options(words[:place]), _options(words[place + 1 :])))
        elif words and words[0].startswith("--"):
            found.append(Command(program, {}, _options(words)))
    return found


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines joined at a final backslash, with the number of their first physical line; a comment ends a join."""
    lines: list[tuple[int, str]] = []
    open_line = False
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        continues = line.rstrip().endswith("\\")
        body = line.rstrip()[:-1] if continues else line
        if open_line:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]} {body}")
        elif body.strip():
            lines.append((number, body))
        open_line = continues
    return lines


def _expanded(word: str, variables: dict[str, str]) -> str:
    """``$NAME``, ``${NAME}`` and ``${NAME:-default}``; an unknown variable stays as it is written."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[3], match[2] if match[2] is not None else match[0])

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)", value, word)


def _options(words: list[str]) -> dict[str, Any]:
    """``--name value``, ``--name=value``, ``--flag`` (true) and ``--name a b`` (a list); the last of equal names counts."""
    options: dict[str, Any] = {}
    name: str | None = None
    values: dict[str, list[str]] = {}
    for word in words:
        if re.match(r"--?[A-Za-z]", word):
            name, equals, value = word.lstrip("-").partition("=")
            name = name.replace("-", "_")
            values[name] = [value] if equals else []
        elif word in ("|", ">", ">>", "&", "&&", ";", "2>&1"):
            break
        elif name is not None:
            values[name].append(word)
    for name, given in values.items():
        parsed = [_value(word) for word in given]
        options[name] = True if not parsed else parsed[0] if len(parsed) == 1 else parsed
    return options


def _value(word: str) -> Any:
    """A number where the word is one, else the word itself."""
    value = yaml_text.parse(word, word) if re.fullmatch(r"[-+.\deE_]+", word) else word
    return word if value is None else value
