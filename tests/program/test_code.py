"""Printed NumPy: brackets, signs and precedence, and that it means what the interpreter says."""

import ast
import math
import struct

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from program.random_expressions import BINARY, UNARY, applied, expressions, random_values, run, value_and_size

import chainrule as cr
from chainrule.expr import scale
from chainrule.functions import FUNCTIONS
from chainrule.program.code import ATOM, LOOSE, POWER, PRODUCT, _enclosed_operands, _tightness, number
from chainrule.program.languages import LANGUAGES, NUMPY

A, B, C = (cr.matrix(name, "n", "k") for name in "ABC")
X, W, V = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("V", "k", "k")
c, b = cr.matrix("c", "n", 1), cr.matrix("b", 1, "k")
lr, mu, n = cr.scalar("lr"), cr.scalar("mu"), cr.matrix("n", 1, 1, role="size")
gate = cr.step(C)


def over(a, below):
    return a * cr.reciprocal(below)


SUMS = [
    (A + B + C, "A + B + C"),
    (A + (B + C), "A + (B + C)"),
    (A - B - C, "A - B - C"),
    (A - (B - C), "A - (B - C)"),
    (A - (B + C), "A - (B + C)"),
    (-A + B, "-A + B"),
    (-A - B, "-A - B"),
    (-(A + B), "-(A + B)"),
    (-(A - B), "-(A - B)"),
    (A + -B, "A - B"),
    (A - B * C, "A - B * C"),
    (A - 2 * B, "A - 2 * B"),
    (A - B / 3, "A - B / 3"),
    (A + X @ W, "A + X @ W"),
    (A - X @ W, "A - X @ W"),
    (A + 1, "A + 1"),
    (A - 1, "A - 1"),
    (1 - A, "1 - A"),
    (-1 - A, "-1 - A"),
    (A - lr * B, "A - lr * B"),
    (A + scale(B, -1, (lr, -1)), "A - B / lr"),
]
PRODUCTS = [
    (A * B * C, "A * B * C"),
    (A * (B * C), "A * (B * C)"),
    (A * (B + C), "A * (B + C)"),
    ((A + B) * C, "(A + B) * C"),
    (A * -B, "A * -B"),
    (-A * B, "-A * B"),
    (-(A * B), "-A * B"),
    (-(A * B) * C, "(-A * B) * C"),
    (A * -(B * C), "A * (-B * C)"),
    (2 * A * B, "(2 * A) * B"),
    (2 * (A * B), "2 * A * B"),
    (A * (2 * B), "A * (2 * B)"),
    (-0.5 * A, "-A / 2"),
    (scale(A, "-2/3"), "-0.6666666666666666 * A"),
    (scale(A, "1/12"), "0.08333333333333333 * A"),
    (scale(A, 1e300), "1e+300 * A"),
    (scale(A * B, 1, (lr, 1), (mu, -1), (n, -1)), "lr * A * B / (mu * n)"),
    (scale(A, "1/2", (lr, 2)), "lr * lr * A / 2"),
    (scale(A, "1/2", (n, -1)), "A / (2 * n)"),
    (scale(A, "1/2", (n, -2)), "A / (2 * n * n)"),
    (scale(A + B, 1, (n, -1)), "(A + B) / n"),
    (scale(A, 1, (1 - lr, 1)), "(1 - lr) * A"),
    (scale(A, 1, (1 - lr, -1)), "A / (1 - lr)"),
]
QUOTIENTS = [
    (over(A, B), "A / B"),
    (over(A, B * C), "A / (B * C)"),
    (over(A, over(B, C)), "A / (B / C)"),
    (over(over(A, B), C), "A / B / C"),
    (over(A * B, C), "A * B / C"),
    (A * over(B, C), "A * (B / C)"),
    (over(A, B) * C, "A / B * C"),
    (over(A, -B), "A / -B"),
    (-over(A, B), "-A / B"),
    (over(A, 1 + B), "A / (1 + B)"),
    (over(A, 2 * B), "A / (2 * B)"),
    (over(A, X @ W), "A / (X @ W)"),
    (cr.reciprocal(A), "1 / A"),
    (cr.reciprocal(A + B), "1 / (A + B)"),
    (cr.reciprocal(cr.reciprocal(A)), "1 / (1 / A)"),
    (cr.reciprocal(A) * B, "(1 / A) * B"),
    (B - cr.reciprocal(A), "B - 1 / A"),
    (scale(over(A, B), 1, (n, -1)), "A / B / n"),
    (lr * cr.reciprocal(1 + mu), "lr / (1 + mu)"),
    (scale(cr.reciprocal(mu), "1/2", (lr, 1), (n, -1)), "lr / (2 * n * mu)"),
]
POWERS = [
    (cr.power(A), "A**2"),
    (cr.power(-A), "(-A)**2"),
    (-cr.power(A), "-A**2"),
    (cr.power(A + B, 3), "(A + B)**3"),
    (cr.power(A, -1), "A**-1"),
    (cr.power(A, 0.5), "A**0.5"),
    (cr.power(cr.power(A), 3), "(A**2)**3"),
    (cr.power(A) * B, "A**2 * B"),
    (B * cr.power(A), "B * A**2"),
    (2 * cr.power(A), "2 * A**2"),
    (over(B, cr.power(A)), "B / A**2"),
    (cr.power(A).T, "(A**2).T"),
    (cr.power(2 * A), "(2 * A)**2"),
    (cr.power(cr.exp(A)), "np.exp(A)**2"),
]
MATRIX_PRODUCTS = [
    (X @ W @ V, "X @ W @ V"),
    (X @ (W @ V), "X @ (W @ V)"),
    ((X @ W) * A, "(X @ W) * A"),
    (A * (X @ W), "A * (X @ W)"),
    ((A * B) @ V, "(A * B) @ V"),
    (-(X @ W), "-(X @ W)"),
    (2 * (X @ W), "2 * (X @ W)"),
    ((X @ W) / 2, "(X @ W) / 2"),
    ((-X) @ W, "-X @ W"),
    ((2 * X) @ W, "(2 * X) @ W"),
    (X @ (W + W), "X @ (W + W)"),
    (X @ W.T.T, "X @ W"),
    ((X @ W).T, "(X @ W).T"),
    ((A + B).T @ X, "(A + B).T @ X"),
    ((-A).T, "(-A).T"),
    (cr.exp(A).T, "np.exp(A).T"),
    ((A @ cr.ones("k")).T, "A.sum(axis=1, keepdims=True).T"),
    ((A + B) @ cr.ones("k"), "(A + B).sum(axis=1, keepdims=True)"),
    (cr.sum(X @ W), "(X @ W).sum()"),
    (cr.sum(-A), "(-A).sum()"),
    (cr.sum(cr.power(A)), "(A**2).sum()"),
    (cr.exp(A - B), "np.exp(A - B)"),
    (cr.maximum(A - B, -C), "np.maximum(A - B, -C)"),
    (cr.row_maximum(A - B), "(A - B).max(axis=1, keepdims=True)"),
]
BOOLEANS = [
    (A * gate, "A * (C > 0)"),
    (gate * A, "A * (C > 0)"),
    (-(gate * A), "-A * (C > 0)"),
    (2 * (gate * A), "2 * A * (C > 0)"),
    (A * cr.step(B - C), "A * (B - C > 0)"),
    (gate * cr.step(B), "np.heaviside(C, 0) * (B > 0)"),
    (A * gate * cr.step(B), "A * (C > 0) * (B > 0)"),
    (A + gate, "A + np.heaviside(C, 0)"),
    (1 - gate, "1 - np.heaviside(C, 0)"),
    (gate - cr.step(A), "np.heaviside(C, 0) - np.heaviside(A, 0)"),
    (-gate, "-np.heaviside(C, 0)"),
    (2 * gate, "2 * np.heaviside(C, 0)"),
    (over(gate, A), "np.heaviside(C, 0) / A"),
    (gate * cr.full(0.1, A.shape), "0.1 * np.heaviside(C, 0)"),
    (gate @ V, "np.heaviside(C, 0) @ V"),
    (A * (cr.step(c) @ cr.ones("k").T), "A * np.heaviside(c, 0)"),
]


