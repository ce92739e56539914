"""What the rows of a training table look like, family by family, so that other rows can be held against them."""

from __future__ import annotations

from typing import Any

import numpy as np

from music_reclass.training.tables import Table

SHARES = tuple((np.arange(1, 10) / 10).tolist())  # deciles: ten equal parts for the population stability index


def profile(table: Table) -> dict[str, Any]:
    """Deciles, mean and spread of every column, rounded to five digits: what a bundle keeps of its training rows."""
    rows = table.rows.astype(np.float64)

    def short(values: Any) -> Any:
        return [float(f"{value:.5g}") for value in values]

    return {
        "columns": list(table.columns),
        "mean": short(rows.mean(axis=0)),
        "spread": short(rows.std(axis=0)),
        "deciles": [short(row) for row in np.quantile(rows, SHARES, axis=0)],
    }
