"""The derivatives of an expression under names of their own, several at once."""

from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DerivationError, SpecError

WITHOUT_A_MATRIX = ["logdet(A X)", "sum(softmax(w') + ||A + W ⊗ y||_F)", "||X - X'||^2 + logdet(X) + logdet(A X)"]


@pytest.mark.parametrize("text", WITHOUT_A_MATRIX)
def test_products_with_directions_are_one_equation_for_each_name(text):
    f = cr.parse(text)

    d = cr.differentiate(f.expression, *f.symbols.values(), hessian=True)

    assert len({e.name for e in d}) == len(d)
    report = d.check()
    assert report.ok, report
    assert set(report.blocks) == {e.name.removeprefix("d") for e in d if e.phase == "backward"} | {
        e.name for e in d if e.phase == "hessian"
    }


def test_a_wrong_product_is_found_under_its_name():
    f = cr.parse("logdet(A X)")
    d = cr.differentiate(f.expression, f["A"], f["X"], hessian=True)
    doubled = [replace(e, expression=2 * e.expression) if e.name == "dX_dot" else e for e in d]

    report = replace(d, derived=replace(d.derived, equations=tuple(doubled))).check()

    assert [name for name, block in report.blocks.items() if not block.ok] == ["dX_dot"]


def test_the_steps_of_tangents_are_kept_and_replayed():
    f = cr.parse("logdet(X)")

    d = cr.differentiate(f.expression, f["X"], hessian=True)

    assert {s.equation for s in d.steps} == {e.name for e in d} - {"loss"}
    assert d.verify().ok
    assert d.verify().steps > cr.differentiate(f.expression, f["X"]).verify().steps


def test_a_note_names_the_equation_that_is_given_instead():
    f = cr.parse("logdet(A X)")

    notes = cr.differentiate(f.expression, f["A"], f["X"], hessian=True).notes

    assert notes[0].endswith(": dA_dot is how dA moves along A_dot and X_dot")


@pytest.mark.parametrize(
    ("text", "hessian", "clash"),
    [
        ("d dx' x", False, "dx would stand for two things, a matrix of the loss and the derivative by x"),
        ("x' y dx' dx", False, "dx would stand for two things"),
        ("logdet(H_X) + sum(X)", True, "H_X would stand for two things, a matrix of the loss and the Hessian by X"),
        ("x_dot' x", True, "x_dot would stand for two things, a matrix of the loss and a direction of x"),
        ("dx_dot' x", True, "dx_dot would stand for two things"),
    ],
)
def test_a_name_that_a_derivative_gets_is_refused_as_that_of_a_matrix(text, hessian, clash):
    f = cr.parse(text)

    with pytest.raises(DerivationError, match=clash) as raised:
        cr.differentiate(f.expression, *f.symbols.values(), hessian=hessian)

    pointed = f.pointed(raised.value)
    assert isinstance(pointed, SpecError)
    assert text[pointed.position :].startswith(clash.split()[0])


def test_a_part_and_a_matrix_of_one_name_are_refused():
    Z = cr.matrix("Z", "n", 1)

    with pytest.raises(DerivationError, match="Z would stand for two things, a matrix of the loss and a part of the"):
        cr.differentiate(cr.sum(cr.define("Z", cr.exp(Z)) * Z), Z)


def test_a_name_of_a_derivative_that_is_not_asked_for_is_free():
    f = cr.parse("x_dot' x + dy' x + sum(H_x x)")

    d = cr.differentiate(f.expression, f["x"])

    assert d.check().ok


def test_the_loss_takes_a_name_that_is_free():
    f = cr.parse("loss' f' L' loss_0")

    d = cr.differentiate(f.expression, *f.symbols.values())

    assert d.equations[0].name == "loss_1"
    assert d.check().ok


@pytest.mark.parametrize(("role", "words"), [("target", "sum over examples"), ("data", "sum over rows")])
def test_rows_are_examples_where_there_are_targets(role, words):
    b, Y = cr.matrix("b", 1, "k"), cr.matrix("Y", "n", "k", role=role)

    d = cr.differentiate(cr.sum(cr.tanh(cr.ones("n") @ b + Y)), b)

    assert d["db"].rule == f"product, tanh, {words}"


