"""Every column of one log gets its role and the canonical name that goes with it.

The order of trust: the user's ``--map``, the dialect, the catalogue's names, the grammar of names. Names that trainers use
for different things, and those that the grammar leaves open, are settled by how the values behave beside the others, or
called ambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, get_args

import numpy as np

from vaelab.catalog import METRICS, canonical
from vaelab.catalog.roles import Better, Role, RoleName, Split, Standing
from vaelab.dialects import bare_name
from vaelab.errors import ConfigError
from vaelab.roles.behaviour import always_zero, closes, holds, mostly_negative, zero_before_start
from vaelab.roles.grammar import read_name
from vaelab.roles.words import QUALITY, TWO_MEANINGS
from vaelab.run import FloatArray

ROLE_NAMES: tuple[str, ...] = get_args(RoleName)

METRIC_OF: dict[str, str] = {
    "reconstruction": "rec_loss", "perceptual": "perceptual_loss", "kl": "kl_loss", "quantiser": "quant_loss",
    "entropy": "entropy_loss", "generator_adversarial": "g_loss", "discriminator": "disc_loss",
    "discriminator_real": "disc_loss_real", "discriminator_fake": "disc_loss_fake", "logits_real": "logits_real",
    "logits_fake": "logits_fake", "feature_matching": "feature_matching_loss", "alignment": "alignment_loss", "total": "total_loss",
    "adaptive_weight": "d_weight", "learning_rate": "lr", "gradient_norm": "grad_norm", "codebook_usage": "cluster_usage",
}  # fmt: skip
"""The metric that a column of a role is, where no finer one is named."""

_BETTER: dict[str, Better] = {
    "reconstruction": "down", "perceptual": "down", "alignment": "down", "discriminator": "chance",
    "discriminator_real": "chance", "discriminator_fake": "chance", "discriminator_accuracy": "chance", "codebook_usage": "up",
}  # fmt: skip
_TERMS = frozenset(
    ("reconstruction", "perceptual", "kl", "quantiser", "entropy", "generator_adversarial", "discriminator", "total")
)
_RANK: dict[Standing, int] = {"given": 0, "known": 1, "inferred": 2, "ambiguous": 3, "unknown": 4}
_SPLIT_OF: dict[str, Split] = {"val/": "val", "val_ema/": "ema", "ema/": "ema", "test/": "test", "epoch/": "epoch"}
_PREFIX_OF: dict[Split, str] = {"train": "", "val": "val/", "test": "test/", "ema": "ema/", "epoch": "epoch/"}


@dataclass(frozen=True, eq=False)
class NamedValues:
    """One column as the log has it: its name, values (n,) with NaN where not logged."""

    original: str
    values: FloatArray


@dataclass(frozen=True)
class Assigned:
    """metric: canonical name with its split (``val/rec_loss``), or the log's own in lower case. role: what the column is.

    order: columns with a lower one come first where two would be the same metric.
    """

    metric: str
    role: Role
    order: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class _Named:
    """A column's name, taken apart. own: the log's own name. prefix: of its split. metric: canonical without split, if settled."""

    own: str
    prefix: str
    metric: str
    role: RoleName
    standing: Standing
    reason: str
    kind: str = ""
    part: bool = False
    could_be: tuple[RoleName, ...] = ()


def parse_map(given: Iterable[str]) -> dict[str, str]:
    """``["l_g_pix=reconstruction"]`` -> ``{"l_g_pix": "reconstruction"}``. Raises ConfigError with one sentence."""
    roles: dict[str, str] = {}
    for text in given:
        column, equals, role = text.rpartition("=")
        if not equals or not column.strip() or not role.strip():
            raise ConfigError(
                f"--map {text!r} is not understood: write COLUMN=ROLE, as in --map l_g_pix=reconstruction."
            )
        roles[column.strip()] = role.strip()
    for role in roles.values():
        meaning(role)
    return roles


def declared_roles(flat_config: Mapping[str, Any]) -> dict[str, str]:
    """``roles: {l_g_pix: reconstruction}`` of a run's settings, flattened with dots; entries that name no role are not ours."""
    found = {}
    for key, value in flat_config.items():
        if key.startswith("roles.") and isinstance(value, str):
            with suppress(ConfigError):
                meaning(value)
                found[key.removeprefix("roles.")] = value
    return found


