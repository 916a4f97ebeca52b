"""When scikit-learn's checks of a matrix can be left out, and what they mean where X holds a text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.errors import DataError


def is_plain(X: Any, fitted: Mapping[str, Any]) -> bool:
    """Is this a matrix of finite numbers, of the columns that an estimator with these attributes was fitted to?

    Where it is not, or may not be, the checks say what is wrong.
    """
    return (
        "params_" in fitted
        and "feature_names_in_" not in fitted
        and type(X) is np.ndarray
        and X.dtype.char in "fd"
        and X.dtype.isnative
        and X.ndim == 2
        and X.shape[0] > 0
        and X.shape[1] == fitted["n_features_in_"]
        and math.isfinite(X.sum())
    )


@contextmanager
def texts_explained(X: Any) -> Iterator[None]:
    """Say where X holds a text that is no number, and what to do about it, where a conversion fails for that."""
    try:
        yield
    except ValueError as error:
        if (found := _text_in(X)) is None:
            raise
        text, row, column = found
        raise DataError(
            f"X holds the text {text!r} in row {row}, column {column}: encode texts as numbers before, such as by "
            "sklearn.preprocessing.OneHotEncoder"
        ) from error


def _text_in(X: Any) -> tuple[str, int, str] | None:
    """The first text that is no number, its row, counted from 0, and the name or number of its column."""
    entries = np.asarray(X, dtype=object)
    names = list(getattr(X, "columns", ()))  # of a data frame
    for place in np.ndindex(entries.shape if entries.ndim == 2 else (0,)):
        text: Any = entries[place]
        if isinstance(text, str):
            try:
                float(text)
            except ValueError:
                row, column = place
                named = len(names) == entries.shape[1] and isinstance(names[column], str)
                return text, row, repr(names[column]) if named else str(column)
    return None