X, W, b = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("b", 1, "k")
Y = cr.matrix("Y", "n", "k", role="target")
IN_COLUMNS = W.T @ X.T + b.T @ cr.ones("n").T


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (cr.half_squared_error(X @ W + cr.ones("n") @ b, Y), "product, sum over examples"),
        (cr.sum(cr.tanh(X @ W + cr.ones("n") @ b)), "product, tanh, sum over rows"),
        (cr.sum(cr.tanh(IN_COLUMNS)), "product, tanh, sum over columns"),
        (cr.half_squared_error(IN_COLUMNS.T, Y), "product, sum over examples"),
    ],
)
def test_a_bias_sums_over_the_lines_that_it_is_added_to(expression, words):
    derived = cr.differentiate(expression, b)

    assert derived["db"].rule == words
    assert derived.check().ok


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("sum(X/||X|| + X + X)", "loss", "1' (X/‖X‖ + 2 X) 1"),
        ("sum(a'(X/||X|| + X + X) b)", "dX", "(2 + 1/‖X‖) a b' - (1' ((a b') ∘ X) 1) X/‖X‖^3"),
        ("lam x'x + x'x/3 + mu x'x", "dx", "2 (lam + 1/3 + mu) x"),
        ("x'x/||x||", "dx", "x/loss"),
        ("||X||_F + tr(X'X)/||X||_F", "dX", "2 X/‖X‖"),
        ("||x - y||^3", "dx", "3 ‖x - y‖ (x - y)"),
        ("||x||^3 + ||x||^2", "dx", "2 x + 3 ‖x‖ x"),
        ("sqrt(x'x)^2 sum(x)", "dx", "2 (1' x) x + (x' x) 1"),
    ],
)
def test_like_terms_with_coefficients_of_their_own_are_collected(text, name, expected):
    f = cr.parse(text)

    d = cr.differentiate(f.expression, *f.symbols.values())

    assert cr.text(d[name].expression) == expected
    assert d.check().ok
    assert d.verify().ok


def test_a_kink_that_the_simplified_loss_has_not_is_not_noted():
    f = cr.parse("||X||_F^4")

    assert cr.differentiate(f.expression, f["X"]).notes == ()


def test_a_coefficient_of_a_number_is_opened_without_a_step():
    f = cr.parse("-sum(x) - 2 norm(x)")

    d = cr.differentiate(f.expression, f["x"])

    assert not any(s.rule == "coefficients_are_opened" for s in d.steps)
    assert not any(cr.text(s.after) == f"{cr.text(s.before)} (1)" for s in d.steps)


@pytest.mark.parametrize(
    ("text", "by_hand"),
    [("sqrt(s)^2", lambda s: np.sqrt(s) ** 2), ("s/sqrt(s)^2", lambda s: s / np.sqrt(s) ** 2)],
    ids=["sqrt(s)^2", "s/sqrt(s)^2"],
)
@pytest.mark.parametrize("s", [-1.0, 2.0])
def test_the_square_of_a_root_is_no_number_where_the_root_is_none(text, by_hand, s):
    f = cr.parse(text, ["s: 1"])

    found = cr.differentiate(f.expression, f["s"])["loss"].expression

    with np.errstate(invalid="ignore"):
        assert cr.evaluate(found, {"s": s}).item() == pytest.approx(by_hand(s), nan_ok=True)


