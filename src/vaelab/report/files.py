"""Files that are either there in full or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vaelab.errors import ConfigError


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents. Raises ConfigError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from None


def write_bytes(path: Path, content: bytes) -> Path:
    """Write beside ``path`` and move into place, so that no reader meets half a file. Raises ConfigError."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
            part.write(content)
        Path(part.name).chmod(0o644)
        return Path(part.name).replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from None


def write_text(path: Path, text: str) -> Path:
    """The same for UTF-8 text; what is not valid Unicode is replaced."""
    return write_bytes(path, text.encode("utf-8", "replace"))


def _cannot_write(path: Path, error: OSError) -> ConfigError:
    reason = error.strerror or str(error)
    return ConfigError(f"Cannot write {path}: {reason}. Choose another place with --output.")
