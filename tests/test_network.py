"""Networks: declared in two ways, computed by what they derive, against published numbers and independent gradients."""

import copy
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import joblib
import numpy as np
import pytest
from random_networks import draw_case

import chainrule as cr
from chainrule.errors import DataError, PairError, ShapeError, SpecError, UnknownNameError
from chainrule.expr import OPS
from chainrule.functions import FUNCTIONS
from chainrule.initializers import INITIALIZERS
from chainrule.losses import LOSSES


def batch(net, rows=5, seed=0):
    """Parameters with biases that are not zero, data, and targets: labels, or numbers from 0 to 1."""
    rng = np.random.default_rng(seed)
    params = {k: v + 0.1 * rng.standard_normal(v.shape) for k, v in net.init(rng).items()}
    labels = net.objective.targets == "distribution"
    Y = rng.integers(net.outputs, size=rows) if labels else rng.uniform(size=(rows, net.outputs))
    return params, rng.standard_normal((rows, net.inputs)), Y


# Declaring


SPECS = [
    ("4 -> 3", [cr.Dense(3)]),
    ("4 -> 8 relu -> 3 softmax", [cr.Dense(8, "relu"), cr.Dense(3, "softmax")]),
    ("4 → 8 nobias leaky_relu(0.1) → 1", [cr.Dense(8, cr.leaky_relu(0.1), bias=False), cr.Dense(1, "identity")]),
    ("4 -> 4 swish dropout=0.25 residual -> 2", [cr.Dense(4, "silu", dropout=0.25, residual=True), cr.Dense(2)]),
    ("4 -> 2 init=normal(0.3) sigmoid", [cr.Dense(2, "logistic", initializer="normal(0.3)")]),
]


@pytest.mark.parametrize(("spec", "layers"), SPECS)
def test_a_spec_and_layers_declare_the_same_network(spec, layers):
    by_spec, by_layers = cr.Network(spec), cr.Network.of(4, *layers)

    assert by_spec == by_layers
    assert hash(by_spec) == hash(by_layers)
    assert by_spec.layers == tuple(layers)
    assert cr.Network(by_spec.spec) == by_spec
    for name, value in by_spec.init(3).items():
        np.testing.assert_array_equal(value, by_layers.init(3)[name])


