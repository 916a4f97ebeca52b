"""The lowering: idioms of array programs for products with ones, and names for what is used twice."""

import numpy as np
import pytest
from hypothesis import given
from program.random_expressions import expressions, run

import chainrule as cr
from chainrule.derive import Equation
from chainrule.expr import ones_op, scale, toposort_to_names
from chainrule.functions import FUNCTIONS
from chainrule.program.code import code
from chainrule.program.languages import NUMPY
from chainrule.program.lower import NUMBERS, RULES, lower
from chainrule.rewrite import Rewriter

A, B = cr.matrix("A", "n", "k"), cr.matrix("B", "n", "k")
X, W = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k")
b, c, r = cr.matrix("b", 1, "k"), cr.matrix("c", "n", 1), cr.matrix("r", 1, "n")
s, lr = cr.matrix("s", 1, 1), cr.scalar("lr")
one_n, one_k = cr.ones("n"), cr.ones("k")
J = cr.full(2, ("m", "n"))


def lowered(expression, *, phase="forward", words=NUMPY.words):
    (statement,) = lower([Equation("out", expression, expression.shape, "", phase)], words)
    return code(statement.expression, NUMPY)


def program(*equations, whole=True, words=NUMPY.words):
    """Lowered equations as lines; each is (name, expression) or (name, expression, phase)."""
    made = [Equation(name, e, e.shape, "", *(phase or ["forward"])) for name, e, *phase in equations]
    return [f"{s.target} = {code(s.expression, NUMPY)}" for s in lower(made, words, whole=whole)]


# ---- idioms

IDIOMS = [
    (X @ W + one_n @ b, "X @ W + b"),
    (W.T @ X.T + b.T @ one_n.T, "W.T @ X.T + b.T"),
    (one_n.T @ A, "A.sum(axis=0, keepdims=True)"),
    (A @ one_k, "A.sum(axis=1, keepdims=True)"),
    (cr.sum(A), "A.sum()"),
    (one_n.T @ (A @ one_k), "A.sum()"),
    (one_n.T @ c, "c.sum()"),
    (r @ one_n, "r.sum()"),
    (c.T @ A @ one_k, "(c.T @ A).sum()"),
    (c.T @ (A @ one_k), "(c.T @ A).sum()"),
    (one_n.T @ A @ b.T, "(A @ b.T).sum()"),
    (r @ c, "(r.T * c).sum()"),
    (c.T @ (A @ b.T), "(c * (A @ b.T)).sum()"),
    ((c @ one_k.T) * A, "c * A"),
    (A * (one_n @ b), "A * b"),
    (c @ cr.ones(1), "c"),
    (A * (one_n @ s @ one_k.T), "A * s"),
    (c @ s, "c * s"),
    ((s @ one_n.T) @ (one_n @ s), "n * s * s"),
    (s @ b, "s * b"),
    (A * cr.reciprocal(c @ one_k.T), "A / c"),
    (A * cr.tanh(one_n @ b), "A * np.tanh(b)"),
    (A + (one_n @ b) * (one_n @ cr.exp(b)), "A + b * np.exp(b)"),
    (A + 2 * (one_n @ b), "A + 2 * b"),
    (A - 2 * (one_n @ b), "A - 2 * b"),
    (A - lr * (one_n @ b), "A - lr * b"),
    (A + (one_n @ b + 1), "A + (b + 1)"),
    ((one_n @ b).T + A.T, "b.T + A.T"),
    (one_n.T @ (one_n @ b), "n * b"),
    (A + (A @ one_k) @ one_k.T, "A + A.sum(axis=1, keepdims=True)"),
    (A * ((c @ one_k.T) @ one_k @ one_k.T), "A * (k * c)"),
    (A + one_n @ (one_n.T @ A), "A + A.sum(axis=0, keepdims=True)"),
    (A + scale(one_n @ one_k.T, 1, (lr, 1)), "A + lr"),
    (A * cr.exp(cr.full(0, A.shape)), "A * 1"),
    (cr.maximum(A, 0), "np.maximum(A, 0)"),
    (cr.minimum(6, cr.maximum(0, A)), "np.minimum(np.maximum(A, 0), 6)"),
    (A - float("inf"), "A - np.inf"),
    (A + 2 * cr.full(float("inf"), A.shape), "A + np.inf"),
    (J @ A + cr.matrix("M", "m", "k"), "2 * A.sum(axis=0, keepdims=True) + M"),
    (A.T @ cr.full(-1, ("n", "m")) + cr.matrix("M", "k", "m"), "-A.T.sum(axis=1, keepdims=True) + M"),
    (A.T.T, "A"),
    (scale(one_n @ one_k.T, 1, (lr, 1)).T + A.T, "lr + A.T"),
    ((A * B).T, "(A * B).T"),
]


