"""Settings of other trainers, read into ours with a note for every option.

A dialect is a module with ``TITLE``, ``matches(text, parsed) -> bool`` and ``convert(text, parsed) -> Imported``; adding one is
a file and its name in ``DIALECTS``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vaelab.config import yaml_text
from vaelab.config.foreign import compvis, pyramid_flow, radiodiff, vidtok
from vaelab.config.foreign.draft import KINDS, Imported, Kind, Note
from vaelab.errors import ConfigError
from vaelab.files import read_text

DIALECTS = (pyramid_flow, vidtok, radiodiff, compvis)

__all__ = ["DIALECTS", "KINDS", "Imported", "Kind", "Note", "import_foreign"]


def import_foreign(path_or_text: str | Path) -> Imported:
    """The settings of another trainer's file (or of its text: several lines, or a command line).

    Knows launch scripts of Pyramid-Flow and YAML of RadioDiff, latent-diffusion and VidTok. Raises ConfigError if the file cannot
    be read, is none of these, or describes a model that vaelab does not train.
    """
    text, where = _text(path_or_text)
    parsed = _parsed(text, where)
    for dialect in DIALECTS:
        if dialect.matches(text, parsed):
            try:
                return dialect.convert(text, parsed)
            except (TypeError, ValueError, OverflowError):
                raise ConfigError(
                    f"{where} looks like settings of {dialect.TITLE}, but a value in it has another form than there (a list in"
                    " place of a number, say); compare it with the trainer's own file"
                ) from None
    if isinstance(parsed, dict) and set(parsed) & {"loss", "optim", "run", "base"}:
        raise ConfigError(f"{where} holds settings of vaelab itself: give it to  vaelab train")
    titles = ", ".join(dialect.TITLE for dialect in DIALECTS)
    raise ConfigError(f"{where} is not a configuration that vaelab can import; it knows {titles}")


def _text(source: str | Path) -> tuple[str, str]:
    if isinstance(source, str) and ("\n" in source or source.lstrip().startswith("-") or " --" in source):
        return source, "this text"
    path = Path(source)
    try:
        return read_text(path, "utf-8-sig"), str(path)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}") from None


def _parsed(text: str, where: str) -> Any:
    """The YAML in the text, None for a script."""
    if pyramid_flow.matches(text, None):
        return None
    return yaml_text.parse(text, where)
