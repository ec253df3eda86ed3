"""Faults of settings, before the GPU hours: of vaelab's own and of the public trainers'. Needs no torch."""

from vaelab.lint.base import LintFinding, LintReport, LintRule
from vaelab.lint.bugs import KNOWN_BUGS, Bug
from vaelab.lint.check import lint
from vaelab.lint.reading import NotSettingsError
from vaelab.lint.rules import LINT_RULES

__all__ = ["KNOWN_BUGS", "LINT_RULES", "Bug", "LintFinding", "LintReport", "LintRule", "NotSettingsError", "lint"]
