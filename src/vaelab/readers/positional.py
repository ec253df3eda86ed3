"""Lists of numbers without names, as VITS and its relatives print them: what each is, its place in the list says.

[2.83, 3.11, 5.2, 30.5, 1.4, 1.8, 200, 0.0002]                 losses, global step, learning rate
[200, 9.9e-05]                                                 RVC: the losses follow on the next line, with names
Losses: [2.2, 2.5, 7.9, 20.8, 0.5], step: 200, lr: 0.0001      so-vits-svc
"""

from __future__ import annotations

from typing import NamedTuple

from vaelab.dialects.vits import PRINTED_LOSSES
from vaelab.patterns import pattern

_VALUE = rb"[-+]?(?:\d{0,24}\.?\d{1,24}(?:[eE][-+]?\d{1,3})?|nan|inf)"
_WITH_STEP = pattern(
    rb"(?:^|[\t:]|[-|] |INFO\]? )\[(?P<losses>(?:"
    + _VALUE
    + rb", ){0,16})(?P<step>\d{1,15}), (?P<lr>\d{0,24}\.?\d{1,24}(?:[eE][-+]?\d{1,3})?)\]\s{0,4}$"
)
_LOSSES = pattern(rb"(?<![A-Za-z_])Losses: \[(?P<losses>(?:" + _VALUE + rb", ){1,16}" + _VALUE + rb")\]")
_EACH = pattern(_VALUE)


class Listed(NamedTuple):
    """start, end: where the list stands. step: where the global step is, if the list has it. named: column -> where its value is."""

    start: int
    end: int
    step: tuple[int, int] | None
    named: dict[str, tuple[int, int]]


def find_list(line: bytes) -> Listed | None:
    """The list of losses, step and rate in a line; None if there is none that is known by its length."""
    if b"]" not in line or b", " not in line:
        return None
    match = _WITH_STEP.search(line) or _LOSSES.search(line)
    if match is None:
        return None
    spans = [value.span() for value in _EACH.finditer(line, *match.span("losses"))]
    if spans and len(spans) not in PRINTED_LOSSES:
        return None
    named = dict(zip(PRINTED_LOSSES[len(spans)], spans, strict=True)) if spans else {}
    if match.re.pattern == _LOSSES.pattern:
        return Listed(*match.span(), None, named)
    return Listed(*match.span(), match.span("step"), named | {"lr": match.span("lr")})
