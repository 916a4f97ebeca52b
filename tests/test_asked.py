"""Wrong kinds of arguments of the public functions, each one sentence."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DataError, UnknownNameError

W, V = cr.matrix("W", 3, 2), cr.matrix("V", 3, 2)
NOT_EXPRESSIONS = {
    "gradient": lambda x: cr.gradient(x, W),
    "gradient by": lambda x: cr.gradient(cr.sum(W), x),
    "gradients": cr.gradients,
    "differentiate": lambda x: cr.differentiate(x, W),
    "differentiate by": lambda x: cr.differentiate(cr.sum(W), x),
    "text": cr.text,
    "latex": cr.latex,
    "evaluate": lambda x: cr.evaluate(x, {}),
    "source": lambda x: cr.source({"out": x}),
    "hessian": lambda x: cr.hessian(x, W),
    "hessian_vector_product": lambda x: cr.hessian_vector_product(x, {W: V}),
    "jvp": lambda x: cr.jvp(W, {W: x}),
    "vjp": lambda x: cr.vjp(W, x, W),
    "gauss_newton_product": lambda x: cr.gauss_newton_product(cr.sum(W), x, {W: V}),
}


@pytest.mark.parametrize("name", NOT_EXPRESSIONS)
@pytest.mark.parametrize(
    ("given", "shown"),
    [(3, "3"), (None, "None"), (np.ones((30, 20)), "a ndarray"), ("x'x", '"x\'x"')],
    ids=["number", "nothing", "array", "text"],
)
def test_what_is_no_expression_is_refused_in_one_sentence(name, given, shown):
    function = name.partition(" ")[0]

    with pytest.raises(TypeError, match=rf"^{function}\(\) takes expressions, such as chainrule.*, got ") as caught:
        NOT_EXPRESSIONS[name](given)
    assert str(caught.value).endswith(f"got {shown}")
    assert "\n" not in str(caught.value)


OTHER = cr.matrix("W", 3, 5)  # of the name of W, and not of its size
CLASH = cr.sum(W.T @ OTHER)
TWO_OF_A_NAME = {
    "gradient": lambda: cr.gradient(CLASH, W),
    "gradient by": lambda: cr.gradient(cr.sum(W), OTHER),
    "gradients": lambda: cr.gradients(CLASH),
    "differentiate": lambda: cr.differentiate(CLASH, W),
    "evaluate": lambda: cr.evaluate(CLASH, {"W": np.ones((3, 2))}),
    "source": lambda: cr.source({"out": CLASH}),
    "source of two": lambda: cr.source({"out": W, "more": OTHER}),
    "hessian": lambda: cr.hessian(CLASH, W),
    "hessian_vector_product": lambda: cr.hessian_vector_product(CLASH, {W: V}),
    "jvp": lambda: cr.jvp(CLASH, {W: V}),
    "jvp along": lambda: cr.jvp(V, {V: cr.matrix("V", 3, 2, facts=["nonnegative"])}),
    "vjp": lambda: cr.vjp(W, cr.matrix("W", 3, 2, role="target"), W),
    "gauss_newton_product": lambda: cr.gauss_newton_product(CLASH, W.T @ OTHER, {W: V}),
}


@pytest.mark.parametrize("name", TWO_OF_A_NAME)
def test_two_matrices_of_one_name_are_refused_in_one_sentence(name):
    with pytest.raises(DataError, match=r"^two different matrices are named '[WV]': matrix\(.*\) and matrix\(.*\)$"):
        TWO_OF_A_NAME[name]()


def test_one_matrix_may_be_met_many_times():
    assert cr.text(*cr.gradient(cr.sum(W + cr.matrix("W", 3, 2)), W)) == "2 1 1'"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: cr.Network(4), "^a network is a text such as '4 -> 8 tanh -> 3 softmax', got 4$"),
        (lambda: cr.Network(["2 -> 1"]), r"^a network is a text such as .*, got \['2 -> 1'\]$"),
        (lambda: cr.Network("2 -> 1", 3), r"^a loss is a text such as 'huber\(0.5\)', got 3$"),
        (lambda: cr.Network("2 -> 1", penalty=0.1), r"^a penalty is a text such as 'l2\(0.01\)', got 0.1$"),
        (lambda: cr.Dense(3, 4), r"^an activation is a text such as 'leaky_relu\(0.1\)', got 4$"),
        (lambda: cr.parse(3), r"^a formula is a text such as 'sum\(\(X w - y\)\^2\)', got 3$"),
        (lambda: cr.parse("sum(x)", 4), r"^sizes are texts such as \['X: n x d'\], or shapes by name, got 4$"),
        (lambda: cr.parse("sum(x)", [4]), "^a size is a text such as 'X: n x d', got 4$"),
        (lambda: cr.source(W), r"^source\(\) takes expressions by name, such as \{'dW': dW\}, got matrix"),
        (lambda: cr.jvp(W, V), r"^jvp\(\) takes directions by matrix, such as \{W: V\}, got matrix"),
    ],
)
def test_what_is_no_text_is_refused_in_one_sentence(ask, message):
    with pytest.raises(TypeError, match=message):
        ask()


NET = cr.Network("2 -> 1")
WORDS = {
    "solver": lambda x: NET.derive(solver=x),
    "learning_rate": lambda x: NET.derive(learning_rate=x),
    "layout": cr.Convention,
    "view": NET.derive().view,
    "language": NET.derive().source,
    "part": lambda x: NET.derive().source("numpy", x),
    "equation": lambda x: NET.derive()[x],
    "entry": lambda x: NET.derive().entry(x, 0, 0, NET.init(0), [[1, 2]], [[0]]),
    "result": lambda x: NET.derive().with_numbers(NET.init(0), [[1, 2]], [[0]])[x],
}


@pytest.mark.parametrize("given", [3, None, 0.1, ["c"], {}, np.ones(2)], ids=repr)
@pytest.mark.parametrize("asked", WORDS)
def test_a_word_that_is_no_text_is_unknown_too(asked, given):
    with pytest.raises(UnknownNameError, match=re.escape(repr(given)) + ".*; (known names are|did you mean)"):
        WORDS[asked](given)
