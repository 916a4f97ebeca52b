"""The interpreter: the numbers of an expression, and a clear sentence where the values do not fit it."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import DataError, ShapeError, UnknownNameError
from chainrule.evaluate import evaluate, evaluate_all
from chainrule.expr import scale, size

X, W, b = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("b", 1, "k")
y, s, n = cr.matrix("y", "n", 1), cr.scalar("s"), size("n")
x, w = np.arange(6.0).reshape(3, 2), np.array([[1.0, -1.0, 0.5, 2.0], [0.0, 3.0, -2.0, 1.0]])

# Each: a node and its array, made side by side from those of earlier steps.
STEPS = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "subtract": lambda a, b: (a[0] - b[0], a[1] - b[1]),
    "hadamard": lambda a, b: (a[0] * b[0], a[1] * b[1]),
    "gram": lambda a, b: (a[0] @ b[0].T @ a[0], a[1] @ b[1].T @ a[1]),
    "number": lambda a, b: (0.3 * a[0] + 1.5, 0.3 * a[1] + 1.5),
    "divide": lambda a, b: (a[0] / 7 - b[0] / n, a[1] / 7 - b[1] / 3),
    "coefficient": lambda a, b: (scale(a[0], Fraction(-2, 3), (s, -2)), a[1] * (-2 / 3) / 0.7**2),
    "name": lambda a, b: (cr.define("Z", a[0]), a[1]),
    "mean": lambda a, b: (cr.sum(a[0]) + b[0], a[1].sum() + b[1]),
    "row sums": lambda a, b: (a[0] @ cr.ones("d") @ cr.ones("d").T, np.repeat(a[1].sum(axis=1)[:, None], 2, axis=1)),
    "tanh": lambda a, b: (cr.tanh(a[0]), np.tanh(a[1])),
    "leaky_relu": lambda a, b: (cr.leaky_relu(a[0], 0.1), np.where(a[1] > 0, a[1], 0.1 * a[1])),
    "maximum": lambda a, b: (cr.maximum(a[0], b[0]), np.maximum(a[1], b[1])),
    "softmax": lambda a, b: (cr.softmax(cr.tanh(a[0])), softmax(np.tanh(a[1]))),
    "softmax.twin": lambda a, b: (cr.softmax.twin(cr.tanh(a[0])), softmax(np.tanh(a[1]).T).T),
}


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 99), st.integers(0, 99)), max_size=8))
def test_an_expression_has_the_value_of_the_same_numpy(steps):
    made = [(X, x / 6), (cr.matrix("V", "n", "d"), 1 - x / 4)]
    for step, i, j in steps:
        made.append(STEPS[step](made[i % len(made)], made[j % len(made)]))
    nodes, arrays = zip(*made, strict=True)

    found = evaluate_all(nodes, {"X": arrays[0], "V": arrays[1], "s": 0.7})

    for value, array in zip(found, arrays, strict=True):
        np.testing.assert_allclose(value, array, rtol=1e-9, atol=1e-9 * np.abs(array).max())


# ---- values that are found


def test_sizes_follow_from_the_shapes():
    mean = cr.ones("n").T @ X / n

    np.testing.assert_allclose(evaluate(mean, {"X": x}), x.mean(axis=0, keepdims=True))
    np.testing.assert_array_equal(
        evaluate(X @ W + cr.ones("n") @ b, {"X": x, "W": w, "b": [[1, 2, 3, 4]]}), x @ w + [1, 2, 3, 4]
    )


def test_a_size_that_no_matrix_shows_is_given_by_name():
    assert evaluate(cr.full(2, ("n", "d")), {"n": 2, "d": np.int64(1)}).tolist() == [[2], [2]]
    assert evaluate(cr.ones("n").T @ cr.ones("n"), {"n": 5.0}).tolist() == [[5]]
    np.testing.assert_allclose(evaluate(X / n, {"X": x, "n": 3}), x / 3, rtol=1e-15)
    assert evaluate(cr.ones(2), {}).tolist() == [[1], [1]]


def test_a_number_is_the_value_of_a_1_x_1_symbol():
    for number in (2, 2.0, np.float32(2), [[2]], np.array([[2.0]])):
        assert evaluate(s * X, {"X": x, "s": number}).tolist() == (2 * x).tolist()


def test_other_values_are_not_looked_at():
    others = {"Y": "text", "lr": float("nan"), "k": -1, "epoch": None, "table": np.ones((2, 2, 2))}

    assert evaluate(X, {"X": x} | others).tolist() == x.tolist()


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.int64, np.float16, np.float32, np.float64])
def test_numbers_of_any_type_are_computed_in_float64(dtype):
    found = evaluate(3 * X.T @ X, {"X": np.ones((2, 2), dtype)})

    assert found.dtype == np.float64
    assert found.tolist() == [[6, 6], [6, 6]]


def test_a_longer_type_keeps_its_digits():
    third = np.full((1, 1), 1, np.longdouble) / 3

    assert evaluate(X * X, {"X": third}).dtype == np.longdouble
    assert evaluate(X * X, {"X": third}) == third * third


def test_values_are_not_changed():
    given_array = np.array([[1, 2], [3, 4]])
    evaluate(cr.relu(-X) + X, {"X": given_array})

    assert given_array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_batch_and_a_batch_of_one_row(rows):
    total = cr.sum(cr.softmax(X @ W)) + cr.sum(X)

    assert evaluate(total, {"X": np.zeros((rows, 2)), "W": w}).tolist() == [[pytest.approx(rows)]]


def test_the_mean_of_no_rows_is_nan_with_a_warning_of_numpy():
    with pytest.warns(RuntimeWarning, match="divide by zero|invalid value"):
        mean = evaluate(cr.sum(X) / n, {"X": np.zeros((0, 2))})

    assert np.isnan(mean).all()


def test_shared_parts_are_computed_once():
    doubled = X
    for _ in range(200):  # 2^200 additions, if it were not so
        doubled = doubled + doubled

    assert evaluate(doubled, {"X": [[1.0]]}) == 2.0**200


def test_definitions_over_a_deep_graph_cost_nothing_extra():
    deep = X
    for _ in range(3000):  # silu is defined by an expression: each is opened on what is computed already
        deep = cr.silu(deep)

    assert evaluate(deep, {"X": [[1.0]]}).shape == (1, 1)


def test_several_expressions_are_evaluated_at_once():
    first, second = evaluate_all([X.T, cr.sum(X)], {"X": x})

    assert first.tolist() == x.T.tolist()
    assert second == x.sum()


# ---- values that do not fit

RAGGED = [[1, 2], [3]]
MISTAKES = {
    "a missing value": (X @ W, {"X": x}, UnknownNameError, "no value for W (d x k); known names are 'X'"),
    "a misspelt value": (X @ W, {"X": x, "w": w}, UnknownNameError, "no value for W (d x k); did you mean 'w'?"),
    "no values": (X, {}, UnknownNameError, "no value for X (n x d)"),
    "a missing size": (cr.ones("m"), {}, UnknownNameError, "no matrix shows the size m: give it in values"),
    "a missing number": (s / n, {"s": 1}, UnknownNameError, "no matrix shows the size n: give it in values"),
    "a contradiction": (
        X @ W,
        {"X": x, "W": w[:1]},
        ShapeError,
        "W is declared (d x k) with d = 2, got an array of (1 x 4)",
    ),
    "a contradiction with a given size": (
        X,
        {"X": x, "n": 5},
        ShapeError,
        "X is declared (n x d) with n = 5, got an array of (3 x 2)",
    ),
    "a fixed size": (cr.matrix("M", 2, 2), {"M": x}, ShapeError, "M is declared (2 x 2), got an array of (3 x 2)"),
    "a square matrix": (
        cr.matrix("M", "n", "n"),
        {"M": x},
        ShapeError,
        "M is declared (n x n) with n = 3, got an array of (3 x 2)",
    ),
    "a vector for a column": (
        y,
        {"y": [1, 2, 3]},
        ShapeError,
        "y is declared (n x 1), got an array of shape (3,); y[:, None] is a column",
    ),
    "a vector for a row": (
        b,
        {"b": [1, 2, 3]},
        ShapeError,
        "b is declared (1 x k), got an array of shape (3,); b[None, :] is a row",
    ),
    "a vector for a matrix": (X, {"X": [1, 2]}, ShapeError, "X is declared (n x d), got an array of shape (2,)"),
    "too many dimensions": (
        X,
        {"X": np.ones((2, 2, 2))},
        ShapeError,
        "X is declared (n x d), got an array of shape (2, 2, 2)",
    ),
    "a number for a matrix": (X, {"X": 3.0}, ShapeError, "X is declared (n x d), got a number"),
    "rows of different lengths": (
        X,
        {"X": RAGGED},
        ShapeError,
        "X is a matrix, got rows of different lengths: row 0 has length 2, row 1 has length 1",
    ),
    "text": (X, {"X": [["a", "b"]]}, DataError, "X holds real numbers, got 'a' at [0, 0]"),
    "objects": (X, {"X": [[None, 1]]}, DataError, "X holds real numbers, got None at [0, 0]"),
    "complex numbers": (X, {"X": [[1j]]}, DataError, "X holds real numbers, got 1j at [0, 0]"),
    "dates": (
        X,
        {"X": np.array([["2026-01-01"]], "M8[D]")},
        DataError,
        "X holds real numbers, got datetime.date(2026, 1, 1) at [0, 0]",
    ),
    "a size that is no whole number": (
        cr.ones("n"),
        {"n": 2.5},
        ShapeError,
        "the size n is a whole number of at least 0, got 2.5",
    ),
    "a negative size": (cr.ones("n"), {"n": -1}, ShapeError, "the size n is a whole number of at least 0, got -1"),
    "an infinite size": (
        cr.ones("n"),
        {"n": float("inf")},
        ShapeError,
        "the size n is a whole number of at least 0, got inf",
    ),
    "a size in words": (cr.ones("n"), {"n": "3"}, ShapeError, "the size n is a whole number of at least 0, got '3'"),
    "two matrices of one name": (
        X + cr.matrix("X", "n", "d", role="target"),
        {"X": x},
        DataError,
        "two different matrices are named 'X': matrix('X', 'n', 'd') and matrix('X', 'n', 'd', role='target')",
    ),
    "a size and a matrix of one name": (
        cr.sum(cr.matrix("n", "n", 1)) / n,
        {"n": [[1.0]]},
        DataError,
        "two different matrices are named 'n': matrix('n', 'n', 1) and matrix('n', 1, 1, role='size')",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_clear_sentence(mistake):
    expression, values, error, message = MISTAKES[mistake]

    with pytest.raises(error) as caught:
        evaluate(expression, values)

    assert str(caught.value) == message
    assert type(caught.value) is error
