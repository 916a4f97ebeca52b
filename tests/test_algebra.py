"""The normal form of elementwise algebra: what it collects, in which order, and where it stops."""

from fractions import Fraction

import numpy as np
import pytest
from networks import random_values

from chainrule.algebra import (
    MOST_TERMS,
    collected,
    constant,
    from_terms,
    is_long,
    length,
    sum_terms,
)
from chainrule.evaluate import evaluate_all
from chainrule.expr import define, full, matrix, ones, scalar, scale, size
from chainrule.primitives import power, reciprocal, tanh
from chainrule.render.text import text
from chainrule.rewrite import Rewriter
from chainrule.rules import ALGEBRA

A, B, C, D = (matrix(name, "n", "k") for name in "ABCD")
W = matrix("W", "k", "k")
P, Y = define("P", tanh(A)), matrix("Y", "n", "k")
LAM, MU, N = scalar("lam"), scalar("mu"), size("n")

NORMAL_FORMS = [
    (A + A + A, "3 A"),
    (A - A, "0"),
    (A * B - B * A, "0"),
    (0.1 * A + 0.2 * A, "0.3 A"),
    (A / 3 + A / 6, "A/2"),
    (A * reciprocal(A), "1 1'"),
    (A * reciprocal(B) * B, "A"),
    (A * B * reciprocal(A * B), "1 1'"),
    (reciprocal(2 * A) * A, "0.5 1 1'"),
    (reciprocal(LAM * A) * A, "(1 1')/lam"),
    (power(A, 3) * reciprocal(A), "A ∘ A"),
    (A * A * A * A * A, "A.^5"),
    (A * B + A * C, "A ∘ (B + C)"),
    (A * B + A, "A ∘ B + A"),
    (2 * A * B - 2 * A * C, "2 A ∘ (B - C)"),
    (LAM * A / N + LAM * B / N, "lam (A + B)/n"),
    (LAM * A + MU * A, "lam A + mu A"),
    (2 * A + 4 * B, "2 A + 4 B"),
    (B - A + C, "B + C - A"),
    (-A - B, "-(A + B)"),
    ((A + B) * (A - B) - A * A, "-B ∘ B"),
    ((1 - A) * (1 + A) + A * A, "1 1'"),
    (A * (B + C) - A * B, "C ∘ A"),
    (-(Y * reciprocal(P)) * (P * (1 - P)) + (1 - Y) * P, "P - Y"),
    ((P - Y) * reciprocal(P * (1 - P)) * P * (1 - P), "P - Y"),
    ((A @ W) * (1 - P * P), "(A W) ∘ (1 - P ∘ P)"),
    ((A - B) * (C - D), "(A - B) ∘ (C - D)"),
    (A * full(2, ("n", "k")) * full(0.5, ("n", "k")), "A"),
    (A + full(0, ("n", "k")), "A"),
    (1 - (1 - A), "A"),
    ((2 + A) - 2, "A"),
]


@pytest.mark.parametrize(("expression", "expected"), NORMAL_FORMS, ids=[text(row[0]) for row in NORMAL_FORMS])
def test_the_normal_form_reads_so_and_has_the_same_value(expression, expected):
    out = Rewriter(ALGEBRA)(expression)

    assert text(out) == expected
    before, after = evaluate_all([expression, out], random_values(expression, out))
    np.testing.assert_allclose(after, before, rtol=1e-11, atol=1e-13)  # what cancels leaves rounding behind
    assert length(out) <= length(expression)


def test_forms_are_tried_as_they_stand_and_multiplied_out():
    forms = list(collected((A + B) * C))

    assert [text(form) for form in forms] == ["(A + B) ∘ C", "C ∘ (A + B)"]
    assert len(list(collected(A * B))) == 1


def test_a_form_that_would_be_very_long_is_not_made():
    product = A + B
    for i in range(40):
        product = product * (matrix(f"X{i}", "n", "k") + matrix(f"Y{i}", "n", "k"))

    assert list(collected(product)) == []
    assert Rewriter(ALGEBRA)(product) is product


@pytest.mark.parametrize("count", [2, MOST_TERMS, MOST_TERMS + 1, 5000])
def test_long_sums_stay_and_cost_little(count):
    terms = [matrix(f"X{i}", "n", "k") for i in range(count)]
    total = terms[0]
    for term in terms[1:]:
        total = total + 2 * term

    assert is_long(total) is (count > MOST_TERMS)
    assert Rewriter(ALGEBRA)(total) is total


def test_terms_carry_their_coefficient_and_numbers_have_no_factor():
    first, second, third = sum_terms(2 * A - (B + full(3, ("n", "k"))))

    assert (first.number, first.factors) == (2, {A: 1})
    assert (second.number, second.factors) == (-1, {B: 1})
    assert (third.number, third.factors) == (-3, {})


def test_a_sum_with_a_coefficient_is_one_term():
    bracket = B + C

    terms = sum_terms(A + LAM * bracket)

    assert [t.factors for t in terms] == [{A: 1}, {bracket: 1}]


@pytest.mark.parametrize("sum_", [A + B, A - B, 2 * A + 2 * B, LAM * A - LAM * B, A / N + 3], ids=text)
def test_terms_make_the_sum_again(sum_):
    again = from_terms(sum_terms(sum_), sum_.shape)

    before, after = evaluate_all([sum_, again], random_values(sum_))
    np.testing.assert_allclose(after, before, rtol=1e-14)
    assert from_terms([], ("n", "k")) is full(0, ("n", "k"))


CONSTANTS = [
    (full(2, ("n", "k")), 2),
    (full(0.1, ("n", "k")).T, Fraction(1, 10)),
    (ones("n"), 1),
    (ones("n").T, 1),
    (full(float("inf"), ("n", "k")), None),
    (full(float("nan"), ("n", "k")), None),
    (A, None),
]


@pytest.mark.parametrize(("expression", "expected"), CONSTANTS, ids=[text(row[0]) for row in CONSTANTS])
def test_a_constant_is_one_finite_number(expression, expected):
    assert constant(expression) == expected


HUGE = [
    full(1e200, ("n", "k")) * full(1e200, ("n", "k")),
    (A + full(1e200, ("n", "k"))) * (A + full(1e200, ("n", "k"))),
    full(1e200, ("n", "k")) @ full(1e200, ("k", "n")),
    A + full(float("inf"), ("n", "k")) + A,
    power(full(2, ("n", "k")), 1e300) * A,
    scale(A + full(1e200, ("n", "k")), Fraction(10) ** 200) + A,
]


@pytest.mark.parametrize("expression", HUGE, ids=range(len(HUGE)))
def test_numbers_beyond_floats_stay_as_they_are_written(expression):
    out = Rewriter(ALGEBRA)(expression)

    assert Rewriter(ALGEBRA)(out) is out


LENGTHS = [(A, 1), (-A, 1), (2 * A / N, 1), (A + B, 3), (A @ W, 3), (A.T, 2), (P, 1), (tanh(A), 2), (1 - P * P, 5)]


@pytest.mark.parametrize(("expression", "expected"), LENGTHS, ids=[text(row[0]) for row in LENGTHS])
def test_signs_coefficients_and_what_a_name_hides_are_free(expression, expected):
    assert length(expression) == expected


def test_the_length_of_a_shared_graph_counts_every_occurrence():
    doubled = A
    for _ in range(200):
        doubled = doubled * doubled

    assert length(doubled) == 2**201 - 1
