"""Derivations: their golden text, their order, gradients of any graph against independent oracles."""

import re

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from networks import ACTIVATIONS, Declared, derived, in_columns, network, random_values

from chainrule.activations import leaky_relu, silu
from chainrule.check.proof import verify
from chainrule.derive import derive_equations, gradient, gradients
from chainrule.errors import DerivationError
from chainrule.evaluate import evaluate, evaluate_all
from chainrule.expr import define, full, matrix, ones, rebuild, scalar, scale, size, toposort
from chainrule.expr import sum as total
from chainrule.primitives import (
    abs,
    exp,
    log,
    logistic,
    logsumexp,
    maximum,
    reciprocal,
    softmax,
    sqrt,
    step,
    tanh,
)
from chainrule.render.text import text


def backward(derivation):
    return [text(e.node) for e in derivation.equations if e.phase == "backward"]


def right(derivation):
    """The derivation, replayed in both layouts."""
    for way in (derivation, in_columns(derivation)):
        verification = verify(way)
        assert verification, verification
    return derivation


# ---- golden text: each is checked by replay as well


def test_two_layers_have_exactly_six_backward_equations():
    d = right(derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy"))

    assert backward(d) == [
        "dZ2 = (P - Y)/n",
        "db2 = 1' dZ2",
        "dW2 = A1' dZ2",
        "dZ1 = (dZ2 W2') ∘ (1 - A1 ∘ A1)",
        "db1 = 1' dZ1",
        "dW1 = X' dZ1",
    ]


@pytest.mark.row(47)
def test_the_forward_pass_is_in_its_stable_form():
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy")

    assert [text(e.node) for e in d.equations if e.phase != "backward"] == [
        "Z1 = X W1 + 1 b1",
        "A1 = tanh(Z1)",
        "Z2 = A1 W2 + 1 b2",
        "P = softmax(Z2)",
        "loss = -(1' (Y ∘ log_softmax(Z2)) 1)/n",
    ]


@pytest.mark.row(3, 5, 77, 102)
def test_nielsens_four_equations_in_columns():
    """BP1-BP4 of Nielsen, Neural Networks and Deep Learning, chapter 2, for a quadratic cost, summed over examples."""
    d = in_columns(right(derived((4, 5, 3), ("logistic", "logistic"), "half_squared_error", reduction="sum")))

    assert backward(d) == [
        "dZ2 = (A2 - Y) ∘ A2 ∘ (1 - A2)",  # BP1: grad_a C o sigma'(z^L)
        "db2 = dZ2 1",  # BP3
        "dW2 = dZ2 A1'",  # BP4
        "dZ1 = (W2' dZ2) ∘ A1 ∘ (1 - A1)",  # BP2
        "db1 = dZ1 1",
        "dW1 = dZ1 X'",
    ]


def test_six_equations_of_one_hidden_layer_with_a_sigmoid_output():
    """Ng, Neural Networks and Deep Learning, week 3: 1/m stands in dZ2 here, in dW and db there."""
    d = in_columns(right(derived((4, 5, 1), ("tanh", "logistic"), "binary_cross_entropy")))

    assert backward(d) == [
        "dZ2 = (A2 - Y)/n",
        "db2 = dZ2 1",
        "dW2 = dZ2 A1'",
        "dZ1 = (W2' dZ2) ∘ (1 - A1 ∘ A1)",
        "db1 = dZ1 1",
        "dW1 = dZ1 X'",
    ]


@pytest.mark.parametrize("loss_of", [lambda Y: total(exp(Y)), lambda Y: total(Y @ Y.T)], ids=["exp", "gram"])
def test_a_linear_layer_under_any_loss(loss_of):
    X, W, b = matrix("X", "n", "d"), matrix("W", "d", "k"), matrix("b", 1, "k")
    Y = define("Y", X @ W + ones("n") @ b)
    loss = define("loss", loss_of(Y))

    d = right(derive_equations([(Y, "dense", "forward"), (loss, "", "loss")], [X, W, b], keep=["Y"]))

    assert set(backward(d)[1:]) == {"dW = X' dY", "dX = dY W'", "db = 1' dY"}


def test_a_constant_signal_is_put_in():
    X, W, b = matrix("X", "n", "d"), matrix("W", "d", "k"), matrix("b", 1, "k")
    Y = define("Y", X @ W + ones("n") @ b)

    d = right(derive_equations([(Y, "dense", "forward"), (define("loss", total(Y)), "", "loss")], [W, b], keep=["Y"]))

    assert set(backward(d)) == {"dW = X' 1 1'", "db = n 1'"}


SIGNALS = {  # the error signal of the last layer
    ("softmax", "cross_entropy", ""): "(P - Y)/n",
    ("softmax", "cross_entropy", "weights"): "((w 1') ∘ (P - Y))/s",
    ("logistic", "binary_cross_entropy", ""): "(A2 - Y)/n",
    ("logistic", "binary_cross_entropy", "weights"): "((w 1') ∘ (A2 - Y))/s",
    ("identity", "half_squared_error", ""): "(A2 - Y)/n",
    ("identity", "half_squared_error", "weights"): "((w 1') ∘ (A2 - Y))/s",
    ("identity", "squared_error", ""): "2 (A2 - Y)/n",
    ("identity", "mean_squared_error", ""): "2 (A2 - Y)/(3 n)",
    ("identity", "mean_absolute_error", ""): "sign(A2 - Y)/(3 n)",
    ("tanh", "half_squared_error", ""): "((A2 - Y) ∘ (1 - A2 ∘ A2))/n",
    ("relu", "half_squared_error", ""): "((A2 - Y) ∘ [Z2 > 0])/n",
    ("softmax", "kl_divergence", ""): "(P - Y)/n",
    ("identity", "hinge", ""): "-([1 - Y ∘ A2 > 0] ∘ Y)/n",
}


@pytest.mark.parametrize("key", SIGNALS, ids="-".join)
def test_the_error_signal_of_the_last_layer(key):
    end, loss, weights = key
    d = right(derived((4, 5, 3), ("tanh", end), loss, weights=bool(weights)))

    assert next(text(e.expression) for e in d.equations if e.name == "dZ2") == SIGNALS[key]


def test_label_smoothing_stays_in_the_targets():
    d = right(derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy", label_smoothing=0.1))

    signal = next(e for e in d.equations if e.name == "dZ2")
    (found,) = evaluate_all([signal.expression], values := random_values(signal.expression))
    P, Y = evaluate_all([find(signal.expression, name) for name in "PY"], values)
    np.testing.assert_allclose(found, (P - 0.9 * Y - 0.1 / 3) / len(Y), rtol=1e-12)
    assert "softmax" not in text(signal.expression)


def find(expression, name):
    return next(node for node in toposort(expression) if node.name == name)


def test_penalties_weights_and_masks_stand_in_their_places():
    d = right(derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy", weights=True, penalty=True, masks=True))

    assert backward(d) == [
        "dZ2 = ((w 1') ∘ (P - Y))/s",
        "db2 = 1' dZ2",
        "dW2 = D1' dZ2 + mu sign(W2) + lam W2",
        "dZ1 = (dZ2 W2') ∘ M1 ∘ (1 - A1 ∘ A1)",
        "db1 = 1' dZ1",
        "dW1 = X' dZ1 + mu sign(W1) + lam W1",
    ]


def test_a_residual_sum_passes_the_signal_on():
    d = right(derived((4, 5, 5, 3), ("relu", "relu", "identity"), residual=True))

    assert [e for e in backward(d) if e.startswith(("dZ", "dA"))] == [
        "dZ3 = (A3 - Y)/n",
        "dA2 = dZ3 W3'",
        "dZ2 = dA2 ∘ [Z2 > 0]",
        "dZ1 = (dA2 + dZ2 W2') ∘ [Z1 > 0]",
    ]


SLOPES = {  # what becomes of f'(Z1) where A1 = f(Z1) has a name
    "identity": "dZ2 W2'",
    "tanh": "(dZ2 W2') ∘ (1 - A1 ∘ A1)",
    "logistic": "(dZ2 W2') ∘ A1 ∘ (1 - A1)",
    "relu": "(dZ2 W2') ∘ [Z1 > 0]",
    "leaky_relu": "(dZ2 W2') ∘ (0.01 + 0.99 [Z1 > 0])",
    "softplus": "(dZ2 W2') ∘ logistic(Z1)",
    "silu": "(dZ2 W2') ∘ logistic(Z1) ∘ (1 + Z1 ∘ (1 - logistic(Z1)))",
}


@pytest.mark.parametrize("activation", SLOPES)
def test_the_slope_of_an_activation_in_its_shortest_form(activation):
    d = right(derived((4, 5, 3), (activation, "softmax"), "cross_entropy"))

    assert f"dZ1 = {SLOPES[activation]}" in backward(d)


@pytest.mark.parametrize("turn", [lambda d: d, in_columns], ids=["rows", "columns"])
@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"softmax", "log_softmax"}))
def test_the_recursion_is_the_same_at_every_depth(activation, turn):
    depth = 6
    d = turn(derived((4,) * (depth + 1), (activation,) * (depth - 1) + ("softmax",), "cross_entropy"))

    found = {e.name: text(e.expression) for e in d.equations}
    for name in ("dZ", "dW", "db"):
        forms = {shifted(found[f"{name}{i}"], -i) for i in range(2, depth)}
        assert len(forms) == 1, forms


