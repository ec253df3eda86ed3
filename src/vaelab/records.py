"""``dataclass(frozen=True)`` of the standard library, without the code that it writes and compiles for every class.

Before Python 3.13 that is six functions a class: a fifth of the time that ``vaelab diagnose`` takes on a short log. Here all classes share them. The
fields are still found by the standard library, so ``fields``, ``replace`` and ``asdict`` work as with any other.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool, eq: bool = True):
        """A frozen dataclass. Raises TypeError for one that is not frozen, or has fields with options other than defaults and metadata."""

        def make(cls: type) -> type:
            made = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
            if not frozen or not all(
                f.init and f.repr and f.compare and not f.kw_only for f in dataclasses.fields(made)
            ):
                raise TypeError(f"{cls.__name__}: take the dataclass of the standard library for this")
            made.__init__, made.__repr__, made.__setattr__, made.__delattr__ = _init, _repr, _frozen, _frozen
            if eq:
                made.__eq__, made.__hash__ = _equal, _hash
            return made

        return make


def _init(self: Any, *args: Any, **given: Any) -> None:
    cls, own = type(self), self.__dict__
    names = cls.__match_args__
    own.update(zip(names, args, strict=False), **given)
    if len(own) < len(names):
        known = cls.__dataclass_fields__
        for name in names:
            if name not in own:
                own[name] = _default(cls, known[name])
    if len(own) != len(names) or len(args) > len(names) or not given.keys().isdisjoint(names[: len(args)]):
        raise TypeError(
            f"{cls.__name__}({', '.join(names)}) got {len(args)} values and {', '.join(given) or 'no names'}"
        )
    if hasattr(self, "__post_init__"):
        self.__post_init__()


def _default(cls: type, field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if field.default is dataclasses.MISSING:
        raise TypeError(f"{cls.__name__}() needs a value for {field.name}")
    return field.default


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__match_args__)


def _repr(self: Any) -> str:
    values = zip(self.__match_args__, _values(self), strict=True)
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in values)})"


def _equal(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _frozen(self: Any, name: str, value: Any = None) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change {name} of a {type(self).__name__}")
