"""Rows held out of training, to score parameters on."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from chainrule.arrays import Arrays
from chainrule.errors import DataError
from chainrule.train.targets import Array


def hold_out(data: Arrays, fraction: float, strata: Array | None, seed: int) -> tuple[Arrays, Arrays]:
    """The data to train on and the data to score on, in equal shares of the strata; one seed, one split."""
    rows = len(data["X"])
    try:
        split = train_test_split(np.arange(rows), test_size=fraction, stratify=strata, random_state=seed)
    except ValueError as error:
        raise DataError(f"cannot hold out {fraction:g} of {rows} rows: {error}") from error
    kept, held = ({name: array[each] for name, array in data.items()} for each in split)
    if len(held["X"]) < 2:
        raise DataError(f"{fraction:g} of {rows} rows are too few to score on: raise validation_fraction")
    if "w" in data and not (kept["w"].any() and held["w"].any()):
        raise DataError(
            "the weights of all rows held out, or of all others, are 0: at least one row of each must count"
        )
    return kept, held
