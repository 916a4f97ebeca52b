"""Every rule: where it fires, what it makes of an expression, and that the numbers stay."""

import numpy as np
import pytest
from networks import derived, in_columns, random_values

from chainrule.derive import derive_equations
from chainrule.evaluate import evaluate_all
from chainrule.expr import define, full, matrix, ones, scalar, scale, size
from chainrule.expr import sum as total
from chainrule.line_sums import (
    factor_of_a_column_leaves_its_sum,
    factor_of_a_row_leaves_its_sum,
    known_column_sums,
    known_row_sums,
    line_sum,
)
from chainrule.primitives import (
    abs,
    exp,
    first_maximum,
    log,
    log1p,
    log_softmax,
    logistic,
    logsumexp,
    power,
    reciprocal,
    softmax,
    softplus,
    step,
    tanh,
)
from chainrule.render.text import text
from chainrule.rewrite import Rewriter
from chainrule.rules import (
    ALGEBRA,
    RENEWED,
    STABLE,
    bilinear_forms_read_from_the_left,
    coefficients_cancel,
    constant_matrix_is_an_outer_product,
    constants_multiply,
    exp_of_log_softmax,
    hadamard_products_are_flat,
    like_factors_are_collected,
    like_terms_are_collected,
    log_of_complement_of_logistic,
    log_of_exp,
    log_of_logistic,
    log_of_one_plus_exp,
    log_of_softmax,
    log_of_softplus,
    minus_enters,
    names_are_used,
    numbers_leave_products,
    ones_are_neutral,
    sums_are_tidy,
    zero_annihilates,
)
from chainrule.stack import block, hstack, vstack
from chainrule.transposes import (
    blocks_go_inward,
    numbers_leave_stacks,
    parts_of_a_stack,
    totals_turn,
    transposes_cancel,
    transposes_go_inward,
    transposes_leave_stacks,
)

R, S, T = (matrix(name, "n", "k") for name in "RST")
A, B = matrix("A", "k", "k"), matrix("B", "k", "k")
U, V, ROW = matrix("U", "k", 1), matrix("V", "k", 1), matrix("r", 1, "k")
Y = matrix("Y", "n", "k", role="target", facts=("rows_sum_to_one",))
Y3 = matrix("Y3", "n", 3, facts=("one_hot",))
TALL = matrix("C", "n", "k", facts=("columns_sum_to_one",))
E, F, H, C3 = matrix("E", "n", 3), matrix("F", 4, "n"), matrix("H", 2, "n"), matrix("C3", "k", 3)
LAM, N = scalar("lam"), size("n")
LONG, SHORT = ones("n"), ones("k")
Z = define("Z", R @ A)
P, Q = define("P", softmax(Z)), define("Q", logistic(Z))
Z_NAMED, A_NAMED = define("A1", tanh(Z)), define("A2", logistic(Z))

