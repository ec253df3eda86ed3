"""Places: what is watched, a path of this machine or the copy of a remote one, looked at and read under the user's names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaelab.errors import LogError
from vaelab.live.units import Signature, exists, look_up
from vaelab.readers import read_all
from vaelab.readers.remote import Copy, copy_of, is_address
from vaelab.run import Run


class Place:
    """A path. name: as it is shown. unreachable: the last look at it failed, and what it gave is what was known before."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.unreachable = False

    def look_up(self) -> tuple[dict[str, Signature], str]:
        """The units in it with the state of their files, and a sentence that says why there are none."""
        return look_up(self.name)

    def read(self, unit: str, format: str | None, config: Mapping[str, Any]) -> list[Run]:
        """The runs in one of its units. Raises LogError as ``readers.read_all`` does."""
        return read_all(unit, format, config)

    def exists(self, source: str) -> bool:
        """Whether the log is still there."""
        return exists(source)


class RemotePlace(Place):
    """An address: at every look its copy is brought up to date."""

    def __init__(self, copy: Copy) -> None:
        super().__init__(copy.shown.rstrip("/"))
        self._copy = copy
        self._units: dict[str, Signature] = {}

    def look_up(self) -> tuple[dict[str, Signature], str]:
        try:
            self._copy.update()
        except LogError as error:
            self.unreachable = True
            return self._units, str(error)
        self.unreachable = False
        units, why = look_up(self._copy.path)
        self._units = {self._copy.named(unit): signature for unit, signature in units.items()}
        return self._units, self._copy.named(why)

    def read(self, unit: str, format: str | None, config: Mapping[str, Any]) -> list[Run]:
        try:
            return [self._copy.named_run(run) for run in read_all(self._copy.local(unit), format, config)]
        except LogError as error:
            raise type(error)(self._copy.named(str(error))) from None

    def exists(self, source: str) -> bool:
        return exists(self._copy.local(source))


def place_of(path: str | Path, format: str | None) -> Place:
    """Raises LogError if it is an address that cannot be understood, or the packages for it are not installed."""
    return RemotePlace(copy_of(str(path), all_of_it=format is not None)) if is_address(path) else Place(str(Path(path)))
