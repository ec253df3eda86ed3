"""Run -> Diagnosis: facts, findings, ranked causes, a verdict per metric and overall, and what to do next."""

from __future__ import annotations

from vaelab.diagnosis.judge import diagnose
from vaelab.diagnosis.types import (
    QA,
    Diagnosis,
    MetricStatus,
    MetricVerdict,
    NextStep,
    RankedCause,
    Status,
)

__all__ = ["QA", "Diagnosis", "MetricStatus", "MetricVerdict", "NextStep", "RankedCause", "Status", "diagnose"]