@pytest.mark.parametrize(("expression", "text"), IDIOMS)
def test_a_product_with_ones_is_an_idiom(expression, text):
    assert lowered(expression) == text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (one_n @ b, "np.full((n, k), b)"),
        (one_n @ one_k.T, "np.full((n, k), 1.0)"),
        (one_n, "np.full((n, 1), 1.0)"),
        (one_n.T, "np.full((1, n), 1.0)"),
        (scale(one_n @ one_k.T, 1, (lr, 1)), "np.full((n, k), 1.0 * lr)"),
        (one_n @ s @ one_k.T, "np.full((n, k), 1.0 * s)"),
        (cr.tanh(c @ one_k.T), "np.full((n, k), np.tanh(c))"),
        ((one_n @ b) @ W.T, "np.full((n, k), b) @ W.T"),
        ((one_n @ b + one_n @ one_k.T) @ W.T, "np.full((n, k), b + 1) @ W.T"),
        (cr.sum(scale(cr.full(1, A.shape), 1, (lr, 1))), "np.full((n, k), 1.0 * lr).sum()"),
        (cr.full(float("inf"), A.shape) @ W.T, "np.full((n, k), np.inf) @ W.T"),
        (cr.row_maximum(s), "np.full((1, 1), 1.0 * s).max(axis=1, keepdims=True)"),
    ],
)
def test_what_broadcasting_would_leave_narrow_is_filled_where_its_extent_matters(expression, text):
    assert lowered(expression) == text


def test_a_loss_is_a_number_and_a_derivative_a_matrix():
    """A bias of width 1 is (1, 1), and so is its derivative."""
    assert lowered(one_n.T @ c, phase="loss") == "c.sum()"
    assert lowered(one_n.T @ c, phase="backward") == "c.sum(axis=0, keepdims=True)"
    assert lowered(r @ c, phase="backward") == "r @ c"


def test_every_rule_fires():
    fired = set()
    for expression, _ in IDIOMS:
        rewriter = Rewriter((*RULES, *NUMBERS))
        rewriter(expression)
        fired |= {step.rule for step in rewriter.steps}

    assert fired == {rule.__name__ for rule in (*RULES, *NUMBERS)}


@given(expressions())
def test_no_column_of_ones_is_left(expression):
    statements = lower([Equation("out", expression, expression.shape, "", "forward")], NUMPY.words)

    assert not [n for s in statements for n in toposort_to_names(s.expression) if n.op is ones_op]


# ---- functions


def test_a_function_without_a_word_is_written_out():
    assert lowered(cr.silu(A)) == "A * (np.exp(np.minimum(A, 0)) / (1 + np.exp(-np.abs(A))))"
    assert lowered(cr.relu(A), words=frozenset({"maximum"})) == "np.maximum(A, 0)"


def test_a_function_with_a_word_is_not():
    assert lowered(cr.softplus(A)) == "np.logaddexp(0, A)"
    assert (
        lowered(cr.softplus(A), words=NUMPY.words - {"softplus"}) == "np.maximum(A, 0) + np.log1p(np.exp(-np.abs(A)))"
    )


def test_numpy_has_words_for_all_primitives():
    assert {name for name, f in FUNCTIONS.items() if f.definition is None} <= NUMPY.words


# ---- shared values


def test_what_is_used_twice_is_computed_once():
    assert program(("out", cr.tanh(A) * cr.exp(cr.tanh(A)))) == ["t1 = np.tanh(A)", "out = t1 * np.exp(t1)"]


