"""Folders of videos or of images."""

from __future__ import annotations

import os
from pathlib import Path

from vaelab.data.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, MediaFile, is_video
from vaelab.errors import DataError


def list_folder(path: str, videos: bool) -> list[MediaFile]:
    """All videos, or all images, of a folder and its subfolders, sorted by relative name; or the one file named.

    Links are followed; names that begin with a dot are skipped, as are files with an unknown suffix.

    Raises:
        DataError: the folder does not exist, cannot be read, or holds no such file.
    """
    root = Path(path).expanduser()
    kind = "video" if videos else "image"
    if root.is_file():
        if is_video(root.name) is not videos:
            raise DataError(f"{path} is not known as a {kind} file. data.path takes a folder or one {kind}.")
        return [MediaFile(root.name, root, videos)]
    if not root.is_dir():
        raise DataError(f"The folder {path} does not exist. Check data.path.")
    found = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_refuse):
        # a link to a folder above would never end
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        # there may be many files: what belongs to their folder is worked out once
        parent = Path(folder)
        inside = "" if parent == root else f"{parent.relative_to(root).as_posix()}/"
        found += [
            MediaFile(inside + name, parent / name, videos)
            for name in names
            if not name.startswith(".") and is_video(name) is videos
        ]
    if not found:
        suffixes = ", ".join(sorted(VIDEO_SUFFIXES if videos else IMAGE_SUFFIXES))
        raise DataError(f"The folder {path} holds no {kind} (known: {suffixes}). Check data.path and data.source.")
    return sorted(found, key=lambda file: file.name)


def _refuse(error: OSError) -> None:
    raise DataError(f"The folder {error.filename} cannot be read: {error.strerror}. Check its permissions.")
