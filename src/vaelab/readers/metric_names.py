"""Which names in a line of text are those of metrics: what ``vaelab.roles`` can read, and what says that it is a loss."""

from __future__ import annotations

from functools import lru_cache

from vaelab.catalog import METRICS, canonical
from vaelab.catalog.roles import RoleName
from vaelab.patterns import pattern
from vaelab.roles import words
from vaelab.roles.grammar import name_words, read_name

_NO_METRICS: frozenset[RoleName] = frozenset(("unknown", "time", "memory", "progress", "weight", "learning_rate"))
# roles whose words mean nothing else: "clip", "style" or "discriminator" may head any line, "kl" and "psnr" do not
_UNMISTAKABLE: frozenset[RoleName] = frozenset(
    ("kl", "quality", "logits_real", "logits_fake", "entropy", "codebook_usage", "latent_statistic")
)
_LOSS_WORDS = (words.LOSS | words.ACCURACY | {"elbo", "recon"}) - {"l", "dist", "distance", "cost", "objective"}
_REMARK = pattern(r"\s\([^()]*\)$")  # Training loss (for one batch)
_BESIDE_A_STEP = (words.LOSS | words.ACCURACY | words.REAL | words.FAKE | {"elbo", "bpd"}) - {"l"}


@lru_cache(maxsize=8192)
def looks_like_metric(name: str) -> bool:
    """Whether a name by itself shows that a line is about training: a known metric, or a loss or score by its words."""
    known = METRICS.get(canonical(name).rpartition("/")[2])
    # a weight is a column of some logs, and a line of its own in many lists of options
    if known and not (known.role == "weight" and known.name.endswith("_weight")):
        return known.family not in ("optimiser", "speed")
    if _is_setting(name):
        return False
    return (
        read_name(name).role in _UNMISTAKABLE or "loss" in name.lower() or not _LOSS_WORDS.isdisjoint(name_words(name))
    )


@lru_cache(maxsize=8192)
def may_be_metric(name: str) -> bool:
    """Whether a name can be a metric's where a step or an epoch stands beside it."""
    if looks_like_metric(name):
        return True
    reading = read_name(name)
    if reading.role not in _NO_METRICS or reading.could_be:
        return True
    return not _is_setting(name) and not _BESIDE_A_STEP.isdisjoint(name_words(name))


def _is_setting(name: str) -> bool:
    """Whether the name ends in what only settings and counts end in: ``loss_type``, ``rec_loss_weight``."""
    said = _REMARK.sub("", name)
    last = next((word for word in reversed(name_words(said)) if word[0].isalpha()), "")
    return last in words.SETTING or last in words.WEIGHT or last in words.PROGRESS