def meaning(text: str) -> tuple[RoleName, str]:
    """``(role, canonical metric)`` of what a user calls a column: a role, or a metric. Raises ConfigError if it is neither."""
    name = re.sub(r"[\s-]+", "_", text.strip().lower())
    if name in ROLE_NAMES:
        return name, METRIC_OF.get(name, "")  # type: ignore[return-value]
    metric = canonical(name)
    if metric in METRICS:
        return METRICS[metric].role, metric
    near = get_close_matches(name, [*ROLE_NAMES, *METRICS], 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"There is no role or metric '{text}'.{hint} Roles: {', '.join(ROLE_NAMES)}.")


def assign(
    columns: Sequence[NamedValues],
    dialect_columns: Mapping[str, str],
    dialect_title: str = "",
    given: Mapping[str, str] | None = None,
) -> list[Assigned]:
    """Role and canonical name of every column, in their order.

    dialect_columns: bare name -> canonical metric, as the trainer's dialect has them. dialect_title: empty where the trainer is not known.
    given: column as the log names it -> role or metric, from the user.
    """
    by_user = {bare_name(name): meaning(role) for name, role in (given or {}).items()}
    named = [_first_reading(c.original, dialect_columns, dialect_title, by_user) for c in columns]
    values = [c.values for c in columns]
    settled: list[_Named] = []
    for i, name in enumerate(named):
        settled.append(_settle(i, named, values) if name.could_be else name)
    gan_alive = any(
        n.role in ("generator_adversarial", "discriminator", "discriminator_real") and not always_zero(v)
        for n, v in zip(settled, values, strict=True)
    )
    return [_assigned(n, v, gan_alive) for n, v in zip(settled, values, strict=True)]


def _assigned(name: _Named, values: FloatArray, gan_alive: bool) -> Assigned:
    metric = name.prefix + (name.metric or name.own)
    known = METRICS.get(name.metric)
    better: Better = known.direction if known and known.direction != "none" else _BETTER.get(name.role, "none")
    if name.role == "quality":
        better = QUALITY.get(name.kind, better)  # type: ignore[assignment]
    if name.role == "total":
        better = "none" if gan_alive else "down"
    kind, reason = name.kind, name.reason
    if name.role == "kl" and mostly_negative(values):
        kind, reason = "negated", f"{reason}; it is logged with a minus sign"
    split = _SPLIT_OF.get(name.prefix, "train")
    role = Role(name.role, kind, split, better, name.standing, reason, name.could_be)
    plain = name.role == "reconstruction" and kind not in ("", "spectral") and name.standing == "inferred"
    return Assigned(metric, role, (_RANK[name.standing], int(name.part), int(plain)))


def _first_reading(
    original: str, dialect_columns: Mapping[str, str], title: str, by_user: Mapping[str, tuple[RoleName, str]]
) -> _Named:
    """The column by its name alone."""
    name, bare = canonical(original), bare_name(original)
    prefix = next((p for p in _SPLIT_OF if name.startswith(p)), "")
    own = name.removeprefix(prefix)
    if bare in by_user:
        said, metric = by_user[bare]
        return _Named(own, prefix, metric, said, "given", "you said so (--map)")
    metric = dialect_columns.get(bare, "")
    if metric.startswith("epoch/"):  # this trainer prints the mean of an epoch under a step's name
        prefix, metric = "epoch/", metric.removeprefix("epoch/")
    role = METRICS[metric].role if metric in METRICS else read_name(metric).role
    # what is inside an adversarial term in training (its adaptive weight) is often not in validation
    if metric and not (prefix.startswith(("val", "test", "ema")) and role == "generator_adversarial"):
        return _Named(own, prefix, metric, role, "known", f"{title} names it so")
    if own in METRICS and (title or bare not in TWO_MEANINGS):
        reason = f"{title} names it so" if title else "the name has one meaning in all trainers vaelab knows"
        return _Named(own, prefix, own, METRICS[own].role, "known", reason)
    reading = read_name(original)
    if not prefix and original.strip().lower().endswith("_epoch"):
        prefix = "epoch/"
    prefix = prefix or _PREFIX_OF[reading.split]
    could_be = TWO_MEANINGS.get(bare, reading.could_be)
    if could_be:
        own = bare if own in METRICS else own
        return _Named(own, prefix, "", "unknown", "ambiguous", "", part=reading.part, could_be=could_be)
    if reading.role == "unknown":
        derived = f"by '{reading.because}' in its name it is {reading.derived}"
        reason = derived if reading.derived else "no word of its name speaks for a role"
        return _Named(own, prefix, "", "unknown", "unknown", reason)
    reason = f"by the word '{reading.because}' in its name"
    # a dialect's formulas speak of the columns that it names: another loss beside them keeps its own name
    metric = "" if title and reading.role in _TERMS else reading.metric
    return _Named(own, prefix, metric, reading.role, "inferred", reason, reading.kind, reading.part)


