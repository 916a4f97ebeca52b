"""Derivatives along directions, against differences and HIPS autograd; and those of networks, equation by equation."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DerivationError, ShapeError
from chainrule.expr import symbol_op, toposort
from chainrule.functions import FUNCTIONS

X, W, V = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("V", "d", "k")
A, B = cr.matrix("A", 3, 3), cr.matrix("B", 3, 3)
w, v, y = cr.matrix("w", "d", 1), cr.matrix("v", "d", 1), cr.matrix("y", "n", 1)
STEP = 1e-6


def numbers(*nodes, seed=0):
    rng = np.random.default_rng(seed)
    sizes = {"n": 6, "d": 4, "k": 3}
    return {node.name: rng.standard_normal([sizes.get(s, s) for s in node.shape]) for node in nodes}


def difference(expression, name, direction, values):
    """The slope along a direction, by central differences."""
    ahead, behind = ({**values, name: values[name] + t * direction} for t in (STEP, -STEP))
    return (cr.evaluate(expression, ahead) - cr.evaluate(expression, behind)) / (2 * STEP)


OF_A_SQUARE = {
    "product": A @ A,
    "product with a transpose": A @ A.T @ A,
    "diamond": (A @ B) * (A + A.T) @ A,
    "inverse": cr.inv(A),
    "determinant": cr.det(A),
    "log-determinant": cr.logdet(A),
    "trace": cr.trace(A @ B @ A),
    "norm": cr.norm(A @ B),
    "diagonal": cr.diagonal(A @ A),
    "diagonal matrix": cr.diag(A @ cr.ones(3)),
    "vec": cr.vec(A @ A),
    "unvec": cr.unvec(cr.vec(A) * cr.vec(A), B),
    "kron": cr.kron(A, A),
    "blocks": cr.block_products(cr.kron(A, B), A),
    "combined blocks": cr.combined_blocks(cr.kron(A, B), A),
    "softmax": cr.softmax(A @ B),
    "softmax of columns": cr.softmax.twin(A @ B),
    "logsumexp": cr.logsumexp(A @ A),
    "coefficient": cr.scale(A, 2, (cr.norm(A), -1)),
    "maximum": cr.maximum(A, B),
    "named": cr.define("Z", A @ A) @ cr.define("Z", A @ A),
}


@pytest.mark.parametrize("name", OF_A_SQUARE)
def test_a_jvp_is_the_slope_along_its_direction(name):
    expression, values = OF_A_SQUARE[name], numbers(A, B)
    D = cr.matrix("D", 3, 3)
    direction = numbers(D, seed=1)["D"]

    found = cr.evaluate(cr.jvp(expression, {A: D}), {**values, "D": direction})

    np.testing.assert_allclose(found, difference(expression, "A", direction, values), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", OF_A_SQUARE)
def test_a_vjp_is_the_transpose_of_the_jvp(name):
    expression, values = OF_A_SQUARE[name], numbers(A, B)
    D, U = cr.matrix("D", 3, 3), cr.matrix("U", *expression.shape)
    values |= numbers(D, seed=1) | {"U": np.random.default_rng(2).standard_normal(expression.shape)}

    pushed = cr.evaluate(cr.jvp(expression, {A: D}), values)
    (pulled,) = cr.vjp(expression, U, A)

    np.testing.assert_allclose(
        np.sum(values["U"] * pushed), np.sum(cr.evaluate(pulled, values) * values["D"]), rtol=1e-9
    )


SMOOTH = [f for f in FUNCTIONS.values() if f.elementwise and f.operands == 1 and not f.transparent]


@pytest.mark.parametrize("function", SMOOTH, ids=lambda f: f.name)
def test_every_elementwise_function_pushes_its_derivative(function):
    Z, D = cr.matrix("Z", 1, 5), cr.matrix("D", 1, 5)
    values = {"Z": [[0.3, 0.7, 1.3, 2.1, 0.9]], "D": [[1.0, -2.0, 0.5, 3.0, 1.5]]}
    (slope,) = cr.gradient(cr.sum(function(Z)), Z)

    found = cr.evaluate(cr.jvp(function(Z), {Z: D}), values)

    np.testing.assert_allclose(found, cr.evaluate(slope, values) * values["D"], rtol=1e-12, atol=1e-12)


GOLDEN = {
    "-A^-1 B A^-1": cr.jvp(cr.inv(A), {A: B}),
    "det(A) tr(A^-1 B)": cr.jvp(cr.det(A), {A: B}),
    "(X V) ∘ (1 - tanh(X W) ∘ tanh(X W))": cr.jvp(cr.tanh(X @ W), {W: V}),
    "2 X' X v": cr.hessian_vector_product(cr.sum((X @ w - y) * (X @ w - y)), {w: v})[0],
    "-A^-T B' A^-T": cr.hessian_vector_product(cr.logdet(A), {A: B})[0],
    "X' U": cr.vjp(X @ W, cr.matrix("U", "n", "k"), W)[0],
    "(X' (softmax(X W) ∘ (X V - ((X V) ∘ softmax(X W)) 1 1')))/n": cr.gauss_newton_product(
        cr.cross_entropy(cr.softmax(X @ W), cr.matrix("Y", "n", "k", facts=["rows_sum_to_one"])), X @ W, {W: V}
    )[0],
}


@pytest.mark.parametrize("expected", GOLDEN)
def test_the_text(expected):
    assert cr.text(GOLDEN[expected]) == expected


def test_a_hessian_vector_product_is_that_of_autograd():
    loss = cr.half_squared_error(cr.tanh(X @ W) @ cr.matrix("w", "k", 1), y)
    values = numbers(X, W, y, V) | {"w": np.random.default_rng(5).standard_normal((3, 1)), "n": 6}
    by_hand = lambda M: 0.5 * anp.sum((anp.tanh(values["X"] @ M) @ values["w"] - values["y"]) ** 2) / 6

    (found,) = cr.hessian_vector_product(loss, {W: V})

    expected = autograd.hessian_vector_product(by_hand)(values["W"], values["V"])
    np.testing.assert_allclose(cr.evaluate(found, values), expected, rtol=1e-10)


def test_the_gauss_newton_matrix_is_positive_and_equals_the_hessian_where_outputs_are_linear():
    f = cr.tanh(X @ w)
    values = numbers(X, w, y, v) | {"n": 6}
    (curved,) = cr.gauss_newton_product(cr.half_squared_error(f, y), f, {w: v})
    loss = cr.half_squared_error(X @ w, y)

    assert np.sum(values["v"] * cr.evaluate(curved, values)) > 0
    assert cr.gauss_newton_product(loss, X @ w, {w: v}) == cr.hessian_vector_product(loss, {w: v})


def test_inner_expressions_may_move_and_be_differentiated_by():
    Z = X @ W
    U = cr.matrix("U", "n", "k")

    assert cr.text(cr.jvp(cr.exp(Z), {Z: U})) == "U ∘ exp(X W)"
    assert cr.text(*cr.vjp(cr.exp(Z), U, Z)) == "U ∘ exp(X W)"


def test_what_does_not_move_has_no_tangent():
    assert cr.jvp(X, {W: V}) is cr.full(0, X.shape)


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize(
    "spec",
    ["4 -> 8 tanh -> 3 softmax", "4 -> 5 silu -> 5 tanh residual -> 1", "3 -> 4 logistic dropout=0.5 -> 2 softmax"],
)
def test_the_products_of_a_network_are_checked(spec, layout):
    d = cr.Network(spec, penalty=cr.l2(0.1)).derive(layout).hessian_vector_product()

    assert d.check().ok, d.check()
    assert d.verify().ok, d.verify()
    assert len(d.check().blocks) > len(d.parameters)


def test_the_product_of_a_network_is_the_slope_of_its_gradient():
    net = cr.Network("4 -> 6 tanh -> 3 softmax")
    rng = np.random.default_rng(0)
    params, D = net.init(random_state=0), net.init(random_state=1)
    data, labels = rng.standard_normal((7, 4)), rng.integers(3, size=7)
    ahead, behind = (net.gradient({k: p + t * D[k] for k, p in params.items()}, data, labels) for t in (STEP, -STEP))
    d = net.derive().hessian_vector_product()
    values = params | {f"{k}_dot": m for k, m in D.items()} | {"X": data, "Y": np.eye(3)[labels], "n": 7}

    for name in params:
        found = cr.evaluate(d[f"d{name}_dot"].expression, values)
        np.testing.assert_allclose(found, (ahead[name] - behind[name]) / (2 * STEP), rtol=1e-6, atol=1e-8)


def test_the_program_of_the_product_runs():
    d = cr.Network("4 -> 6 tanh -> 3").derive().hessian_vector_product()
    values = values_of(d)
    names = {"np": np, **values}

    exec(d.source("numpy"), names)

    np.testing.assert_allclose(names["dW1_dot"], cr.evaluate(d["dW1_dot"].expression, values), rtol=1e-12)


def values_of(d):
    net_sizes = {"n": 5}
    rng = np.random.default_rng(0)
    symbols = {n.name: n for e in d.equations for n in symbols_of(e.expression)}
    return {k: rng.standard_normal([net_sizes.get(s, s) for s in n.shape]) for k, n in symbols.items()} | net_sizes


def symbols_of(expression):
    return [n for n in toposort(expression) if n.op is symbol_op and n.value.role != "size"]


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: cr.jvp(X @ W, {W: X}), ShapeError, "the shape of what moves: W is .d x k., got .n x d."),
        (lambda: cr.vjp(X @ W, V, W), ShapeError, "weights have the shape of the expression, .n x k., got .d x k."),
        (lambda: cr.vjp(X @ W, X @ W), DerivationError, "at least one matrix"),
        (
            lambda: cr.hessian_vector_product(X @ W, {W: V}),
            DerivationError,
            "of one number, got .n x k.",
        ),
        (lambda: cr.hessian_vector_product(cr.sum(X @ W), {}), DerivationError, "a direction for at least one"),
        (
            lambda: cr.gauss_newton_product(cr.sum(X @ W), V, {W: V}),
            DerivationError,
            "is not made of these outputs, V",
        ),
        (
            lambda: cr.gauss_newton_product(cr.sum(X @ W) + cr.sum(W), X @ W, {W: V}),
            DerivationError,
            "the loss depends on W beside the outputs",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(ask, error, message):
    with pytest.raises(error, match=message):
        ask()


def test_no_name_of_a_matrix_is_in_the_way():
    U, V = cr.matrix("_U", "n", "n"), cr.matrix("V", "n", "n")

    assert cr.text(cr.jvp(U.T @ U, {U: V})) == "V' _U + _U' V"
