"""The options that a file gives, flat, each with its line: from YAML, shell commands and Python assignments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Style = Literal["flag", "yaml", "override", "python"]


@dataclass(frozen=True)
class Options(Mapping[str, Any]):
    """Options as the trainer spells them (``model.lossconfig.disc_start``, ``disc_start``) with their values.

    lines: 1-based line of each in its file. style: how a changed option is written: ``flag`` (--name value), ``yaml``
    (a.b: value), ``override`` (a.b=value) or ``python`` (a = value).
    """

    values_: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)
    style: Style = "yaml"

    def __getitem__(self, key: str) -> Any:
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def number(self, key: str, default: float | None = None) -> float | None:
        """The value as a number: the default if it is not given, None if it is no number (a placeholder)."""
        value = self.values_.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return float(value)
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            return None

    def whole(self, key: str, default: int | None = None) -> int | None:
        """The same as a whole number."""
        found = self.number(key, default)
        return None if found is None or found != found or abs(found) > 1e15 else int(found)

    def flag(self, key: str, default: bool = False) -> bool:
        """Whether a switch is on; text such as ``False`` counts as it reads."""
        value = self.values_.get(key)
        if value is None:
            return default
        return str(value).strip().lower() not in ("false", "0", "no", "none", "")

    def line(self, *keys: str) -> int | None:
        """The line of the first of ``keys`` that the file gives."""
        return next((self.lines[key] for key in keys if key in self.lines), None)

    def below(self, prefix: str) -> dict[str, Any]:
        """The options whose name begins with ``prefix``, without it."""
        return {key[len(prefix) :]: value for key, value in self.values_.items() if key.startswith(prefix)}

    def written(self, key: str, value: Any = None) -> str:
        """``key`` set to ``value``, as a person would write it for this trainer; a switch without value."""
        switch = value is None or (value is True and self.style == "flag")
        text = "" if switch else _plain(value)
        if self.style == "flag":
            return f"--{key} {text}".rstrip()
        if self.style == "override":
            return f"{key}={text}"
        return f"{key} = {text}" if self.style == "python" else f"{key}: {text}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return " ".join(map(_plain, value))
    return str(value)


def yaml_lines(text: str) -> dict[str, int]:
    """Line of every key in a YAML text, by its dotted path, mappings inside mappings only."""
    import yaml  # only here: a diagnosis reads no file of settings

    found: dict[str, int] = {}

    def walk(node: yaml.Node | None, prefix: str) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                name = f"{prefix}{key.value}"
                found.setdefault(name, key.start_mark.line + 1)
                walk(value, f"{name}.")

    walk(yaml.compose(text, yaml.SafeLoader), "")
    return found


def command_lines(text: str, program: str) -> list[dict[str, int]]:
    """For each start of ``program`` in a script, in order: the line of each of its options."""
    found: list[dict[str, int]] = []
    command: list[tuple[int, str]] = []
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        command.append((number, line))
        if line.rstrip().endswith("\\") and number < len(lines):
            continue
        whole = " ".join(re.sub(r"(^|\s)#.*", "", part) for _, part in command)
        # the words before the program may be variables and a launcher; a bare list of options counts as a start
        if re.search(rf"(^|[\s/]){re.escape(program)}(\s|$)", whole) or whole.lstrip().startswith("--"):
            found.append(_flags(command))
        command = []
    return found


def _flags(command: list[tuple[int, str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, line in command:
        for name in re.findall(r"(?:^|\s)--?([A-Za-z][\w-]*)", line):
            found[name.replace("-", "_")] = number  # the last of equal names counts
    return found


def python_options(text: str) -> Options:
    """Top-level assignments of a Python file of settings (mmengine's style), without running it.

    ``optim = dict(lr=1e-4)`` gives ``optim.lr``. What is not a literal (a product of other settings) is left out.
    """
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}

    def take(name: str, node: ast.expr) -> None:
        lines[name] = node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            for keyword in node.keywords:
                if keyword.arg is not None:
                    take(f"{name}.{keyword.arg}", keyword.value)
            return
        if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
            for key, value in zip(node.keys, node.values, strict=True):
                take(f"{name}.{key.value}", value)  # type: ignore[union-attr]
            return
        try:
            values[name] = ast.literal_eval(node)
        except ValueError:
            lines.pop(name)

    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                take(target.id, statement.value)
    return Options(values, lines, "python")


def call_options(text: str, name: str) -> Options | None:
    """The keyword arguments, where they are literals, of the first call of ``name`` in a Python file; None without one."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and (getattr(node.func, "id", None) or getattr(node.func, "attr", None)) == name:
            values: dict[str, Any] = {}
            lines: dict[str, int] = {}
            for keyword in node.keywords:
                if keyword.arg is None:
                    continue
                lines[keyword.arg] = keyword.value.lineno
                try:
                    values[keyword.arg] = ast.literal_eval(keyword.value)
                except ValueError:
                    values[keyword.arg] = ast.unparse(keyword.value)
            return Options(values, lines, "python")
    return None
