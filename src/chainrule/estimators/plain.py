"""When scikit-learn's checks of a matrix can be left out: they take longer than to predict a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


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
