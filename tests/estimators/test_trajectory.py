"""Whole trainings against other programs: loops written by hand, and scikit-learn's own networks.

The loops share nothing with chainrule but the initial parameters and the stream of random numbers.
"""

import numpy as np
import pytest
from sklearn import neural_network

import chainrule as cr

ROWS, COLUMNS = 148, 5
ALPHA = 0.3
# tol=0 and patience: the number of epochs is the test's; no warning that it was small.
FIXED = {"tol": 0, "n_iter_no_change": 1000, "random_state": 4}


def data(kind):
    rng = np.random.default_rng(6)
    X = rng.standard_normal((ROWS, COLUMNS))
    score = X @ rng.standard_normal((COLUMNS, 3)) + rng.standard_normal((ROWS, 3))
    y = {
        "binary": np.where(score[:, 0] > 0, "yes", "no"),
        "multiclass": score.argmax(axis=1),
        "multilabel": (score > 0).astype(int),
        "number": score[:, 0],
        "numbers": score,
    }[kind]
    return X, y, rng.random(ROWS)


def stream():
    """Return the stream of random_state=4: initial weights first, then a permutation for each epoch."""
    return np.random.default_rng(np.random.RandomState(4).randint(2**31 - 1))


# By hand: X -> 6 tanh -> 3 softmax, cross-entropy, (alpha/2) sum of squared weights, all over the rows of the batch


def gradient_by_hand(params, X, Y):
    n = len(X)
    A1 = np.tanh(X @ params["W1"] + params["b1"])
    scores = np.exp(A1 @ params["W2"] + params["b2"])
    P = scores / scores.sum(axis=1, keepdims=True)
    squares = (params["W1"] ** 2).sum() + (params["W2"] ** 2).sum()
    loss = -(Y * np.log(P)).sum() / n + ALPHA / 2 * squares / n
    dZ2 = (P - Y) / n
    dZ1 = (dZ2 @ params["W2"].T) * (1 - A1**2)
    return loss, {
        "W1": X.T @ dZ1 + ALPHA / n * params["W1"],
        "b1": dZ1.sum(axis=0, keepdims=True),
        "W2": A1.T @ dZ2 + ALPHA / n * params["W2"],
        "b2": dZ2.sum(axis=0, keepdims=True),
    }


class Descent:
    """Plain gradient descent."""

    def step(self, name, W, dW):
        return W - 0.05 * dW


class Nesterov:
    """The velocity v = 0.9 v - lr dW, and a step of 0.9 v - lr dW."""

    def __init__(self):
        self.v = {}

    def step(self, name, W, dW):
        self.v[name] = 0.9 * self.v.get(name, 0) - 0.05 * dW
        return W + 0.9 * self.v[name] - 0.05 * dW


class Adam:
    """Algorithm 1 of Kingma and Ba (2015)."""

    def __init__(self):
        self.m, self.v, self.t = {}, {}, {}

    def step(self, name, W, dW):
        self.t[name] = t = self.t.get(name, 0) + 1
        self.m[name] = 0.9 * self.m.get(name, 0) + 0.1 * dW
        self.v[name] = 0.999 * self.v.get(name, 0) + 0.001 * dW**2
        return W - 0.05 * (self.m[name] / (1 - 0.9**t)) / (np.sqrt(self.v[name] / (1 - 0.999**t)) + 1e-8)


SOLVERS = [({"solver": "sgd", "momentum": 0.0}, Descent), ({"solver": "sgd"}, Nesterov), ({"solver": "adam"}, Adam)]


@pytest.mark.parametrize(("solver", "by_hand"), SOLVERS, ids=["sgd", "nesterov", "adam"])
@pytest.mark.parametrize(("batch_size", "epochs"), [(ROWS, 40), (64, 3)], ids=["full batch", "minibatches"])
def test_training_is_the_loop_one_would_write(solver, by_hand, batch_size, epochs):
    X, y, _ = data("multiclass")
    clf = cr.MLPClassifier(
        (6,), "tanh", alpha=ALPHA, batch_size=batch_size, max_iter=epochs, learning_rate_init=0.05, **solver, **FIXED
    )

    clf.fit(X, y)

    rng, rule, curve = stream(), by_hand(), []
    params = clf.network_.init(rng)
    for _ in range(epochs):
        order, total = rng.permutation(ROWS), 0.0
        for start in range(0, ROWS, batch_size):
            rows = order[start : start + batch_size]  # the last has 20
            loss, gradient = gradient_by_hand(params, X[rows], np.eye(3)[y[rows]])
            params = {name: rule.step(name, W, gradient[name]) for name, W in params.items()}
            total += loss * len(rows)
        curve.append(total / ROWS)
    for name, W in params.items():
        np.testing.assert_allclose(clf.params_[name], W, rtol=1e-10, atol=1e-13)  # b starts at 0: sums cancel
    np.testing.assert_allclose(clf.loss_curve_, curve, rtol=1e-10)