@pytest.mark.parametrize(
    ("text", "name", "slope"),
    [
        ("sum(maximum(x, x))", "x: n", [[1], [1], [1]]),
        ("tr(maximum(S', S))", "S: n x n symmetric", np.eye(3)),
        ("tr(minimum(S, S'))", "S: n x n symmetric", np.eye(3)),
        ("maximum(s', s)", "s: 1", [[1]]),
        ("sum(minimum(2 x - x, x))", "x: n", [[1], [1], [1]]),
    ],
)
def test_the_larger_of_equals_has_no_kink(text, name, slope):
    f = cr.parse(text, [name])
    (w,) = f.symbols.values()

    d = cr.differentiate(f.expression, w)

    assert not any("kink" in note for note in d.notes)
    np.testing.assert_array_equal(d.at({str(w.name): np.eye(len(slope))[:, : len(slope[0])]})[f"d{w.name}"], slope)
    assert d.verify().ok


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("sum(sqrt(x))", "sqrt(x) has an infinite slope where x is 0: there its derivative is not defined"),
        ("sum(x.^0.5)", "x.^0.5 has an infinite slope where x is 0: there its derivative is not defined"),
        ("sqrt(x'x)", "sqrt(x' x) has an infinite slope where x' x is 0: there its derivative is not defined"),
    ],
)
def test_where_a_slope_is_infinite_is_noted_and_refused(text, note):
    f = cr.parse(text, ["x: 3"])
    d = cr.differentiate(f.expression, f["x"])

    quotients = [cr.evaluate(f.expression, {"x": [[t], [0], [0]]}).item() / t for t in (1e-4, 1e-8)]
    assert text == "sqrt(x'x)" or quotients[1] > 99 * quotients[0]  # that of ||x|| is 1, and -1 from the other side
    assert d.notes[0] == note
    with pytest.raises(DerivationError, match=r"has an infinite slope at 0, and entry \[0, 0\] of .* is 0"):
        d.at({"x": np.zeros((3, 1))})
    assert np.isfinite(d.at({"x": np.ones((3, 1))})["dx"]).all()


@pytest.mark.parametrize("text", ["sum(x.^1.5)", "sum(x.^2)", "x'x"])
def test_a_power_above_1_has_a_slope_everywhere(text):
    f = cr.parse(text, ["x: 3"])
    d = cr.differentiate(f.expression, f["x"])

    assert not d.notes
    np.testing.assert_array_equal(d.at({"x": np.zeros((3, 1))})["dx"], np.zeros((3, 1)))


def test_where_a_second_derivative_jumps_is_noted_and_refused_with_a_hessian_only():
    f = cr.parse("sum(huber(x, y))", ["x: 2"])
    values = {"x": [[-3.0], [1.0]], "y": [[0.0], [0.0]]}
    once, twice = (cr.differentiate(f.expression, f["x"], hessian=hessian) for hessian in (False, True))

    def slope(t):
        return cr.evaluate(once["dx"].expression, {"x": [[-3.0], [1.0 + t]], "y": values["y"]})[1].item()

    before, after = (slope(0) - slope(-1e-3)) / 1e-3, (slope(1e-3) - slope(0)) / 1e-3
    assert before == pytest.approx(0.5)
    assert after == 0
    assert not once.notes
    assert once.at(values)["dx"][1] == slope(0)
    assert twice.notes[0] == (
        "huber(x - y) has a second derivative that jumps where x - y is -1 or 1: there it is not defined"
    )
    with pytest.raises(DerivationError, match=r"not twice differentiable here: huber .* entry \[1, 0\] of x - y is 1"):
        twice.at(values)
    np.testing.assert_array_equal(twice.at(values | {"x": [[-3.0], [0.5]]})["H_x"], np.diag([0, 0.5]))


@pytest.mark.parametrize("text", ["elu(x)", "elu(x, 0.5)", "celu(x, 2)", "softsign(x)"])
def test_a_hessian_is_refused_where_a_second_derivative_jumps_at_0(text):
    f = cr.parse(f"sum({text})", ["x: 1"])
    d = cr.differentiate(f.expression, f["x"], hessian=True)
    sides = [d.at({"x": [[t]]})["H_x"].item() for t in (-1e-6, 1e-6)]

    assert abs(sides[1] - sides[0]) > 0.1
    with pytest.raises(DerivationError, match="differentiable here"):
        d.at({"x": [[0.0]]})


