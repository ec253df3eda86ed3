"""``data.options`` of one source, checked: settings that only this source has."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from vaelab.config.schema import DataConfig, Section
from vaelab.errors import ConfigError

Options = TypeVar("Options", bound=Section)


def source_options(config: DataConfig, options: type[Options]) -> Options:
    """``config.options`` as ``options``. Raises ConfigError for one that is unknown or out of its range."""
    try:
        return options(**config.options)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"data.options.{'.'.join(map(str, first['loc']))} of {config.source}: {first['msg']}. It has "
            + ", ".join(options.model_fields)
            + "."
        ) from error
