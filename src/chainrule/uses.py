"""What a declared network gets from the modules above it: training, and the engine's program. They load when used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chainrule.losses import Loss


class Uses:
    """Methods of `Network` that reach upwards."""

    objective: Loss

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, **parameters: Any) -> Any:
        """Train: a fitted estimator, which keeps this network as `network_`.

        Parameters
        ----------
        X : array of shape (n, inputs)
        y : array of shape (n,) or (n, outputs)
            Labels, one-hot or soft rows, or numbers, as the loss takes them.
        sample_weight : array of shape (n,), optional
        **parameters
            Of the estimator: solver, max_iter, batch_size, learning_rate_init, random_state, verbose, ...

        Returns
        -------
        MLPClassifier or MLPRegressor
            A classifier where the targets of the loss are classes, or where several outputs meet labels (n,).
        """
        estimators = import_module("chainrule.estimators")  # upwards, and only for this convenience
        labels = np.ndim(y) == 1 and self.outputs > 1
        classes = self.objective.targets in ("distribution", "unit", "signs") or labels
        kind = estimators.MLPClassifier if classes else estimators.MLPRegressor
        return kind(network=self, **parameters).fit(X, y, sample_weight=sample_weight)

    def program(self, *, solver: str = "sgd", sample_weight: bool = False, batch_size: int = 32) -> str:
        """List the instructions that the engine runs for a training step, beside the equations they come from.

        Parameters
        ----------
        solver : str
            The update rule.
        sample_weight : bool
            With a weight for every example.
        batch_size : int
            Rows of a minibatch: they decide the tiles and the memory.

        Returns
        -------
        str

        Raises
        ------
        DataError
            A `batch_size` that is none.
        NotLoweredError
            If the engine has no instruction for something in the network; the NumPy program trains it.

        Examples
        --------
        >>> import chainrule as cr
        >>> print(cr.Network("2 -> 1").program().splitlines()[0])
        2 -> 1, half_squared_error, sgd: one step on 32 rows
        """
        listing = import_module("chainrule.engine.listing")
        text: str = listing.program_text(self, solver=solver, sample_weight=sample_weight, batch_size=batch_size)
        return text