FIRES = [
    (numbers_leave_products, (3 * R) @ A, "3 R A"),
    (numbers_leave_products, R @ (LAM * A / N), "(lam R A)/n"),
    (numbers_leave_products, -R * S, "-R ∘ S"),
    (numbers_leave_products, (R / 3).T, "R'/3"),
    (transposes_go_inward, (R @ A).T, "A' R'"),
    (transposes_go_inward, (R + S).T, "R' + S'"),
    (transposes_go_inward, (R * S).T, "R' ∘ S'"),
    (transposes_go_inward, tanh(R).T, "tanh(R')"),
    (transposes_go_inward, (U.T @ A @ V).T, "U' A V"),
    (transposes_go_inward, full(2, ("n", "k")).T, "2 1 1'"),
    (transposes_cancel, (R.T @ S).T, "S' R"),
    (transposes_cancel, (R.T + S.T).T, "R + S"),
    (transposes_cancel, (R.T * S.T + T.T).T, "(R' ∘ S')' + T"),
    (transposes_cancel, tanh(R.T).T, "tanh(R)"),
    (transposes_cancel, softmax(R.T).T, "softmax(R)"),
    (transposes_cancel, ((R @ A).T @ tanh(S)).T, "tanh(S)' (R A)"),
    (transposes_cancel, (R.T @ LONG).T, "1' R"),
    (transposes_cancel, (U.T @ A @ V).T, "U' A V"),
    (transposes_cancel, full(2, ("n", "k")).T, "2 1 1'"),
    (transposes_cancel, hstack(F.T, H.T).T, "[F; H]"),
    (totals_turn, SHORT.T @ (R.T * S.T) @ LONG, "1' (R' ∘ S')' 1"),
    (totals_turn, SHORT.T @ abs(R.T) @ LONG, "1' |R'|' 1"),
    (coefficients_cancel, N * (R / N + S), "R + n S"),
    (coefficients_cancel, scale(R / N - LAM * S, 2, (N, 1)), "2 (R - lam n S)"),
    (transposes_leave_stacks, hstack(F.T, ones("n")), "[F; 1']'"),
    (transposes_leave_stacks, vstack(E.T, full(0, (1, "n"))), "[E, 0]'"),
    (transposes_leave_stacks, vstack(tanh(E.T), full(0, (1, "n"))), "[tanh(E')', 0]'"),
    (numbers_leave_stacks, hstack(2 * E / N, full(0, ("n", 2))), "2 [E, 0]/n"),
    (numbers_leave_stacks, hstack(full(2, ("n", 2)), full(2, ("n", 1))), "2 1 1'"),
    (blocks_go_inward, block(R @ C3, columns=(1, 3)), "R C3[:, 1:3]"),
    (blocks_go_inward, block(E.T, rows=(0, 2)), "E[:, 0:2]'"),
    (blocks_go_inward, block(3 * E / N, columns=(2, 3)), "3 E[:, 2]/n"),
    (blocks_go_inward, block(full(2, ("n", 3)), columns=(0, 1)), "2 1"),
    (parts_of_a_stack, block(hstack(E, F.T), columns=(3, 7)), "F'"),
    (parts_of_a_stack, block(vstack(E.T, F), rows=(0, 3)), "E'"),
    (constants_multiply, LONG @ SHORT.T, "1 1'"),
    (constants_multiply, LONG.T @ LONG, "n"),
    (constants_multiply, ones(3).T @ full(2, (3, "k")), "6 1'"),
    (constants_multiply, ones(1), "1"),
    (constant_matrix_is_an_outer_product, full(3, ("n", "k")) @ A, "3 1 (1' A)"),
    (constant_matrix_is_an_outer_product, R @ full(3, ("k", "k")), "3 R 1 1'"),
    (constant_matrix_is_an_outer_product, full(3, (1, 1)) @ ROW, "3 r"),
    (constant_matrix_is_an_outer_product, U @ full(3, (1, 1)), "3 U"),
    (constant_matrix_is_an_outer_product, full(3, (1, "n")) @ R, "3 1' R"),
    (constant_matrix_is_an_outer_product, R @ full(3, ("k", 1)), "3 R 1"),
    (constant_matrix_is_an_outer_product, full(3, ("n", 1)) @ ROW, "3 1 r"),
    (constant_matrix_is_an_outer_product, U @ full(3, (1, "k")), "3 U 1'"),
    (known_row_sums, Y @ SHORT, "1"),
    (known_row_sums, (P - Y) @ SHORT, "0"),
    (known_column_sums, LONG.T @ TALL, "1'"),
    (known_row_sums, (Y3 - full(0.5, ("n", 3))) @ ones(3), "(-1/2) 1"),
    (known_row_sums, first_maximum(R) @ SHORT, "1"),
    (known_column_sums, SHORT.T @ softmax(R).T, "1'"),
    (factor_of_a_row_leaves_its_sum, ((U @ SHORT.T) * A) @ SHORT, "U ∘ (A 1)"),
    (factor_of_a_row_leaves_its_sum, (A * (U @ SHORT.T)) @ SHORT, "U ∘ (A 1)"),
    (factor_of_a_column_leaves_its_sum, LONG.T @ ((LONG @ ROW) * R), "r ∘ (1' R)"),
    (sums_are_tidy, 2 * R + 2 * S, "2 (R + S)"),
    (sums_are_tidy, -R + S, "S - R"),
    (sums_are_tidy, -R - S, "-(R + S)"),
    (sums_are_tidy, R + (S + T), "R + S + T"),
    (sums_are_tidy, R - (S - T), "R + T - S"),
    (sums_are_tidy, R / N - S / N, "(R - S)/n"),
    (like_terms_are_collected, R + R, "2 R"),
    (like_terms_are_collected, R - R, "0"),
    (like_factors_are_collected, R * reciprocal(R), "1 1'"),
    (like_factors_are_collected, reciprocal(R) * reciprocal(R), "1/(R ∘ R)"),
    (like_terms_are_collected, R * S + R * T, "R ∘ (S + T)"),
    (like_terms_are_collected, -(Y * reciprocal(R)) * R * (1 - R) + (1 - Y) * R, "R - Y"),
    (like_terms_are_collected, R * full(1, ("n", "k")), "R"),
    (ones_are_neutral, full(1, ("n", "k")) * power(R, -2), "R.^-2"),
    (ones_are_neutral, R * full(1, ("n", "k")), "R"),
    (bilinear_forms_read_from_the_left, U.T @ (A @ V), "U' A V"),
    (hadamard_products_are_flat, R * (S * T), "R ∘ S ∘ T"),
    (zero_annihilates, full(0, ("n", "k")) @ A, "0"),
    (zero_annihilates, R @ full(0, ("k", "h")), "0"),
    (log_of_softmax, log(P), "log_softmax(Z)"),
    (log_of_logistic, log(Q), "-softplus(-Z)"),
    (log_of_complement_of_logistic, log(1 - Q), "-softplus(Z)"),
    (log_of_one_plus_exp, log(1 + exp(Z)), "softplus(Z)"),
    (log_of_one_plus_exp, log1p(exp(Z)), "softplus(Z)"),
    (log_of_softplus, log(softplus(Z)), "log_softplus(Z)"),
    (log_of_exp, log(exp(Z)), "Z = R A"),
    (exp_of_log_softmax, exp(define("S", log_softmax(Z))), "softmax(Z)"),
    (names_are_used({tanh(Z): Z_NAMED})[0], tanh(Z), "A1 = tanh(Z)"),
    (names_are_used({logistic(Z): A_NAMED})[1], logistic(-Z), "1 - A2"),
]


