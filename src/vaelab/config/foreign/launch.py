"""Starts of a program in a script with the lines of their options, and the GPUs that a launcher or Lightning takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vaelab.config.foreign.shell import Command, commands
from vaelab.config.foreign.source import signs_of_fork
from vaelab.dialects.options import Options, command_lines
from vaelab.dialects.plan import Plan


def command_options(text: str, found: list[Command]) -> list[tuple[Command, Options]]:
    """Each command of a script with its options and their lines."""
    lines = command_lines(text, found[0].program) if found else []
    lines += [{} for _ in found[len(lines) :]]
    return [
        (command, Options(command.options, {k: v for k, v in where.items() if k in command.options}, "flag"))
        for command, where in zip(found, lines, strict=False)
    ]


@dataclass(frozen=True)
class Program:
    """A trainer's program, which is started with options.

    name: of its file. Others have files of the same name, so a start is of this one only if it gives one of ``own``, the
    options by which it is told, and knows at least half of those given. others: the rest of its options.
    """

    name: str
    own: frozenset[str]
    others: frozenset[str] = frozenset()

    def certainty(self, text: str, parsed: Any) -> float:
        """0.9 for a script that starts it."""
        return 0.9 if parsed is None and self.name in text and any(map(self._fits, commands(text, self.name))) else 0.0

    def plans(self, read: Callable[[Options, Command, str], Plan]) -> Callable[[str, Any, str], list[Plan]]:
        """One plan for each start; ``read`` takes its options, the command and the whole text."""

        def plans(text: str, parsed: Any, path: str) -> list[Plan]:
            starts = command_options(text, commands(text, self.name))
            return [self._judged(read(options, command, text)) for command, options in starts if self._fits(command)]

        return plans

    def _fits(self, command: Command) -> bool:
        known = command.options.keys() & (self.own | self.others)
        return bool(known & self.own) and 2 * len(known) >= len(command.options)

    def _judged(self, plan: Plan) -> Plan:
        """The plan with the options that the program does not know."""
        unknown = tuple(key for key in plan.options if key not in self.own | self.others)
        signs = signs_of_fork(unknown, (self.own | self.others) - set(plan.options))
        return replace(plan, unknown=unknown).as_fork(signs)


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
