"""Building settings from another trainer's options while keeping account of every one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vaelab.config import yaml_text
from vaelab.config.load import checked, dump_config
from vaelab.config.schema import TrainConfig
from vaelab.errors import ConfigError

Kind = Literal["maps", "corrected", "no-effect", "missing", "unknown"]
KINDS: dict[Kind, str] = {
    "maps": "means the same here",
    "corrected": "vaelab does it otherwise, and why",
    "no-effect": "has no effect in the original",
    "missing": "is not carried over, or is not in the file",
    "unknown": "is not known to vaelab, left out",
}


@dataclass(frozen=True)
class Note:
    """What became of one option. original: as the trainer spells it, with ``(fixed in its code)`` where it is no option.

    value: what the file says, empty if it says nothing. ours: ``loss.kl_weight = 1e-06``, empty if there is none.
    """

    kind: Kind
    original: str
    value: str
    ours: str
    text: str


@dataclass(frozen=True)
class Imported:
    """Settings made from another trainer's, with a note for each of its options. title: the trainer's name. known: the options
    that it can have, those that the importer asks for."""

    title: str
    config: TrainConfig
    notes: tuple[Note, ...]
    known: frozenset[str] = frozenset()

    def yaml(self) -> str:
        """The settings as YAML, after the notes as comments."""
        lines = [f"# From the settings of {self.title}."]
        for kind, meaning in KINDS.items():
            notes = [note for note in self.notes if note.kind == kind]
            lines += [f"#\n# {kind}: {meaning}"] if notes else []
            for note in notes:
                given = f"{note.original} = {note.value}" if note.value else note.original
                arrow = f" -> {note.ours}" if note.ours else ""
                lines.append(f"#   {given}{arrow}{'. ' if note.text else ''}{note.text}".replace("\n", " "))
        return "\n".join(lines) + "\n\n" + dump_config(self.config)


class Draft:
    """Options of another trainer on the left, ours on the right. Every option ends in exactly one note, or in ``unknown``."""

    def __init__(self, title: str, options: Mapping[str, Any], prefix: str = ""):
        """options: flat, as ``{"kl_weight": 1e-6}``; prefix: how the trainer's spelling begins, such as ``--``."""
        self.title, self.options, self.prefix = title, dict(options), prefix
        self.settings: dict[str, Any] = {}
        self.notes: list[Note] = []
        self._told: set[str] = set()
        self._known: set[str] = set()

    def get(self, key: str, default: Any) -> Any:
        """The file's value, or the trainer's default. Raises ConfigError if it is of another kind than the default."""
        self._known.add(key)
        value = self.options.get(key)
        if value is None:
            return default
        if isinstance(default, bool) or default is None:
            return value
        if isinstance(default, int | float):
            number = self._number(key, value)
            return number if isinstance(default, float) else int(number)
        return value

    def maps(self, key: str, ours: str, value: Any, text: str = "") -> None:
        """The option means the same as ours; without ``ours`` it is told only if the file has it."""
        self._known.add(key)
        if ours or key in self.options:
            self._note("maps", key, ours, value, text)

    def corrected(self, key: str, ours: str, value: Any, text: str) -> None:
        """vaelab does something else than the original did; ``text`` says why."""
        self._note("corrected", key, ours, value, text)

    def no_effect(self, text: str, *keys: str) -> None:
        """In the original nothing reads these options, or they cannot take effect."""
        self._known.update(keys)
        for key in keys:
            if key in self.options:
                self._note("no-effect", key, "", None, text)

    def not_carried(self, text: str, *keys: str) -> None:
        """The options have no counterpart here."""
        self._known.update(keys)
        for key in keys:
            if key in self.options:
                self._note("missing", key, "", None, text)

    def fixed(self, what: str, ours: str, value: Any, text: str = "") -> None:
        """The original has this in its code, not in its options; the same is set here."""
        self._put("maps", f"{what} (fixed in its code)", "", ours, value, text)

    def mended(self, what: str, ours: str, value: Any, text: str) -> None:
        """The original has this in its code; vaelab does otherwise. ``ours`` may be empty: no option changes it here."""
        self._put("corrected", f"{what} (fixed in its code)", "", ours, value, text)

    def needs(self, ours: str, value: Any, text: str) -> None:
        """vaelab needs an option that the file does not give; ``value`` None keeps the default."""
        self._put("missing", "(not in the file)", "", ours, value, text)

    def children(self, *prefixes: str) -> Iterator[str]:
        """Options, not told yet, that begin with one of these."""
        yield from [k for k in self.options if k not in self._told and k.startswith(prefixes)]

    def finish(self, name: str) -> Imported:
        """The checked settings. Options without a note become ``unknown``; notes are ordered by kind."""
        for key in self.options:
            if key not in self._told:
                self._note(
                    "unknown", key, "", None, "not an option of the public version of this trainer, as far as known"
                )
        self.settings["name"] = name
        self.settings["description"] = f"Imported from the settings of {self.title}."
        order = get_args(Kind)
        notes = sorted(self.notes, key=lambda note: order.index(note.kind))
        return Imported(
            self.title, checked(self.settings, f"these settings of {self.title}"), tuple(notes), frozenset(self._known)
        )

    def _note(self, kind: Kind, key: str, ours: str, value: Any, text: str) -> None:
        self._told.add(key)
        given = _shown(self.options[key]) if key in self.options else "not given"
        self._put(kind, f"{self.prefix}{key}", given, ours, value, text)

    def _put(self, kind: Kind, original: str, given: str, ours: str, value: Any, text: str) -> None:
        shown = ours
        if ours and value is not None:
            section, _, option = ours.partition(".")
            self.settings.setdefault(section, {})[option] = value
            shown = f"{ours} = {_shown(value)}"
        self.notes.append(Note(kind, original, given, shown, text))

    def _number(self, key: str, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ConfigError(
                f"{self.title}: {self.prefix}{key} is {_shown(value)}, a number is needed; write the number in its place"
            ) from None


def _shown(value: Any) -> str:
    """One line of text, long ones cut."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
    else:
        text = yaml_text.write(value).replace("...\n", "").strip()
    text = " ".join(text.split())
    return text if len(text) <= 80 else text[:77] + "..."


def kl_autoencoder(
    channels: int, out: int, widths: list[int], layers: int, latent: int, attention: list[bool]
) -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderKL for the network that latent-diffusion's ``ddconfig`` describes.

    attention: whether each resolution, finest first, has attention.
    """
    down = ["AttnDownEncoderBlock2D" if a else "DownEncoderBlock2D" for a in attention]
    up = ["AttnUpDecoderBlock2D" if a else "UpDecoderBlock2D" for a in reversed(attention)]
    return {
        "in_channels": channels,
        "out_channels": out,
        "down_block_types": down,
        "up_block_types": up,
        "block_out_channels": widths,
        "layers_per_block": layers,
        "latent_channels": latent,
    }


def flat(raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``."""
    found: dict[str, Any] = {}
    for key, value in raw.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return found
