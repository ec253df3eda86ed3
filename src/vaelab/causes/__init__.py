"""The fault catalogue: what can be behind a finding, how to tell it from its look-alikes, how to test and mend it.

Adding a cause is one entry in the file of its family.
"""

from __future__ import annotations

from vaelab.causes.adversarial import ADVERSARIAL
from vaelab.causes.data import DATA
from vaelab.causes.distributed import DISTRIBUTED
from vaelab.causes.evaluation import EVALUATION
from vaelab.causes.latent import LATENT
from vaelab.causes.numerics import NUMERICS
from vaelab.causes.optimisation import OPTIMISATION
from vaelab.causes.reconstruction import RECONSTRUCTION
from vaelab.causes.schedule import SCHEDULE
from vaelab.causes.types import FAMILIES, Cause

__all__ = ["CAUSES", "FAMILIES", "Cause"]

CAUSES: dict[str, Cause] = {
    cause.id: cause
    for cause in (
        *DATA,
        *RECONSTRUCTION,
        *LATENT,
        *ADVERSARIAL,
        *OPTIMISATION,
        *NUMERICS,
        *SCHEDULE,
        *DISTRIBUTED,
        *EVALUATION,
    )
}