OPTIONS = [
    {},
    {"loss": "huber(0.1)"},
    {"loss": cr.huber(1 / 3)},
    {"penalty": cr.l2(0.1 + 0.2)},
    {"penalty": "l1(0.5) + l2(0.25)/n"},
    {"reduction": "sum"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_repr_of_a_network_makes_it_again(options):
    net = cr.Network("4 -> 4 elu(0.123456789) residual dropout=0.1 -> 2 nobias init=uniform(0.7)", **options)

    assert eval(repr(net), {"Network": cr.Network}) == net


@pytest.mark.parametrize("options", OPTIONS[1:])
def test_networks_that_differ_are_not_equal(options):
    assert cr.Network("4 -> 2", **options) != cr.Network("4 -> 2")
    assert cr.Network("4 -> 2") != cr.Network("4 -> 2 tanh")
    assert cr.Network("4 -> 2") != cr.Network("3 -> 2")
    assert cr.Network("4 -> 2") != "4 -> 2"


def test_a_network_is_printed_with_its_loss():
    assert str(cr.Network("784→128 relu→10 softmax")) == "784 -> 128 relu -> 10 softmax, cross_entropy"
    assert str(cr.Network("4 -> 1", "huber(0.5)", penalty="l2(0.01)", reduction="sum")) == (
        "4 -> 1, huber(0.5), l2(0.01), sum"
    )


@pytest.mark.parametrize(
    ("spec", "loss"),
    [
        ("4 -> 3 softmax", "cross_entropy"),
        ("4 -> 3 logistic", "binary_cross_entropy"),
        ("4 -> 3", "half_squared_error"),
        ("4 -> 3 tanh", "half_squared_error"),
        ("3 -> 3 logistic residual", "half_squared_error"),
    ],
)
def test_the_loss_defaults_to_the_partner_of_the_last_activation(spec, loss):
    assert str(cr.Network(spec).objective) == loss


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cr.Network("4 -> 3 tanhh"), SpecError, r"unknown word 'tanhh'.* mean 'tanh'.*\n.*\n +\^{5}"),
        (lambda: cr.Network("4 -> 3 elu(1, 2)"), SpecError, r"too many parameters for 'elu'.*\n.*\n +\^\^\^"),
        (lambda: cr.Network("4 -> 3 batchnorm -> 2"), SpecError, r"batchnorm is not built yet.*\n.*\n +\^"),
        (lambda: cr.Network("4 -> 3", "hubr"), UnknownNameError, "unknown loss 'hubr'; did you mean 'huber'"),
        (lambda: cr.Network("4 -> 3", penalty="l3(1)"), UnknownNameError, "unknown penalty 'l3'"),
        (lambda: cr.Network("4 -> 3", reduction="men"), UnknownNameError, "reduction 'men'; did you mean 'mean'"),
        (lambda: cr.Network("4 -> 3", "cross_entropy"), PairError, "cross_entropy needs probabilities"),
        (lambda: cr.Network("4 -> 3 residual"), ShapeError, "input of width 4 to its output of width 3"),
        (lambda: cr.Network("4 -> 3 dropout=0.5"), ValueError, "layer 1 is the output"),
        (lambda: cr.Network.of(4), ValueError, r"takes a number of inputs, then Dense layers, got 4$"),
        (lambda: cr.Network.of(4, "3 tanh"), ValueError, "then Dense layers, got 4, '3 tanh'"),
        (lambda: cr.Network.of(cr.Dense(3)), ValueError, r"then Dense layers, got Dense\(width=3"),
        (lambda: cr.Network.of(0, cr.Dense(3)), ValueError, "then Dense layers, got 0, Dense"),
        (lambda: cr.Network("4 -> 3").derive("cols"), UnknownNameError, "layout 'cols'; did you mean 'columns'"),
        (lambda: cr.Network("4 -> 3").derive(solver="adm"), UnknownNameError, "solver 'adm'; did you mean 'adam'"),
        (lambda: cr.Network("4 -> 3").derive()["dW2"], UnknownNameError, "no equation for 'dW2'.* did you mean 'dW1'"),
        (lambda: cr.Network("4 -> 3").init(dtype=int), TypeError, "floating-point numbers, got dtype int"),
    ],
)  # fmt: skip
def test_what_cannot_be_declared_is_an_error_in_words(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Initial parameters


@pytest.mark.parametrize(
    ("words", "deviation"),
    [
        ("relu", np.sqrt(2 / 400)),
        ("tanh", np.sqrt(2 / 500)),
        ("selu", np.sqrt(1 / 400)),
        ("relu init=lecun_normal", np.sqrt(1 / 400)),
        ("relu init=normal(0.2)", 0.2),
    ],
)
def test_initial_weights_have_the_moments_of_their_initializer(words, deviation):
    W = cr.Network(f"400 -> 100 {words} -> 1").init(0)["W1"]

    # Five standard errors of each.
    assert abs(W.mean()) < 5 * deviation / np.sqrt(W.size)
    assert abs(W.std() - deviation) < 5 * deviation / np.sqrt(2 * W.size)


def test_initial_parameters_are_named_shaped_and_ordered():
    params = cr.Network("4 -> 8 relu nobias -> 3 softmax").init(0)

    assert [(name, value.shape) for name, value in params.items()] == [("W1", (4, 8)), ("W2", (8, 3)), ("b2", (1, 3))]
    assert not params["b2"].any()


def test_initial_parameters_follow_the_seed():
    net = cr.Network("4 -> 8 relu -> 3 softmax")
    rng = np.random.default_rng(5)

    by_seed, by_generator, next_one, other, deeper = (
        net.init(5)["W1"],
        net.init(rng)["W1"],
        net.init(rng)["W1"],
        net.init(6)["W1"],
        cr.Network("4 -> 8 relu -> 9 tanh -> 3 softmax").init(5)["W1"],
    )

    np.testing.assert_array_equal(by_seed, by_generator)
    np.testing.assert_array_equal(by_seed, deeper)
    assert not np.array_equal(by_seed, next_one)
    assert not np.array_equal(by_seed, other)
    assert not np.array_equal(net.init()["W1"], net.init()["W1"])


def test_initial_parameters_are_drawn_in_float64_and_cast():
    net = cr.Network("4 -> 8 relu -> 3 softmax")
    double, single = net.init(0), net.init(0, dtype="float32")

    for name, value in double.items():
        assert (value.dtype, single[name].dtype) == (np.float64, np.float32)
        np.testing.assert_array_equal(value.astype(np.float32), single[name])


def test_layers_draw_what_their_initializer_draws():
    net = cr.Network("4 -> 8 relu -> 3 softmax")
    rng = np.random.default_rng(0)

    params = net.init(0)

    np.testing.assert_array_equal(params["W1"], INITIALIZERS["he_uniform"].draw(rng, (4, 8), ()))
    np.testing.assert_array_equal(params["W2"], INITIALIZERS["glorot_uniform"].draw(rng, (8, 3), ()))


# Forward


def test_forward_has_every_named_value():
    net = cr.Network("4 -> 4 tanh residual -> 3 -> 2 softmax")
    params, X, _ = batch(net)

    values = net.forward(params, X)

    Z1 = X @ params["W1"] + params["b1"]
    A1 = np.tanh(Z1) + X
    Z2 = A1 @ params["W2"] + params["b2"]
    Z3 = Z2 @ params["W3"] + params["b3"]
    P = np.exp(Z3) / np.exp(Z3).sum(axis=1, keepdims=True)
    expected = {"Z1": Z1, "F1": np.tanh(Z1), "A1": A1, "Z2": Z2, "A2": Z2, "Z3": Z3, "P": P, "A3": P}
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-13)
    np.testing.assert_array_equal(net.predict(params, X), values["A3"])


