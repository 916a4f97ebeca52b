"""Random points of checks: what is declared of a matrix is true of its numbers."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.expr import FACTS
from chainrule.points import DRAWS, never_finite, random_values

HOLDS = {
    "rows_sum_to_one": lambda A: np.allclose(A.sum(axis=1), 1),
    "columns_sum_to_one": lambda A: np.allclose(A.sum(axis=0), 1),
    "one_hot": lambda A: np.isin(A, (0, 1)).all() and np.allclose(A.sum(axis=1), 1),
    "nonnegative": lambda A: (A >= 0).all(),
    "unit": lambda A: ((A >= 0) & (A <= 1)).all(),
    "signs": lambda A: np.isin(A, (-1, 1)).all(),
    "symmetric": lambda A: (A == A.T).all(),
}


@pytest.mark.parametrize("fact", FACTS)
def test_declared_facts_hold(fact):
    A = cr.matrix("A", "n", "n", facts=[fact])

    for draw in range(DRAWS):
        assert HOLDS[fact](random_values([A], draw, np.random.default_rng(draw))["A"])


def test_every_other_draw_is_positive_throughout():
    A, b = cr.matrix("A", "n", "d"), cr.matrix("b", "d", 1)

    for draw in range(DRAWS):
        values = random_values([A @ b], draw, np.random.default_rng(draw))
        assert (values["A"].min() > 0 and values["b"].min() > 0) == bool(draw % 2)


def test_the_first_part_that_is_finite_nowhere_is_found():
    x = cr.matrix("x", "n", 1)

    assert never_finite([cr.sum(cr.log(-x * x))]) is cr.log(-x * x)
    assert never_finite([cr.sum(cr.log(x))]) is None
