"""Settings of the data that ``vaelab train`` refuses before it looks at any file; ``vaelab lint`` names the same."""

from __future__ import annotations

from collections.abc import Iterator

from vaelab.config.schema import DataConfig

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
