"""The list of readers, and which of them fits a log. Adding a format is one file and one entry in ``READERS``."""

from __future__ import annotations

from vaelab import dialects
from vaelab.errors import ArgumentError, LogError
from vaelab.patterns import pattern
from vaelab.readers import (
    archive,
    clearml_offline,
    comet_offline,
    delimited,
    dict_lines,
    drawn_tables,
    json_lines,
    key_value,
    metric_logger,
    mlflow_files,
    mlflow_sqlite,
    radiodiff_log,
    sqlite_file,
    tensorboard,
    tracked,
    trackio_sqlite,
    trainer_state,
    vaelab_run,
    wandb_run,
)
from vaelab.readers.base import Reader
from vaelab.readers.source import HEAD_SIZE, Source
from vaelab.readers.text_log import error_told
from vaelab.records import dataclass

# The most telling view of a run first: this is the order of preference within one folder. A progress bar captured in
# a file rounds to three digits, so ``key_value`` comes after the trackers.
READERS: tuple[Reader, ...] = (
    vaelab_run.READER,
    metric_logger.READER,
    radiodiff_log.READER,
    drawn_tables.READER,
    delimited.READER,
    json_lines.READER,
    trainer_state.READER,
    tensorboard.READER,
    wandb_run.READER,
    mlflow_files.READER,
    mlflow_sqlite.READER,
    trackio_sqlite.READER,
    comet_offline.READER,
    clearml_offline.READER,
    tracked.WANDB_READER,
    tracked.MLFLOW_READER,
    vaelab_run.CONSOLE_READER,
    dict_lines.READER,
    key_value.READER,
    json_lines.PYRAMID_FLOW_READER,
)
TEXT_READERS: tuple[Reader, ...] = (metric_logger.READER, radiodiff_log.READER, dict_lines.READER, key_value.READER)
BINARY_READERS: tuple[Reader, ...] = (
    tensorboard.READER,
    wandb_run.READER,
    mlflow_sqlite.READER,
    trackio_sqlite.READER,
    comet_offline.READER,
    clearml_offline.READER,
)
ALIASES = {
    "tb": "tensorboard", "tfevents": "tensorboard", "tsv": "csv", "delimited": "csv", "jsonl": "json_lines",
    "json": "json_lines", "hf": "trainer_state", "text": "key_value", "tqdm": "key_value", "mlflow": "mlflow_sqlite",
    "mlruns": "mlflow_files",
}  # fmt: skip
CERTAIN = 0.9
_STRETCH = pattern(rb"\0{8,}")
SURE_ENOUGH = 0.5  # below this a file in a folder is not taken for a log

# what a file that no reader takes begins with, and what can be done with it
_KINDS = {
    sqlite_file.MAGIC: "an SQLite database without the tables of MLflow or trackio",
    archive.MAGIC: "a zip archive that is no offline run of Comet or ClearML",
    b"PAR1": "a Parquet file (turn it into CSV first, with pandas: read_parquet(...).to_csv(...))",
}


def detect(source: Source) -> list[tuple[str, float, str]]:
    """``(reader name, confidence 0..1, what it reads)``, the surest first; readers that say 0 are left out.

    ``key_value`` is not asked where another one is certain: it never is, and takes the longest.
    """
    head = source.head()
    # a crash leaves a stretch of zeros in a text log; a small archive has few
    binary = _STRETCH.sub(b"", head).count(b"\0") > len(head) / 100 or head.startswith((*_KINDS,))
    found: list[tuple[str, float, str]] = []
    for reader in BINARY_READERS if binary else READERS:
        if reader is key_value.READER and any(confidence >= CERTAIN for _, confidence, _ in found):
            continue
        found.append((reader.name, reader.sniff(head, source), reader.title))
    return sorted((f for f in found if f[1] > 0), key=lambda f: -f[1])


def choose(source: Source, wanted: Wanted) -> list[Reader]:
    """The readers to try on a file that the user named, the likeliest first. Raises LogError if none fits."""
    if wanted.reader:
        return [wanted.reader]
    ranked = detect(source)
    if not ranked and len(source.head()) == HEAD_SIZE and b"\0" not in source.head():
        return [metric_logger.READER, key_value.READER]  # its rows may begin behind what was looked at
    if not ranked and (error := error_told(source.head())) is not None:
        raise LogError(
            f"{source.name} holds no row of metrics: the program ended before its first one, with {error.text} (line {error.line:,})."
            " Mend that, and log the first steps."
        )
    if not ranked:
        raise LogError(
            f"{source.name} looks like {_kind(source.head())}. If it is a training log, say in which format with --dialect "
            f"({', '.join(r.name for r in READERS)})."
        )
    if ranked[0][1] >= SURE_ENOUGH:
        ranked = ranked[:1]
    by_name = {reader.name: reader for reader in READERS}
    return [by_name[name] for name, _, _ in ranked]


def _kind(head: bytes) -> str:
    for magic, text in _KINDS.items():
        if head.startswith(magic):
            return text
    return "a binary file" if b"\0" in head else "text without anything that looks like metrics"


@dataclass(frozen=True)
class Wanted:
    """What ``format`` asks for: one reader, or a trainer's conventions, or neither."""

    reader: Reader | None = None
    trainer: str | None = None

    @classmethod
    def of(cls, format: str | None) -> Wanted:
        if format is None:
            return cls()
        if not isinstance(format, str):
            raise ArgumentError(f"format is of type {type(format).__name__}: give the name of a reader or a trainer.")
        name = format.strip().lower().replace("-", "_")
        name = ALIASES.get(name, name)
        for reader in READERS:
            if reader.name == name:
                return cls(reader=reader)
        if name in dialects.DIALECTS:
            return cls(trainer=name)
        known = ", ".join([*(reader.name for reader in READERS), *dialects.DIALECTS])
        raise LogError(f"there is no log format or trainer '{format}': choose one of {known}.")