@pytest.mark.parametrize(("expression", "text"), [*SUMS, *PRODUCTS, *QUOTIENTS, *POWERS, *MATRIX_PRODUCTS, *BOOLEANS])
def test_brackets_stand_where_they_must(expression, text):
    assert cr.source({"out": expression}) == f"out = {text}"


@given(st.floats())
def test_a_number_is_the_shortest_source_that_gives_it_back(value):
    text = number(value, NUMPY)
    back = float(eval_number(text))

    assert struct.pack("d", back) == struct.pack("d", value) or math.isnan(value)
    assert len(text) <= len(repr(value)) or not math.isfinite(value)


def eval_number(text):
    return getattr(np, text[3:]) if text.startswith("np.") else -np.inf if "np." in text else ast.literal_eval(text)


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_what_is_not_a_finite_number_has_a_word(value):
    text = cr.source({"out": cr.maximum(A, value)})

    np.testing.assert_array_equal(run(text, {"A": np.ones((1, 2))})["out"], np.full((1, 2), np.maximum(1, value)))


# ---- templates


@pytest.mark.parametrize(
    ("template", "operands"),
    [
        ("np.exp({0})", {"0"}),
        ("f({0}, {1})", {"0", "1"}),
        ("f({0}, {1} + 1)", {"0"}),
        ("np.heaviside({0}, 0)", {"0"}),
        ("{0}.max(axis=1)", set()),
        ("1 / {0}", set()),
        ("f({0}) * {0}", set()),
        ("f({0}) * g({0})", {"0"}),
        ("f(-{0})", set()),
        ("f(2 * {0})", set()),
        ("f({0} + 1)", set()),
        ("f({0}.T)", set()),
    ],
)
def test_an_operand_alone_between_brackets_and_commas_needs_none_of_its_own(template, operands):
    assert _enclosed_operands(template) == operands


