"""The list of readers, and which of them fits a log. Adding a format is one file and one entry in ``READERS``."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple

from vaelab import dialects
from vaelab.errors import ArgumentError, LogError
from vaelab.patterns import pattern
from vaelab.readers.base import Reader
from vaelab.readers.magic import PARQUET, SQLITE, WANDB, ZIP
from vaelab.readers.source import HEAD_SIZE, Source


class Format(NamedTuple):
    """An entry of ``READERS``: the file with the reader is imported only where a log may be of its format.

    marks: every log of the format has one of these within its beginning; without any, each log is put to the reader.
    attribute: the reader in the file.
    """

    name: str
    file: str
    marks: tuple[bytes, ...] = ()
    attribute: str = "READER"

    def load(self) -> Reader:
        reader: Reader = getattr(import_module(f"vaelab.readers.{self.file}"), self.attribute)
        return reader

    def sniff(self, head: bytes, source: Source) -> float:
        """As the reader's ``sniff``."""
        may_be = not self.marks or any(mark in head for mark in self.marks)
        return self.load().sniff(head, source) if may_be else 0.0


# The most telling view of a run first: this is the order of preference within one folder. A progress bar captured in
# a file rounds to three digits, so ``key_value`` comes after the trackers.
READERS: tuple[Format, ...] = (
    Format("vaelab_run", "vaelab_run", (b"{",)),
    Format("metric_logger", "metric_logger", (b"eta: ", b"Epoch: [", b"Namespace(", b"Param groups = {")),
    Format("radiodiff_log", "radiodiff_log", (b"[Train Step]",)),
    Format("drawn_tables", "drawn_tables", (b"|", b"\xe2\x94", b"\xe2\x95")),
    Format("csv", "delimited"),
    Format("json_lines", "json_lines", (b"{",)),
    Format("trainer_state", "trainer_state", (b'"log_history"',)),
    Format("tensorboard", "tensorboard", (b"\0",)),
    Format("wandb", "wandb_run", (WANDB,)),
    Format("mlflow_files", "mlflow_files"),
    Format("mlflow_sqlite", "mlflow_sqlite", (SQLITE,)),
    Format("trackio", "trackio_sqlite", (SQLITE,)),
    Format("comet", "comet_offline", (ZIP, b'"message_id":')),
    Format("clearml", "clearml_offline", (ZIP, b'"type": "training_stats_')),
    Format("wandb_server", "tracked", (b'{"tracker": ',), "WANDB_READER"),
    Format("mlflow_server", "tracked", (b'{"tracker": ',), "MLFLOW_READER"),
    Format("vaelab_console", "vaelab_run", (b"Epoch: [",), "CONSOLE_READER"),
    Format("dict_lines", "dict_lines", (b"{",)),
    Format("key_value", "key_value"),
    Format("pyramid_flow_json", "json_lines", (b"{",), "PYRAMID_FLOW_READER"),
)
TEXT_READERS = ("metric_logger", "radiodiff_log", "dict_lines", "key_value")
BINARY_READERS = ("tensorboard", "wandb", "mlflow_sqlite", "trackio", "comet", "clearml")
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
    SQLITE: "an SQLite database without the tables of MLflow or trackio",
    ZIP: "a zip archive that is no offline run of Comet or ClearML",
    PARQUET: "a Parquet file (turn it into CSV first, with pandas: read_parquet(...).to_csv(...))",
}


def detect(source: Source) -> list[tuple[str, float, str]]:
    """``(reader name, confidence 0..1, what it reads)``, the surest first; readers that say 0 are left out.

    ``key_value`` is not asked where another one is certain: it never is, and takes the longest.
    """
    head = source.head()
    # a crash leaves a stretch of zeros in a text log; a small archive has few
    binary = _STRETCH.sub(b"", head).count(b"\0") > len(head) / 100 or head.startswith((*_KINDS,))
    found: list[tuple[str, float, str]] = []
    for listed in READERS:
        if binary and listed.name not in BINARY_READERS:
            continue
        if listed.name == "key_value" and any(confidence >= CERTAIN for _, confidence, _ in found):
            continue
        if (confidence := listed.sniff(head, source)) > 0:
            found.append((listed.name, confidence, listed.load().title))
    return sorted(found, key=lambda f: -f[1])


def choose(source: Source, wanted: Wanted) -> list[Reader]:
    """The readers to try on a file that the user named, the likeliest first. Raises LogError if none fits."""
    if wanted.reader:
        return [wanted.reader]
    ranked = detect(source)
    if not ranked and len(source.head()) == HEAD_SIZE and b"\0" not in source.head():
        return [_named("metric_logger"), _named("key_value")]  # its rows may begin behind what was looked at
    if ranked and ranked[0][1] >= SURE_ENOUGH:
        ranked = ranked[:1]
        if b"Traceback" not in source.head():
            return [_named(ranked[0][0])]
    from vaelab.readers import broken_off

    broke = broken_off.error_in(source) is not None
    if not ranked and not broke:
        raise LogError(
            f"{source.name} looks like {_kind(source.head())}. If it is a training log, say in which format with --dialect "
            f"({', '.join(r.name for r in READERS)})."
        )
    return [*(_named(name) for name, _, _ in ranked), *([broken_off.READER] if broke else [])]


def _named(name: str) -> Reader:
    return next(listed for listed in READERS if listed.name == name).load()


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
        for listed in READERS:
            if listed.name == name:
                return cls(reader=listed.load())
        if name in dialects.DIALECTS:
            return cls(trainer=name)
        known = ", ".join([*(reader.name for reader in READERS), *dialects.DIALECTS])
        raise LogError(f"there is no log format or trainer '{format}': choose one of {known}.")
