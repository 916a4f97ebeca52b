"""Activations: which there are, what they are called, and that PyTorch agrees. The records: test_rule_book.py."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.activations import activations
from chainrule.evaluate import evaluate

NAMES = (
    *("identity", "logistic", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "celu", "gelu", "gelu_tanh"),
    *("silu", "swish", "mish", "softplus", "softsign", "hard_sigmoid", "hard_tanh", "hard_swish", "relu6"),
    *("softmax", "log_softmax"),
)
X = cr.matrix("X", "n", "k")


def test_every_activation_is_listed_under_each_of_its_names():
    assert sorted(activations()) == sorted(NAMES)
    assert activations()["sigmoid"] is activations()["logistic"] is cr.sigmoid is cr.logistic
    assert activations()["swish"] is activations()["silu"] is cr.swish is cr.silu


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_is_public(name):
    assert getattr(cr, name) is activations()[name]
    assert name in dir(cr)


def test_functions_that_are_no_activations_are_not_listed():
    assert not {"exp", "log", "power", "step", "maximum", "logsumexp", "softmax.twin"} & activations().keys()


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_keeps_the_shape(name):
    assert activations()[name](X).shape == X.shape


def test_identity_is_its_operand():
    assert cr.identity(X) is X


# ---- PyTorch

# At a tie of two matrices PyTorch's maximum and minimum give each one half of the derivative; no activation meets one.
SLOPES = {"hard_sigmoid": 1e-7}  # the precision of a derivative of PyTorch's: it keeps 1/6 in float32
GRID = np.array(
    [
        -800,
        -700,
        -100,
        -38,
        -30,
        -20,
        -8,
        -6,
        -3,
        -2.5,
        -1,
        -0.7,
        -1e-3,
        0,
        1e-3,
        0.7,
        1,
        2.5,
        3,
        6,
        8,
        20,
        30,
        100,
        800.0,
    ]
)


def torch_activations():
    """PyTorch's own, except for softplus, which it replaces by x where x > 20."""
    import torch
    import torch.nn.functional as f

    return {
        "identity": lambda x: x * 1,
        "logistic": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": f.relu,
        "leaky_relu": lambda x, slope=0.01: f.leaky_relu(x, slope),
        "elu": lambda x, alpha=1.0: f.elu(x, alpha),
        "selu": f.selu,
        "celu": lambda x, alpha=1.0: f.celu(x, alpha),
        "gelu": f.gelu,
        "gelu_tanh": lambda x: f.gelu(x, approximate="tanh"),
        "silu": f.silu,
        "mish": f.mish,
        "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        "softsign": f.softsign,
        "hard_sigmoid": f.hardsigmoid,
        "hard_tanh": f.hardtanh,
        "hard_swish": f.hardswish,
        "relu6": f.relu6,
        "softmax": lambda x: f.softmax(x, dim=1),
        "log_softmax": lambda x: f.log_softmax(x, dim=1),
    }


PARAMETRIC = [cr.leaky_relu(0.3), cr.elu(0.5), cr.celu(0.5)]


@pytest.mark.row(52)
@pytest.mark.oracle
@pytest.mark.parametrize("function", [*{f.name: f for f in activations().values()}.values(), *PARAMETRIC], ids=str)
def test_values_and_derivatives_are_those_of_pytorch_kinks_included(function):
    import torch

    rng = np.random.default_rng(0)
    rows, weights = rng.permutation(GRID).reshape(5, 5), rng.normal(size=(5, 5))
    Y = function(X)
    (dX,) = cr.gradient(cr.sum(Y * cr.matrix("C", "n", "k")), X)

    x = torch.tensor(rows, requires_grad=True)
    y = torch_activations()[function.name](x, *function.values)
    y.backward(torch.tensor(weights))

    # atol: its gelu and mish cancel where they are nearly 0. Ours do not, which test_rule_book.py holds.
    np.testing.assert_allclose(evaluate(Y, {"X": rows}), y.detach(), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(
        evaluate(dX, {"X": rows, "C": weights}), x.grad, rtol=SLOPES.get(function.name, 1e-12), atol=1e-14
    )


@pytest.mark.parametrize("alpha", [0, -1])
def test_celu_divides_by_its_parameter(alpha):
    with pytest.raises(ValueError, match=f"celu needs alpha > 0, got alpha={alpha}"):
        cr.celu(alpha)


def test_the_slope_of_gelu_has_an_exact_half():
    written = cr.Network("2 -> 3 gelu -> 1").derive().source("numpy", part="backward")

    assert "np.exp(-Z1 * Z1 / 2)" in written
