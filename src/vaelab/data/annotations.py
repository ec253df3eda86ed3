"""JSON-lines lists of videos and images, as Pyramid-Flow writes them (``annotation/video_text.jsonl`` in its repository)."""

from __future__ import annotations

import json
from pathlib import Path

from vaelab.data.files import MediaFile
from vaelab.errors import DataError
from vaelab.files import LIST_LIMIT, read_text


def list_annotations(path: str) -> list[MediaFile]:
    """The files named by the lines ``{"video": path, ...}`` or ``{"image": path, ...}``.

    A relative path starts at the list's own folder. Other keys (such as text and latent) are not used; empty lines are
    skipped. A file that is listed twice is taken once. Whether the files exist is found when they are read.

    Raises:
        DataError: the list is missing, empty, or a line is not such an object (with its number).
    """
    source = Path(path).expanduser()
    try:
        lines = read_text(source, "utf-8-sig", limit=LIST_LIMIT).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The list {path} cannot be read: {error}. data.path takes a file of JSON lines.") from error
    files: dict[str, MediaFile] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            name, video = _entry(line, f"{path}, line {number}")
            files.setdefault(name, MediaFile(name, source.parent / name, video))
    if not files:
        raise DataError(f"The list {path} names no file. Each line must be like {_EXAMPLE}.")
    return list(files.values())


_EXAMPLE = '{"video": "clips/a.mp4"} or {"image": "photos/a.jpg"}'


def _entry(line: str, where: str) -> tuple[str, bool]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is not JSON: {error}. Each line must be like {_EXAMPLE}.") from error
    named = [key for key in ("video", "image") if isinstance(entry, dict) and key in entry]
    if len(named) != 1 or not isinstance(entry[named[0]], str) or not entry[named[0]]:
        raise DataError(f"{where} does not name one video or one image. Each line must be like {_EXAMPLE}.")
    return str(entry[named[0]]), named[0] == "video"
