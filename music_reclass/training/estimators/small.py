"""`nets`: an ensemble of small networks as an estimator; for small tables of all columns."""

from __future__ import annotations

from dataclasses import dataclass, replace

from music_reclass.training import fma_mlp
from music_reclass.training.ensembles import Ensemble
from music_reclass.training.tables import Table, Views


@dataclass(frozen=True, slots=True)
class Small:
    """The recipe of `fma_mlp`; without a `plan`, the one for the columns at hand."""

    seed: int = 0
    plan: fma_mlp.Plan | None = None
    epochs: int | None = None  # in place of the plan's
    name: str = "nets"

    def fit(self, table: Table, views: Views | None) -> Ensemble:
        """The networks of the plan, trained on all rows."""
        plan = self.plan or fma_mlp.plan_for(table.columns)
        if self.epochs is not None:
            plan = replace(plan, recipe=replace(plan.recipe, epochs=self.epochs))
        return fma_mlp.fit(table, views, plan, self.seed)
