"""The one policy of severity: harm by size, never above a warning where it is doubtful; one table holds the limits."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from rule_runs import CASES
from vaelab.catalog.roles import RoleName
from vaelab.diagnosis import diagnose
from vaelab.rules import ALL_RULES, RETIRED, SEVERITY_ORDER
from vaelab.rules.base import Direction
from vaelab.rules.harm import HARM
from vaelab.rules.severity import BY_ROLE, CERTAIN, DOUBTFUL, severity_of

OTHER_SUBJECTS = {"data", "latent", "output", "run", "kl_weight", "disc_weight", "disc_start", "scale_factor", "weight"}
SIZES = [None, 0.0, 0.1, 1.0, 1.5, 2.0, 3.0, 10.0, 1e3, 1e9, math.inf]


def grave(code: str, size: float | None = None, certainty: float = CERTAIN, costs: bool = False) -> int:
    return SEVERITY_ORDER[severity_of(code, "reconstruction", size, certainty, costs)]


@pytest.mark.parametrize("code", [rule.code for rule in ALL_RULES])
def test_the_larger_the_surer_the_costlier_the_graver(code: str) -> None:
    sizes = [grave(code, size) for size in SIZES]
    assert sizes == sorted(sizes)
    for size in SIZES:
        assert grave(code, size, DOUBTFUL) <= grave(code, size) <= grave(code, size, costs=True)
        assert grave(code, size, DOUBTFUL, costs=True) <= SEVERITY_ORDER["warn"]


def test_every_entry_of_the_table_is_of_a_rule_and_says_why() -> None:
    codes = {rule.code for rule in ALL_RULES}
    assert set(HARM) <= codes and not codes & set(RETIRED)
    for code, harm in HARM.items():
        assert harm.why and (math.isinf(harm.warn) or harm.warn <= harm.critical), code
        assert harm.unit or math.isinf(min(harm.warn, harm.critical)), code
    assert set(BY_ROLE) <= set(get_args(RoleName))


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_finding_says_what_went_where(code: str) -> None:
    found = [f for f in diagnose(CASES[code].build().run(), select=[code]).findings if f.code == code]
    for finding in found:
        assert finding.subject in OTHER_SUBJECTS | set(get_args(RoleName))
        assert finding.direction in get_args(Direction) and 0 <= finding.certainty <= 1
        assert finding.size is None or finding.size > 0
    assert found