def test_p_is_there_for_softmax_only():
    assert "P" not in cr.Network("2 -> 3 logistic").forward(cr.Network("2 -> 3").init(0), np.ones((1, 2)))


def test_the_published_dense_table():
    net = cr.Network("3 -> 4")
    params = {"W1": np.linspace(-1, 1, 12).reshape(3, 4), "b1": np.linspace(-1, 1, 4)[None]}

    values = net.forward(params, np.linspace(-1, 1, 6).reshape(2, 3))

    table = [[0.07272727, 0.41212121, 0.75151515, 1.09090909], [-0.90909091, 0.08484848, 1.07878788, 2.07272727]]
    np.testing.assert_allclose(values["Z1"], table, rtol=1e-7)


@pytest.mark.parametrize("rows", [0, 1])
def test_forward_takes_empty_and_one_row_batches(rows):
    net = cr.Network("4 -> 3 relu -> 2 softmax")
    params, X, _ = batch(net, rows=7)

    values = net.forward(params, X[:rows])

    assert values["A1"].shape == (rows, 3)
    np.testing.assert_allclose(values["P"], net.forward(params, X)["P"][:rows], rtol=1e-14)


# Types


@pytest.mark.parametrize("spec", ["4 -> 5 gelu -> 3 softmax", "4 -> 4 mish residual -> 3", "4 -> 5 elu -> 1 logistic"])
def test_float32_stays_float32_and_agrees_with_float64(spec):
    net = cr.Network(spec, penalty=cr.l2(0.01) + cr.l1(0.01))
    params, X, Y = batch(net)
    single = {name: value.astype(np.float32) for name, value in params.items()}
    pairs = [
        (net.forward(single, X.astype(np.float32)), net.forward(params, X)),
        (net.gradient(single, X.astype(np.float32), Y), net.gradient(params, X, Y)),
    ]

    for found, expected in pairs:
        assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
        for name, value in expected.items():
            assert np.abs(found[name] - value).max() <= 1e-5 * np.abs(value).max()
    assert net.loss(single, X.astype(np.float32), Y) == pytest.approx(net.loss(params, X, Y), rel=1e-5)


def test_anything_else_is_computed_in_float64():
    net = cr.Network("4 -> 3 tanh -> 2")
    params, X, Y = batch(net)
    single = {name: value.astype(np.float32) for name, value in params.items()}

    assert net.forward(single, X)["A2"].dtype == np.float64
    assert net.gradient(single, np.ones((5, 4), int), Y)["W1"].dtype == np.float64
    assert net.gradient(params, X.astype(np.float32), Y)["W1"].dtype == np.float64


def test_a_gradient_is_the_callers_to_change():
    net = cr.Network("4 -> 3 tanh -> 2", penalty=cr.l2(0.1))
    params, X, Y = batch(net)
    gradient = net.gradient(params, X, Y)

    for value in gradient.values():
        value *= 2

    for name, value in net.gradient(params, X, Y).items():
        np.testing.assert_allclose(gradient[name], 2 * value, rtol=1e-15)


# Gradients


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_have_the_gradient_that_autograd_finds(seed):
    case = draw_case(seed)

    assert_same(case, *case.expected())