# Names with two meanings ---------------------------------------------------------------------------------------------


def _settle(at: int, named: Sequence[_Named], values: Sequence[FloatArray]) -> _Named:
    """The column's role by its behaviour beside the others, or ``ambiguous``."""
    name = named[at]
    role: RoleName = "unknown"
    reason = ""
    if {"generator_adversarial", "total"} <= set(name.could_be):
        role, reason = _adversarial_or_total(at, named, values)
    elif set(name.could_be) == {"generator_adversarial", "discriminator"}:
        if _of(named, "discriminator", "discriminator_real"):
            role, reason = "generator_adversarial", "the discriminator's loss has a column of its own"
        elif _of(named, "generator_adversarial"):
            role, reason = "discriminator", "the generator's adversarial term has a column of its own"
    elif set(name.could_be) == {"kl", "quantiser"}:
        if _of(named, "codebook_usage", "quantiser"):
            role, reason = "quantiser", "the log has other columns of a codebook"
        elif np.nanmin(values[at], initial=0.0) < 0:
            role, reason = "kl", "a commitment loss cannot be negative"
    if role == "unknown":
        candidates = " or ".join(r.replace("_", " ") for r in name.could_be)
        return replace(name, reason=f"trainers use this name for {candidates}, and the values do not decide")
    return replace(name, metric=METRIC_OF[role], role=role, standing="inferred", reason=reason, could_be=())


def _of(named: Sequence[_Named], *roles: RoleName) -> list[int]:
    return [i for i, n in enumerate(named) if n.role in roles and not n.prefix]


def _adversarial_or_total(at: int, named: Sequence[_Named], values: Sequence[FloatArray]) -> tuple[RoleName, str]:
    own = values[at]
    if zero_before_start(own):
        return "generator_adversarial", "it is 0 in the first rows: it waits for the GAN to start"
    if always_zero(own):
        return "generator_adversarial", "it is always 0: the GAN has not started"
    rec = _of(named, "reconstruction")
    adversarial, total = _of(named, "generator_adversarial"), _of(named, "total")
    if total and not rec and not _of(named, "discriminator", "discriminator_real", "logits_real"):
        terms = [at, *_of(named, "kl", "quantiser")]
        weights = closes(values[total[0]], [values[i] for i in terms if i == at or not always_zero(values[i])])
        if weights is not None and weights[0] > 0:
            return (
                "reconstruction",
                f"{named[total[0]].own} is it plus the latent's term, and there is no discriminator",
            )
    parts = [*rec, *_of(named, "perceptual", "kl", "quantiser", "feature_matching", "alignment"), *adversarial]
    parts = [i for i in parts if not named[i].part and not always_zero(values[i])]
    if rec and 0 < len(parts) <= 8:
        weights = closes(own, [values[i] for i in parts])
        if weights is not None and weights[parts.index(rec[0]) if rec[0] in parts else 0] > 0:
            return "total", f"it is a weighted sum of {', '.join(named[i].metric or named[i].own for i in parts)}"
    if rec and not holds(own, values[rec[0]]):
        return "generator_adversarial", f"it is smaller than {named[rec[0]].own}, so it cannot be the sum that holds it"
    if total:
        return "generator_adversarial", f"the total has a column of its own, {named[total[0]].own}"
    if adversarial:
        return "total", f"the adversarial term has a column of its own, {named[adversarial[0]].own}"
    return "unknown", ""
