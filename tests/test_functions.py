"""The pages of the rule book: how functions are called, and how records are entered. The records: test_rule_book.py."""

import math
import pickle
from fractions import Fraction
from unittest.mock import patch

import numpy as np
import pytest

import chainrule as cr
import chainrule.activations  # enters every record
from chainrule.expr import OPS
from chainrule.functions import FUNCTIONS, Interval, elementwise, rowwise

A = cr.matrix("A", "n", "k")
WITH_PARAMETERS = [f for f in FUNCTIONS.values() if f.parameters]


@pytest.fixture
def book():
    """The rule book, which is afterwards as it was."""
    with patch.dict(OPS), patch.dict(FUNCTIONS):
        yield FUNCTIONS


@pytest.mark.parametrize("function", WITH_PARAMETERS, ids=str)
def test_parameters_are_given_by_place_or_name_at_once_or_before(function):
    (name, default), *_ = function.parameters.items()

    node = function(A, 0.25)

    assert function(0.25)(A) is function(A, **{name: 0.25}) is function(**{name: 0.25})(A) is node
    assert function(A) is function(A, default) is not node
    assert node.value == (0.25,)
    assert (str(function), str(function(0.25))) == (function.name, f"{function.name}(0.25)")


def test_parameters_may_be_any_real_number():
    assert cr.power(A, Fraction(1, 2)) is cr.power(A, np.float32(0.5)) is cr.power(A, 0.5)
    assert cr.power(A, np.int64(3)) is cr.power(A, 3)
    assert cr.leaky_relu(A, -0.0) is cr.leaky_relu(A, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.leaky_relu(A, 0.1, 0.2), r"leaky_relu takes slope=0.01; got 0.1, 0.2"),
        (lambda: cr.leaky_relu(A, alpha=0.1), r"leaky_relu takes slope=0.01; got alpha"),
        (lambda: cr.relu(A, 0.1), r"relu takes no parameters; got 0.1"),
        (lambda: cr.relu(3), r"relu takes no parameters; got 3"),
        (lambda: cr.maximum(A), r"maximum takes 2 matrices, got 1"),
        (lambda: cr.tanh(np.ones(3)), r"tanh is applied to expressions, got an array: declare a matrix, then evaluate"),
    ],
)
def test_a_wrong_call_is_one_clear_error(call, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        call()


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.1", None, 1j])
def test_a_parameter_is_a_finite_number(value):
    with pytest.raises(ValueError, match="slope of leaky_relu is a finite number, got"):
        cr.leaky_relu(A, value)


def test_numbers_beside_a_matrix_become_matrices():
    assert cr.maximum(A, 0) is cr.maximum(A, cr.full(0, A.shape))
    assert cr.minimum(6, A) is cr.minimum(cr.full(6, A.shape), A)


def test_a_function_with_parameters_is_pickled_by_name():
    loaded = pickle.loads(pickle.dumps([cr.leaky_relu(0.3), cr.softmax.twin, cr.tanh]))

    assert [str(f) for f in loaded] == ["leaky_relu(0.3)", "softmax.twin", "tanh"]
    assert loaded[0](A) is cr.leaky_relu(A, 0.3)


# ---- entering records


@pytest.mark.parametrize(
    ("name", "facts", "home"),
    [
        ("relu", {}, "chainrule.activations"),
        ("matmul", {}, "chainrule.expr"),
        ("swish", {}, "chainrule.activations"),
        ("softmax", {}, "chainrule.primitives"),
        ("mine", {"aliases": ("sigmoid",)}, "chainrule.primitives"),
        ("mine", {"aliases": ("tanh",)}, "chainrule.primitives"),
    ],
)
def test_a_name_is_given_once(book, name, facts, home):
    taken = facts.get("aliases", (name,))[0]
    known = dict(OPS), dict(book)

    with pytest.raises(ValueError, match=f"^there is already an operation named '{taken}', from {home}$"):
        elementwise(name, lambda x: x * x, **facts)

    assert (OPS, book) == known


def test_a_rowwise_name_is_given_once(book):
    with pytest.raises(ValueError, match="there is already an operation named 'softmax', from chainrule"):
        rowwise("softmax", definition=lambda x, axis: x, vjp=lambda G, Y, axis: G)


@pytest.mark.parametrize(
    ("enter", "message"),
    [
        (lambda: elementwise("mine"), "mine needs a definition, or a derivative d and a kernel"),
        (
            lambda: elementwise("mine", d=lambda x, y: y, kernel=np.exp),
            "mine is a primitive: it needs a kernel and a NumPy template",
        ),
        (lambda: elementwise("mine", lambda x, slope: slope * x), "parameter 'slope' of a definition needs a default"),
        (lambda: elementwise("my own", lambda x: x * x), "a function needs a name that is a Python identifier, .*"),
    ],
)
def test_a_record_that_lacks_something_says_what(book, enter, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        enter()

    assert "mine" not in OPS.keys() | book.keys()


def test_a_misspelt_field_leaves_nothing_behind(book):
    with pytest.raises(TypeError, match="kink"):
        elementwise("mine", lambda x: x * x, kink=(0.0,))

    assert "mine" not in OPS.keys() | book.keys()


def test_an_interval_is_written_with_its_ends():
    assert [str(Interval(-1, 1)), str(Interval(0, 6, closed=True)), str(Interval(0))] == [
        "(-1, 1)",
        "[0, 6]",
        "(0, inf)",
    ]


@pytest.mark.parametrize("function", [f for f in FUNCTIONS.values() if f.elementwise and f.operands == 1], ids=str)
def test_a_derivative_by_an_operand_that_is_scaled_is_the_scaled_one(function):
    """A definition may scale its operand, and makes another node of 3 x."""
    x, h = cr.matrix("x", 5, 1), 1e-6
    slope = cr.gradient(cr.sum(function(3 * x)), x)[0]
    at = np.array([[0.15], [0.21], [0.27], [0.3], [0.32]])

    def values(moved):
        return cr.evaluate(function(3 * x), {"x": moved})

    assert cr.evaluate(slope, {"x": at}) == pytest.approx(
        (values(at + h) - values(at - h)) / (2 * h), rel=1e-6, abs=1e-8
    )