@pytest.mark.row(54)
@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(40, 60))
def test_random_networks_have_the_gradient_that_pytorch_finds(seed):
    from torch_networks import value_and_gradient

    case = draw_case(seed)

    assert_same(case, *value_and_gradient(case))


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(1000, 2000, 20))
def test_a_thousand_random_networks_have_the_gradient_that_both_find(seed):
    from torch_networks import value_and_gradient

    for case in map(draw_case, range(seed, seed + 20)):
        assert_same(case, *case.expected())
        assert_same(case, *value_and_gradient(case))


def assert_same(case, loss, gradient):
    found = case.gradient()
    scale = max(np.abs(value).max() for value in gradient.values())

    assert case.loss() == pytest.approx(loss, rel=1e-12, abs=1e-15)
    assert list(found) == list(case.net.init(0))
    for name, value in gradient.items():
        # Of the largest entry: others are sums in which it cancels; 1e-15 where all vanish but for rounding.
        assert np.abs(found[name] - value).max() <= 1e-12 * scale + 1e-15, f"{name} of {case.net!r}"


def test_the_comparison_fails_on_a_planted_error():
    case = draw_case(3)
    loss, gradient = case.expected()

    for name in gradient:
        wrong = gradient | {name: gradient[name] * (1 + 1e-9)}
        with pytest.raises(AssertionError, match=f"{name} of Network"):
            assert_same(case, loss, wrong)
    with pytest.raises(AssertionError):
        assert_same(case, loss * (1 + 1e-9), gradient)


@pytest.mark.parametrize("seed", range(100, 110))
def test_random_networks_have_the_slope_of_their_loss(seed):
    case = draw_case(seed)
    rng = np.random.default_rng(seed)
    direction = {name: rng.standard_normal(value.shape) for name, value in case.params.items()}
    along = lambda h: case.net.loss(
        {name: value + h * direction[name] for name, value in case.params.items()}, case.X, case.Y, **case.options
    )

    slope = sum((g * direction[name]).sum() for name, g in case.gradient().items())
    # Richardson's combination of central differences, error O(h^4), good to 1e-8 here.
    central = lambda h: (along(h) - along(-h)) / (2 * h)
    measured = (4 * central(1e-5) - central(2e-5)) / 3

    assert slope == pytest.approx(measured, rel=1e-6, abs=1e-8 * max(1, abs(case.loss())))


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("seed", range(200, 206))
def test_the_interpreter_finds_the_same_gradient_in_both_layouts(seed, layout):
    case = draw_case(seed)
    weighted = "sample_weight" in case.options
    d = case.net.derive(layout, sample_weight=weighted, dropout=bool(case.masks))
    turn = np.transpose if layout == "columns" else np.asarray
    given = {"X": case.X, "Y": case.Y, **case.masks, **case.params}
    if weighted:
        given["w"] = case.options["sample_weight"][:, None]
    given = {name: turn(value) for name, value in given.items()}

    assert d.verify().ok
    for name, expected in case.gradient().items():
        found = turn(cr.evaluate(d[f"d{name}"].expression, given))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_the_gradient_of_a_sum_adds_up_over_rows():
    net = cr.Network("4 -> 3 tanh -> 2 softmax", reduction="sum")
    params, X, Y = batch(net)

    whole = net.gradient(params, X, Y)
    parts = [net.gradient(params, X[[i]], Y[[i]]) for i in range(5)]

    for name, value in whole.items():
        np.testing.assert_allclose(sum(part[name] for part in parts), value, rtol=1e-12, atol=1e-16)
    mean = cr.Network("4 -> 3 tanh -> 2 softmax")
    assert 5 * mean.loss(params, X, Y) == pytest.approx(net.loss(params, X, Y), rel=1e-14)


# Published steps


