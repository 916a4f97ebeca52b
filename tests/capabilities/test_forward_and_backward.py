"""The equations of a dense network against loops over neurons, published numbers and differences."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.check.proof import verify
from chainrule.errors import ShapeError

RNG = np.random.default_rng(7)


def example(spec, rows=5, **options):
    net = cr.Network(spec, **options)
    X = RNG.normal(size=(rows, net.inputs))
    if net.objective.targets == "distribution":
        Y = np.eye(net.outputs)[RNG.integers(net.outputs, size=rows)]
    else:
        Y = RNG.uniform(0.1, 0.9, (rows, net.outputs)).round(net.objective.targets == "signs")
    params = {k: RNG.normal(size=v.shape) for k, v in net.init(0).items()}
    return net, params, X, Y


def slopes(f, A, h=1e-6):
    """The derivative of a number by every entry of a matrix, by central differences."""
    out = np.zeros_like(A)
    for at in np.ndindex(A.shape):
        step = np.zeros_like(A)
        step[at] = h
        out[at] = (f(A + step) - f(A - step)) / (2 * h)
    return out


def by_neurons(params, X, Y):
    """A 2-layer logistic network with half the squared error, one neuron and one example at a time."""
    W1, b1, W2, b2 = (params[k] for k in ("W1", "b1", "W2", "b2"))
    s = lambda z: 1 / (1 + math.exp(-z))
    d = {k: np.zeros_like(v) for k, v in params.items()}
    loss = 0.0
    for x, y in zip(X, Y, strict=True):
        h = [s(b1[0, j] + sum(x[i] * W1[i, j] for i in range(len(x)))) for j in range(W1.shape[1])]
        o = [s(b2[0, k] + sum(h[j] * W2[j, k] for j in range(len(h)))) for k in range(W2.shape[1])]
        loss += sum((o[k] - y[k]) ** 2 for k in range(len(o))) / 2 / len(X)
        e = [(o[k] - y[k]) * o[k] * (1 - o[k]) / len(X) for k in range(len(o))]
        g = [h[j] * (1 - h[j]) * sum(W2[j, k] * e[k] for k in range(len(o))) for j in range(len(h))]
        for k in range(len(o)):
            d["b2"][0, k] += e[k]
            for j in range(len(h)):
                d["W2"][j, k] += h[j] * e[k]
        for j in range(len(h)):
            d["b1"][0, j] += g[j]
            for i in range(len(x)):
                d["W1"][i, j] += x[i] * g[j]
    return loss, d


@pytest.mark.row(1, 17, 71)
@pytest.mark.parametrize("widths", [(1, 1, 1), (3, 4, 2), (2, 7, 3), (5, 2, 5)])
def test_matrices_give_what_loops_over_neurons_give(widths):
    a, b, c = widths
    net, params, X, Y = example(f"{a} -> {b} logistic -> {c} logistic", loss="half_squared_error")

    loss, derivatives = by_neurons(params, X, Y)

    assert net.loss(params, X, Y) == pytest.approx(loss, rel=1e-12)
    for name, value in net.gradient(params, X, Y).items():
        np.testing.assert_allclose(value, derivatives[name], rtol=1e-11, atol=1e-15)


@pytest.mark.row(2, 6, 38, 51)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_every_layer_has_its_sums_activations_and_error_signal(layout):
    net, params, X, Y = example("3 -> 4 tanh -> 6 relu -> 5 silu -> 2 softmax")
    d = net.derive(layout)
    worked = d.with_numbers(params, X, Y)

    for i, width in enumerate((4, 6, 5, 2), 1):
        shape = (5, width) if layout == "rows" else (width, 5)
        output = "P" if i == 4 else f"A{i}"
        assert worked[f"Z{i}"].shape == worked[output].shape == worked[f"dZ{i}"].shape == shape
        assert {f"Z{i}", f"A{i}"} <= net.forward(params, X).keys()
    assert verify(d.derived)


@pytest.mark.row(8, 9, 28, 86)
def test_the_shapes_of_parameters_and_their_derivatives():
    worked = cr.Network("2 -> 3 tanh -> 2 softmax").derive("columns")
    shapes = {e.name: e.shape for e in worked.equations}

    assert (shapes["dW1"], shapes["db1"], shapes["dW2"], shapes["db2"]) == ((3, 2), (3, 1), (2, 3), (2, 1))
    rows = cr.Network("2 -> 3 tanh -> 2 softmax").derive()
    params = cr.Network("2 -> 3 tanh -> 2 softmax").init(0)
    assert all(rows[f"d{name}"].shape == value.shape for name, value in params.items())


@pytest.mark.row(59)
def test_a_published_trail_of_shapes():
    """W3 is 2x3, W2 3x5, x1 5x1, delta3 2x1, delta2 3x1: then delta2 x1' is 3x5, and delta3 x2' is 2x3."""
    d = cr.Network("5 -> 3 logistic -> 2 logistic", loss="half_squared_error").derive("columns")
    worked = d.with_numbers(cr.Network("5 -> 3 logistic -> 2 logistic").init(0), np.ones((1, 5)), [[0, 1]])

    trail = [worked[name].shape for name in ("W2", "W1", "X", "dZ2", "dZ1", "dW1", "dW2")]

    assert trail == [(2, 3), (3, 5), (5, 1), (2, 1), (3, 1), (3, 5), (2, 3)]


@pytest.mark.row(4)
def test_the_two_products_are_told_apart_by_shapes():
    A, B = cr.matrix("A", "n", 3), cr.matrix("B", 3, "n")

    assert (A @ B).shape == ("n", "n")
    with pytest.raises(ShapeError, match=r"entry by entry, \(n x 3\) does not fit \(3 x n\)"):
        A * B
    with pytest.raises(ShapeError, match=r"cannot multiply \(n x 3\) by \(n x 3\): 3 columns meet n rows"):
        A @ A
    assert cr.text(A * A) == "A ∘ A"
    assert cr.text(A @ B) == "A B"


@pytest.mark.row(7)
def test_the_cost_can_be_exchanged_without_a_change_before_the_last_layer():
    pairs = [("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy"), ("identity", "half_squared_error")]
    derivations = [cr.Network(f"3 -> 4 tanh -> 2 {end}", loss).derive() for end, loss in pairs]

    for name in ("dZ1", "dW1", "db1", "dW2", "db2"):
        assert len({str(d[name]) for d in derivations}) == 1
    assert [str(d["dZ2"]) for d in derivations] == ["dZ2 = (P - Y)/n", "dZ2 = (A2 - Y)/n", "dZ2 = (A2 - Y)/n"]


@pytest.mark.row(10, 106)
def test_the_update_subtracts_and_against_the_gradient_the_loss_falls_the_most():
    net, params, X, Y = example("3 -> 4 tanh -> 2 softmax")
    g = net.gradient(params, X, Y)
    norm = math.sqrt(sum((v**2).sum() for v in g.values()))

    def change(direction, t):
        size = math.sqrt(sum((v**2).sum() for v in direction.values()))
        moved = {k: params[k] + t * direction[k] / size for k in params}
        return (net.loss(moved, X, Y) - net.loss(params, X, Y)) / t

    assert str(net.derive()["W1_next"]) == "W1_next = W1 - lr dW1"
    assert change(g, 1e-6) == pytest.approx(norm, rel=1e-4)
    assert change(g, -1e-6) == pytest.approx(norm, rel=1e-4)
    assert net.loss({k: params[k] - 1e-3 * g[k] for k in params}, X, Y) < net.loss(params, X, Y)
    for _ in range(50):
        other = {k: RNG.normal(size=v.shape) for k, v in params.items()}
        assert change(other, 1e-6) < norm


@pytest.mark.row(15, 16)
def test_one_example_gives_an_outer_product_entry_by_entry():
    X, W, G = (cr.matrix(*args) for args in (("X", 1, 3), ("W", 3, 2), ("G", 1, 2)))
    (dW,) = cr.gradient(cr.sum((X @ W) * G), W)
    x, g = RNG.normal(size=(1, 3)), RNG.normal(size=(1, 2))

    value = cr.evaluate(dW, {"X": x, "W": np.zeros((3, 2)), "G": g})

    assert cr.text(dW) == "X' G"
    assert value == pytest.approx(np.outer(x, g))
    assert value[2, 1] == pytest.approx(x[0, 2] * g[0, 1])


@pytest.mark.row(18, 25, 76)
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_dense_layer_on_published_numbers_and_any_number_of_rows(rows):
    net = cr.Network("3 -> 4")
    params = {"W1": np.linspace(-1, 1, 12).reshape(3, 4), "b1": np.linspace(-1, 1, 4)[None]}
    X = np.linspace(-1, 1, 6).reshape(2, 3)
    published = [[0.07272727, 0.41212121, 0.75151515, 1.09090909], [-0.90909091, 0.08484848, 1.07878788, 2.07272727]]

    many = np.tile(X, (rows, 1))[:rows]

    np.testing.assert_allclose(net.predict(params, many), np.tile(published, (rows, 1))[:rows], atol=1e-8)


@pytest.mark.row(21, 22, 24, 27, 75, 76)
def test_the_jacobian_with_four_indices_is_block_diagonal_and_contracts_to_the_formulas():
    n, d, k = 3, 2, 4
    X, W, G = RNG.normal(size=(n, d)), RNG.normal(size=(d, k)), RNG.normal(size=(n, k))
    by_X, by_W = np.zeros((n, k, n, d)), np.zeros((n, k, d, k))
    for i, j in np.ndindex(n, k):
        by_X[i, j] = slopes(lambda A, at=(i, j): (A @ W)[at], X)
        by_W[i, j] = slopes(lambda A, at=(i, j): (X @ A)[at], W)
    x, w, g = cr.matrix("X", n, d), cr.matrix("W", d, k), cr.matrix("G", n, k)

    dX, dW = cr.gradient(cr.sum((x @ w) * g), x, w)

    values = {"X": X, "W": W, "G": G}
    assert (cr.text(dX), cr.text(dW)) == ("G W'", "X' G")
    np.testing.assert_allclose(np.einsum("ij,ijab->ab", G, by_X), cr.evaluate(dX, values), atol=1e-8)
    np.testing.assert_allclose(np.einsum("ij,ijab->ab", G, by_W), cr.evaluate(dW, values), atol=1e-8)
    for i, other in np.ndindex(n, n):
        np.testing.assert_allclose(by_X[i, :, other], W.T if i == other else 0, atol=1e-8)
    # Row by row, vec(X W)' = vec(X)' (I kron W): the Jacobian is a Kronecker product.
    np.testing.assert_allclose(by_X.reshape(n * k, n * d), np.kron(np.eye(n), W.T), atol=1e-8)


@pytest.mark.row(23, 107)
def test_backward_passes_of_layers_compose():
    """Each layer takes the incoming gradient, and what comes out is the gradient of the whole."""
    net, params, X, Y = example("3 -> 4 tanh -> 2 logistic", loss="half_squared_error")
    f = net.forward(params, X)
    A, W, b, G = cr.matrix("A", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("b", 1, "k"), cr.matrix("G", "n", "k")

    def backward(activation, inputs, weights, bias, incoming):
        out = activation(A @ W + cr.ones("n") @ b)
        parts = cr.gradient(cr.sum(out * G), A, W, b)
        return [cr.evaluate(p, {"A": inputs, "W": weights, "b": bias, "G": incoming}) for p in parts]

    incoming = (f["A2"] - Y) / len(X)
    incoming, dW2, db2 = backward(cr.logistic, f["A1"], params["W2"], params["b2"], incoming)
    _, dW1, db1 = backward(cr.tanh, X, params["W1"], params["b1"], incoming)

    for name, value in {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}.items():
        np.testing.assert_allclose(value, net.gradient(params, X, Y)[name], rtol=1e-10)


@pytest.mark.row(39)
@pytest.mark.parametrize("wrong", ["dZ2", "dW2", "db2", "dZ1", "dW1", "db1"])
def test_the_six_equations_are_checked_one_by_one_and_the_wrong_one_is_named(wrong):
    net, params, X, Y = example("3 -> 4 tanh -> 2 logistic")
    worked = net.derive().with_numbers(params, X, Y)
    numeric = {name: slopes(lambda A, k=name: net.loss({**params, k: A}, X, Y), params[name]) for name in params}
    for i in (1, 2):  # a bias for every example: its slope is the error signal
        ones = np.eye(5)
        rows = [
            slopes(lambda A, i=i, r=r: at_row(net, params, X, Y, i, r, A), np.zeros((1, worked[f"Z{i}"].shape[1])))
            for r in range(5)
        ]
        numeric[f"Z{i}"] = ones @ np.vstack(rows)

    claimed = {name: worked[f"d{name}"] * (1.01 if f"d{name}" == wrong else 1) for name in numeric}
    found = {f"d{n}" for n in numeric if abs(claimed[n] - numeric[n]).max() > 1e-3 * abs(numeric[n]).max()}

    assert found == {wrong}


def at_row(net, params, X, Y, layer, row, change):
    """The loss when one example's sums of one layer change."""
    f = net.forward(params, X)
    Z = f[f"Z{layer}"].copy()
    Z[row] += change[0]
    if layer == 1:
        Z = np.tanh(Z) @ params["W2"] + params["b2"]
    P = 1 / (1 + np.exp(-Z))
    return -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).sum() / len(X)


