"""From a table to a trained, checked, tested model: the work of `chainrule train`, as a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

from chainrule.check.gradient import check_gradient
from chainrule.check.report import GradientReport
from chainrule.errors import DataError
from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.network import Network
from chainrule.tables import Features, Table, Target, fit_features, fit_target

DEFAULTS: dict[str, Any] = {"max_iter": 100, "batch_size": 32}  # of `chainrule train`: good on small tables, and quick
CHECKED_ROWS = 8  # enough for every class of a small problem, and a moment's work


@dataclass(frozen=True, eq=False)
class TableModel:
    """A fitted estimator and the columns it was fitted on: what `chainrule train --save` writes."""

    estimator: MLPClassifier | MLPRegressor
    features: Features
    target: Target

    @property
    def network(self) -> Network:
        """The network."""
        network: Network = self.estimator.network_
        return network

    def predict(self, table: Table) -> np.ndarray[Any, Any]:
        """The label, or the number in the target's own units, for each row."""
        return self.target.inverse(self.estimator.predict(self.features.transform(table)))

    def predict_proba(self, table: Table) -> np.ndarray[Any, Any]:
        """The probability of each class in `target.classes`, for each row."""
        if not hasattr(self.estimator, "predict_proba"):
            raise DataError(f"a network that ends in {self.network.layers[-1].function.name} gives no probabilities")
        probabilities: np.ndarray[Any, Any] = self.estimator.predict_proba(self.features.transform(table))
        return probabilities

    def score(self, table: Table) -> float:
        """Accuracy, or R2, on the rows of a table that has the target."""
        return float(self.estimator.score(self.features.transform(table), self.target.transform(table)))


@dataclass(frozen=True, eq=False)
class Trained:
    """A model and how good it is on rows it has not seen."""

    model: TableModel
    metric: str  # "accuracy" or "R2"
    score: float
    baseline: float  # of the commonest class, or of the mean, of the training rows
    check: GradientReport  # of the derived backward pass, on a few training rows
    train_rows: int
    test_rows: int
    reason: str  # why training ended


@dataclass(frozen=True, eq=False)
class Prepared:
    """A table split, scaled and encoded, and the untrained estimator with its network."""

    features: Features
    target: Target
    X: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    X_test: np.ndarray[Any, Any]
    y_test: np.ndarray[Any, Any]


def prepare(
    table: Table,
    target: str | None = None,
    *,
    task: Literal["auto", "classification", "regression"] = "auto",
    test_fraction: float = 0.25,
    random_state: int = 0,
    standardize: bool = True,
) -> Prepared:
    """Split the rows (by class where there are classes), then fit the columns' scaling on the training rows only.

    Parameters
    ----------
    table : Table
    target : str, optional
        The column to predict; built-in sets and `.npz` files know theirs.
    task : {"auto", "classification", "regression"}
    test_fraction : float
        Of the rows, held out.
    random_state : int
    standardize : bool
        Train on a numeric target less its mean, in units of its deviation; without it, in its own units.
    """
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state is a whole number from 0 to {2**32 - 1}, got {random_state}")
    if not 0 < test_fraction < 1:
        raise ValueError(f"the test fraction is a number between 0 and 1, got {test_fraction:g}")
    goal = fit_target(table, target, task=task)
    labels = goal.transform(table)
    classes = goal.task == "classification"
    rows = np.arange(table.rows)
    if classes:
        _check_classes(goal, labels, table)
    try:
        kept, held = train_test_split(
            rows, test_size=test_fraction, random_state=random_state, stratify=labels if classes else None
        )
    except ValueError as error:
        raise DataError(
            f"{table.rows} rows cannot be split with a test fraction of {test_fraction:g}: {error}"
        ) from error
    train, test = table.take(np.sort(kept)), table.take(np.sort(held))
    if not classes:
        goal = fit_target(train, goal.name, task=goal.task)
        goal = goal if standardize else replace(goal, mean=0.0, scale=1.0)
    features = fit_features(train, exclude=goal.name)
    X = features.transform(train)
    if X.size and not X.any():
        raise DataError(f"{table.source} has no input column with two different values: there is nothing to learn from")
    if not classes and len(held) < 2:
        raise DataError(
            f"{table.rows} rows leave one row to test on with a test fraction of {test_fraction:g}: R2 needs 2"
        )
    return Prepared(features, goal, X, goal.transform(train), features.transform(test), goal.transform(test))


def _check_classes(target: Target, labels: np.ndarray[Any, Any], table: Table) -> None:
    """Every class needs a row on either side of the split."""
    counts = np.bincount(labels)
    if counts.min() < 2:
        raise DataError(
            f"column {target.name!r} of {table.source} has the class {target.classes[counts.argmin()]!r} in one row "
            "only: every class needs 2, one to train on and one to test on"
        )


def estimator_for(prepared: Prepared, **parameters: Any) -> MLPClassifier | MLPRegressor:
    """The estimator of the task."""
    kind = MLPClassifier if prepared.target.task == "classification" else MLPRegressor
    return kind(**parameters)


def check_on_a_few_rows(
    estimator: MLPClassifier | MLPRegressor, X: np.ndarray[Any, Any], y: np.ndarray[Any, Any]
) -> GradientReport:
    """Compare the derived backward pass with central differences, in float64, at new parameters."""
    network: Network = estimator.network_
    few = np.linspace(0, len(X) - 1, min(CHECKED_ROWS, len(X))).astype(int)
    Y = estimator._targets(X[few], y[few], reset=False)
    params = network.init(random_state=0)
    return check_gradient(
        lambda p: network.loss(p, X[few], Y), lambda p: network.gradient(p, X[few], Y), params, random_state=0
    )


def train_on(
    prepared: Prepared,
    estimator: MLPClassifier | MLPRegressor,
    *,
    announce: Callable[[Network, GradientReport], None] | None = None,
) -> Trained:
    """Declare the network for the data, check its backward pass, train it, and test it.

    `announce(network, check)` is called before training begins.
    """
    estimator.declare(prepared.X, prepared.y)
    check = check_on_a_few_rows(estimator, prepared.X, prepared.y)
    if announce is not None:
        announce(estimator.network_, check)
    estimator.fit(prepared.X, prepared.y)
    model = TableModel(estimator, prepared.features, prepared.target)
    score = float(estimator.score(prepared.X_test, prepared.y_test))
    return Trained(
        model=model,
        metric="accuracy" if prepared.target.task == "classification" else "R2",
        score=score,
        baseline=_baseline(prepared),
        check=check,
        train_rows=len(prepared.X),
        test_rows=len(prepared.X_test),
        reason=estimator.reason_,
    )


def _baseline(prepared: Prepared) -> float:
    """The test score of always saying the commonest class, or the mean, of the training rows."""
    if prepared.target.task == "classification":
        return float(np.mean(prepared.y_test == np.bincount(prepared.y.astype(int)).argmax()))
    return float(r2_score(prepared.y_test, np.full(len(prepared.y_test), prepared.y.mean())))