SILENT = [
    (numbers_leave_products, R @ A),
    (transposes_go_inward, R.T),
    (transposes_go_inward, Z.T),
    (transposes_go_inward, SHORT.T),
    (transposes_go_inward, hstack(E, ones("n")).T),
    (transposes_cancel, (R @ A).T),
    (transposes_cancel, tanh(R).T),
    (transposes_cancel, tanh(R @ A.T).T),
    (transposes_cancel, block(E, columns=(0, 2)).T),
    (transposes_cancel, hstack(E, F.T).T),
    (totals_turn, SHORT.T @ (R.T @ S) @ SHORT),
    (totals_turn, LONG.T @ (R * S) @ SHORT),
    (coefficients_cancel, (R + S) / N),
    (coefficients_cancel, N * (R + S)),
    (transposes_leave_stacks, hstack(E, F.T)),
    (transposes_leave_stacks, hstack(E, ones("n"))),
    (transposes_leave_stacks, vstack(tanh(F), full(0, (1, "n")))),
    (numbers_leave_stacks, hstack(2 * E, 2 * F.T)),
    (numbers_leave_stacks, hstack(2 * E, ones("n"))),
    (blocks_go_inward, block(E * E, columns=(0, 2))),
    (parts_of_a_stack, block(hstack(E, F.T), columns=(2, 4))),
    (constants_multiply, LONG @ ROW),
    (constants_multiply, SHORT),
    (constant_matrix_is_an_outer_product, full(float("nan"), ("n", "k")) @ A),
    (known_row_sums, R @ SHORT),
    (known_column_sums, LONG.T @ Y),
    (known_row_sums, (Y + full(0.5, ("n", "k"))) @ SHORT),
    (known_row_sums, (LAM * Y) @ SHORT),
    (known_column_sums, LONG.T @ softmax(R)),
    (known_row_sums, tanh(R) @ SHORT),
    (factor_of_a_row_leaves_its_sum, (R * S) @ SHORT),
    (factor_of_a_row_leaves_its_sum, ((LONG @ ROW) * R) @ SHORT),
    (sums_are_tidy, R - S),
    (sums_are_tidy, LAM * R + R),
    (like_terms_are_collected, (R @ A) * (1 - S * S)),
    (like_factors_are_collected, R * S * R),
    (like_terms_are_collected, R * full(float("inf"), ("n", "k"))),
    (like_terms_are_collected, reciprocal(full(0, ("n", "k"))) * R),
    (ones_are_neutral, R * full(2, ("n", "k"))),
    (bilinear_forms_read_from_the_left, U.T @ A),
    (hadamard_products_are_flat, R * S * T),
    (zero_annihilates, R @ A),
    (log_of_softmax, log(Q)),
    (log_of_logistic, log(P)),
    (log_of_complement_of_logistic, log(1 - P)),
    (log_of_complement_of_logistic, log(2 - Q)),
    (log_of_complement_of_logistic, log(1 - 2 * Q)),
    (log_of_complement_of_logistic, log(1 + Q)),
    (log_of_one_plus_exp, log(2 + exp(Z))),
    (log_of_one_plus_exp, log(1 + 2 * exp(Z))),
    (log_of_one_plus_exp, log(exp(Z))),
    (log_of_one_plus_exp, log1p(tanh(Z))),
    (log_of_exp, log(1 + exp(Z))),
    (log_of_softplus, log(exp(Z))),
    (exp_of_log_softmax, exp(Z)),
    (names_are_used({tanh(Z): Z_NAMED})[0], tanh(R)),
    (names_are_used({logistic(Z): A_NAMED})[1], logistic(-2 * Z)),
    (names_are_used({logistic(Z): A_NAMED})[1], logistic(Z)),
]


