"""The live page: runs that are watched, in a browser, fed by server-sent events (the extra ``web``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vaelab.errors import ConfigError

if TYPE_CHECKING:
    from vaelab.web.server import serve

__all__ = ["serve"]


def __getattr__(name: str) -> Any:
    """``serve``, imported when it is asked for. Raises ConfigError where a package of the extra is missing."""
    if name != "serve":
        raise AttributeError(f"module 'vaelab.web' has no attribute {name!r}")
    try:
        from vaelab.web.server import serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The live page needs {error.name}, which is not installed: run  pip install 'vaelab[web]'"
        ) from None
    return serve
