"""What a column's name says, word by word, where neither a dialect nor the catalogue knows the whole name.

``l_g_percep`` is a perceptual term, ``discr (scale 0.25) loss`` a part of the discriminator's, ``weighted_gan_loss`` the
adversarial term with its weight inside. The order of the questions is the grammar: the words of a setting, a rate or a
time bind tighter than those of a loss, a half (real, fake) tighter than its discriminator, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from vaelab.catalog.roles import RoleName, Split
from vaelab.patterns import pattern
from vaelab.roles import words as w

_CAMEL = pattern(r"(?<=[a-z])(?=[A-Z][a-z])")
_WORDS = pattern(r"(?:l1|l2|r1|r2|dinov2)(?![0-9a-z])|[a-z]+|\d+(?:\.\d+)?")
_UNIT = pattern(r"(?:[ _]in[ _]|[(\[])(?:db|(?P<time>s|ms|sec|seconds|t)|gb|mb|mib|%|it/s)[)\]]?$", re.IGNORECASE)
_OUTPUT = pattern(r"d\((?:x|g\(.{1,20}|x_?(?:hat|rec\w*))\)|d_(?:x|g_z\d?)", re.IGNORECASE)
_CALL = pattern(r"\W{0,3}(log|ln|log10|log2|exp|sqrt)\s?\(.+\)$", re.IGNORECASE)
_POWER = pattern(r"\w\)?\s?(?:\^|\*\*)\s?\d")
_OPERATOR = pattern(r"\s?(?<!\*)[*+](?!\*)\s?")
_FACTOR = pattern(r"\d[\d.]*(?:e[-+]?\d+)?|w|[^a-z]{1,2}", re.IGNORECASE)
_SIDES = frozenset(("left", "right", "scale", "level", "stage", "head", "mid", "side", "fullband", "multiband"))


@dataclass(frozen=True)
class NameReading:
    """What a name says: the role, a finer kind, the canonical metric it would be, the words that said so.

    part: one of several columns of that role (a scale, a side, a layer), not the whole. could_be: roles between which
    the name does not decide. derived: what else the name says that the column is: its logarithm, a spread; then it has no role.
    """

    role: RoleName = "unknown"
    kind: str = ""
    metric: str = ""
    split: Split = "train"
    because: str = ""
    part: bool = False
    could_be: tuple[RoleName, ...] = ()
    derived: str = ""


def name_words(original: str) -> list[str]:
    """The words and numbers of a name in lower case: ``l_g_pix`` -> l, g, pix; ``rFID`` -> rfid; ``ppl_0`` -> ppl, 0."""
    return _WORDS.findall(_CAMEL.sub("_", original).lower())


def read_name(original: str) -> NameReading:
    """The reading of a column's name; ``unknown`` where no word speaks for a role."""
    original = original.strip()
    unit = _UNIT.search(original)
    found = name_words(original[: unit.start()] if unit else original)
    names = [word for word in found if not word[0].isdigit()]
    split: Split = "train"
    if len(names) > 1 and names[-1] == "ema":  # rec_loss_ema
        names = ["ema", *names[:-1]]
    while len(names) > 1 and (names[0] in w.SPLITS or names[0] in ("ema", "set")):
        split = "ema" if names[0] == "ema" else w.SPLITS.get(names[0], split)
        names = names[1:]
    if _OUTPUT.fullmatch(original):
        reading = NameReading(
            because=original, derived="the discriminator's mean output, mostly a probability and no logit"
        )
    elif unit and unit["time"]:
        reading = _time(set(names), names[0] if names else "time")
    else:
        reading = _computed(original) or _of_derived_word(original, names) or _read(names)
    return replace(reading, split=split, part=len(names) < len(found) or not _SIDES.isdisjoint(names))


