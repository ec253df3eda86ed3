"""No rule calls a healthy run critical: several systems, seeds, schedules and kinds of noise."""

from __future__ import annotations

import pytest

from synthetic_runs import HEALTHY, SYSTEMS
from vaelab.diagnosis import diagnose

PAIRS = [(name, system) for name in HEALTHY for system in SYSTEMS if name != "learned-logvar" or system == "ldm"]


@pytest.mark.parametrize(("name", "system"), PAIRS)
def test_a_healthy_run_is_healthy_or_watched(name: str, system: str) -> None:
    for seed in (0, 1):
        diagnosis = diagnose(HEALTHY[name](system, seed).run())
        critical = [f"{f.code} {f.message}" for f in diagnosis.findings if f.severity == "critical"]
        assert not critical, seed
        assert diagnosis.status in ("healthy", "watch")
        assert all(i.status != "does-not-close" for i in diagnosis.facts.algebra.identities) or name == "kl-annealing"


@pytest.mark.parametrize("name", ["gan", "no-gan", "fine-tune", "resumed", "noise-30", "plateau", "long-warm-up"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_most_healthy_runs_get_no_warning_at_all(name: str, system: str) -> None:
    warned = 0
    for seed in (10, 11):
        diagnosis = diagnose(HEALTHY[name](system, seed).run())
        warned += any(f.severity != "info" for f in diagnosis.findings)
    assert warned <= 1
