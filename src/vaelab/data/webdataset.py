"""WebDataset shards: .tar archives whose members with one basename form a sample (webdataset.github.io)."""

from __future__ import annotations

import glob
import tarfile
from pathlib import Path

from vaelab.data.files import MediaFile, is_video
from vaelab.errors import DataError


def list_shards(pattern: str) -> list[MediaFile]:
    """The image or video of every sample of the shards, with its place in the archive; nothing is unpacked.

    Args:
        pattern: a .tar file, a folder of them, a glob, or a name with one brace range such as ``shard-{000..012}.tar``.

    A sample's key is the member's name up to the first dot of its last part, as in WebDataset. Of a sample that holds both,
    the video is taken. Other members (text, JSON) are not used. The index is read from the archives' headers at each
    start: one seek a member.

    Raises:
        DataError: no shard is found, one cannot be read or is compressed, or there is no image or video.
    """
    files: list[MediaFile] = []
    for shard in _shards(pattern):
        samples: dict[str, MediaFile] = {}
        try:
            # "r:" refuses compressed archives, in which a member cannot be found without unpacking all before it
            with tarfile.open(shard, "r:") as archive:
                for member in archive:
                    video = is_video(member.name)
                    folder, _, last = member.name.rpartition("/")
                    if not member.isfile() or video is None or last.startswith("."):
                        continue
                    key = f"{folder}/{last.partition('.')[0]}"
                    if key not in samples or (video and not samples[key].is_video):
                        name = f"{shard.name}/{member.name}"
                        samples[key] = MediaFile(name, shard, video, member.offset_data, member.size)
        except (OSError, tarfile.TarError) as error:
            raise DataError(
                f"The shard {shard} cannot be read: {error}. It must be an uncompressed .tar; write it again, or take it"
                " out of data.path."
            ) from error
        files += samples.values()
    if not files:
        raise DataError(f"The shards {pattern} hold no image and no video. Check data.path.")
    return files


def _shards(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    if path.is_dir():
        found = sorted(path.rglob("*.tar"))
    elif path.is_file():
        found = [path]
    else:
        found = sorted(Path(name) for part in _expanded(str(path)) for name in glob.glob(part, recursive=True))  # noqa: PTH207 - absolute patterns
    if not found:
        raise DataError(f"No .tar shard matches {pattern}. Check data.path.")
    return found


def _expanded(pattern: str) -> list[str]:
    """``a-{08..10}.tar`` -> a-08.tar, a-09.tar, a-10.tar."""
    head, brace, rest = pattern.partition("{")
    inside, close, tail = rest.partition("}")
    first, dots, last = inside.partition("..")
    if not (brace and close and dots and first.isdigit() and last.isdigit()):
        return [pattern]
    return [f"{head}{number:0{len(first)}d}{tail}" for number in range(int(first), int(last) + 1)]