def _computed(original: str) -> NameReading | None:
    """The reading of a name that is a formula: ``log(kl_loss)``, ``1e-6*kl_loss``, ``kl_loss/rec_loss``."""
    if match := _CALL.match(original):
        return NameReading(because=match[1], derived="a function of a metric")
    if _POWER.search(original):
        return NameReading(because=original, derived="a power of a metric")
    if re.match(r"(?:1|one)[\s_]?(?:-|minus)[\s_]?[a-z]", original, re.IGNORECASE):
        return NameReading(because=original, derived="one minus a metric")
    left, _, right = original.rpartition("/")
    sides = [_read(name_words(side)) for side in (left.rpartition("/")[2], right)]
    both_losses = all(not w.LOSS.isdisjoint(name_words(side)) for side in (left.rpartition("/")[2], right))
    if both_losses and {side.role for side in sides} <= _TERMS and sides[0].role != sides[1].role:
        return NameReading(because=original, derived="a ratio of metrics")
    parts = _OPERATOR.split(original.rpartition("/")[2])
    if len(parts) == 1 or not all(parts):
        return None
    terms = [part for part in parts if not _FACTOR.fullmatch(part) and read_name(part).role != "weight"]
    if "+" in original or len(terms) != 1:
        return NameReading(because=original, derived="a sum or a product of metrics")
    return _weighted(read_name(terms[0]))


_TERMS = frozenset(("reconstruction", "perceptual", "kl", "quantiser"))


def _weighted(term: NameReading) -> NameReading:
    """A term with its weight inside: of its role, but not in its unit."""
    if term.role == "generator_adversarial" or "generator_adversarial" in term.could_be:
        return replace(term, role="generator_adversarial", metric="g_loss_weighted", could_be=())
    return replace(term, kind="weighted", metric="") if term.role in _TERMS else term


def _of_derived_word(original: str, names: list[str]) -> NameReading | None:
    """A logarithm, a spread, a change of a metric is not that metric: ``log_kl_loss``, ``rec_loss_std``."""
    stem = name_words(original.rpartition("/")[2])  # not the group that a name stands in: log/kl_loss
    word = next((name for name in stem if name in w.DERIVED), "")
    rest = [name for name in names if name != word]
    if not word or "likelihood" in stem or not {"norm", "penalty", "scale", "clip", "logits"}.isdisjoint(stem):
        return None
    base = _read(rest)
    if base.role not in _TERMS | {"generator_adversarial", "discriminator", "total", "quality"} and not base.could_be:
        return None
    return NameReading(because=word, derived=w.DERIVED[word])


def _read(names: list[str]) -> NameReading:
    return next((reading for question in _QUESTIONS if (reading := question(_Words(names)))), NameReading())


class _Words(frozenset[str]):
    """The words of one name, with the order kept."""

    def __new__(cls, names: list[str]) -> _Words:
        return super().__new__(cls, names)

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def first(self, words: Iterable[str]) -> str:
        """The first word of the name that is one of ``words``, or an empty text."""
        return next((name for name in self.names if name in words), "")

    @property
    def loss(self) -> bool:
        return not self.isdisjoint(w.LOSS)

    @property
    def discriminator(self) -> str:
        return self.first(w.DISCRIMINATOR) or ("d" if "d" in self else "")


def _time(have: frozenset[str] | set[str], because: str) -> NameReading:
    metric = "data_time" if "data" in have else "step_time" if have & {"step", "iter", "batch"} else ""
    return NameReading("time", metric=metric, because=because)


# The questions, in the order in which they are asked ----------------------------------------------------------------


def _speed(have: _Words) -> NameReading | None:
    word = "" if have.loss else have.first(w.TIME)
    return _time(have, word) if word else None


def _optimiser(have: _Words) -> NameReading | None:
    if "lr" in have or {"learning", "rate"} <= have:
        return NameReading("learning_rate", metric="disc_lr" if have.discriminator else "lr", because="lr")
    gradient = have.first(("grad", "grads", "gradient", "gradients", "gnorm"))
    if not gradient or (gradient != "gnorm" and "norm" not in have):
        return None
    of_all = have <= _WHOLE_GRADIENT | w.GENERATOR | w.DISCRIMINATOR
    metric = "disc_grad_norm" if have.discriminator else "grad_norm"
    return NameReading("gradient_norm", metric=metric if of_all else "", because=gradient)