def test_mazurs_worked_example_in_columns():
    """Mazur 2015, recomputed: the page updates the output weights before it uses them for the hidden deltas."""
    net = cr.Network("2 -> 2 logistic -> 2 logistic", loss="half_squared_error")
    values = {
        "X": np.array([[0.05], [0.10]]),
        "Y": np.array([[0.01], [0.99]]),
        "W1": np.array([[0.15, 0.20], [0.25, 0.30]]),
        "b1": np.full((2, 1), 0.35),
        "W2": np.array([[0.40, 0.45], [0.50, 0.55]]),
        "b2": np.full((2, 1), 0.60),
    }
    d = net.derive("columns")
    ran = {"np": np, "n": 1, **values}
    exec(d.source(part="forward"), ran)
    exec(d.source(part="backward"), ran)

    published = {
        "Z1": [[0.3775], [0.3925]],
        "A1": [[0.593269992107], [0.59688437826]],
        "A2": [[0.751365069552], [0.772928465321]],
        "loss": 0.29837110876,
        "dZ2": [[0.138498561629], [-0.038098236517]],
        "dZ1": [[0.008771354689], [0.009954254705]],
        "dW2": [[0.082167040564, 0.082667627848], [-0.022602540477, -0.022740242216]],
        "dW1": [[0.000438567734, 0.000877135469], [0.000497712735, 0.000995425471]],
    }
    for name, value in published.items():
        np.testing.assert_allclose(ran[name], value, rtol=1e-6 if name == "dW1" else 1e-9)
    for name in ("dW1", "dW2", "dZ1"):
        np.testing.assert_allclose(cr.evaluate(d[name].expression, values), ran[name], rtol=1e-14)

    after = {name: values[name].T for name in ("W1", "b1", "W2", "b2")}
    after["W1"] = (values["W1"] - 0.5 * ran["dW1"]).T
    after["W2"] = (values["W2"] - 0.5 * ran["dW2"]).T
    np.testing.assert_allclose(
        after["W1"].T, [[0.149780716133, 0.199561432266], [0.249751143632, 0.299502287265]], rtol=1e-11
    )
    np.testing.assert_allclose(
        after["W2"].T, [[0.358916479718, 0.408666186076], [0.511301270239, 0.561370121108]], rtol=1e-11
    )
    assert net.loss(after, values["X"].T, values["Y"].T) == pytest.approx(0.291027773694, rel=1e-11)


def test_ngs_backward_step_in_columns():
    net = cr.Network("2 -> 4 tanh -> 1 logistic")
    W1 = [[-0.00416758, -0.00056267], [-0.02136196, 0.01640271], [-0.01793436, -0.00841747], [0.00502881, -0.01245288]]
    A1 = [
        [-0.00616578, 0.0020626, 0.00349619],
        [-0.05225116, 0.02725659, -0.02646251],
        [-0.02009721, 0.0036869, 0.02883756],
        [0.02152675, -0.01385234, 0.02599885],
    ]
    ran = {
        "np": np,
        "n": 3,
        "X": np.array([[1.62434536, -0.61175641, -0.52817175], [-1.07296862, 0.86540763, -2.3015387]]),
        "Y": np.array([[1.0, 0.0, 1.0]]),
        "W1": np.array(W1),
        "W2": np.array([[-0.01057952, -0.00909008, 0.00551454, 0.02292208]]),
        "b1": np.zeros((4, 1)),
        "b2": np.zeros((1, 1)),
    }
    d = net.derive("columns")
    exec(d.source(part="forward"), ran)
    np.testing.assert_allclose(ran["A1"], A1, atol=6e-9)  # printed with eight decimals
    np.testing.assert_allclose(ran["A2"], [[0.5002307, 0.49985831, 0.50023963]], atol=6e-9)

    ran |= {"A1": np.array(A1), "A2": np.array([[0.5002307, 0.49985831, 0.50023963]])}
    exec(d.source(part="backward"), ran)

    published = {
        "dW1": [
            [0.0030102304, -0.0074726659],
            [0.0025796782, -0.0064128846],
            [-0.001568919, 0.003893002],
            [-0.0065203669, 0.0161824294],
        ],
        "db1": [[0.0017620133], [0.001509948], [-0.0009173634], [-0.0038142179]],
        "dW2": [[0.000788406, 0.0176542908, -0.0008416578, -0.0102252703]],
        "db2": [[-0.16655712]],
    }
    for name, value in published.items():
        np.testing.assert_allclose(ran[name], value, rtol=1e-4 if name == "dW2" else 1e-6)


