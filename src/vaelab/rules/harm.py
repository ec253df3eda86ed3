"""How much each finding harms: the limits of the one policy (``vaelab.rules.severity``), each with what it is measured in and why.

A rule says what it found, how large it is and how sure. What that is worth is said here and nowhere else. A code that is missing
here is a warning whatever its size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warn", "critical"]


@dataclass(frozen=True)
class Harm:
    """``least``: severity of any size. ``warn``, ``critical``: sizes from which it is that grave, in ``unit``. ``with_cost``: severity
    where the run already shows the damage (``costs``), whatever the size. ``wasted``: where it is critical, more steps of the same run
    are wasted: it is to be stopped. ``why``: the reason for the limits."""

    why: str
    least: Severity = "warn"
    unit: str = ""
    warn: float = math.inf
    critical: float = math.inf
    with_cost: Severity = "critical"
    wasted: bool = False


def _same(severity: Severity, why: str, *codes: str, wasted: bool = False) -> dict[str, Harm]:
    return {code: Harm(why, severity, with_cost=severity, wasted=wasted) for code in codes}


HARM: Mapping[str, Harm] = {
    **_same("info", "it explains other findings, or is by design",
            "ADV332", "ADV333", "KL228", "KL232",
            "NUM506", "OPT421", "REC118", "REC134", "REC135", "REC137"),
    **_same("critical", "what is learned is worth little until it is mended",
            "ADV304", "ADV314", "ADV317", "ADV318", "ADV320", "DAT704", "DAT708", "KL226", "KL233", "NUM507", "NUM509", "OPT409", "OPT411", "OPT412", "REC116",
            "REC117", "REC119", "REC120", "REC122", "REC126", "REC127", "REC132", "REC136"),
    **_same("critical", "nothing is learned, or the run has ended, until it is mended",
            "KL201", "KL222", "NUM502", "NUM505", "REC107", "REC131", "REC144", wasted=True),
    # adversarial
    "ADV301": Harm("a plain VAE may be meant; not where adversarial columns are logged", "info", with_cost="warn"),
    "ADV303": Harm("one that is known to be useless trains nothing; else it harms only where nothing gains", "info", "nothing gains", warn=1),
    "ADV305": Harm("the generator gets no signal; it harms where the reconstruction pays or next to no gradient is left"),
    "ADV306": Harm("every recipe shows it; it is watched until the old level is back", "info", with_cost="warn"),
    "ADV307": Harm("2.6 dB of a squared error are no trade any more", unit="times the level before", critical=1.8),
    "ADV308": Harm("a share by value harms where the reconstruction has suffered", unit="GAN term / nll"),
    "ADV309": Harm("recipes use 0.05 to 1; at 5 and a doubled reconstruction the adversary leads", unit="disc_weight"),
    "ADV310": Harm("a clamp that holds for some rows is noise; most of the time the weight balances nothing", "info", with_cost="warn"),
    "ADV311": Harm("at 1.4 times chance the loss has left what any skill explains", unit="disc_loss / chance", critical=1.4),
    "ADV331": Harm("a young discriminator may still learn", "info"),
    # data
    "DAT701": Harm("from 1.8 times on, still there at the end, the model fits other data", unit="level now / before", critical=1.8, wasted=True),
    "DAT702": Harm("single damaged files do not matter; more than 20 do", "info", "messages", warn=21, with_cost="warn"),
    "DAT706": Harm("three times easier at once is no curriculum", unit="level before / after", critical=3),
    "DAT710": Harm("steps that pass have cost nothing; one that comes again at the same height is in the data", unit="largest / rows"),
    # KL and latent
    "KL203": Harm("0.3 rewrites the latent; below, it costs where the latent carries little", "info", "effective beta", critical=0.3, with_cost="warn"),
    "KL205": Harm("4 dB lost to the KL", unit="rec_loss now / first", critical=2.5, wasted=True),
    "KL206": Harm("50 nats an input value are near overflow", unit="nats per input value", critical=50),
    "KL209": Harm("below 0.3% of its level the latent is empty", unit="level before / now", critical=1 / 0.003),
    "KL210": Harm("at 40 times its level latent scale and outliers have left any use", unit="times its settled level", critical=40),
    "KL213": Harm("with 5% of its codes left the codebook does not come back", unit="highest / late use", critical=20),
    "KL214": Harm("a quarter of the channels is a quarter of the rate", unit="share of dead channels", critical=0.25),
    "KL215": Harm("a term that is 100 times larger drives the gradient", unit="now / early level", critical=100),
    "KL221": Harm("half of the channels carry nothing", unit="share of dead channels", critical=0.5),
    "KL227": Harm("a diffusion model takes a standard deviation of 0.5 to 2 badly", "info", "times off", warn=1.25, critical=2),
    "KL229": Harm("2 dB between sample and mean are seen", "info", "dB", warn=2),
    # metrics by their direction: critical sizes by role in ``severity.BY_ROLE``
    "MET1001": Harm("a loss with a direction is not meant to rise for long", unit="error now / best"),
    "MET1009": Harm("a small model may be at its limit early; not where held-out data become worse meanwhile"),
    "MET1010": Harm("a run may recover from it; what came of it says whether it did"),
    "MET1002": Harm("a jump that stays is damage; one that passes counts by its fourth root, at a resume by its square root", "info", "error after / before", warn=2**0.25),
    "MET1005": Harm("2% of the rows are more than a few samples", "info", "share of rows", warn=0.02),
    # numerics
    "NUM501": Harm("a NaN that passes is a skipped step; one that stays is the end of the run", wasted=True),
    "NUM504": Harm("below a scale of 1 the gradients themselves are not finite"),
    # optimisation
    "OPT402": Harm("a norm that came back has done little; an update of 100 times the size has moved the weights", "info", "peak / early norm", critical=100, with_cost="warn"),
    "OPT404": Harm("a restart of a schedule is harmless; beyond the highest rate before, or with the loss, it is not", unit="times"),
    "OPT405": Harm("with Adam every weight moves by the rate at each step; it harms where the outcome is poor", unit="peak rate", wasted=True),
    "OPT407": Harm("nothing is trained; a printed 0 may be rounding", "critical", wasted=True),
    # reconstruction
    "REC114": Harm("an average that never moves will be published as it is", "info", "averaged / raw error", warn=1.5),
    "REC115": Harm("healthy runs with easier training batches reach twice the training error", unit="held-out / training error", critical=2.5),
    "REC121": Harm("3 of 255 levels are visible in flat areas", unit="8-bit levels", critical=3),
    "REC125": Harm("12 of 255 levels are visible anywhere", unit="8-bit levels", critical=12),
    # resumes, algebra, settings
    "RES802": Harm("a second start shock; one that is over has only cost time", "critical"),
    "ALG901": Harm("a single row proves little; 10% off in many is another loss", "info", "share of the total", critical=0.1, with_cost="warn"),
    "SCH601": Harm("a size that this trainer is known to ignore explains itself", "info", with_cost="warn"),
    "SCH602": Harm("three times another weight is another loss", unit="larger / smaller ratio", critical=3),
    "SCH604": Harm("it harms where the term is most of the loss"),
    "SCH607": Harm("a schedule may mean it; it harms where the run has become worse since", "info", "weight after / before", warn=100),
}  # fmt: skip
