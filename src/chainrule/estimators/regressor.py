"""The regressor: numbers in, numbers out."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import RegressorMixin, _fit_context
from sklearn.metrics import r2_score

from chainrule.estimators.base import MLP
from chainrule.train.targets import Array


class MLPRegressor(RegressorMixin, MLP):  # type: ignore[misc]
    """A dense network that predicts numbers, trained by equations that can be read: `network_.derive()`.

    The parameters are those of `MLPClassifier`. By default it trains half the squared error summed over outputs, so
    its reported loss is n_outputs times scikit-learn's, while its gradient is equal.

    Examples
    --------
    >>> import chainrule as cr
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True, scaled=True)
    >>> reg = cr.MLPRegressor((32,), max_iter=300, learning_rate_init=0.01, random_state=0, tol=0)
    >>> float(reg.fit(10 * X, y / 100).score(10 * X, y / 100)) > 0.5
    True
    """

    def _targets(self, X: Array, y: Array, *, reset: bool, classes: Any = None) -> Array:
        Y = y.reshape(len(X), -1)
        self._declare(X.shape[1], Y.shape[1], "identity", reset=reset)
        if reset:
            self._flat = y.ndim == 1
        return Y

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one pass over these rows, going on from earlier ones."""
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> Array:
        """Predict the targets, of shape (n,) or (n, n_outputs), as y was."""
        A = self._outputs(X)
        return A[:, 0] if self._flat else A

    def _score_on(self, params: dict[str, Array], X: Array, Y: Array, w: Array | None = None) -> float:
        return float(r2_score(Y, self._outputs_of(params, X), sample_weight=None if w is None else w[:, 0]))

    def _strata(self, Y: Array) -> Array | None:
        return None
