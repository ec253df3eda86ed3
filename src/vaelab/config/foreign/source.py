"""SettingsSource: how the settings of one trainer are recognised and read. ``sources()``: all of them, from the trainers' folders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from vaelab.config.foreign.draft import Imported
from vaelab.dialects import parts
from vaelab.dialects.options import Options
from vaelab.dialects.plan import Ignored, Plan
from vaelab.errors import ConfigError

# words of an option of a command line
OF_LOSS_OR_NETWORK = frozenset(
    [
        "loss",
        "losses",
        "weight",
        "lambda",
        "coef",
        "margin",
        "kl",
        "gan",
        "disc",
        "discriminator",
        "adv",
        "adversarial",
        "perceptual",
        "lpips",
        "codebook",
        "commit",
        "quantizer",
        "encoder",
        "decoder",
        "latent",
        "latents",
        "teacher",
        "student",
        "distill",
        "distillation",
        "align",
        "alignment",
    ]
)
MISSPELT = 0.8  # difflib's ratio: disc_strat for disc_start is 0.9, vf_weight for kl_weight 0.78


@dataclass(frozen=True)
class SettingsSource:
    """One trainer's settings. In all functions ``parsed`` is the YAML of the text, None for a script or a Python file.

    id: stable. title: the trainer and its program. source: repository and commit that the options were read at.
    certainty(text, parsed): 0 to 1, how sure the text is of this trainer, by what is its own (the program that is started,
    the classes that are named, keys of no other trainer); among mappings the surest counts. plans(text, parsed, path): what
    the trainings of the text would do. convert(text, parsed): the same settings for ``vaelab train``; None where
    ``not_imported`` says why there are none.
    """

    id: str
    title: str
    source: str
    certainty: Callable[[str, Any], float]
    plans: Callable[[str, Any, str], list[Plan]]
    convert: Callable[[str, Any], Imported] | None = None
    not_imported: str = "vaelab does not import its settings; vaelab lint reads them"


@cache
def sources() -> dict[str, SettingsSource]:
    """All of them by id."""
    return {source.id: source for module in parts("settings") for source in module.SETTINGS}


def recognised(text: str, parsed: Any) -> list[SettingsSource]:
    """The trainers whose settings the text holds: the surest one of a mapping, every one that a script starts."""
    sure = {source.id: source.certainty(text, parsed) for source in sources().values()}
    best = max(sure.values(), default=0.0)
    if not best:
        return []
    return [s for s in sources().values() if (sure[s.id] == best if parsed is not None else sure[s.id] > 0)]


@dataclass(frozen=True)
class Notes:
    """What an importer says of the options of a file. ignored: those without effect. unknown: those that it does not know.
    fork: of the unknown, those that show other code."""

    ignored: tuple[Ignored, ...] = ()
    unknown: tuple[str, ...] = ()
    fork: tuple[str, ...] = ()


def importer_notes(
    convert: Callable[[str, Any], Imported], text: str, parsed: Any, options: Options, leave_out: Collection[str] = ()
) -> Notes:
    """The importer's notes on ``options``. One that is empty or off asks for nothing, and is left out. An importer that
    refuses the file has no notes."""
    try:
        imported = convert(text, parsed)
    except (ConfigError, TypeError, ValueError, OverflowError, AttributeError):
        return Notes()
    ignored, unknown = [], []
    for note in imported.notes:
        key = note.original.removeprefix("--")
        if key not in options or key in leave_out:
            continue
        if note.kind == "no-effect" and options[key] not in (None, "", False, [], "False", "false"):
            ignored.append(Ignored(key, note.text.split("; here ")[0]))  # what vaelab does instead is for its importer
        elif note.kind == "unknown":
            unknown.append(key)
    return Notes(tuple(ignored), tuple(unknown), signs_of_fork(unknown, imported.known - set(options)))


def signs_of_fork(unknown: Iterable[str], missing: Iterable[str]) -> tuple[str, ...]:
    """The ``unknown`` options that show another network or loss than the trainer's. One of the data, of logging or of the
    launcher shows none. missing: as in ``not_misspelt``."""
    keys = not_misspelt(unknown, missing)
    return tuple(k for k in keys if k.startswith("model.") or OF_LOSS_OR_NETWORK & set(k.lower().split("_")))


def not_misspelt(unknown: Iterable[str], missing: Iterable[str]) -> tuple[str, ...]:
    """The ``unknown`` options that are no misspelling of one of ``missing``, which the trainer knows and the file lacks."""
    names = {key.rpartition(".")[2] for key in missing}
    return tuple(key for key in unknown if not get_close_matches(key.rpartition(".")[2], names, 1, MISSPELT))
