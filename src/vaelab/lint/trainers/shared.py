"""What the trainers' readers share: GPUs of a launcher, notes of the importers, Lightning's sections."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from vaelab.config.foreign.draft import Imported
from vaelab.config.foreign.shell import Command
from vaelab.errors import ConfigError
from vaelab.lint.options import Options, command_lines
from vaelab.lint.plan import Ignored

Dialect = Any  # a module with TITLE, SOURCE, matches and plans


def command_options(text: str, found: list[Command]) -> list[tuple[Command, Options]]:
    """Each command of a script with its options and their lines."""
    lines = command_lines(text, found[0].program) if found else []
    lines += [{} for _ in found[len(lines) :]]
    return [
        (command, Options(command.options, {k: v for k, v in where.items() if k in command.options}, "flag"))
        for command, where in zip(found, lines, strict=False)
    ]


def gpus_of(command: Command, text: str) -> int | None:
    """Processes that the launcher starts; None where only the machine or the launcher's own settings know."""
    if text.lstrip().startswith("--") or "accelerate" in text:
        return _whole(command.launcher.get("num_processes"))
    if "torchrun" not in text and "torch.distributed" not in text and not command.launcher:
        return 1
    here, machines = (command.launcher.get(key, 1) for key in ("nproc_per_node", "nnodes"))
    each, count = _whole(here), _whole(machines)
    return None if each is None or count is None else each * count


def devices_of(value: Any) -> int | None:
    """GPUs of Lightning's ``devices`` or ``gpus``: 4, ``0,1,`` or [0, 1]; None for auto and -1."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, str) and "," in value:
        return len([part for part in value.split(",") if part.strip()])
    return _whole(value)


def _whole(value: Any) -> int | None:
    try:
        return int(value) if not isinstance(value, bool) and int(value) > 0 else None
    except (TypeError, ValueError):
        return None


def importer_notes(
    convert: Callable[[str, Any], Imported], text: str, parsed: Any, options: Options, leave_out: Collection[str] = ()
) -> tuple[tuple[Ignored, ...], tuple[str, ...]]:
    """Options that the importer knows to be without effect, and those that it does not know at all.

    An option that is empty or off asks for nothing, and is left out. An importer that refuses the file has no notes.
    """
    try:
        notes = convert(text, parsed).notes
    except (ConfigError, TypeError, ValueError, OverflowError, AttributeError):
        return (), ()
    ignored, unknown = [], []
    for note in notes:
        key = note.original.removeprefix("--")
        if key not in options or key in leave_out:
            continue
        if note.kind == "no-effect" and options[key] not in (None, "", False, [], "False", "false"):
            ignored.append(Ignored(key, note.text))
        elif note.kind == "unknown":
            unknown.append(key)
    return tuple(ignored), tuple(unknown)
