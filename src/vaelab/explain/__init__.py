"""What a metric, a setting, a rule, a cause, a trainer or a known fault of one is, as structured text."""

from vaelab.explain.text import Explanation, Section
from vaelab.explain.topics import (
    explain,
    explain_cause,
    explain_in_run,
    explain_metric,
    explain_rule,
    explain_trainer,
    first_sentence,
)

__all__ = [
    "Explanation",
    "Section",
    "explain",
    "explain_cause",
    "explain_in_run",
    "explain_metric",
    "explain_rule",
    "explain_trainer",
    "first_sentence",
]
