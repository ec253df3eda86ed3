"""The shared methods of frozen dataclasses behave as those that the standard library writes for each class."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import dataclass as standard
from dataclasses import field, fields, replace
from typing import Any

import pytest

from vaelab.records import dataclass as shared


@shared(frozen=True)
class Ours:
    first: int
    second: float = 2.0
    third: list[int] = field(default_factory=list, metadata={"json": "3"})


@standard(frozen=True)
class Theirs:
    first: int
    second: float = 2.0
    third: list[int] = field(default_factory=list, metadata={"json": "3"})


@shared(frozen=True)
class Heir(Ours):
    fourth: str = "d"

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("below 0")


def shape(value: Any) -> dict[str, Any]:
    return {f.name: (getattr(value, f.name), dict(f.metadata)) for f in fields(value)}


@pytest.mark.parametrize(
    ("args", "given"), [((1,), {}), ((1, 3.0), {}), ((), {"first": 1, "third": [4]}), ((1, 2.5, [3]), {})]
)
def test_values_are_taken_in_order_by_name_and_by_default(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    ours, theirs = Ours(*args, **given), Theirs(*args, **given)
    assert shape(ours) == shape(theirs)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours == Ours(*args, **given) and ours != Ours(7) and ours != theirs
    assert shape(replace(ours, first=9)) == shape(replace(theirs, first=9)) and pickle.loads(pickle.dumps(ours)) == ours


@pytest.mark.parametrize(("args", "given"), [((), {}), ((1, 2, [], 4), {}), ((1,), {"fifth": 5}), ((1,), {"first": 1})])
def test_values_that_lack_or_are_too_many_are_type_errors(args: tuple[Any, ...], given: dict[str, Any]) -> None:
    for cls in (Ours, Theirs):
        with pytest.raises(TypeError):
            cls(*args, **given)


def test_lists_by_default_are_not_shared_and_nothing_can_be_set_or_deleted() -> None:
    a, b = Ours(1), Ours(1)
    a.third.append(5)
    assert b.third == []
    for change in (lambda: setattr(a, "first", 2), lambda: delattr(a, "first")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()


def test_an_heir_has_the_fields_of_both_and_its_own_check() -> None:
    assert [f.name for f in fields(Heir)] == ["first", "second", "third", "fourth"]
    assert Heir(1, fourth="e") == Heir(1, 2.0, [], "e") != Heir(1)
    with pytest.raises(ValueError, match="below 0"):
        Heir(-1)


def test_hash_and_equality_are_those_of_the_values_or_of_the_object() -> None:
    @shared(frozen=True)
    class Point:
        x: int

    @shared(frozen=True, eq=False)
    class Thing:
        x: int

    assert len({Point(1), Point(1), Point(2)}) == 2 and len({Thing(1), Thing(1)}) == 2
    with pytest.raises(TypeError):
        hash(Ours(1))  # it holds a list


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(TypeError, match="standard library"):

        @shared(frozen=True)
        class Hidden:
            x: int = field(default=0, repr=False)