def test_a_product_under_two_transposes_is_computed_once():
    """The transpose itself is free; what it turns is not."""
    T = (X @ W).T

    assert program(("out", T * cr.exp(T))) == ["t1 = X @ W", "out = t1.T * np.exp(t1.T)"]


def test_a_row_repeated_twice_is_computed_once():
    R = one_n @ cr.exp(b)

    assert program(("out", (A + R) * R)) == ["t1 = np.exp(b)", "out = (A + t1) * t1"]


@pytest.mark.parametrize(
    ("cheap", "text"), [(-A, "-A"), (0.1 * A, "0.1 * A"), (A.T, "A.T"), (scale(A, 1, (lr, 2)), "lr * lr * A")]
)
def test_a_multiple_of_a_named_matrix_is_not_worth_a_name(cheap, text):
    other = cr.matrix("C", *cheap.shape)

    (line,) = program(("out", cr.exp(cheap) * other + cr.sin(cheap)))

    assert line.count(text) == 2


def test_a_coefficient_is_not_worth_a_name():
    m, v, beta = cr.matrix("m", 3, 4), cr.matrix("v", 3, 4), cr.scalar("beta")

    assert program(("a", (1 - beta) * m), ("b", (1 - beta) * v)) == ["a = (1 - beta) * m", "b = (1 - beta) * v"]


def test_a_multiple_of_what_has_no_name_is_worth_one():
    assert program(("out", cr.exp(2 * (A * B)) + cr.sin(2 * (A * B)))) == [
        "t1 = 2 * A * B",
        "out = np.exp(t1) + np.sin(t1)",
    ]


def test_later_equations_read_the_name_of_an_earlier_one():
    assert program(("Z", X @ W), ("out", cr.tanh(X @ W))) == ["Z = X @ W", "out = np.tanh(Z)"]


def test_two_equations_may_say_the_same():
    assert program(("Z", X @ W), ("A", X @ W)) == ["Z = X @ W", "A = Z"]


def test_a_part_runs_by_itself():
    equations = ("out", cr.tanh(A) * cr.exp(cr.tanh(A)), "forward"), ("dA", cr.tanh(A) * B, "backward")

    assert program(*equations, whole=False) == ["t1 = np.tanh(A)", "out = t1 * np.exp(t1)", "dA = np.tanh(A) * B"]
    assert program(*equations, whole=True) == ["t1 = np.tanh(A)", "out = t1 * np.exp(t1)", "dA = t1 * B"]


def test_forward_pass_and_loss_are_one_part():
    equations = ("out", cr.tanh(A) * cr.exp(cr.tanh(A)), "forward"), ("loss", cr.sum(cr.tanh(A)), "loss")

    assert program(*equations, whole=False)[-1] == "loss = t1.sum()"


def test_temporary_names_keep_clear_of_everything_that_has_a_name():
    """A matrix t1, an equation t2 and a size t4."""
    t1 = cr.matrix("t1", "n", "t4")
    twice = lambda x: x * cr.exp(x)

    lines = program(("t2", twice(cr.tanh(t1))), ("out", twice(cr.sin(t1))))

    assert lines == ["t3 = np.tanh(t1)", "t2 = t3 * np.exp(t3)", "t5 = np.sin(t1)", "out = t5 * np.exp(t5)"]


# ---- long expressions


def test_a_deep_expression_is_written_in_steps():
    """Python takes 200 brackets in each other."""
    x = cr.matrix("x", 2, 2)
    deep = x
    for _ in range(1000):
        deep = cr.tanh(0.5 + deep)

    found = run("\n".join(program(("out", deep))), {"x": np.zeros((2, 2))})

    np.testing.assert_allclose(found["out"], cr.evaluate(deep, {"x": np.zeros((2, 2))}), rtol=1e-13)


def test_a_long_sum_is_written_in_steps():
    """Python compiles no sum of some thousands of terms; so many layers with a penalty make one."""
    terms = [cr.matrix(f"W{i}", 2, 2) for i in range(5000)]
    total = terms[0]
    for W in terms[1:]:
        total = total + W
    ones = np.ones((2, 2))

    lines = program(("out", total))

    assert max(map(len, lines)) < 500
    assert (run("\n".join(lines), {W.name: ones for W in terms})["out"] == 5000).all()