# scikit-learn's networks, from the same parameters and with rows in their order

KINDS = {
    "binary": (cr.MLPClassifier, neural_network.MLPClassifier),
    "multiclass": (cr.MLPClassifier, neural_network.MLPClassifier),
    "multilabel": (cr.MLPClassifier, neural_network.MLPClassifier),
    "number": (cr.MLPRegressor, neural_network.MLPRegressor),
    "numbers": (cr.MLPRegressor, neural_network.MLPRegressor),
}
TRAININGS = {
    "sgd": {"solver": "sgd", "momentum": 0.0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.7},
    "nesterov": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1},
    # scikit-learn adds epsilon before it corrects v for its start: the same where epsilon is nothing.
    "adam": {"solver": "adam", "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-300},
    "stops": {"solver": "adam", "epsilon": 1e-300, "tol": 0.05, "n_iter_no_change": 2},
}


def side_by_side(kind, **parameters):
    """Return both estimators at the same parameters, with rows in order and 12 epochs to go."""
    ours, theirs = KINDS[kind]
    given = {"max_iter": 1, "warm_start": True, "shuffle": False, "batch_size": 64, "alpha": ALPHA, **FIXED}
    given |= {"learning_rate_init": 0.02, **parameters}
    pair = [each(hidden_layer_sizes=(6, 4), activation="tanh", **given) for each in (ours, theirs)]
    X, y, _ = data(kind)
    for estimator in pair:
        estimator.fit(X, y)
    pair[1].coefs_ = [W.copy() for W in pair[0].coefs_]
    pair[1].intercepts_ = [b.copy() for b in pair[0].intercepts_]
    pair[1]._no_improvement_count, pair[1].best_loss_ = 0, np.inf
    for estimator in pair:
        estimator.set_params(max_iter=12)
        estimator.t_ = 0  # a warm start of invscaling begins at the full rate there, and goes on here
    return pair


def assert_same(ours, theirs, X, outputs):
    for one, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert (ours.n_layers_, ours.n_outputs_) == (theirs.n_layers_, theirs.n_outputs_)
    assert ours.out_activation_ == theirs.out_activation_
    # Scikit-learn's squared error is a mean over outputs, unlike its gradient.
    epochs = ours.n_iter_
    np.testing.assert_allclose(ours.loss_curve_[-epochs:], outputs * np.array(theirs.loss_curve_[-epochs:]), rtol=1e-9)
    np.testing.assert_array_equal(np.shape(ours.predict(X)), np.shape(theirs.predict(X)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("kind", KINDS)
def test_training_is_scikit_learns(kind, training):
    ours, theirs = side_by_side(kind, **TRAININGS[training] | ({"alpha": 0.0} if kind == "numbers" else {}))
    X, y, _ = data(kind)

    for estimator in (ours, theirs):
        estimator.fit(X, y)

    assert_same(ours, theirs, X, outputs=3 if kind == "numbers" else 1)
    if kind.startswith("number"):
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)
    else:
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_weighted_training_is_scikit_learns(kind):
    ours, theirs = side_by_side(kind, solver="sgd", batch_size=ROWS)
    X, y, w = data(kind)

    for estimator in (ours, theirs):
        estimator.fit(X, y, sample_weight=w)

    for one, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_loss_of_many_outputs_is_their_sum_and_the_penalty_counts_once():
    """Unlike scikit-learn's, whose reported loss averages over outputs."""
    X, y, _ = data("numbers")

    reg = cr.MLPRegressor((), alpha=ALPHA, batch_size=ROWS, max_iter=2, solver="sgd", **FIXED).fit(X, y)

    reg.set_params(warm_start=True, max_iter=1)
    A, squares = reg.predict(X), (reg.coefs_[0] ** 2).sum()
    expected = ((A - y) ** 2).sum() / (2 * ROWS) + ALPHA / 2 * squares / ROWS
    assert reg.fit(X, y).loss_ == pytest.approx(expected, rel=1e-12)
