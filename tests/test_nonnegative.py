"""What has no negative entry, against values drawn."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.nonnegative import is_nonnegative

x, y = cr.matrix("x", 3, 1), cr.matrix("y", 3, 1)
A, B = cr.matrix("A", 3, 3), cr.matrix("B", 3, 3)
KNOWN = [
    x.T @ x,
    x.T @ A.T @ (A @ x),
    cr.exp(x) + cr.abs(y),
    3 * (x * x),
    cr.norm(x) * (x.T @ x),
    cr.power(x, 4),
    cr.reciprocal(1 + cr.exp(-x)),
    cr.sqrt(cr.exp(A)) @ cr.exp(x),
]
UNKNOWN = [
    x,
    x.T @ A @ x,
    -cr.exp(x),
    cr.exp(x) - 1,
    x.T @ A.T @ B @ x,
    cr.tanh(x),
    x * y,
    cr.power(x, 3),
    -2 * (x * x),
]


def least_of(expression):
    rng = np.random.default_rng(0)
    draws = ({str(s.name): rng.standard_normal(s.shape) for s in (x, y, A, B)} for _ in range(50))
    return min(np.min(cr.evaluate(expression, values)) for values in draws)


@pytest.mark.parametrize("expression", KNOWN, ids=map(cr.text, KNOWN))
def test_what_is_known_not_to_be_negative_never_is(expression):
    assert is_nonnegative(expression)
    assert least_of(expression) >= 0


@pytest.mark.parametrize("expression", UNKNOWN, ids=map(cr.text, UNKNOWN))
def test_what_is_negative_somewhere_is_not_known_to_be_otherwise(expression):
    assert least_of(expression) < 0
    assert not is_nonnegative(expression)
