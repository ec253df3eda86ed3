"""Rules: one small check each. ``ALL_RULES`` lists them; adding one is one class in any file of this folder (one that compares
a measured number with a limit: an entry in its table ``MEASURED``), and an entry in ``vaelab.rules.harm`` where it is not a warning
whatever its size."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from vaelab.rules.base import SEVERITY_ORDER, Finding, Rule, Severity, Skipped

__all__ = ["ALL_RULES", "RETIRED", "SEVERITY_ORDER", "Finding", "Rule", "Severity", "Skipped"]

_MODULES = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]

_CLASSES = [
    c for module in _MODULES for c in vars(module).values() if isinstance(c, type) and c.__module__ == module.__name__
]
_MEASURED = [rule for module in _MODULES for rule in getattr(module, "MEASURED", ())]

ALL_RULES: tuple[type[Rule], ...] = tuple(
    sorted((*(c for c in _CLASSES if issubclass(c, Rule) and hasattr(c, "code")), *_MEASURED), key=lambda r: r.code)
)

RETIRED: Mapping[str, str] = {
    "ADV302": "gan-not-yet repeated the fact `gan_start`",
    "ADV312": "negative-total repeated the fact `negative_total`",
    "ADV313": "discriminator-cold-at-peak-lr decided no run: many recipes start so, and ADV306 says what came of it",
    "ADV316": "hinge-bound-broken decided no run: it spoke of the log, not of the run",
    "ADV319": "discriminator-leads: a discriminator that leads is no fault; ADV305 says where it has won",
    "KL202": "kl-dominates-loss: KL203 says how much the KL weighs, in whichever unit is known",
    "KL204": "latent-starved: KL203 on the weight, KL201 and KL214 on a latent that carries too little",
    "KL207": "kl-grows fired on nearly every run, healthy or not; KL210 and KL206 say where it grows too much",
    "KL208": "kl-without-effect repeated the fact `kl_term`",
    "KL211": "kl-small-at-small-weight repeated KL201, which names the weight",
    "KL212": "kl-jumps-with-reconstruction: KL206 and KL210 say where the KL left its level",
    "NUM503": "calm-before-non-finite is the test of the causes A2 and E1, and is said by NUM502",
    "NUM508": "constant-perceptual-loss is NUM507 on the perceptual loss",
    "OPT401": "clip-always-active repeated the fact `clip`",
    "OPT403": "loss-rises-with-learning-rate: REC102 and REC110 say that the loss rose, cause E1 what speaks for the rate",
    "OPT406": "learning-rate-unreadable repeated the fact `lr`",
    "OPT408": "learning-rate-very-low: a rate's size alone says nothing; MET1009 says that nothing is learned",
    "DAT703": "waits-for-data: it costs time and no quality, and nothing rested on it",
    "DAT705": "data-change-at-epoch-start is said by DAT701, and is a test of cause A5",
    "DAT709": "batches-became-alike is said by DAT701",
    "DAT707": "better-than-published is said by DAT708",
    "MET1004": "gone-to-zero never spoke where NUM506 and NUM508 did not",
    "REC101": "reconstruction-trend repeated the table of metrics; MET1001 says that it rose",
    "REC102": "reconstruction-worse-than-start is MET1001 on a reconstruction",
    "REC103": "no-learning is MET1009, which knows a network that begins untrained",
    "REC104": "reconstruction-jump is MET1002 on a reconstruction",
    "REC105": "isolated-spikes is MET1005 on a reconstruction",
    "REC106": "perceptual-against-reconstruction repeated MET1001 and MET1002 on the perceptual loss",
    "REC108": "plateau was shown by half of all runs and decided none: the table of metrics says what is flat",
    "REC109": "validation-gap is said by REC115",
    "REC110": "reconstruction-drifts-up is MET1001 on a reconstruction",
    "REC111": "nll-rises is MET1001 on a total",
    "REC113": "nothing-moves is MET1009 where the KL stands as well",
    "REC138": "worse-than-simple-predictor is said by REC117",
    "RES801": "resume-raises-loss is MET1002, which says what a jump coincides with",
    "RES803": "epoch-counter-goes-back cost nothing and decided no run",
    "REC112": "still-falling-slowly repeated what MET1009 says",
    "SCH605": "option-not-passed-on repeated a known fault of Pyramid-Flow (the fact `known_faults`, and PF of lint)",
    "SCH606": "kl-weight-switches: SCH602 and ALG901 say that a weight changed, SCH607 where it is logged",
    "SCH603": "log-ends-before-plan repeated the fact `progress`",
}
"""Codes that are no longer given, and why. A code is never used again."""
