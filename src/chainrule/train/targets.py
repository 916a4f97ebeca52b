"""Labels as the targets of a network, and outputs as labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from chainrule.errors import DataError, ShapeError
from chainrule.network import Network

Array = np.ndarray[Any, Any]
Kind = Literal["binary", "multiclass", "multilabel", "distribution"]


@dataclass(frozen=True, eq=False)
class Encoding:
    """How classes are written as targets: one column (binary), a one-hot row, or a row of yes and no."""

    kind: Kind
    classes: Array
    outputs: int
    low: float = 0.0  # what "no" is; -1 for the hinge losses

    def encode(self, y: Array, dtype: Any = np.float64) -> Array:
        """Y (n x outputs) from labels (n,), or from an indicator matrix."""
        if self.kind in ("multilabel", "distribution"):
            Y = np.asarray(y, dtype)
        elif self.outputs == 1:
            Y = (self.index(y)[:, None] == 1).astype(dtype)
        else:
            Y = np.eye(self.outputs, dtype=dtype)[self.index(y)]
        return Y if self.low == 0 else Y * (1 - self.low) + self.low

    def index(self, y: Array) -> Array:
        """The number of each label's class; an unseen label is an error."""
        found = np.clip(np.searchsorted(self.classes, y), 0, len(self.classes) - 1)
        unseen = self.classes[found] != y
        if np.any(unseen):
            raise DataError(
                f"y has the label {y[unseen].tolist()[0]!r}, which is not among classes {_listed(self.classes)}"
            )
        return np.asarray(found)

    @property
    def threshold(self) -> float:
        """An output above it says yes."""
        return (1 + self.low) / 2

    def decode(self, A: Array) -> Array:
        """The label of each row of outputs."""
        if self.kind == "multilabel":
            return (self.threshold < A).astype(int)
        if self.outputs == 1:
            return np.asarray(self.classes[(A[:, 0] > self.threshold).astype(int)])
        return np.asarray(self.classes[A.argmax(axis=1)])

    def probabilities(self, A: Array) -> Array:
        """Probabilities of the classes; one-vs-all outputs are divided by their sum."""
        if self.kind == "multilabel":
            return A
        if self.outputs == 1:
            return np.hstack([1 - A, A])
        total = A.sum(axis=1, keepdims=True)
        return A / np.where(total > 0, total, 1)


def encoding_for(network: Network, kind: Kind, classes: Array) -> Encoding:
    """The encoding that fits a network's outputs and its loss."""
    k = len(classes)
    fits = (1, 2) if kind == "binary" else (k,)
    if network.outputs not in fits:
        fix = "1 logistic or 2 softmax" if kind == "binary" else f"{k} {network.layers[-1].ending.name}"
        raise ShapeError(f"the network has {network.outputs} outputs and y has {k} classes: end it in {fix}")
    return Encoding(kind, classes, network.outputs, -1.0 if network.objective.targets == "signs" else 0.0)


def _listed(classes: Array) -> str:
    shown = ", ".join(repr(c) for c in classes[:10].tolist())
    return f"{shown}, ..." if len(classes) > 10 else shown
