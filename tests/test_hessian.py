"""Hessians in closed form: their text, and their numbers against HIPS autograd."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DerivationError

SOFTMAX = "Diag(softmax(W x)) - softmax(W x) softmax(W x)'"
SOFTMAX_OF_ROWS = "Diag(vec(softmax(X W))) - Diag(vec(softmax(X W))) ((1 1') ⊗ I) Diag(vec(softmax(X W)))"
SLOPES = "1 - tanh(W x) ∘ tanh(W x)"
BENT = f"Diag({SLOPES}) (V' V Diag({SLOPES}) - 2 Diag((V' (V tanh(W x) - y)) ∘ tanh(W x)))"
FORMULAS = {
    "-y'log(softmax(z))": ("z", "(1' y) (Diag(softmax(z)) - softmax(z) softmax(z)')"),
    "x'A x + b'x": ("x", "A + A'"),
    "||X w - y||^2 + lam ||w||^2": ("w", "2 (lam I + X' X)"),
    "sum(softplus(X w) - y .* (X w))": ("w", "X' Diag((1 - logistic(X w)) ∘ logistic(X w)) X"),
    "tr(X'B X)": ("X", "I ⊗ (B + B')"),
    "log(sum(exp(x)))": ("x", "(Diag(exp(x)) - (exp(x) exp(x)')/(1' exp(x)))/(1' exp(x))"),
    "exp(x'x)": ("x", "exp(x' x) (2 I + 4 x x')"),
    "(x'x)^2": ("x", "4 (x' x) I + 8 x x'"),
    "||x - y||^3": ("x", "3 (‖x - y‖ I + ((x - y) (x' - y'))/‖x - y‖)"),
    "det(A + lam I)": ("lam", "det(A + lam I) (tr((A + lam I)^-1)^2 - tr((A + lam I)^-1 (A + lam I)^-1))"),
    "sqrt(x'A x)": ("x", "((A + A')/2 - ((A + A') x x' (A + A'))/(4 sqrt(x' A x)^2))/sqrt(x' A x)"),
    "||x||": ("x", "(I - (x x')/‖x‖^2)/‖x‖"),
    "a'x": ("x", "0"),
    "sum(x^3)": ("x", "6 Diag(x)"),
    "cross_entropy(softmax(W x), y)": ("W", f"(x x') ⊗ ({SOFTMAX})", "y: one_hot"),
    "-y'log(softmax(W x))": ("W", f"(1' y) (x x') ⊗ ({SOFTMAX})"),
    "cross_entropy(softmax(Z), Y)": ("Z", f"({SOFTMAX_OF_ROWS.replace('X W', 'Z')})/n", "Y: one_hot"),
    "cross_entropy(softmax(X W), Y)": ("W", f"((I ⊗ X') ({SOFTMAX_OF_ROWS}) (I ⊗ X))/n", "Y: rows_sum_to_one"),
    "binary_cross_entropy(logistic(X w), y)": ("w", "(X' Diag((1 - logistic(X w)) ∘ logistic(X w)) X)/n"),
    "||a - X b||^2": ("X", "2 (b b') ⊗ I"),
    "||A - X B||^2": ("X", "2 (B B') ⊗ I"),
    "||A - X'||^2 + tr(X X')": ("X", "4 I"),
    "sum(X)^2": ("X", "2 1 1'"),
    "half_squared_error(V tanh(W x), y)": ("W", f"((x x') ⊗ ({BENT}))/n"),
    "sum(softplus(X w))": ("X", "(w w') ⊗ Diag((1 - logistic(X w)) ∘ logistic(X w))"),
}


@pytest.mark.parametrize("text", FORMULAS)
def test_the_closed_form(text):
    wrt, expected, *declared = FORMULAS[text]
    f = cr.parse(text, declared)

    assert cr.text(cr.hessian(f.expression, f[wrt])) == expected
    assert cr.differentiate(f.expression, f[wrt], hessian=True).check().ok


def test_a_value_that_stands_there_is_turned_and_not_computed_again():
    f = cr.parse("-y'log(softmax(z))")
    derived = cr.differentiate(f.expression, f["z"], hessian=True)

    assert derived.source("numpy").count("exp(") == 1
    assert derived.verify().ok


def test_softmax_with_cross_entropy_in_one_row():
    z, y = cr.matrix("z", 1, "k"), cr.matrix("y", 1, "k", facts=["rows_sum_to_one"])
    H = cr.hessian(cr.cross_entropy(cr.softmax(z), y), z)
    values = {"z": np.array([[0.3, -1.2, 2.0]]), "y": np.array([[0.0, 1.0, 0.0]])}
    p = np.exp(values["z"][0]) / np.exp(values["z"][0]).sum()

    assert cr.text(H) == "Diag(softmax(z)') - softmax(z)' softmax(z)"
    np.testing.assert_allclose(cr.evaluate(H, values), np.diag(p) - np.outer(p, p), rtol=1e-12)


def test_logistic_regression():
    X, w, y = cr.matrix("X", "n", "d"), cr.matrix("w", "d", 1), cr.matrix("y", "n", 1)
    H = cr.hessian(cr.binary_cross_entropy(cr.logistic(X @ w), y), w)

    assert cr.text(H) == "(X' Diag((1 - logistic(X w)) ∘ logistic(X w)) X)/n"


def test_of_a_matrix_its_columns_stand_under_each_other():
    f = cr.parse("cross_entropy(softmax(X W), Y)", ["X: 5 x 3", "W: 3 x 2"])
    rng = np.random.default_rng(0)
    values = {"X": rng.standard_normal((5, 3)), "W": rng.standard_normal((3, 2)), "Y": np.eye(2)[[0, 1, 1, 0, 1]]}

    def loss(w):
        Z = values["X"] @ anp.reshape(w, (2, 3)).T
        return -anp.sum(values["Y"] * (Z - anp.log(anp.sum(anp.exp(Z), axis=1, keepdims=True)))) / 5

    expected = autograd.hessian(loss)(values["W"].T.reshape(-1))
    np.testing.assert_allclose(cr.evaluate(cr.hessian(f.expression, f["W"]), values), expected, atol=1e-12)


def test_where_no_matrix_is_found_it_says_why():
    A = cr.matrix("A", "n", "n")

    with pytest.raises(DerivationError, match="by A, because of the transpose of an n x n matrix"):
        cr.hessian(cr.logdet(A), A)


def test_the_sizes_beside_a_kronecker_product_are_said():
    f = cr.parse("cross_entropy(softmax(X W), Y)", ["Y: rows_sum_to_one"])

    (note,) = cr.differentiate(f.expression, f["W"], hessian=True).notes
    assert note.startswith("I is an identity matrix, and 1 a column of ones: in I ⊗ X', I is (k x k)")
    assert "in (1 1') ⊗ I, 1 1' is (k x k) and I is (n x n)" in note


@pytest.mark.parametrize(
    ("text", "wrt", "note"),
    [
        ("-y'log(softmax(z))", "z", "1' y is 1 where y is declared columns_sum_to_one, as a distribution is"),
        ("-sum(Y .* log(softmax(Z)))", "Z", "Y 1 is 1 where Y is declared rows_sum_to_one, as a distribution is"),
    ],
)
def test_a_fact_that_would_shorten_is_named(text, wrt, note):
    f = cr.parse(text)
    declared = cr.parse(text, {"y": "n columns_sum_to_one"} if wrt == "z" else {"Y": "n x d rows_sum_to_one"})

    assert cr.differentiate(f.expression, f[wrt]).notes == (note,)
    assert cr.differentiate(declared.expression, declared[wrt]).notes == ()


def test_no_fact_is_asked_for_where_nothing_is_a_distribution():
    f = cr.parse("sum(x) sum(exp(x))")

    assert cr.differentiate(f.expression, f["x"]).notes == ()


def test_a_function_that_no_book_has_is_explained():
    f = cr.parse("sum((kron(A, B) - C) .* (kron(A, B) - C))")

    note = "block_products(...) is the matrix of the Frobenius products of every block of the first with the second"
    assert note in cr.differentiate(f.expression, f["A"]).notes


@pytest.mark.parametrize("name", ["_v", "_U", "_zero", "_0_of_symbol", "_0"])
def test_no_name_is_taken_by_what_is_made_on_the_way(name):
    x, u = cr.matrix("x", "n", 1), cr.matrix(name, "n", 1)

    assert cr.text(cr.hessian((u.T @ x) @ (u.T @ x), x)) == f"2 {name} {name}'"
    assert cr.differentiate((u.T @ x) @ (u.T @ x), x, hessian=True).check().ok
    assert cr.text(cr.jvp(cr.tanh(u) * x, {x: u})) == f"{name} ∘ tanh({name})"
