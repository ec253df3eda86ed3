"""Dataclasses that cost little to define.

The standard decorator writes each method of a class as text and compiles it at import, some 0.6 ms a class: for the hundred classes that
reading and judging a log needs, a fifth of ``vaelab diagnose`` on a short one. Here the methods are closures over the fields. The classes are
dataclasses all the same, for ``fields``, ``replace``, ``asdict`` and type checkers. To make an object takes twice as long (1 to 2 us), so that
what is made for every row of a log keeps the standard one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

_MISSING = dataclasses.MISSING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, eq: bool = True) -> Any:
        """As ``dataclasses.dataclass``; of its options ``frozen`` and ``eq``, of its fields no keyword-only and no init-only ones."""
        if cls is None:
            return lambda cls: dataclass(cls, frozen=frozen, eq=eq)
        cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard decorator works out a signature for it
        cls = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
        own = vars(cls)
        methods = {"__init__": _initialiser(cls)}
        if "__repr__" not in own:
            methods["__repr__"] = _representation(cls)
        if eq and "__eq__" not in own:
            methods["__eq__"], methods["__hash__"] = _comparison(cls, frozen)
        if frozen:
            methods["__setattr__"], methods["__delattr__"] = _frozen_setattr, _frozen_delattr
        for name, method in methods.items():
            setattr(cls, name, method)
        return cls


def _initialiser(cls: type) -> Callable[..., None]:
    fields = dataclasses.fields(cls)
    names = tuple(field.name for field in fields)
    # in the order of the fields, as an object's __dict__ then is
    given = {field.name: field.default for field in fields}
    factories = {f.name: f.default_factory for f in fields if f.default_factory is not _MISSING}
    required = tuple(f.name for f in fields if f.default is _MISSING and f.name not in factories)
    finishes = hasattr(cls, "__post_init__")

    def initialise(self: Any, /, *args: Any, **kwargs: Any) -> None:
        values = vars(self)
        values.update(given)
        values.update(zip(names, args, strict=False))
        values.update(kwargs)
        if (
            len(values) > len(names)
            or len(args) > len(names)
            or (args and kwargs and kwargs.keys() & names[: len(args)])
        ):
            raise TypeError(f"{cls.__qualname__}() takes {', '.join(names)}, each once")
        if missing := [name for name in required[len(args) :] if name not in kwargs]:
            raise TypeError(f"{cls.__qualname__}() misses {', '.join(missing)}")
        for name, factory in factories.items():
            if values[name] is _MISSING:
                values[name] = factory()
        if finishes:
            self.__post_init__()

    return initialise


def _representation(cls: type) -> Callable[[Any], str]:
    names = [field.name for field in dataclasses.fields(cls) if field.repr]

    def represent(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return represent


def _comparison(cls: type, frozen: bool) -> tuple[Callable[[Any, object], bool], Callable[[Any], int] | None]:
    """``__eq__`` and ``__hash__``; None for the latter where objects may change."""
    names = [field.name for field in dataclasses.fields(cls) if field.compare]

    def values(of: Any) -> tuple[Any, ...]:
        return tuple(getattr(of, name) for name in names)

    def equals(self: Any, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    return equals, hashed if frozen else None


def _frozen_setattr(self: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _frozen_delattr(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