def shifted(formula, by):
    """A formula with the layers' numbers moved, so that layer i is layer 0."""
    return re.sub(r"\b(d?[ZAWb])(\d)\b", lambda m: f"{m[1]}[{int(m[2]) + by}]", formula)


def test_a_parameter_the_loss_does_not_know_has_derivative_zero():
    net = network((4, 5, 3), ("tanh", "softmax"), "cross_entropy")
    V = matrix("V", 2, 3, role="parameter")

    d = right(derive_equations(net.forward, [*net.parameters, V], keep=net.keep))

    (idle,) = (e for e in d.equations if e.name == "dV")
    assert idle.expression is full(0, (2, 3))
    assert idle.rule == "the loss does not depend on it"


@pytest.mark.row(64)
def test_a_shared_parameter_adds_its_parts():
    X, W = matrix("X", "n", 3), matrix("W", 3, 3, role="parameter")
    Z1 = define("Z1", X @ W)
    Z2 = define("Z2", tanh(Z1) @ W)
    loss = define("loss", total(Z2 * Z2))

    d = right(derive_equations([(Z1, "", "forward"), (Z2, "", "forward"), (loss, "", "loss")], [W], keep=["Z1", "Z2"]))

    assert backward(d)[-1] == "dW = tanh(Z1)' dZ2 + X' dZ1"


