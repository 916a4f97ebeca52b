"""What stands alone is finite where a network's is."""

import re
from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.derivatives import differentiate
from chainrule.errors import DerivationError
from chainrule.stable import stabilized

Z, Y = cr.matrix("Z", "n", "k"), cr.matrix("Y", "n", "k", facts=["one_hot"])
SCORES = {"Z": np.array([[1000.0, -1000.0, 0.0]]), "Y": np.array([[0.0, 1.0, 0.0]])}
BITS = {"Z": np.array([[1000.0, -1000.0]]), "Y": np.array([[0.0, 1.0]])}
P = cr.define("P", cr.softmax(Z))
LOSSES = {
    "cross-entropy": (cr.cross_entropy(cr.softmax(Z), Y), SCORES, 2000.0),
    "by a name": (cr.cross_entropy(P, Y), SCORES, 2000.0),
    "binary": (cr.binary_cross_entropy(cr.logistic(Z), cr.matrix("Y", "n", "k")), BITS, 2000.0),
    "poisson": (cr.poisson(cr.softplus(Z), Y), BITS, 2000.0),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("error")
def test_evaluate_source_and_gradient_are_finite_at_scores_of_1000(name):
    loss, values, expected = LOSSES[name]
    (dZ,) = cr.gradient(loss, Z)

    assert cr.evaluate(loss, values).item() == pytest.approx(expected)
    assert np.isfinite(cr.evaluate(dZ, values)).all()
    names = {"np": np, "n": 1, **values}
    exec(cr.source({"loss": loss, "dZ": dZ}), names)
    assert float(np.asarray(names["loss"]).item()) == pytest.approx(expected)
    np.testing.assert_allclose(names["dZ"], cr.evaluate(dZ, values))


def test_gradients_of_symbols_are_those_of_gradient():
    loss = LOSSES["by a name"][0]

    assert cr.gradients(loss)[Z] is cr.gradient(loss, Z)[0]
    assert cr.text(cr.gradients(loss)[P]) == "-(Y / P)/n"


def test_by_an_inner_expression_no_stable_form_looks_through_it():
    loss = LOSSES["by a name"][0]

    assert cr.text(*cr.gradient(loss, P)) == "-(Y / P)/n"
    assert cr.text(*cr.gradient(cr.cross_entropy(cr.softmax(cr.exp(Z)), Y), cr.exp(Z))) == "(softmax(exp(Z)) - Y)/n"


def test_the_steps_are_told():
    (found,), steps = stabilized(LOSSES["by a name"][0])

    assert [step.rule for step in steps] == ["log_of_softmax"]
    assert "log_softmax" in cr.text(found)


def test_a_kink_in_what_is_not_differentiated_by_is_no_matter():
    f = cr.parse("||X||_F^2 + ||x|| + sum(relu(X))")
    by_X, by_x = (cr.differentiate(f.expression, f[name]) for name in "Xx")
    values = {"X": np.ones((2, 3)), "x": np.zeros((2, 1))}

    assert [note.split()[0] for note in by_X.notes] == ["relu(X)"]
    assert [note.split()[0] for note in by_x.notes] == ["‖x‖"]
    np.testing.assert_array_equal(by_X.at(values)["dX"], np.full((2, 3), 3.0))
    with pytest.raises(DerivationError, match="norm has a kink at 0, and x is 0"):
        by_x.at(values)


def test_at_a_kink_it_says_where():
    x = cr.matrix("x", "n", 1)
    d = differentiate(cr.sum(cr.relu(x)) + cr.norm(x), x)

    assert d.at({"x": [[1.0], [-2.0]]})["dx"].shape == (2, 1)
    with pytest.raises(DerivationError, match=r"relu has a kink at 0, and entry \[1, 0\] of x is 0"):
        d.at({"x": [[1.0], [0.0]]})
    assert any("‖x‖ has a kink where x is 0" in note for note in d.notes)


@pytest.mark.parametrize(
    ("formula", "note", "derivative"),
    [
        ("sum(maximum(x, y))", "maximum(x, y) has a kink where x = y: there its derivative is that of y", 0),
        ("sum(minimum(x, y))", "minimum(x, y) has a kink where x = y: there its derivative is that of x", 1),
        ("sum(minimum(2, x))", "minimum(2, x) has a kink where x is 2: there its derivative is that of 2", 0),
        ("hinge(x, y)", "has a kink where 1 - y ∘ x is 0: there its derivative is that of 0", 0),
        ("quantile(x, y, 0.3)", "has a kink where x - y is 0: there its derivative is that of 0", -0.3),
        ("sum(|x - y|)", "|x - y| has a kink where x - y is 0: there its derivative is taken as 0", 0),
        ("sum(leaky_relu(x - y, 0.1))", "where x - y is 0: there its derivative is taken as 0.1", 0.1),
        ("sum(relu6(x - y))", "where x - y is 0 or 6: there its derivative is taken as 0", 0),
    ],
)
def test_where_two_operands_meet_it_says_which_one_counts(formula, note, derivative):
    f = cr.parse(formula)
    x = 2.0 if "2" in formula else 1.0
    met = {"n": 1} | {name: {"x": [[x]], "y": [[1.0]]}[name] for name in f.symbols}
    apart = {name: {"x": [[0.3]], "y": [[0.8]]}[name] for name in f.symbols}

    d = differentiate(f.expression, f["x"])

    assert any(each.endswith(note) for each in d.notes), d.notes
    assert cr.evaluate(d["dx"].expression, met).item() == derivative
    assert d.at({name: apart[name] for name in f.symbols})["dx"].shape == (1, 1)
    with pytest.raises(DerivationError, match=r"not differentiable here: .* kink"):
        d.at(met)


def test_a_bend_of_the_derivative_is_no_kink():
    f = cr.parse("huber(x, y)")

    assert differentiate(f.expression, f["x"]).notes == ()


def test_where_a_function_jumps_it_has_no_derivative_and_no_kink():
    x = cr.matrix("x", "n", 1)
    d = differentiate(cr.sum(cr.step(x) + cr.sign(x) * x), x)

    assert "[x > 0] jumps where x is 0: there its derivative is not defined, elsewhere it is 0" in d.notes
    assert "sign(x) jumps where x is 0: there its derivative is not defined, elsewhere it is 0" in d.notes
    assert not any("kink" in note or "subgradient" in note for note in d.notes)
    with pytest.raises(DerivationError, match=r"step jumps at 0, and entry \[1, 0\] of x is 0"):
        d.at({"x": [[1.0], [0.0]]})


def test_a_derivative_of_no_symbol_is_refused():
    with pytest.raises(DerivationError, match="is none: use gradient"):
        differentiate(cr.sum(cr.exp(Z)), cr.exp(Z))
    with pytest.raises(DerivationError, match="at least one symbol"):
        differentiate(cr.sum(Z))


def test_a_wrong_derivative_is_caught():
    d = differentiate(cr.trace(cr.matrix("A", 3, 3) @ cr.matrix("X", 3, 3)), cr.matrix("X", 3, 3))
    wrong = [replace(e, expression=cr.matrix("A", 3, 3)) if e.name == "dX" else e for e in d]  # A for A'

    assert d.check().ok
    assert not replace(d, derived=replace(d.derived, equations=tuple(wrong))).check().ok


@pytest.mark.parametrize(
    ("formula", "where"),
    [
        ("sum(log(x))", "log(x) is not finite in entry [1, 0], where x is 0"),
        ("sum(1 ./ x)", "1/x is not finite in entry [1, 0], where x is 0"),
        ("sum((x - 3) .^ -2 + sqrt(x - 1))", "sqrt(x - 1) is not finite in entry [1, 0], where x - 1 is -1"),
        ("logdet(x x')", "log|det(x x')| is not finite in entry [0, 0]"),
        ("sum(x_log_x(x))", "x_log_x has an infinite slope at 0, and entry [1, 0] of x is 0"),
    ],
)
def test_where_a_function_is_infinite_the_loss_has_no_derivative(formula, where):
    f = cr.parse(formula)
    d = differentiate(f.expression, f["x"])

    with pytest.raises(DerivationError, match=re.escape(where)):
        d.at({"x": [[1.0], [0.0]]})


def test_what_overflows_is_not_said_to_have_no_derivative():
    f = cr.parse("sum(exp(x))")

    with pytest.raises(DerivationError, match=r"^exp\(x\) is not finite in entry \[1, 0\], where x is 1000$"):
        differentiate(f.expression, f["x"]).at({"x": [[1.0], [1000.0]]})


@pytest.mark.parametrize(
    ("formula", "at", "words"),
    [
        ("tanh(||x||)^2", {"x": [[0.0], [0.0]]}, "dx is not finite here, as it is written"),
        ("det(X)", {"X": [[1, 2], [2, 4]]}, "dX is not finite here, as it is written: X^-1 is not finite in entry"),
        ("sum(sign(log(y) .* x))", {"x": [[1.0]], "y": [[-1.0]]}, "loss is not finite here, as it is written: log(y)"),
    ],
)
def test_an_equation_that_is_not_finite_as_it_is_written_is_refused(formula, at, words):
    f = cr.parse(formula)
    d = differentiate(f.expression, f[next(iter(at))])

    with pytest.raises(DerivationError, match="^" + re.escape(words)):
        d.at(at)


@pytest.mark.parametrize("formula", ["sum(relu(x).^2)", "||x - x0||^3", "sum(x .* |x|)", "sum(maximum(x, 0) .* x)"])
def test_a_kink_that_the_loss_does_not_feel_is_none(formula):
    f = cr.parse(formula)
    at = {"x": np.array([[1.0], [0.0]]), "x0": np.array([[1.0], [0.0]])}
    at = {name: at[name] for name in f.symbols}

    found = differentiate(f.expression, f["x"]).at(at)["dx"]

    t = 1e-5
    moved = [cr.evaluate(f.expression, at | {"x": at["x"] + [[0], [s]]}).item() for s in (t, -t)]
    assert found[1].item() == pytest.approx((moved[0] - moved[1]) / (2 * t), abs=1e-4)


def test_a_second_derivative_feels_a_kink_of_which_the_first_is_zero():
    f = cr.parse("sum(relu(x).^2)")

    with pytest.raises(DerivationError, match=r"relu has a kink at 0, and entry \[1, 0\] of x is 0"):
        differentiate(f.expression, f["x"], hessian=True).at({"x": [[1.0], [0.0]]})