_WHOLE_GRADIENT = frozenset(
    (
        "grad",
        "grads",
        "gradient",
        "gradients",
        "gnorm",
        "norm",
        "total",
        "global",
        "optim",
        "other",
        "d",
        "model",
        "train",
    )
)


def _code_use(have: _Words) -> NameReading | None:
    if word := have.first(w.PERPLEXITY):
        return NameReading("codebook_usage", kind="perplexity", metric="perplexity", because=word)
    word = have.first(w.USAGE)
    if word and have & (w.QUANTISER | {"code", "codes", "cluster", "token", "tokens"}) and not have.loss:
        return NameReading("codebook_usage", kind=word, metric="" if word == "dead" else "cluster_usage", because=word)
    if (word := have.first(w.ENTROPY)) and "cross" not in have:
        of_samples, of_all = have & {"sample", "samples"}, have & {"codebook", "avg", "batch"}
        metric = "sample_entropy" if of_samples else "codebook_entropy" if of_all else "entropy_loss"
        return NameReading("entropy", metric=metric, because=word)
    return None


def _setting(have: _Words) -> NameReading | None:
    """A weight, a factor, the adaptive weight of the adversarial term; a size or a start is no metric at all."""
    if have.names[-1:] and have.names[-1] in w.SETTING:
        return NameReading(because=have.names[-1])
    word = have.first(w.WEIGHT)
    if not word or have.loss:
        return None
    if word == "factor" and (have.discriminator or have & w.ADVERSARIAL):
        return NameReading("weight", metric="disc_factor", because=word)
    if "adaptive" in have:
        return NameReading("adaptive_weight", metric="d_weight", because="adaptive weight")
    of = _read([name for name in have.names if name not in w.WEIGHT and name not in w.LOSS]).role
    return NameReading("weight", metric=_WEIGHT_OF.get(of, "kl_weight" if have.names == ["beta"] else ""), because=word)


_WEIGHT_OF: dict[RoleName, str] = {
    "kl": "kl_weight",
    "perceptual": "perceptual_weight",
    "generator_adversarial": "disc_weight",
    "discriminator": "disc_weight",
}


def _score(have: _Words) -> NameReading | None:
    if word := have.first(w.ACCURACY):
        of_gan = have.discriminator or have & (w.REAL | w.FAKE)
        return NameReading("discriminator_accuracy" if of_gan else "unknown", because=word)
    word = have.first(w.QUALITY)
    if not word:
        return None
    if have.loss:
        return NameReading("reconstruction", kind=word, metric="rec_loss", because=word) if "ssim" in word else None
    return NameReading("quality", kind=word, metric=_CATALOGUED.get(word, ""), because=word)


_CATALOGUED = {
    "psnr": "psnr",
    "ssim": "ssim",
    "fid": "rfid",
    "rfid": "rfid",
    "fvd": "rfvd",
    "rfvd": "rfvd",
    "flickering": "flickering",
}


def _half(have: _Words) -> NameReading | None:
    """The real or the fake half of the discriminator's loss, or its output on one of them."""
    word, disc = have.first(w.REAL) or have.first(w.FAKE), have.discriminator
    if not word or not (disc or have & w.LOGITS or have.loss) or have & (w.GENERATOR | w.RECONSTRUCTION.keys()):
        return None
    side = "real" if word in w.REAL else "fake"
    if have & w.LOGITS or not have.loss:
        return NameReading(_LOGITS[side], metric=f"logits_{side}", because=word)
    return NameReading(_HALVES[side], metric=f"disc_loss_{side}", because=word)


_LOGITS: dict[str, RoleName] = {"real": "logits_real", "fake": "logits_fake"}
_HALVES: dict[str, RoleName] = {"real": "discriminator_real", "fake": "discriminator_fake"}