def test_every_equation_is_named_once_and_refers_backwards_only():
    d = derived((4, 5, 5, 3), ("gelu", "mish", "tanh"), "huber", weights=True, masks=True, residual=True)

    names = [e.name for e in d.equations]
    assert len(set(names)) == len(names)
    assert {s.equation for s in d.steps} <= set(names)
    assert all(e.shape == e.expression.shape and e.rule for e in d.equations)
    assert verify(d)


def test_rules_in_words_say_which_way_the_signal_came():
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy")

    words = {e.name: e.rule for e in d.equations}
    assert words["dZ2"] == "product, log_softmax"
    assert words["dZ1"] == "product, tanh"
    assert words["dW1"] == "product"
    assert words["db1"].startswith("sum over")


# ---- gradients of any expression

x, y, V = matrix("x", "n", "k"), matrix("y", "n", "k"), matrix("V", "k", "k")
c = scalar("c")
SQUARE = matrix("A", 2, 2)

GRAPHS = {  # an expression of x, y (n x k), V (k x k) and c, and the same in HIPS autograd
    "sum": (x, lambda x, y, V, c: x),
    "shared": (tanh(x) * tanh(x) + tanh(x), lambda x, y, V, c: anp.tanh(x) ** 2 + anp.tanh(x)),
    "twice itself": (x * x * x, lambda x, y, V, c: x**3),
    "diamond": (exp(tanh(x)) * silu(tanh(x)), lambda x, y, V, c: anp.exp(anp.tanh(x)) * sigmoid_product(anp.tanh(x))),
    "square": (V @ V, lambda x, y, V, c: V @ V),
    "cube": (V @ V @ V, lambda x, y, V, c: V @ V @ V),
    "gram": (x.T @ x, lambda x, y, V, c: x.T @ x),
    "transposed": (V.T @ V * V, lambda x, y, V, c: (V.T @ V) * V),
    "input plus its function": (x + logistic(x), lambda x, y, V, c: x + 1 / (1 + anp.exp(-x))),
    "layers": (tanh(tanh(x @ V) @ V) @ V, lambda x, y, V, c: anp.tanh(anp.tanh(x @ V) @ V) @ V),
    "residual": (x + tanh(x @ V), lambda x, y, V, c: x + anp.tanh(x @ V)),
    "quotient": (x * reciprocal(1 + y * y), lambda x, y, V, c: x / (1 + y * y)),
    "rows": (softmax(x @ V) * y, lambda x, y, V, c: rows(x @ V) * y),
    "columns": (softmax.twin(x) * y, lambda x, y, V, c: rows(x.T).T * y),
    "logsumexp": (logsumexp(x * y), lambda x, y, V, c: anp.log(anp.sum(anp.exp(x * y), axis=1, keepdims=True))),
    "scalar": (c * x + y / c, lambda x, y, V, c: c * x + y / c),
    "scalar squared": (c * c * tanh(x), lambda x, y, V, c: c**2 * anp.tanh(x)),
    "maximum": (maximum(x, y) * x, lambda x, y, V, c: anp.maximum(x, y) * x),
    "log": (log(1 + exp(x)) * sqrt(exp(y)), lambda x, y, V, c: anp.log(1 + anp.exp(x)) * anp.sqrt(anp.exp(y))),
    "number of the data": (total(x) @ total(tanh(x)), lambda x, y, V, c: anp.sum(x) * anp.sum(anp.tanh(x))),
    "row means": (x - (x @ ones("k") @ ones("k").T) / size("k"), lambda x, y, V, c: x - anp.mean(x, 1, keepdims=True)),
    "named": (define("Q", x * y) * define("Q2", x + y), lambda x, y, V, c: (x * y) * (x + y)),
}  # fmt: skip