def test_ngs_planar_flower_learns_at_the_published_costs():
    rng, m, N = np.random.RandomState(1), 400, 200  # the published numbers come from it
    X, Y = np.zeros((m, 2)), np.zeros((m, 1))
    for j in range(2):
        rows = slice(N * j, N * (j + 1))
        t = np.linspace(j * 3.12, (j + 1) * 3.12, N) + 0.2 * rng.randn(N)
        r = 4 * np.sin(4 * t) + 0.2 * rng.randn(N)
        X[rows], Y[rows] = np.c_[r * np.sin(t), r * np.cos(t)], j
    rng = np.random.RandomState(2)
    params = {
        "W1": 0.01 * rng.randn(4, 2).T,
        "b1": np.zeros((1, 4)),
        "W2": 0.01 * rng.randn(1, 4).T,
        "b2": np.zeros((1, 1)),
    }
    net = cr.Network("2 -> 4 tanh -> 1 logistic")
    namespace, costs = {}, []
    exec(net.derive().source(part="step"), namespace)

    for iteration in range(4001):
        loss, *after = namespace["step"](X, Y, *params.values(), lr=1.2)
        if iteration % 1000 == 0:
            costs.append(float(loss))
        params = dict(zip(params, after, strict=True))

    np.testing.assert_allclose(costs, [0.693048, 0.288083, 0.254385, 0.233864, 0.226792], atol=6e-7)
    accuracy = np.mean((net.predict(params, X) > 0.5) == Y)
    assert accuracy == pytest.approx(0.9075, abs=0.01)


def test_bp1_to_bp4_hold_in_numbers():
    """Nielsen 2015, chapter 2, for one example in a column, of a quadratic cost."""
    net = cr.Network("3 -> 4 logistic -> 5 logistic -> 2 logistic", loss="half_squared_error")
    params, X, Y = batch(net, rows=1)
    d = net.derive("columns")
    values = {"X": X.T, "Y": Y.T, **{name: value.T for name, value in params.items()}}
    value = lambda name: cr.evaluate(d[name].expression, values)
    slope = lambda layer: value(f"A{layer}") * (1 - value(f"A{layer}"))

    np.testing.assert_allclose(value("dZ3"), (value("A3") - Y.T) * slope(3), rtol=1e-13)
    for layer in (1, 2):
        below = (values[f"W{layer + 1}"].T @ value(f"dZ{layer + 1}")) * slope(layer)
        np.testing.assert_allclose(value(f"dZ{layer}"), below, rtol=1e-13)
    for layer, inputs in ((1, X.T), (2, value("A1")), (3, value("A2"))):
        np.testing.assert_allclose(value(f"db{layer}"), value(f"dZ{layer}"), rtol=1e-13)
        np.testing.assert_allclose(value(f"dW{layer}"), value(f"dZ{layer}") @ inputs.T, rtol=1e-13)


# Dropout


DROPPING = "4 -> 30 relu dropout=0.5 -> 20 tanh dropout=0.2 -> 3 softmax"


def test_without_random_state_dropout_is_off():
    net, plain = cr.Network(DROPPING), cr.Network("4 -> 30 relu -> 20 tanh -> 3 softmax")
    params, X, Y = batch(net)

    assert net.loss(params, X, Y) == plain.loss(params, X, Y)
    for options in ({}, {"training": True}, {"random_state": 0}):
        values = net.forward(params, X, **options)
        assert values.keys() == plain.forward(params, X).keys()
        np.testing.assert_array_equal(values["P"], plain.forward(params, X)["P"])


def test_forward_shows_the_masks_and_what_they_leave():
    net = cr.Network(DROPPING)
    params, X, _ = batch(net)

    values = net.forward(params, X, training=True, random_state=0)

    assert list(values) == ["Z1", "A1", "D1", "Z2", "A2", "D2", "Z3", "P", "A3", "M1", "M2"]
    assert set(np.unique(values["M1"])) == {0, 2}
    assert set(np.unique(values["M2"])) == {0, 1.25}
    np.testing.assert_array_equal(values["D1"], values["A1"] * values["M1"])
    np.testing.assert_allclose(values["Z2"], values["D1"] @ params["W2"] + params["b2"], rtol=1e-13)


def test_one_seed_draws_one_mask_forward_and_backward():
    net = cr.Network(DROPPING)
    params, X, Y = batch(net)
    values = net.forward(params, X, training=True, random_state=7)

    loss = net.loss(params, X, Y, random_state=7)
    gradient = net.gradient(params, X, Y, random_state=7)

    assert loss == pytest.approx(-np.log(values["P"][np.arange(5), Y]).mean(), rel=1e-13)
    dZ3 = (values["P"] - np.eye(3)[Y]) / 5
    dZ2 = (dZ3 @ params["W3"].T) * values["M2"] * (1 - values["A2"] ** 2)
    dZ1 = (dZ2 @ params["W2"].T) * values["M1"] * (values["Z1"] > 0)
    np.testing.assert_allclose(gradient["W3"], values["D2"].T @ dZ3, rtol=1e-10, atol=1e-16)
    np.testing.assert_allclose(gradient["W2"], values["D1"].T @ dZ2, rtol=1e-10, atol=1e-16)
    np.testing.assert_allclose(gradient["W1"], X.T @ dZ1, rtol=1e-10, atol=1e-16)
    assert loss != net.loss(params, X, Y, random_state=8)


