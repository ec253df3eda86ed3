"""Our cheap dataclasses are those of the standard library in all that vaelab uses of them."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import asdict, field, fields, is_dataclass, replace
from typing import Any

import pytest

from vaelab import records
from vaelab.records import dataclass


@dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0
    tags: list[str] = field(default_factory=list)
    secret: str = field(default="s", repr=False, metadata={"json": "hidden"})


@dataclass
class Counter:
    """It counts."""

    count: int = 0

    def __post_init__(self) -> None:
        self.doubled = 2 * self.count


@dataclass(frozen=True)
class Child(Point):
    z: float = 1.0

    def __repr__(self) -> str:
        return "a child"


@dataclass(frozen=True, eq=False)
class Alone:
    x: int


def both(build: Callable[[Any], type]) -> tuple[Any, Any]:
    """The same class by our decorator and by the standard one."""
    return build(records.dataclass), build(dataclasses.dataclass)


def point(decorator: Any) -> type:
    @decorator(frozen=True)
    class Made:
        x: float
        y: float = 0.0
        tags: tuple[str, ...] = field(default_factory=tuple)

    return Made


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1,), {}), ((1, 2), {}), ((), {"x": 1}), ((1,), {"tags": ("a",)}), ((), {"tags": ("b",), "y": 3, "x": 1}), ((1, 2, ("c",)), {})],
)  # fmt: skip
def test_an_object_is_the_same_as_one_of_the_standard_class(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    ours, theirs = (made(*args, **kwargs) for made in both(point))
    assert list(vars(ours).items()) == list(vars(theirs).items())
    assert repr(ours) == repr(theirs) and hash(ours) == hash(theirs) and asdict(ours) == asdict(theirs)
    assert vars(replace(ours, y=7)) == vars(replace(theirs, y=7))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2, (), 4), {}), ((1,), {"x": 2}), ((1,), {"z": 2}), ((), {"y": 2}), ((), {"y": 2, "z": 3})],
)
def test_what_the_standard_class_does_not_take_is_not_taken(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for made in both(point):
        with pytest.raises(TypeError):
            made(*args, **kwargs)


def test_frozen_objects_do_not_change_and_others_have_no_hash() -> None:
    for name in ("x", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(Point(1), name, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        del Point(1).x  # type: ignore[misc]
    counter = Counter(2)
    counter.count = 5
    assert counter == Counter(5) and counter.doubled == 4
    with pytest.raises(TypeError, match="unhashable"):
        hash(counter)


def test_fields_defaults_and_comparison() -> None:
    assert is_dataclass(Point) and [f.name for f in fields(Point)] == ["x", "y", "tags", "secret"]
    assert fields(Point)[3].metadata == {"json": "hidden"}
    assert Point(1).tags is not Point(1).tags
    assert Point(1) == Point(1) != Point(2) and Point(1) != "a point" and Point(1) != Child(1)
    assert repr(Point(1)) == "Point(x=1, y=0.0, tags=[])"
    assert repr(Child(1, z=3)) == "a child" and Child(1, z=3).z == 3
    assert Alone(1) != Alone(1) and len({Alone(1), Alone(1)}) == 2
    assert Counter.__doc__ == "It counts." and Point.__doc__ == "Point"


def test_objects_go_to_other_processes() -> None:
    assert pickle.loads(pickle.dumps(Point(1, 2, ["a"]))) == Point(1, 2, ["a"])
