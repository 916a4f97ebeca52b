"""The checks of a course's assignment, a dense network in NumPy: slopes by differences, then MNIST."""

import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.expr import scale, size
from chainrule.program.execute import run

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT))  # for `benchmarks`, which is not installed
SPEC = "784 -> 100 relu -> 200 relu -> 10 softmax"


def slopes(f, A, h=1e-5):
    """The derivative of a number by every entry of a matrix, by central differences."""
    out = np.zeros_like(A)
    for at in np.ndindex(A.shape):
        step = np.zeros_like(A)
        step[at] = h
        out[at] = (f(A + step) - f(A - step)) / (2 * h)
    return out


@pytest.mark.row(26)
def test_the_slope_of_relu_is_that_of_differences():
    Z = np.linspace(-1, 1, 10 * 32).reshape(10, 32)  # no entry is 0
    x = cr.matrix("Z", 10, 32)
    mean = scale(cr.sum(cr.relu(x)), "1/320")

    found = cr.evaluate(*cr.gradient(mean, x), {"Z": Z})

    np.testing.assert_allclose(found, slopes(lambda A: np.maximum(A, 0).mean(), Z), rtol=1e-7, atol=1e-12)


@pytest.mark.row(26)
def test_a_dense_layer_forward_on_the_numbers_of_the_assignment():
    params = {"W1": np.linspace(-1, 1, 12).reshape(3, 4), "b1": np.linspace(-1, 1, 4)[None]}
    X = np.linspace(-1, 1, 6).reshape(2, 3)
    published = [[0.07272727, 0.41212121, 0.75151515, 1.09090909], [-0.90909091, 0.08484848, 1.07878788, 2.07272727]]

    np.testing.assert_allclose(cr.Network("3 -> 4").predict(params, X), published, atol=1e-8)  # printed with 8 decimals


@pytest.mark.row(26)
@pytest.mark.parametrize("name", ["X", "W", "b"])
def test_the_gradients_of_a_dense_layer_are_those_of_differences(name):
    rng = np.random.default_rng(0)
    values = {
        "X": np.linspace(-1, 1, 10 * 8).reshape(10, 8),
        "W": rng.normal(size=(8, 5)),
        "b": rng.normal(size=(1, 5)),
    }
    shapes = {k: cr.matrix(k, *v.shape) for k, v in values.items()}
    layer = shapes["X"] @ shapes["W"] + cr.ones(10) @ shapes["b"]

    found = cr.evaluate(*cr.gradient(cr.sum(layer), shapes[name]), values)

    def summed(A):
        at = values | {name: A}
        return (at["X"] @ at["W"] + at["b"]).sum()

    np.testing.assert_allclose(found, slopes(summed, values[name]), rtol=1e-7, atol=1e-7)  # sums of 50 numbers near 1


@pytest.mark.row(26)
def test_the_gradient_of_the_scores_is_probabilities_minus_one_hot_over_n():
    rng = np.random.default_rng(1)
    Z, labels = np.linspace(-1, 1, 500).reshape(50, 10), np.arange(50) % 10
    onehot = np.eye(10)[labels]
    scores, Y = cr.matrix("Z", "n", 10), cr.matrix("Y", "n", 10, facts=("rows_sum_to_one",))
    loss = scale(cr.sum(Y * cr.log_softmax(scores)), -1) / size("n")

    (d,) = cr.gradient(loss, scores)

    assert cr.text(d) == "(softmax(Z) - Y)/n"
    P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cr.evaluate(d, {"Z": Z, "Y": onehot}), (P - onehot) / 50, rtol=1e-12)

    def reference(A):
        return -np.mean(A[np.arange(50), labels] - np.log(np.exp(A).sum(axis=1)))

    at = Z + rng.normal(size=Z.shape)
    found = cr.evaluate(d, {"Z": at, "Y": onehot})
    np.testing.assert_allclose(found, slopes(reference, at), rtol=1e-6, atol=1e-9)  # of differences of a loss near 2


# ---- MNIST: 784-100-200-10, plain SGD with learning rate 0.1, batches of 32, 10,000 images for validation


@pytest.fixture(scope="module")
def mnist():
    from benchmarks.common import DATA
    from benchmarks.mnist import load

    if not (DATA / "mnist").is_dir():
        pytest.skip("the MNIST files that benchmarks.mnist reads are not there")
    X, y, *_ = load(DATA)
    return X[:-10_000], y[:-10_000], X[-10_000:], y[-10_000:]


@pytest.mark.slow
@pytest.mark.row(26)
def test_the_estimator_is_right_on_more_than_97_percent_of_the_held_out_digits(mnist):
    X, y, X_validation, y_validation = mnist

    clf = cr.Network(SPEC).fit(
        X, y, solver="sgd", momentum=0, learning_rate_init=0.1, batch_size=32, max_iter=8, tol=0, random_state=0
    )

    assert clf.score(X_validation, y_validation) > 0.97


@pytest.mark.slow
@pytest.mark.row(26)
def test_the_printed_program_is_right_on_more_than_97_percent_of_the_held_out_digits(mnist):
    X, y, X_validation, y_validation = mnist
    net, rng = cr.Network(SPEC), np.random.default_rng(0)
    text = "import numpy as np\n" + net.derive().source("numpy", part="step")
    step, params, Y = run(text, "step"), net.init(0), np.eye(10)[y]
    names = list(params)

    for _ in range(8):
        order = rng.permutation(len(X))
        for rows in np.split(order, range(32, len(X), 32)):
            params = dict(zip(names, step(X[rows], Y[rows], *params.values(), lr=0.1)[1:], strict=True))

    found = net.predict(params, X_validation).argmax(axis=1)
    assert (found == y_validation).mean() > 0.97
