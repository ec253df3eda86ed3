"""Regular expressions that are compiled when they are first used.

vaelab knows some two hundred patterns of log formats. To compile them takes longer than to read and judge a short log, which needs a few of them:
compiled at import they were a sixth of the time of ``vaelab diagnose``.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

_METHODS = ("search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split", "pattern", "groupindex")


class _CompiledLater:
    """Stands for a compiled pattern until one of its methods is asked for, and has them as its own from then on."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(name)
        compiled = re.compile(self._text, self._flags)
        vars(self).update({method: getattr(compiled, method) for method in _METHODS})
        return vars(self)[name]


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As ``re.compile``, which is called when the pattern is first used: an error in ``text`` is raised only then.

    ``match.re`` is the compiled one: compare its ``pattern`` to tell which of several matched.
    """
    return cast("re.Pattern[AnyStr]", _CompiledLater(text, flags))