def sigmoid_product(a):
    return a / (1 + anp.exp(-a))


def rows(a):
    e = anp.exp(a)
    return e / anp.sum(e, axis=1, keepdims=True)


@pytest.mark.row(64)
@pytest.mark.parametrize("graph", GRAPHS)
def test_gradients_of_graphs_agree_with_autograd(graph):
    expression, reference = GRAPHS[graph]
    weight = matrix("R", *expression.shape)
    wrt = [x, y, V, c]
    loss = total(expression * weight) if weight.shape != (1, 1) else expression @ weight
    values = random_values(loss, *wrt)

    found = evaluate_all(list(gradient(loss, *wrt)), values)

    point = [values[w.name] for w in wrt]
    expected = grad(lambda p: anp.sum(reference(p[0], p[1], p[2], p[3][0, 0]) * values["R"]))(point)
    for w, mine, theirs in zip(wrt, found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-13, err_msg=w.name)


@pytest.mark.row(64)
@pytest.mark.parametrize("graph", GRAPHS)
def test_every_node_has_its_gradient(graph):
    """dL/dv for every node v: the directional derivative of the loss with v replaced by v + t D."""
    expression, _ = GRAPHS[graph]
    loss = total(expression * expression)
    values = random_values(loss)

    found = gradients(loss)

    assert set(found) == set(toposort(loss))
    for node, derivative in found.items():
        assert derivative.shape == node.shape
    rng = np.random.default_rng(0)
    inner = [node for node in toposort(loss) if node.args and node is not loss]
    for node in inner:
        value, derivative = evaluate_all([node, found[node]], values)
        D = rng.standard_normal(value.shape)
        slope = slope_at(loss, node, value, D, values)
        np.testing.assert_allclose((derivative * D).sum(), slope, rtol=2e-6, atol=1e-7, err_msg=text(node))


