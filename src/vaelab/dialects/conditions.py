"""When a fault of a trainer's code bites: conditions on a plan, with a third answer where the file does not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vaelab.dialects.plan import Plan


@dataclass(frozen=True)
class Condition:
    """text: as part of a sentence after "when". test: True, False, or None where the file does not say."""

    text: str
    test: Callable[[Plan], bool | None]
    parts: tuple[Condition, ...] = ()

    def __call__(self, plan: Plan) -> bool | None:
        return self.test(plan)

    def __and__(self, other: Condition) -> Condition:
        def test(plan: Plan) -> bool | None:
            answers = [self(plan), other(plan)]
            return False if False in answers else None if None in answers else True

        return Condition(f"{self.text} and {other.text}", test, (self, other))

    def __or__(self, other: Condition) -> Condition:
        def test(plan: Plan) -> bool | None:
            answers = [self(plan), other(plan)]
            return True if True in answers else None if None in answers else False

        return Condition(f"{self.text} or {other.text}", test, (self, other))

    def open_questions(self, plan: Plan) -> list[str]:
        """The parts that the file leaves open."""
        if self(plan) is not None:
            return []
        found = [text for part in self.parts for text in part.open_questions(plan)]
        return list(dict.fromkeys(found)) or [self.text]


ALWAYS = Condition("always", lambda plan: True)
RESUMED = Condition("the run is resumed", lambda plan: None)
GAN = Condition("the GAN is on", lambda plan: plan.gan.built)
BEFORE_START = Condition("the GAN starts later than step 0", lambda plan: _known(plan.gan.start, lambda s: s > 0))
SEVERAL_GPUS = Condition("more than one GPU is used", lambda plan: _known(plan.optim.gpus, lambda n: n > 1))
ONE_GPU = Condition("one GPU is used", lambda plan: _known(plan.optim.gpus, lambda n: n == 1))
PERCEPTUAL = Condition(
    "the perceptual loss is on", lambda plan: _known(plan.loss.perceptual_weight, lambda weight: weight > 0)
)
EMA = Condition("an EMA is kept", lambda plan: plan.optim.ema_decay is not None)
FP16 = Condition("fp16 is used", lambda plan: plan.optim.precision == "fp16")
REDUCED = Condition("bf16 or fp16 is used", lambda plan: plan.optim.precision != "fp32")
ACCUMULATES = Condition("gradients are accumulated", lambda plan: _known(plan.optim.accumulate, lambda n: n > 1))


def _known(value: Any, test: Callable[[Any], bool]) -> bool | None:
    return None if value is None else test(value)


def given(*keys: str) -> Condition:
    """One of the trainer's options is in the file (and not empty)."""
    return Condition(f"{' or '.join(keys)} is given", lambda plan: any(plan.options.get(k) is not None for k in keys))


def switched_on(key: str) -> Condition:
    """The trainer's switch is on in the file."""
    return Condition(f"{key} is on", lambda plan: plan.options.flag(key))


def is_set(key: str, *values: Any) -> Condition:
    """The trainer's option has one of ``values`` in the file."""
    wanted = [str(value).lower() for value in values]
    return Condition(
        f"{key} is {' or '.join(map(str, values))}", lambda plan: str(plan.options.get(key, "")).lower() in wanted
    )


def says(text: str, test: Callable[[Plan], bool | None]) -> Condition:
    """Any other condition."""
    return Condition(text, test)


def open_question(text: str) -> Condition:
    """What no file of settings says."""
    return Condition(text, lambda plan: None)
