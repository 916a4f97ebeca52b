"""The classifier: labels in, labels and probabilities out."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted

from chainrule.errors import DataError
from chainrule.estimators.base import MLP
from chainrule.losses import PROBABILITIES, find_loss
from chainrule.train.targets import Array, Encoding, Kind, encoding_for


class MLPClassifier(ClassifierMixin, MLP):  # type: ignore[misc]
    """A dense network that classifies, trained by equations that can be read: `network_.derive()`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
    activation : str
        Of the hidden layers; any activation of the rule book, such as "leaky_relu(0.1)".
    network : str or Network, optional
        The whole network, instead of the two above.
    loss : str, optional
        Such as "hinge"; by default cross-entropy, binary where there are two classes or many labels.
    solver : str
        An update rule by name: "adam", "sgd", "rmsprop(rho=0.95)", ... What it does not say itself it takes from
        learning_rate_init, momentum and, for Adam and its kin, beta_1, beta_2 and epsilon.
    alpha : float
        Strength of the L2 penalty, divided by the number of rows (or the sum of weights) of the minibatch.
    n_threads : int, optional
        Threads for matrix products.
    callback : callable, optional
        Called with an `Epoch` (number, loss, score, learning_rate, seconds_left) after each.
    **others
        batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, verbose,
        warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon and
        n_iter_no_change mean what they mean in scikit-learn. With tol=0, max_iter is meant as it is: no warning.

    Attributes
    ----------
    network_ : Network
    params_ : dict of str to ndarray
        W1 (n_features x width), b1 (1 x width), ...
    classes_ : ndarray
    coefs_, intercepts_, loss_curve_, n_iter_, ...
        As in scikit-learn.
    reason_ : str
        Why training ended.

    Examples
    --------
    >>> import chainrule as cr
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> spec = "4 -> 8 tanh -> 3 softmax"
    >>> clf = cr.MLPClassifier(network=spec, max_iter=50, batch_size=16, learning_rate_init=0.01, tol=0, random_state=0)
    >>> float(clf.fit(X, y).score(X, y)) > 0.95
    True
    >>> print(clf.network_.derive()["dZ2"])
    dZ2 = (P - Y)/n
    """

    classes_: Array
    _encoding: Encoding

    def _targets(self, X: Array, y: Array, *, reset: bool, classes: Any = None) -> Array:
        kind, labels = self._kind(y, classes) if reset else (self._encoding.kind, self.classes_)
        last = "softmax" if kind == "multiclass" else "logistic"
        joint = self.loss is not None and find_loss(self.loss).targets == "distribution"
        outputs = 1 if kind == "binary" and not joint else len(labels)
        self._declare(X.shape[1], outputs, last, reset=reset)
        if reset:
            self._encoding = encoding_for(self.network_, kind, labels)
            self.classes_ = labels
        labelled = kind not in ("multilabel", "distribution")
        return self._encoding.encode(column_or_1d(y, warn=True) if labelled else y, X.dtype)

    def _kind(self, y: Array, classes: Any) -> tuple[Kind, Array]:
        """What kind of labels these are, and the classes."""
        if y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "fiub":
            network = self._given()
            joint = network is not None and "rows_sum_to_one" in network.layers[-1].ending.facts
            if joint and (y >= 0).all() and np.allclose(y.sum(axis=1), 1):
                return "distribution", np.arange(y.shape[1])
        target = type_of_target(y)
        if target == "multilabel-indicator":
            return "multilabel", np.arange(y.shape[1])
        if target != "binary":
            check_classification_targets(y)
        labels = np.unique(column_or_1d(y) if classes is None else np.asarray(classes))
        if len(labels) < 2:
            raise DataError(f"y has one class only, {labels.tolist()[0]!r}: a classifier needs at least 2 classes")
        return ("binary" if len(labels) == 2 else "multiclass"), labels

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one pass over these rows, going on from earlier ones.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,)
        classes : array-like
            All classes there will be; needed at the first call.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        self
        """
        if not self.__sklearn_is_fitted__():
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit: all classes there will be")
        elif classes is not None and not np.array_equal(np.unique(np.asarray(classes)), self.classes_):
            raise ValueError(
                f"classes={classes!r} is not the same as on the first call to partial_fit: {self.classes_}"
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> Array:
        """Predict the label of each row, of shape (n,), or (n, n_labels) for many labels."""
        outputs = self._outputs(X)
        return self._encoding.decode(outputs)

    def _gives_probabilities(self) -> bool:
        """Do the outputs lie between 0 and 1?"""
        network = self.network_ if "network_" in vars(self) else self._given()
        if network is None:
            return self.loss is None or find_loss(self.loss).outputs == PROBABILITIES
        values = network.layers[-1].ending.range
        return values.low >= 0 and values.high <= 1

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Predict the probability of each class, of shape (n, n_classes)."""
        outputs = self._outputs(X)
        return self._encoding.probabilities(outputs)

    @available_if(_gives_probabilities)  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithm of the probability of each class, of shape (n, n_classes)."""
        with np.errstate(divide="ignore"):  # a probability may underflow to 0
            return np.asarray(np.log(self.predict_proba(X)))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy: the share of rows whose label, or whose every label, is predicted.

        Rows of probabilities as y stand for their largest, where the model was fitted to such.
        """
        check_is_fitted(self)
        truth = np.asarray(y)
        if self._encoding.kind == "distribution" and truth.ndim == 2:
            truth = self._encoding.decode(truth)
        return float(super().score(X, truth, sample_weight))

    def _score_on(self, params: dict[str, Array], X: Array, Y: Array, w: Array | None = None) -> float:
        A = self._outputs_of(params, X)
        right = (self._encoding.decode(A) == self._encoding.decode(Y)).reshape(len(X), -1).all(axis=1)
        return float(np.average(right, weights=None if w is None else w[:, 0]))

    def _strata(self, Y: Array) -> Array | None:
        return None if self._encoding.kind == "multilabel" else self._encoding.decode(Y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = False
        return tags
