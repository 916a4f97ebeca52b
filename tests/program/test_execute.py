"""Compiled programs: what they take, what they return, and that nothing else is run."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.derive import Equation
from chainrule.program.execute import compile_function, needed, run
from chainrule.program.languages import NUMPY
from chainrule.program.lower import lower

X, W, Y = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("Y", "n", "k")
Z = cr.define("Z", X @ W)
A = cr.define("A", cr.silu(Z))
LOSS = cr.define("loss", cr.half_squared_error(A, Y))


def statements():
    return lower([Equation(e.name, e.args[0], e.shape, "", "forward") for e in (Z, A, LOSS)], NUMPY.words)


def arrays(dtype=float):
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(shape).astype(dtype) for name, shape in (("X", (5, 4)), ("W", (4, 3)), ("Y", (5, 3)))
    }


def test_a_function_takes_inputs_by_name_and_returns_outputs_in_order():
    values = arrays()
    f = compile_function("forward", ["n", "X", "W", "Y"], statements(), ["loss", "Z"])

    loss, scores = f(n=5, **values)

    np.testing.assert_allclose(scores, values["X"] @ values["W"], rtol=1e-15)
    np.testing.assert_allclose(loss, cr.evaluate(LOSS, values)[0, 0], rtol=1e-14)
    assert np.ndim(loss) == 0


def test_a_function_is_called_what_it_is_called():
    f = compile_function("forward", ["n", "X", "W", "Y"], statements(), ["Z"])

    assert f.__name__ == "forward"
    with pytest.raises(TypeError, match=r"forward\(\) missing"):
        f(n=5)


def test_single_precision_stays_single():
    f = compile_function("forward", ["n", "X", "W", "Y"], statements(), ["Z", "A", "loss"])

    assert {np.asarray(v).dtype for v in f(n=5, **arrays(np.float32))} == {np.dtype(np.float32)}


def test_only_what_outputs_depend_on_is_kept_in_order():
    kept = lambda *outputs: [s.target for s in needed(statements(), outputs)]

    assert kept("Z") == ["Z"]
    assert kept("A") == ["Z", "A"]
    assert kept("Z", "loss")[-1] == "loss"
    assert kept("loss") == [s.target for s in statements()]
    assert kept() == []


def test_an_output_may_be_an_input():
    f = compile_function("same", ["X"], [], ["X"])

    assert f(X=3) == (3,)


def test_a_program_sees_numpy_and_scipy_and_nothing_of_the_package():
    namespace = run("def names():\n    return globals()", "names")()

    assert set(namespace) == {"np", "scipy", "names", "__builtins__"}
    assert namespace["scipy"].special.erf(0) == 0


def test_a_traceback_shows_which_program_it_was():
    f = run("def step():\n    return 1 / 0", "step")

    with pytest.raises(ZeroDivisionError) as error:
        f()

    assert str(error.traceback[-1].path) == "<chainrule step>"
