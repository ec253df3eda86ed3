"""Cause: the shape of one entry of the fault catalogue. All that is known of a cause stands in its entry and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vaelab.causes.changes import Change
from vaelab.causes.needs import Need

if TYPE_CHECKING:
    from vaelab.facts import Facts

Word = Literal["often", "sometimes", "never"]
Looks = Literal["", "probe", "discriminator", "evaluate", "lint", "smoke"]

FAMILIES: dict[str, str] = {
    "A": "data",
    "B": "reconstruction",
    "C": "latent",
    "D": "adversarial",
    "E": "optimisation",
    "F": "numerics",
    "G": "schedule and configuration",
    "H": "distributed training and resume",
    "I": "evaluation",
}


def shows(often: str = "", sometimes: str = "", never: str = "") -> Mapping[str, Word]:
    """``expects`` of an entry from three lists of keys, each separated by blanks."""
    words: tuple[tuple[Word, str], ...] = (("often", often), ("sometimes", sometimes), ("never", never))
    return {key: word for word, keys in words for key in keys.split()}


@dataclass(frozen=True)
class CheckResult:
    """What a cause's test says on this log. ``text`` gives the numbers compared, as a sentence."""

    holds: bool
    text: str


@dataclass(frozen=True)
class Cause:
    """One thing that can be behind what a log shows.

    id: stable for ever; its first letter is the family. name: kebab-case, stable for ever.
    fault: False for what looks like a fault and is none.
    signature: what it looks like, in which order.
    look_alikes: (cause id, how to tell that one from this one). Each pair stands in one of its two entries.
    test: the cheapest test that decides, to be done today. expected: what is seen once it is mended. falsify: what
        would show that this was not the cause. Both only where a diagnosis can name it.
    sources: separated by ``; ``.
    advice: what to do, in words. change: the same as assignments to canonical settings, where there are some.
    expects: what the log of a run with this cause shows: a finding's code, or ``CODE:subject`` (``MET1001:perceptual``)
        -> how often. "never" speaks against the cause. Empty where no log and no measurement shows it: never ranked.
    needs: facts without which it cannot act. decided_by: the vaelab command that settles it, if one does.
    check: the test, where the log itself can answer it; None for a log that cannot.
    """

    id: str
    name: str
    title: str
    signature: str
    test: str
    advice: str
    sources: str
    expected: str = ""
    falsify: str = ""
    look_alikes: tuple[tuple[str, str], ...] = ()
    fault: bool = True
    expects: Mapping[str, Word] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    change: tuple[Change, ...] = ()
    decided_by: Looks = ""
    check: Callable[[Facts], CheckResult | None] | None = None

    @property
    def family(self) -> str:
        return self.id[0]