def name_of(row):
    return f"{row[0].__name__}: {text(row[1])}"


@pytest.mark.parametrize(("rule", "expression", "expected"), FIRES, ids=map(name_of, FIRES))
def test_a_rule_fires_and_keeps_shape_and_value(rule, expression, expected):
    out = rule(expression)

    assert expression.op in getattr(rule, "ops", (expression.op,))
    assert text(out) == expected
    assert out.shape == expression.shape
    before, after = evaluate_all([expression, out], random_values(expression, out))
    np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-14)  # some sums are exactly zero


@pytest.mark.parametrize(("rule", "expression"), SILENT, ids=map(name_of, SILENT))
def test_a_rule_is_silent_where_its_identity_says_nothing(rule, expression):
    out = rule(expression)

    assert out is None or out is expression


def test_every_rule_fires_above_and_is_an_identity_in_words():
    rules = [*ALGEBRA, *RENEWED, *STABLE, *names_are_used({})]

    assert {r.__name__ for r in rules} == {row[0].__name__ for row in FIRES}
    assert all(r.__doc__ for r in rules)


def test_every_rule_fires_in_some_derivation():
    flat = derive_equations([(define("loss", total(step(R @ A)) + total(power(A, -1))), "", "loss")], [A])
    W = matrix("W", 4, 3, role="parameter")
    Z = hstack(E, ones("n")) @ W
    penalty = total(block(W, rows=(0, 3)) * block(W, rows=(0, 3))) + total(block(hstack(W, W), columns=(0, 3)))
    penalty = penalty + total(power(hstack(W.T, ones(3)), 2)) + total(log(E) * reciprocal(E))
    stacks = derive_equations([(define("loss", total((Z @ W.T).T @ Z) + penalty), "", "loss")], [W, E])
    fired = {
        s.rule
        for d in (
            derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy", weights=True, penalty=True, label_smoothing=0.1),
            derived((4, 5, 1), ("silu", "logistic"), "binary_cross_entropy"),
            flat,
            stacks,
            derived((4, 5, 3), ("gelu", "log_softmax"), "squared_error", weights=True),
        )
        for s in (*d.steps, *in_columns(d).steps)
    }

    assert {r.__name__ for r in ALGEBRA} - fired == set()


# ---- what rules are made of

FINISHED = [
    (-(R - S), "S - R"),
    (-(R - S) / N, "(S - R)/n"),
    (-2 * (R - S), "2 (S - R)"),
    (-(R - S - T), "S + T - R"),
    (-(2 - R), "R - 2"),
    (-(R + S), "-(R + S)"),
    (R - S, "R - S"),
    (-(R * S), "-R ∘ S"),
    (2 * (R - S), "2 (R - S)"),
]


@pytest.mark.parametrize(("expression", "expected"), FINISHED, ids=[text(row[0]) for row in FINISHED])
def test_a_minus_enters_a_difference_only(expression, expected):
    out = minus_enters(expression)

    assert text(out) == expected
    before, after = evaluate_all([expression, out], random_values(expression, out))
    np.testing.assert_allclose(after, before, rtol=1e-13)


LINES = [
    (Y, 1, 1),
    (Y, 0, None),
    (Y.T, 0, 1),
    (TALL, 0, 1),
    (P, 1, 1),
    (P.T, 0, 1),
    (softmax.twin(R), 0, 1),
    (softmax.twin(R), 1, None),
    (P - Y, 1, 0),
    (3 * P - Y, 1, 2),
    (-(P - Y), 1, 0),
    (LAM * P, 1, None),
    (full(0.5, ("n", 4)), 1, 2),
    (full(0.5, ("n", 4)), 0, None),
    (ones(3), 0, 3),
    (ones("n"), 1, 1),
    (P + R, 1, None),
    (logsumexp(R), 1, None),
]


@pytest.mark.parametrize(("expression", "axis", "expected"), LINES)
def test_sums_of_lines_are_known_by_facts(expression, axis, expected):
    assert line_sum(expression, axis) == expected


def test_sums_of_lines_do_not_recurse():
    nested, long = P, P
    for i in range(5000):
        nested, long = define(f"N{i}", nested), long + P

    assert line_sum(nested, 1) is None
    assert line_sum(long, 1) is None


def test_stable_forms_are_finite_at_any_score():
    for loss in (log(P), log(Q), log(1 - Q), log(1 + exp(Z))):
        stable = Rewriter(STABLE)(loss)
        for score in (-800, 800):
            values = {"R": score * np.eye(5), "A": np.eye(5), "n": 5}
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                assert np.isfinite(evaluate_all([stable], values)[0]).all()
