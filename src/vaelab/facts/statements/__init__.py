"""What the facts are in sentences, in reading order. The facts themselves are numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaelab.facts.base import Fact
from vaelab.facts.statements.adversary import of_adversary
from vaelab.facts.statements.losses import of_losses, of_shares
from vaelab.facts.statements.phases import of_phases
from vaelab.facts.statements.training import of_optimiser, of_progress
from vaelab.facts.statements.units import of_signs, of_units

if TYPE_CHECKING:
    from vaelab.facts import Facts


def statements(facts: Facts) -> tuple[Fact, ...]:
    """Every fact as a sentence."""
    view, adversary = facts.view, facts.adversary
    return (
        *of_losses(view, facts.algebra),
        *of_shares(facts.algebra, facts.phases),
        *of_units(view, facts.scales),
        *of_signs(facts.negated),
        *of_phases(view, facts.phases),
        *(of_adversary(view, facts.phases.gan, facts.algebra, adversary) if adversary else ()),
        *of_optimiser(view, facts.optimiser),
        *of_progress(view, facts.progress),
    )