def test_a_generator_draws_new_masks_each_time():
    net = cr.Network(DROPPING)
    params, X, Y = batch(net)
    rng = np.random.default_rng(0)

    assert net.loss(params, X, Y, random_state=rng) != net.loss(params, X, Y, random_state=rng)


def test_weights_do_not_move_the_masks():
    net = cr.Network(DROPPING)
    params, X, Y = batch(net)

    weighted = net.loss(params, X, Y, sample_weight=np.full(5, 3.0), random_state=7)

    assert weighted == pytest.approx(net.loss(params, X, Y, random_state=7), rel=1e-13)


def test_a_derivation_has_masks_while_training_only():
    net = cr.Network(DROPPING)

    assert "M1" in net.derive().source(part="forward")
    assert "M1" not in net.derive(dropout=False).source(part="forward")
    assert net.derive().verify().ok


# Data at the border


def test_labels_and_one_hot_rows_give_the_same():
    net = cr.Network("4 -> 3 softmax")
    params, X, y = batch(net)

    assert net.loss(params, X, y) == net.loss(params, X, np.eye(3)[y]) == net.loss(params, X.tolist(), y.tolist())


def test_targets_of_one_output_may_be_flat():
    net = cr.Network("4 -> 1 logistic")
    params, X, _ = batch(net)
    y = np.array([0, 1, 1, 0, 1])

    assert net.loss(params, X, y) == net.loss(params, X, y[:, None]) == net.loss(params, X, y.astype(bool))


def test_whole_weights_repeat_rows():
    net = cr.Network("4 -> 3 tanh -> 2 softmax", penalty=cr.l2(0.1, per_sample=True))
    params, X, y = batch(net)
    w = np.array([1, 0, 3, 2, 1])
    often = np.repeat(np.arange(5), w)

    assert net.loss(params, X, y, sample_weight=w) == pytest.approx(net.loss(params, X[often], y[often]), rel=1e-14)
    expected = net.gradient(params, X[often], y[often])
    for name, value in net.gradient(params, X, y, sample_weight=w[:, None]).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-12, atol=1e-16)


