"""Settings of the data that ``vaelab train`` refuses before it looks at any file; ``vaelab lint`` names the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vaelab.config.schema import DataConfig
from vaelab.errors import ConfigError, DataError

FROM_FILES = ("videos", "images", "annotations", "radiomapseer", "webdataset")


def refusals(config: DataConfig) -> Iterator[tuple[str, str]]:
    """``("path", "data.source=videos needs data.path: ...")``: the option of the section data, and the sentence."""
    if config.source not in FROM_FILES:
        return
    if config.path is None:
        yield "path", f"data.source={config.source} needs data.path: the place of the training data"
    if config.source in ("images", "radiomapseer") and config.frames != 1:
        yield "frames", f"data.source={config.source} has single images: set data.frames=1 (it is {config.frames})"
    if config.source == "radiomapseer" and config.val_path is not None:
        yield "val_path", "radiomapseer has held-out maps of its own (the official split): remove data.val_path"
    if config.source != "radiomapseer" and config.options:
        names = ", ".join(config.options)
        yield "options", f"data.source={config.source} has no options: remove data.options ({names})"


def refuse(config: DataConfig) -> None:
    """Refuse in a moment what would be refused after torch was loaded.

    Raises:
        ConfigError: what ``refusals`` names.
        DataError: a place of the data that does not exist. Shards may be patterns or addresses, so they are not looked for.
    """
    for _, why in refusals(config):
        raise ConfigError(f"{why}.")
    if config.source not in FROM_FILES or config.source == "webdataset":
        return
    for name, path in (("path", config.path), ("val_path", config.val_path)):
        if path is not None and not Path(path).expanduser().exists():
            raise DataError(f"data.{name}: {path} does not exist. Check data.{name}.")
