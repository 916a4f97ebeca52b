import numpy as np
import scipy.special
from hypothesis import assume, given
from hypothesis import strategies as st
from program.random_expressions import expressions, random_values, value_and_size

import chainrule as cr


def run(text, values):
    namespace = {"np": np, "scipy": scipy, **values}
    exec(compile(text, "<printed>", "exec"), namespace)
    return namespace


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
