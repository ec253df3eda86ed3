"""All recipes of the fault bench, faulty and healthy."""

from __future__ import annotations

import recipes_adversarial
import recipes_data
import recipes_healthy
import recipes_latent
import recipes_optimisation
from recipe import Recipe

GROUPS = (recipes_data, recipes_latent, recipes_adversarial, recipes_optimisation, recipes_healthy)
RECIPES: dict[str, Recipe] = {recipe.id: recipe for group in GROUPS for recipe in group.RECIPES}
SEEDS = (0, 1, 2)
