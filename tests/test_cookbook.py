"""The closed forms that textbooks print: their text, their numbers, and every step on the way."""

import contextlib

import autograd
import numpy as np
import pytest
from cookbook import IDENTITIES

import chainrule as cr
from chainrule.adjoint import sweep
from chainrule.hessians import NotFoundError, matrix_of
from chainrule.identities import ANY
from chainrule.rewrite import Rewriter
from chainrule.rules import ALGEBRA

SIZES = {"n": 4, "d": 3, "k": 5, "m": 2, "p": 6, "q": 3}
of_all = pytest.mark.parametrize("identity", IDENTITIES, ids=[i.number for i in IDENTITIES])


def values_of(formula, seed=0):
    """Positive definite where declared symmetric, so that determinants have logarithms; else any numbers."""
    rng = np.random.default_rng(seed)
    sizes = {name: count + (name == "n") for name, count in SIZES.items()}
    values = {}
    for name, node in formula.symbols.items():
        shape = [eval_size(s, sizes) for s in node.shape]
        values[name] = rng.standard_normal(shape)
        if "symmetric" in node.value.facts:
            values[name] = values[name] @ values[name].T
    return values | sizes


def eval_size(size, sizes):
    return int(np.prod([sizes.get(s) or int(s) for s in str(size).split("*")]))


@of_all
def test_the_derivative_is_the_one_that_the_book_prints(identity):
    formula = cr.parse(identity.formula, identity.sizes)

    (found,) = cr.gradient(formula.expression, formula[identity.wrt])

    assert cr.text(found) == identity.expected


@of_all
def test_its_numbers_are_those_of_the_function_by_hand(identity):
    formula = cr.parse(identity.formula, identity.sizes)
    (found,) = cr.gradient(formula.expression, formula[identity.wrt])
    values = values_of(formula)
    by_hand = lambda W: np.sum(identity.by_hand({**values, identity.wrt: W}))

    expected = autograd.grad(by_hand)(values[identity.wrt])

    np.testing.assert_allclose(
        cr.evaluate(formula.expression, values).item(), by_hand(values[identity.wrt]), rtol=1e-10
    )
    np.testing.assert_allclose(cr.evaluate(found, values), expected, rtol=1e-8, atol=1e-10 * abs(expected).max())


@of_all
def test_its_numpy_program_gives_the_same(identity):
    formula = cr.parse(identity.formula, identity.sizes)
    (found,) = cr.gradient(formula.expression, formula[identity.wrt])
    values = values_of(formula)
    names = {"np": np, **values}

    exec(cr.source({"value": formula.expression, "derivative": found}), names)

    np.testing.assert_allclose(
        np.asarray(names["value"]).item(), cr.evaluate(formula.expression, values).item(), rtol=1e-9
    )
    np.testing.assert_allclose(
        names["derivative"] + 0 * values[identity.wrt], cr.evaluate(found, values), rtol=1e-8, atol=1e-12
    )


@of_all
def test_every_step_is_replayed(identity):
    formula = cr.parse(identity.formula, identity.sizes)

    derived = cr.differentiate(formula.expression, formula[identity.wrt])

    assert derived.verify().ok, derived.verify()
    assert derived.check().ok


def test_there_are_at_least_forty():
    assert len({i.number for i in IDENTITIES}) == len(IDENTITIES) >= 50


def test_every_gradient_of_a_formula_is_right_at_once():
    f = cr.parse("tr(A X B X') + logdet(X) + a'X^-1 a + ||A X||^2", ["X: n x n"])

    assert cr.differentiate(f.expression, *f.symbols.values()).check().ok