def slope_at(loss, node, value, D, values):
    free = matrix("free", *node.shape)
    new = {}
    for n in toposort(loss):
        new[n] = free if n is node else rebuild(n, tuple(new[a] for a in n.args)) if n.args else n
    h = 1e-5
    above, below = (evaluate(new[loss], {**values, "free": value + t * D}) for t in (h, -h))
    return ((above - below) / (2 * h)).item()


def test_the_square_of_a_matrix():
    (dA,) = gradient(total(SQUARE @ SQUARE), SQUARE)

    np.testing.assert_array_equal(evaluate(dA, {"A": [[1, 2], [3, 4]]}), [[7, 11], [9, 13]])


def test_the_gradient_is_by_nodes_and_zero_where_nothing_depends():
    W = matrix("W", "k", "h")
    Z = tanh(x @ V)
    loss = total(Z * Z)

    dZ, dW, dloss = gradient(loss, Z, W, loss)

    assert text(dZ) == "2 tanh(x V)"
    assert dW is full(0, W.shape)
    assert dloss is full(1, (1, 1))


def test_a_scalar_that_is_data_has_a_gradient_as_any_matrix():
    s = matrix("s", 1, 1)

    ds, dx = gradient(total(x * s), s, x)

    values = random_values(x, s)
    np.testing.assert_allclose(evaluate(ds, values), values["x"].sum().reshape(1, 1), rtol=1e-13)
    np.testing.assert_allclose(evaluate(dx, values), np.full_like(values["x"], values["s"].item()), rtol=1e-13)


def test_a_power_of_a_scalar_in_a_coefficient_is_differentiated():
    (dc,) = gradient(total(scale(x, 3, (c, -2))), c)

    values = random_values(x, c)
    expected = -6 * values["x"].sum() / values["c"].item() ** 3
    assert evaluate(dc, values).item() == pytest.approx(expected, rel=1e-13)


def test_derivatives_of_derivatives():
    (dx,) = gradient(total(tanh(x)), x)
    (ddx,) = gradient(total(dx * y), x)

    values = random_values(x, y)
    t = np.tanh(values["x"])
    np.testing.assert_allclose(evaluate(ddx, values), -2 * t * (1 - t**2) * values["y"], rtol=1e-12)


def test_what_is_flat_has_derivative_zero():
    (dx,) = gradient(total(step(x)), x)

    assert dx is full(0, x.shape)


def test_a_loss_is_one_number():
    with pytest.raises(DerivationError, match=r"a gradient is of one number, got \(n x k\): reduce it first"):
        gradient(x, x)
    with pytest.raises(DerivationError, match="at least one matrix to differentiate by"):
        gradient(total(x))


def test_identity_layers_keep_both_names():
    d = right(derived((4, 5, 3), ("identity", "identity")))

    assert [text(e.node) for e in d.equations[:4]] == [
        "Z1 = X W1 + 1 b1",
        "A1 = Z1",
        "Z2 = A1 W2 + 1 b2",
        "A2 = Z2",
    ]
    assert backward(d)[3] == "dZ1 = dZ2 W2'"


def test_functions_with_parameters_are_derived_with_them():
    d = right(derived((4, 5, 3), (leaky_relu(0.1), "softmax"), "cross_entropy"))

    assert "dZ1 = (dZ2 W2') ∘ (0.1 + 0.9 [Z1 > 0])" in backward(d)


def test_a_declared_network_without_layers_is_its_loss():
    net = Declared()
    W = matrix("W", "k", "h", role="parameter")
    net.forward.append((define("loss", total(abs(W))), "l1", "loss"))
    net.parameters.append(W)

    assert backward(right(net.derive())) == ["dW = sign(W)"]
