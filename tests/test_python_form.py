"""What `repr` shows of an expression is Python that makes the same object again."""

import math

import pytest
from expressions import expressions
from hypothesis import given

import chainrule as cr
from chainrule.python_form import LONGEST

PUBLIC = {name: getattr(cr, name) for name in dir(cr)}
X, W = cr.matrix("X", "n", "d"), cr.matrix("W", "d", 10, role="parameter")
lr = cr.scalar("lr")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (X, "matrix('X', 'n', 'd')"),
        (W.T, "matrix('W', 'd', 10, role='parameter').T"),
        (X @ W, "(matrix('X', 'n', 'd') @ matrix('W', 'd', 10, role='parameter'))"),
        (X + 1, "(matrix('X', 'n', 'd') + full(1.0, ('n', 'd')))"),
        (X * X, "(matrix('X', 'n', 'd') * matrix('X', 'n', 'd'))"),
        (X / 3, "scale(matrix('X', 'n', 'd'), '1/3')"),
        (lr * X, "scale(matrix('X', 'n', 'd'), '1', (matrix('lr', 1, 1, role='hyper'), 1))"),
        (cr.define("Z", X), "define('Z', matrix('X', 'n', 'd'))"),
        (cr.ones("n"), "ones('n')"),
        (cr.leaky_relu(X, 0.1), "leaky_relu(matrix('X', 'n', 'd'), 0.1)"),
        (cr.tanh(X), "tanh(matrix('X', 'n', 'd'))"),
        (cr.softmax.twin(X), "softmax.twin(matrix('X', 'n', 'd'))"),
        (cr.full(-0.0, (1, 2)), "full(-0.0, (1, 2))"),
        (cr.full(math.nan, (1, 2)), "full(float('nan'), (1, 2))"),
        (cr.full(-math.inf, (1, 2)), "full(float('-inf'), (1, 2))"),
        (
            cr.matrix("Y", "n", 3, role="target", facts=["one_hot"]),
            "matrix('Y', 'n', 3, role='target', facts=('nonnegative', 'one_hot', 'rows_sum_to_one'))",
        ),
        (
            cr.matrix("M", 2, 2, role="random", distribution=("inverted_bernoulli", 0.9)),
            "matrix('M', 2, 2, role='random', distribution=('inverted_bernoulli', 0.9))",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_expression_prints_as_python(expression, text):
    assert repr(expression) == text
    assert eval(text, PUBLIC) is expression


@given(expressions())
def test_python_that_is_read_makes_the_same_object(expression):
    text = repr(expression)

    if not text.startswith("<"):
        assert eval(text, PUBLIC) is expression


def test_a_very_long_form_is_replaced_by_a_short_one():
    doubled = X
    for _ in range(100):  # printed out: 2^100 letters
        doubled = doubled + doubled

    assert repr(doubled) == "<add expression (n x d)>"
    assert repr(cr.define("Z", doubled)) == "<define Z (n x d)>"
    assert len(repr(cr.tanh(X))) < LONGEST
