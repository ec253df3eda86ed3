"""The lint rules. ``LINT_RULES`` lists them; adding one is one class in its subject's file."""

from __future__ import annotations

from vaelab.lint.base import LintRule
from vaelab.lint.rules import losses, optimisation, schedule, settings

LINT_RULES: tuple[type[LintRule], ...] = tuple(
    sorted(
        (
            rule
            for module in (schedule, settings, losses, optimisation)
            for rule in vars(module).values()
            if isinstance(rule, type) and rule.__module__ == module.__name__ and issubclass(rule, LintRule)
        ),
        key=lambda rule: rule.code,
    )
)
