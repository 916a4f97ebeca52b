"""`chainrule gradient`."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.check.gradient import WRONG
from chainrule.check.report import BlockReport, GradientReport
from chainrule.check.verification import Failure, Verification
from chainrule.cli import main
from chainrule.derivatives import Derivatives

GOLDEN = """\
sum((X w - y)^2)
inferred: X (n x d), w (d x 1), y (n x 1)
note: ^2 of a matrix that is not square goes entry by entry, as .^2 does
loss
  loss = 1' ((X w - y) ∘ (X w - y))  (1 x 1)
backward
    dw = 2 X' (X w - y)              (d x 1)  product
"""


def test_the_formula_its_shapes_its_gradient_and_that_it_was_checked(capsys):
    assert main(["gradient", "sum((X w - y)^2)", "--wrt", "w"]) == 0

    shown = capsys.readouterr().out
    assert shown.startswith(GOLDEN)
    assert shown.splitlines()[-1].startswith("checked against finite differences: worst relative error ")
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_without_wrt_it_is_by_every_name(capsys):
    assert main(["gradient", "x'A x"]) == 0

    shown = capsys.readouterr().out
    assert "dx = (A + A') x" in shown
    assert "dA = x x'" in shown


@pytest.mark.parametrize("wrt", [["--wrt", "x,b"], ["--wrt", "x", "--wrt", "b"]])
def test_several_names(wrt, capsys):
    assert main(["gradient", "x'A x + b'x", *wrt]) == 0

    shown = capsys.readouterr().out
    assert "dx = " in shown
    assert "db = x" in shown
    assert "dA" not in shown


def test_declared_shapes_facts_and_the_hessian(capsys):
    assert main(["gradient", "x'A x", "--wrt", "x", "--size", "A: n x n symmetric", "--hessian"]) == 0

    shown = capsys.readouterr().out
    assert "declared: A (n x n)\ninferred: x (n x 1)\n" in shown
    assert "H_x = 2 A " in shown


def test_a_hessian_without_a_matrix_is_a_product_with_a_direction(capsys):
    assert main(["gradient", "logdet(X)", "--hessian"]) == 0

    assert "dX_dot = -X^-T X_dot' X^-T" in capsys.readouterr().out


def test_the_steps(capsys):
    assert main(["gradient", "log(det(X'X))", "--size", "X=n,d", "--steps"]) == 0

    shown = capsys.readouterr().out
    assert "  X enters the loss itself\n  1. log " in shown
    assert re.search(r"symmetric matrices are their transposes +\(d x d\)\n     \(X' X\)\^-T  =  \(X' X\)\^-1\n", shown)
    assert "A' = A for a symmetric A, such as" in shown
    assert re.search(r"product +\(d x d\) -> \(n x d\)\n     \(X' X\)\^-1  ->  X \(X' X\)\^-1\n", shown)
    assert "X[i,j] meets X[i,k] in [k,j] of X' X, for every k: the sum over k of" in shown


def test_the_steps_to_second_derivatives(capsys):
    assert main(["gradient", "logdet(X)", "--hessian", "--steps"]) == 0

    shown = capsys.readouterr().out
    assert re.search(r"^dX_dot = -X\^-T X_dot' X\^-T +\(n x n\)\n  forward over reverse\n  1. ", shown, re.M)
    assert shown.index("X^-T (X^-1 X_dot)'") < shown.index("so far: -X^-T X_dot' X^-T\n")


def test_verify_replays_every_step_and_adds_one_line(capsys):
    assert main(["gradient", "logdet(X)", "--hessian", "--verify"]) == 0

    line = capsys.readouterr().out.splitlines()[-2]
    assert line.startswith(f"{len(logdet_with_a_product().steps)} steps replayed, ")
    assert line.endswith(": ok")


def logdet_with_a_product():
    f = cr.parse("logdet(X)")
    return cr.differentiate(f.expression, f["X"], hessian=True)


@pytest.mark.parametrize(
    "formula",
    [
        "logdet(A X)",  # A n x d: an inverse only where n is the smaller size
        "log(det(X' A X))",  # where it is the larger
        "sum((v^0.5 + lam)^0)",  # not a number at many points
        "logdet(relu6(lam - A) minimum(gelu_tanh(v), A + b))",  # a number that may be 0, to the power -1
    ],
)
def test_verify_finds_points_where_a_formula_has_values(formula, capsys):
    assert main(["gradient", formula, "--verify"]) == 0
    assert "replayed" in capsys.readouterr().out


def test_verify_fails_on_a_wrong_step(capsys, monkeypatch):
    right = logdet_with_a_product().steps[0]
    wrong = Verification(False, 1, 1.0, (Failure(right.rule, right.equation, "1", "2", 1.0),))
    monkeypatch.setattr(Derivatives, "verify", lambda self: wrong)

    assert main(["gradient", "logdet(X)", "--verify"]) == 1

    assert "1 failed" in capsys.readouterr().err


def test_a_program_runs_and_says_the_rest_elsewhere(capsys):
    assert main(["gradient", "sum((X w - y)^2)", "--wrt", "w", "--source", "numpy"]) == 0

    out, err = capsys.readouterr()
    names = {"np": np, "X": np.eye(2), "w": np.array([[1.0], [2.0]]), "y": np.ones((2, 1))}
    exec(out, names)
    np.testing.assert_array_equal(names["dw"], [[0.0], [2.0]])
    assert "checked against finite differences" in err


def test_latex(capsys):
    assert main(["gradient", "a'X^-1 b", "--wrt", "X", "--latex"]) == 0

    assert r"\frac{\partial L}{\partial X} &= -X^{-\top} a b^{\top} X^{-\top}" in capsys.readouterr().out


def test_to_a_file(tmp_path, capsys):
    path = tmp_path / "g.tex"

    assert main(["gradient", "x'x", "--latex", "--output", str(path)]) == 0

    assert r"\begin{align*}" in path.read_text("utf-8")
    assert capsys.readouterr().out.startswith("checked")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["sum(X*w)"],
            "'*' has two readings: X w is the matrix product, X .* w goes entry by entry\n  sum(X*w)\n       ^",
        ),
        (["X w"], "a gradient is of one number, got (n x 1): reduce it first, as sum(...) does\n  X w\n  ^^^"),
        (["x'x", "--wrt", "q"], "no matrix 'q' in the formula; known names are 'x'\n  --wrt q\n        ^\n"),
        (["x'Weight x", "--wrt", "x, weight"], "did you mean 'Weight'?\n  --wrt x, weight\n           ^^^^^^\n"),
        (["x'x", "--size", "q=3"], "a size is declared for 'q', which is not in"),
        (["x'x", "--latex", "--steps"], "exclude each other"),
        (["x'x", "--source", "cobol"], "unknown language 'cobol'"),
        (["--bogus"], "unknown option '--bogus'; see chainrule gradient --help"),
        (["x'x", "--step"], "unknown option '--step'; did you mean '--steps'?"),
        (
            ["sum(log(-x .* x)) + x'x"],
            "the loss or its derivative is not finite at any of the random points tried, because of log(-x ∘ x)\n"
            "  sum(log(-x .* x)) + x'x\n      ^^^^^^^^^^^^",
        ),
        (
            ["logdet(x x') + y'y"],
            "is not finite at any of the random points tried, because of (x x')^-1\n"
            "  logdet(x x') + y'y\n         ^^^^",
        ),
        (["diag(x)"], "a gradient is of one number, got (n x n): reduce it first, as sum(...) does\n  diag(x)\n"),
        (["sum(X)", "--size", "X=3"], "X is a matrix by its capital, and has two sizes: write X=3,1 for a column"),
        (["qqqqq(X)"], "; the nearest of "),
        (["qqqqq(X)"], ": chainrule gradient --help lists all\n  qqqqq(X)\n  ^^^^^"),
        (["sum(sofmax(X))"], "unknown function 'sofmax'; did you mean 'softmax'?\n  sum(sofmax(X))\n      ^^^^^^"),
    ],
)
def test_bad_input_is_one_message(arguments, message, capsys):
    assert main(["gradient", *arguments]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("chainrule: error: ")
    assert message in err


@pytest.mark.parametrize("order", [["-sum(x)", "--wrt", "x"], ["--wrt", "x", "-sum(x)"], ["--wrt=x", "-sum(x)"]])
def test_a_formula_may_begin_with_a_minus(order, capsys):
    assert main(["gradient", *order]) == 0
    assert "dx = (-1) 1 " in capsys.readouterr().out


@pytest.mark.parametrize("formula", ["sum(first_maximum(x))", "norm(x - x)", "x'x + 0 a"])
def test_what_the_loss_does_not_depend_on_is_checked_too(formula, capsys):
    assert main(["gradient", formula]) == 0

    shown = capsys.readouterr().out
    assert "the loss does not depend" in shown
    assert "checked against finite differences: worst relative error" in shown


def test_where_largest_entries_are_equal_is_said(capsys):
    assert main(["gradient", "sum(row_maximum(X))"]) == 0

    note = "note: row_maximum(X) has a kink where the largest entries of a row of X are equal: there the first counts"
    assert note in " ".join(capsys.readouterr().out.split())


def test_the_ones_in_steps_are_explained_and_no_step_reads_alike(capsys):
    assert main(["gradient", "sum((X w - y)^2)", "--wrt", "w", "--steps"]) == 0

    lines = capsys.readouterr().out.splitlines()
    steps = lines[lines.index("backward") :]
    assert any(line.startswith("beside a matrix, 1 is a column of ones") for line in steps)
    sides = [line.strip().split("  =  ") for line in steps if "  =  " in line]
    assert sides
    assert all(a != b for a, b in sides)
    assert all(len(line) <= 80 for line in lines)


def test_a_derivative_that_differs_is_told(monkeypatch, capsys):
    wrong = BlockReport("x", (2, 1), WRONG, 1.0, 2.0, 1.0, 0.0)
    monkeypatch.setattr(Derivatives, "check", lambda self: GradientReport({"x": wrong}, 1e-6))

    assert main(["gradient", "x'x"]) == 1
    assert "0 of 1 ok" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    main(["gradient", "--help"])

    assert 'chainrule gradient "sum((X w - y)^2)" --wrt w' in capsys.readouterr().out