def _adversary(have: _Words) -> NameReading | None:
    word = have.first(w.FEATURE)
    if word and not have & (w.RECONSTRUCTION.keys() | w.QUANTISER | w.PERCEPTUAL | {"encoder", "decoder"}):
        return NameReading("feature_matching", metric="feature_matching_loss", because=word)
    word = have.first(w.DISCRIMINATOR) or ("d" if "d" in have and have.loss else "")
    return NameReading("discriminator", metric="disc_loss", because=word) if word else None


def _with_weight(have: _Words, reading: NameReading) -> NameReading:
    return _weighted(reading) if have & {"weighted", "scaled"} else reading


def _latent(have: _Words) -> NameReading | None:
    if word := have.first(w.KL):
        return _with_weight(have, NameReading("kl", metric="kl_loss", because=word))
    if word := have.first(w.QUANTISER):
        return NameReading("quantiser", metric="quant_loss", because=word)
    word = have.first(w.STATISTIC)
    if word and have & w.LATENT and not have.loss:
        return NameReading("latent_statistic", kind=word, metric="latents_std" if word == "std" else "", because=word)
    return None


def _picture(have: _Words) -> NameReading | None:
    """Perceptual, adversarial and reconstruction terms."""
    word = have.first(w.PERCEPTUAL)
    if not word and "per" in have and set(have.names[have.names.index("per") + 1 :][:1]) <= w.LOSS:
        word = "per"  # nll_per, per_loss; not samples per second
    if word and (word != "p" or (have.loss and len(have) <= 3)):
        texture = word in ("style", "gram")
        return NameReading("perceptual", kind=word, metric="" if texture else "perceptual_loss", because=word)
    word, pixels = have.first(w.ADVERSARIAL), have.first(w.RECONSTRUCTION)
    if pixels == "r" and not (have.loss and len(have) <= 3):
        pixels = ""
    if word and pixels:
        return NameReading(could_be=("generator_adversarial", "reconstruction"), because=f"{word}, {pixels}")
    if word:
        metric = "g_loss_weighted" if have & w.WEIGHTED else "g_loss"
        return NameReading("generator_adversarial", metric=metric, because=word)
    if not pixels:
        return None
    kind = next((w.RECONSTRUCTION[n] for n in have.names if w.RECONSTRUCTION.get(n)), "")
    metric = "nll_loss" if pixels in ("nll", "likelihood") else "rec_loss"
    return NameReading("reconstruction", kind=kind, metric=metric, because=pixels)


def _other_terms(have: _Words) -> NameReading | None:
    if word := have.first(w.ALIGNMENT):
        return NameReading("alignment", metric="alignment_loss", because=word)
    if word := have.first(w.REGULARISER):
        return NameReading("regulariser", because=word)
    return None


def _whole(have: _Words) -> NameReading | None:
    """The total, or a generator's loss that may be the total or its adversarial term."""
    word = have.first(w.GENERATOR)
    if word and have & w.TOTAL:
        return NameReading("total", metric="total_loss", because=have.first(w.TOTAL))
    if word and have <= w.LOSS | w.PLAIN | w.GENERATOR and have != {"g"}:
        return NameReading(could_be=("generator_adversarial", "total"), because=word)
    if have.loss and have & {"total", "overall"}:  # whatever model's: soundstream total loss
        return NameReading("total", metric="total_loss", because=have.first(w.TOTAL))
    if have & (w.LOSS | w.TOTAL) and have <= w.LOSS | w.PLAIN | w.TOTAL and have - {"l"}:
        return NameReading("total", metric="total_loss", because=have.first(w.TOTAL) or have.first(w.LOSS))
    return None


def _machine(have: _Words) -> NameReading | None:
    if have.loss:
        return None
    if word := have.first(w.MEMORY):
        return NameReading("memory", because=word)
    word = have.first(w.PROGRESS)
    return NameReading("progress", because=word) if word else None


_QUESTIONS = (
    _speed, _optimiser, _code_use, _setting, _score, _half, _adversary, _latent, _picture, _other_terms, _whole, _machine,
)  # fmt: skip
