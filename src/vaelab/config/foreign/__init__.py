"""Settings of other trainers, read into ours with a note for every option. How each is read is in its folder of vaelab.dialects."""

from __future__ import annotations

from pathlib import Path

from vaelab.config import yaml_text
from vaelab.config.foreign.draft import KINDS, Imported, Kind, Note
from vaelab.config.foreign.source import SettingsSource, recognised, sources
from vaelab.errors import ConfigError
from vaelab.files import read_text

__all__ = ["KINDS", "Imported", "Kind", "Note", "SettingsSource", "import_foreign", "recognised", "sources"]


def import_foreign(path_or_text: str | Path) -> Imported:
    """The settings of another trainer's file (or of its text: several lines, or a command line).

    Knows the trainers whose source has ``convert``. Raises ConfigError if the file cannot be read, is none of theirs, or
    describes a model that vaelab does not train.
    """
    text, where = _text(path_or_text)
    scripts = recognised(text, None)
    parsed = None if scripts else yaml_text.parse(text, where)
    found = scripts or recognised(text, parsed)
    source = next((s for s in found if s.convert), next(iter(found), None))
    if source is not None and source.convert is None:
        raise ConfigError(f"{where} holds settings of {source.title}: {source.not_imported}")
    if source is not None and source.convert is not None:
        try:
            return source.convert(text, parsed)
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(
                f"{where} looks like settings of {source.title}, but a value in it has another form than there (a list in"
                " place of a number, say); compare it with the trainer's own file"
            ) from None
    if isinstance(parsed, dict) and set(parsed) & {"loss", "optim", "run", "base"}:
        raise ConfigError(f"{where} holds settings of vaelab itself: give it to  vaelab train")
    titles = ", ".join(source.title for source in sources().values() if source.convert)
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