@pytest.mark.parametrize(
    ("text", "shape", "loss", "derivative", "by_hand"),
    [
        ("y'X X'y/||X'y||", "X: n x d", "‖X' y‖", "(y y' X)/loss", lambda X, y: np.linalg.norm(X.T @ y)),
        ("||X||^3/tr(X'X)", "X: n x d", "‖X‖", "X/loss", lambda X, y: np.linalg.norm(X)),
        ("tr(X X')/||X||", "X: n x d", "‖X‖", "X/loss", lambda X, y: np.linalg.norm(X)),
        ("||X y||^5/(y'X'(X y))^2", "X: n x d", "‖X y‖", "(X y y')/loss", lambda X, y: np.linalg.norm(X @ y)),
        ("||X y||/(y'X'X y)", "X: n x d", "1/‖X y‖", None, lambda X, y: 1 / np.linalg.norm(X @ y)),
        (
            "y'X X y/||X'y||",
            "X: n x n",
            "(y' X X y)/‖X' y‖",
            None,
            lambda X, y: y.T @ X @ X @ y / np.linalg.norm(X.T @ y),
        ),
    ],
)
def test_a_square_meets_its_norm_however_it_is_written(text, shape, loss, derivative, by_hand):
    f = cr.parse(text, [shape])
    d = cr.differentiate(f.expression, f["X"])
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3, 3)), rng.standard_normal((3, 1))
    found = d.at({"X": X, "y": y} if "y" in text else {"X": X})

    moves = 1e-5 * np.eye(9).reshape(9, 3, 3)
    slopes = [np.asarray(by_hand(X + m, y) - by_hand(X - m, y)).item() / 2e-5 for m in moves]
    assert str(d["loss"]) == f"loss = {loss}"
    assert derivative is None or str(d["dX"]) == f"dX = {derivative}"
    np.testing.assert_allclose(found["dX"], np.reshape(slopes, (3, 3)), rtol=1e-7, atol=1e-8)
    assert d.verify().ok


BY_SYMMETRIC = [
    ("(S w - y)'(S w - y)", lambda S, A, w, y: np.sum((S @ w - y) ** 2)),
    ("tr(S'A)", lambda S, A, w, y: np.trace(S.T @ A)),
    ("w'S S'w + y'S y", lambda S, A, w, y: np.sum((S.T @ w) ** 2) + (y.T @ S @ y).item()),
    ("tr(A S^-1) + w'S S w", lambda S, A, w, y: np.trace(A @ np.linalg.inv(S)) + (w.T @ S @ S @ w).item()),
]