GOOD = {"W1": np.ones((4, 3)), "b1": np.zeros((1, 3))}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda net: net.loss(GOOD, np.ones((2, 5)), [0, 1]), ShapeError, r"takes X of shape \(n x 4\), got \(2 x 5\)"),
        (lambda net: net.forward(GOOD, np.ones(4)), ShapeError, r"got \(4,\); X\[None, :\] is one row"),
        (lambda net: net.loss(GOOD, np.full((2, 4), np.nan), [0, 1]), DataError, r"X holds nan at \[0, 0\]"),
        (lambda net: net.loss(GOOD, np.ones((2, 4)), [0, 1, 2]), ShapeError, r"Y of shape \(2 x 3\) or labels of"),
        (lambda net: net.loss(GOOD, np.ones((2, 4)), [0, 3]), DataError, "labels for 3 outputs are whole numbers"),
        (lambda net: net.gradient(GOOD, np.ones((2, 4)), [0, 1], sample_weight=[0, 0]), DataError, "not all 0"),
        (lambda net: net.gradient(GOOD, np.ones((0, 4)), []), DataError, "a mean loss needs at least one row"),
        (lambda net: net.predict({"W1": GOOD["W1"]}, np.ones((2, 4))), ShapeError, r"b1 is missing\n  declared: W1 \("),
        (lambda net: net.loss({**GOOD, "w2": 0}, np.ones((2, 4)), [0, 1]), ShapeError, "there is no w2; known names"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused_in_words(call, error, message):
    with pytest.raises(error, match=message):
        call(cr.Network("4 -> 3 softmax"))


def test_a_sum_over_no_rows_is_zero():
    net = cr.Network("4 -> 3 softmax", reduction="sum")

    assert net.loss(GOOD, np.ones((0, 4)), np.ones((0, 3))) == 0
    assert not net.gradient(GOOD, np.ones((0, 4)), np.ones((0, 3)))["W1"].any()


# Copies, processes, threads


def test_a_network_is_pickled_copied_and_sent_without_what_it_compiled():
    net = cr.Network(
        "4 -> 3 elu(0.3) dropout=0.2 -> 2 softmax", "cross_entropy(0.1)", penalty="l2(0.01)", reduction="sum"
    )
    params, X, Y = batch(net)
    before = pickle.dumps(net)

    loss = net.loss(params, X, Y)
    net.gradient(params, X, Y, random_state=0)
    net.derive(solver="adam")

    assert pickle.dumps(net) == before
    for again in (pickle.loads(before), copy.copy(net), copy.deepcopy(net)):
        assert again == net
        assert again.loss(params, X, Y) == loss
    assert joblib.hash(net) == joblib.hash(pickle.loads(before))


def test_a_network_works_in_other_processes():
    net = cr.Network("4 -> 3 tanh -> 2 softmax")
    params, X, Y = batch(net)

    losses = joblib.Parallel(n_jobs=2)(joblib.delayed(net.loss)(params, X[i:], Y[i:]) for i in range(3))

    assert losses == [net.loss(params, X[i:], Y[i:]) for i in range(3)]


OWN = """
import chainrule as cr
from chainrule.losses import loss

cubic = cr.elementwise("cubic", lambda x, c=1.0: c * x * x * x, activation=True)
cubed = loss("cubed", lambda A, Y, c=1.0: c * cr.abs(A - Y) * (A - Y) * (A - Y))
"""
USE = """
import pickle, sys
net, params, X, Y = pickle.load(sys.stdin.buffer)
print(repr((net.loss(params, X, Y), str(net))))
"""


def test_records_of_ones_own_are_imported_again_in_another_process(tmp_path, monkeypatch):
    (tmp_path / "own_records.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        import_module("own_records")
        net = cr.Network("2 -> 3 cubic(0.5) -> 1", "cubed(3)")
        case = (net, *batch(net))

        done = subprocess.run(
            [sys.executable, "-c", USE],
            input=pickle.dumps(case),
            capture_output=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )

        assert done.stdout.decode().strip() == repr((net.loss(*case[1:]), str(net))), done.stderr.decode()
    finally:
        del FUNCTIONS["cubic"], OPS["cubic"], LOSSES["cubed"], sys.modules["own_records"]


def test_several_threads_may_use_a_network_for_the_first_time_at_once():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for seed in range(5):
            net = cr.Network(f"4 -> {seed + 2} tanh dropout=0.3 -> 2 softmax")
            params, X, Y = batch(net)
            together = threading.Barrier(8)

            def first_use(net=net, params=params, X=X, Y=Y, together=together):
                together.wait()
                return net.gradient(params, X, Y, random_state=0), net.loss(params, X, Y)

            with ThreadPoolExecutor(8) as pool:
                (gradient, loss), *others = [f.result() for f in [pool.submit(first_use) for _ in range(8)]]

            for other, value in others:
                assert value == loss
                assert all(np.array_equal(other[name], gradient[name]) for name in gradient)
    finally:
        sys.setswitchinterval(interval)


def test_what_is_derived_is_derived_once():
    net = cr.Network("4 -> 3 tanh -> 2 softmax")

    assert net.graph(False, True) is net.graph(False, False)  # nothing is dropped
    assert net.derive().equations is net.derive().equations
    assert net.derive(sample_weight=True).equations is not net.derive().equations


@pytest.mark.parametrize("spec", ["2 -> 3 flat -> 1", "2 -> 3 flat -> 4 tanh -> 2 softmax", "2 -> 3 tanh -> 2 flat"])
def test_a_constant_activation_stops_the_signal_and_trains(spec):
    cr.elementwise("flat", lambda x: 0 * x + 1, activation=True)
    net = cr.Network(spec)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(7, 2)), np.eye(net.outputs)[rng.integers(net.outputs, size=7)]
    params = net.init(0)

    gradient = net.gradient(params, X, Y)
    with pytest.warns(UserWarning, match="stopped|settled|raise max_iter"):
        fitted = net.fit(X, Y[:, 1] if "softmax" in spec else Y, max_iter=2)

    assert net.derive().verify().ok
    assert not gradient["W1"].any()
    assert not gradient["b1"].any()
    numeric = cr.check_gradient(lambda p: net.loss(p, X, Y), lambda p: net.gradient(p, X, Y), params)
    assert numeric.ok
    assert np.isfinite(fitted.predict(X)).all()