@pytest.mark.row(73)
def test_a_chain_of_single_units_is_the_smallest_case():
    net = cr.Network("1 -> 1 logistic -> 1 logistic", loss="half_squared_error")
    params = {"W1": [[0.6]], "b1": [[0.9]], "W2": [[-0.4]], "b2": [[0.2]]}
    s = lambda z: 1 / (1 + math.exp(-z))
    a = s(0.6 * 1.5 + 0.9)
    o = s(-0.4 * a + 0.2)

    g = net.gradient(params, [[1.5]], [[0.0]])

    assert g["W2"].item() == pytest.approx(o * o * (1 - o) * a)
    assert g["W1"].item() == pytest.approx(o * o * (1 - o) * -0.4 * a * (1 - a) * 1.5)


@pytest.mark.row(62, 78, 87, 105)
@pytest.mark.parametrize(
    "spec", ["3 -> 4 tanh nobias -> 2 nobias", "6 -> 4 tanh -> 1", "4 -> 4 tanh -> 4 relu -> 1", "3 -> 5 silu -> 4"]
)
def test_regression_with_one_output_or_several_with_and_without_biases(spec):
    net, params, X, Y = example(spec)

    report = cr.check_gradient(lambda p: net.loss(p, X, Y), lambda p: net.gradient(p, X, Y), params)

    assert report.ok, report
    assert net.derive().verify()
    assert ("b1" in params) is ("nobias" not in spec)