@pytest.mark.parametrize(
    ("template", "binds"),
    [
        ("np.exp({0})", ATOM),
        ("{0}.max(axis=1, keepdims=True)", ATOM),
        ("(a + b).f({0})[1 - 2]", ATOM),
        ("{0}**{p0}", POWER),
        ("1 / {0}", PRODUCT),
        ("f({0}) * g({0})", PRODUCT),
        ("{0} + 1", LOOSE),
        ("-f({0})", LOOSE),
        ("{0} > 0", LOOSE),
        ("{0}'", LOOSE),
        ("{0} if x else y", LOOSE),
        ("{0}, 1", LOOSE),
    ],
)
def test_what_stands_outside_brackets_decides_how_a_template_binds(template, binds):
    assert _tightness(template) == binds


# ---- meaning


@given(expressions(), st.integers(0, 2**32))
def test_a_printed_expression_means_what_the_interpreter_says(expression, seed):
    values = random_values(expression, seed)
    expected, size = value_and_size(expression, values)
    assume(size < 1e4)

    text = cr.source({"result": expression})
    result = run(text, values)["result"]

    assert "np.ones" not in text
    assert np.shape(result) == expected.shape or expected.shape == (1, 1)
    assert np.max(np.abs(result - expected)) <= 1e-12 * size


@given(expressions(), st.integers(0, 2**32))
def test_it_means_the_same_in_single_precision(expression, seed):
    values = random_values(expression, seed, np.float32)
    expected, size = value_and_size(expression, values)
    assume(size < 1e4)

    result = run(cr.source({"result": expression}), values)["result"]

    assert np.max(np.abs(result - expected)) <= 1e-5 * size


POINTS = np.array([[-800.0, -30.0, -1.0, -1e-3, 0.0], [1e-3, 0.5, 1.0, 30.0, 800.0]])


@pytest.mark.parametrize("f", [*UNARY, *BINARY], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_record_is_printed_as_it_is_defined(f, dtype):
    """From -800 to 800 where it has values; never in another data type."""
    M, N = cr.matrix("M", 2, 5), cr.matrix("N", 2, 5)
    expression = f(M, N) if f.operands == 2 else f(M)
    values = {"M": POINTS.astype(dtype), "N": POINTS[::-1].astype(dtype)}
    with np.errstate(all="ignore"):
        expected = cr.evaluate(expression, values)
        result = run(cr.source({"result": expression}), values)["result"]

    fits = np.abs(expected) < np.finfo(dtype).max
    # In single precision what is left where numbers of order one cancel is smaller than a rounding error of them.
    allowed = {"rtol": 1e-12} if dtype is np.float64 else {"rtol": 1e-5, "atol": 1e-7}
    assert result.dtype == dtype
    assert fits.any()
    np.testing.assert_allclose(result[fits], expected[fits], **allowed)


@pytest.mark.parametrize("f", UNARY, ids=str)
def test_a_record_keeps_its_meaning_among_others(f):
    """As a factor, a denominator, a base, an operand of a product: brackets of its own template."""
    M = cr.matrix("M", 3, 3)
    y = applied(f, M)
    if y.shape != M.shape:
        y = y + cr.full(0.5, y.shape)
    square = y if y.shape == M.shape else y @ y.T if y.shape[1] == 1 else y.T @ y
    near = cr.reciprocal(2 + y * y)
    expression = cr.power(near, 2) * -near + 3 * (y - near) * near + cr.reciprocal(1 + cr.power(y, 2))
    values = {"M": np.random.default_rng(0).uniform(-1, 1, (3, 3))}

    for e in (expression, square @ M, M - square, -square):
        result = run(cr.source({"result": e}), values)["result"]
        np.testing.assert_allclose(result, cr.evaluate(e, values), rtol=1e-12, atol=1e-14)  # the atol: sums cancel


def test_words_are_read_from_the_rule_book():
    assert NUMPY.words == {name for name, f in FUNCTIONS.items() if "numpy" in f.code or f.called}


@pytest.mark.parametrize("to", LANGUAGES.values(), ids=lambda to: to.name)
def test_every_language_has_words_for_what_no_other_function_defines(to):
    assert {name for name, f in FUNCTIONS.items() if f.definition is None and not f.whole} <= to.words
