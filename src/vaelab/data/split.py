"""Which files are held out of training, when the settings name no held-out data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from vaelab.data.files import MediaFile
from vaelab.errors import DataError


def hash_share(name: str) -> float:
    """A number in [0, 1) that depends on the name only: the same on every machine and in every Python."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big") / 2**56


def split_files(files: Sequence[MediaFile], share: float) -> tuple[list[MediaFile], list[MediaFile]]:
    """(training, held-out) files. A file keeps its side when others are added.

    Files whose hash is below ``share`` are held out; videos and images are split by themselves, so that each kind is on
    both sides. With two or more files of a kind, each side has at least one. One video alone is split in time: the last
    ``share`` of it is held out.

    Raises:
        DataError: one image alone.
    """
    train: list[MediaFile] = []
    held_out: list[MediaFile] = []
    for kind in (True, False):
        group = [file for file in files if file.is_video is kind]
        if len(group) == 1 and kind:
            train.append(replace(group[0], part=(0.0, 1 - share)))
            held_out.append(replace(group[0], part=(1 - share, 1.0)))
        elif len(group) == 1 and len(files) > 1:
            train += group
        elif len(group) == 1:
            raise DataError(
                f"{group[0].name} is the only image: nothing can be held out. Add images or set data.val_path."
            )
        elif group:
            by_hash = sorted((hash_share(file.name), file.name) for file in group)
            count = sum(value < share for value, _ in by_hash)
            chosen = {name for _, name in by_hash[: min(max(count, 1), len(group) - 1)]}
            train += [file for file in group if file.name not in chosen]
            held_out += [file for file in group if file.name in chosen]
    return train, held_out