@pytest.mark.parametrize(("text", "by_hand"), BY_SYMMETRIC, ids=[text for text, _ in BY_SYMMETRIC])
def test_every_derivative_by_a_symmetric_matrix_is_of_the_loss_as_it_was_written(text, by_hand):
    named = [f"{name}: n x {columns}" for name, columns in (("A", "n"), ("w", 1), ("y", 1)) if name in text]
    f = cr.parse(text, ["S: n x n symmetric", *named])
    d = cr.differentiate(f.expression, f["S"], hessian=True)
    rng = np.random.default_rng(0)
    A, w, y = rng.standard_normal((3, 3)), rng.standard_normal((3, 1)), rng.standard_normal((3, 1))
    S, T = (each + each.T for each in rng.standard_normal((2, 3, 3)))
    S += 5 * np.eye(3)
    found = d.at({name: value for name, value in (("S", S), ("A", A), ("w", w), ("y", y)) if name in text})

    def line(move, t):
        return by_hand(S + t * move, A, w, y)

    moves = 1e-5 * np.eye(9).reshape(9, 3, 3)
    slopes = np.reshape([(line(move, 1) - line(move, -1)) / 2e-5 for move in moves], (3, 3))
    bend = (line(T, 1e-3) - 2 * line(T, 0) + line(T, -1e-3)) / 1e-6
    along = T.reshape((9, 1), order="F")
    np.testing.assert_allclose(found["dS"], slopes, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose((along.T @ found["H_S"] @ along).item(), bend, rtol=1e-5, atol=1e-6)
    assert d["dS"].expression is cr.gradient(f.expression, f["S"])[0]
    assert d.verify().ok
    assert d.check().ok


def test_by_a_symmetric_matrix_the_entries_are_said_to_be_independent():
    f = cr.parse("a'S^-1 b + logdet(S)", ["S: symmetric"])
    d = cr.differentiate(f.expression, f["S"])
    rng = np.random.default_rng(0)
    a, b, root = rng.standard_normal((3, 1)), rng.standard_normal((3, 1)), rng.standard_normal((3, 3))
    S = root @ root.T + np.eye(3)

    def by_hand(entries):
        free = np.zeros((3, 3))
        free[np.tril_indices(3)] = entries
        whole = free + np.tril(free, -1).T
        return float((a.T @ np.linalg.inv(whole) @ b).item() + np.linalg.slogdet(whole)[1])

    entries = S[np.tril_indices(3)]
    steps = 1e-6 * np.eye(6)
    slopes = [(by_hand(entries + step) - by_hand(entries - step)) / 2e-6 for step in steps]
    G = d.at({"a": a, "b": b, "S": S})["dS"]
    np.testing.assert_allclose((G + G.T - np.diag(np.diag(G)))[np.tril_indices(3)], slopes, atol=1e-7)
    assert d.notes[0].startswith("dS takes the entries of S as independent; ")
    assert "the derivative is dS + dS' - Diag(diag(dS))" in d.notes[0]


def taken(formula, *sizes):
    """Return what the rewritings of the derivatives of a formula made of what, by rule."""
    parsed = cr.parse(formula, sizes)
    steps = cr.differentiate(parsed.expression, *parsed.symbols.values()).steps
    return {(s.rule, cr.text(s.before), cr.text(s.after)) for s in steps if s.via is None}


def test_a_rule_is_named_for_what_it_did():
    steps = taken("log(det(X'X))", "X=n,d")

    assert ("ones_are_neutral", "(1) / det(X' X)", "1/det(X' X)") in steps
    assert ("reciprocals_cancel", "det(X' X) (1/det(X' X)) (X' X)^-1", "(X' X)^-1") in steps
    assert ("like_terms_are_collected", "X (X' X)^-1 + X (X' X)^-1", "2 X (X' X)^-1") in steps
    assert ("like_factors_are_collected", "(1/x) / x", "1/(x ∘ x)") in taken("sum(log(x)./x)")
    assert ("powers_are_added", "logistic(X W).^2 ∘ logistic(X W)", "logistic(X W).^3") in taken("sum(logistic(X W)^3)")


@pytest.mark.parametrize("formula", ["sum(logistic(X W)^3)", "sum(log(x)./x)", "sum(exp(x).*x.*exp(-x))", "norm(x)^3"])
def test_like_terms_are_collected_in_sums_only(formula):
    assert all("+" in before or "-" in before for rule, before, _ in taken(formula) if rule.startswith("like_terms"))


def test_a_power_times_its_base_is_one_power():
    X, W = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k")
    (dW,) = cr.gradient(cr.sum(cr.power(cr.logistic(X @ W), 3)), W)

    assert cr.text(dW) == "3 X' (logistic(X W).^3 ∘ (1 - logistic(X W)))"


@pytest.mark.parametrize(
    ("formula", "name", "expected"),
    [
        ("tr(diag(x) A diag(x))", "dx", "dx = 2 diag(A) ∘ x"),
        ("tr(A diag(x) B)", "dx", "dx = diag(B A)"),
        ("norm(X w - y)^2", "loss", "loss = (X w - y)' (X w - y)"),
        ("(X w - y)'(X w - y)", "loss", "loss = (X w - y)' (X w - y)"),
    ],
)
def test_an_equation_has_the_shape_in_which_an_author_writes_it(formula, name, expected):
    parsed = cr.parse(formula, ["x: n x 1"] if "diag" in formula else [])
    derivatives = cr.differentiate(parsed.expression, *parsed.symbols.values())

    assert str(derivatives[name]) == expected
    assert derivatives.check().ok
    assert derivatives.verify().ok


def test_a_sum_of_which_no_diagonal_matrix_leaves_stays_a_diagonal():
    A, B = cr.matrix("A", "n", "n"), cr.matrix("B", "n", "n")
    x = cr.matrix("x", "n", 1)
    (dx,) = cr.gradient(cr.trace(cr.diag(x) @ (A + B)), x)

    assert cr.text(dx) == "diag(A + B)"


def test_points_at_which_a_matrix_holds_no_numbers_are_passed_over():
    f = cr.parse("logdet(kl_divergence(s, x))")

    assert cr.differentiate(f.expression, *f.symbols.values()).check().ok
    assert np.isnan(cr.evaluate(cr.inv(cr.matrix("S", 2, 2)), {"S": [[np.nan, 1], [1, 2]]})).all()
