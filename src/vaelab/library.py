"""The library door: read a log, diagnose it, and let a notebook show the result richly."""

from __future__ import annotations

from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.readers import read, read_all
from vaelab.report.notebook import html_of

__all__ = ["Diagnosis", "diagnose", "read", "read_all"]

# attached here, above the reports, because a Diagnosis itself knows nothing of how it is shown
Diagnosis._repr_html_ = html_of  # type: ignore[attr-defined]