# Formulas for the rules that the book's identities do not need.
MORE = [
    ("log(x'x)/(x'x)", ""),
    ("sum(logistic(x)^3)", "x: n x 1"),
    ("tr(diag(x) A diag(x))", "x: n x 1"),
    ("sum(x'x/||x||)", ""),
    ("lam x'x + x'x/3 + mu x'x", ""),
    ("||X|| + tr(X'X)/||X||", ""),
    ("tr((2 X)^-1)", "X: n x n"),
    ("x'x", ""),
    ("tr(I X)", "X: n x n"),
    ("a'((X^-1)^-1) b", "X: n x n"),
    ("a'((X')^-1) b", "X: n x n"),
    ("a'diag(x)^-1 b", ""),
    ("tr((A ⊗ X)^-1)", ""),
    ("det(X')", "X: n x n"),
    ("||X'||", ""),
    ("sum(diag(diag(x)) .* a)", ""),
    ("sum(diag(a x') .* x)", ""),
    ("sum(X .* diag(a))", "X: n x n; a: n"),
    ("tr(diag(a) X)", "X: n x n"),
    ("sum(vec(X) .* vec(A))", "X: n x d; A: n x d"),
    ("a'(X ⊗ A) vec(B)", "X: n x d; A: k x m; B: m x d"),
    ("tr((A ⊗ X)(B ⊗ C))", "A: n x n; B: n x n; X: d x d; C: d x d"),
    ("sum(kron(X, a))", "a: 1"),
    ("norm(X) .* norm(X)", ""),
    ("sum(log(1 + exp(x)) .* y) + sum(log(1 + exp(-x)) .* (1 - y))", ""),
    ("b'(X (w - v))", ""),
    ("(a'x)^3 + (a'x)(b'x)", ""),
    ("a'diag(x) diag(y) b", ""),
    ("tr(0 X)", "X: n x n"),
    ("logdet(a ⊗ X)", "X: n x n; a: 1"),
    ("-y'log(softmax(z))", ""),
    ("vec(X)'(vec(X) + a)", ""),
    ("binary_cross_entropy(logistic(x), y)", ""),
    ("(x'x)^2", ""),
    ("maximum(s', s)", "s: 1"),
    ("sum(x.^4 .* x.^3)", ""),
    ("||X||^3/tr(X'X)", ""),
    ("sqrt(x'x)^2 sum(x)", ""),
    ("det(a) + x'x", "a: 1"),
    ("sum(X)^2", ""),
    ("cross_entropy(softmax(V tanh(W x)), y)", ""),
]
x = cr.matrix("x", "n", 1)
LOSSES = [cr.norm(x) * cr.norm(x), cr.power(cr.exp(x.T @ x), 3), cr.sum(cr.kron(x, x.T))]


def test_every_rule_fires_somewhere_and_is_right_there():
    fired = set()
    formulas = [cr.parse(text, sizes) for text, sizes in (*((i.formula, i.sizes) for i in IDENTITIES), *MORE)]
    questions = [(f.expression, w) for f in formulas for w in f.symbols.values()] + [(loss, x) for loss in LOSSES]
    for loss, w in questions:
        derived = cr.differentiate(loss, w)
        assert derived.verify().ok, (cr.text(loss), derived.verify())
        fired |= {step.rule for step in (*derived.steps, *hessian_steps(loss, w), *sweep_steps(loss, w))}

    silent = {rule.__name__ for rule in ANY} - {rule.__name__ for rule in ALGEBRA} - fired
    assert not silent, ", ".join(silent)


def sweep_steps(loss, w):
    """Of the gradient of a loss as it stands, whose own form no rule has touched."""
    rewriter = Rewriter(ANY)
    sweep({loss: cr.full(1, (1, 1))}, [w], lambda node, G: rewriter(G))
    return rewriter.steps


def hessian_steps(loss, w):
    """Of the closed form of the Hessian."""
    v = cr.matrix("_v", *w.shape)
    (product,) = cr.hessian_vector_product(loss, {w: v})
    rewriter = Rewriter(ANY)
    with contextlib.suppress(NotFoundError):
        rewriter(matrix_of(product, v, rewriter))
    return rewriter.steps
