"""Printed arithmetic, checked exactly to the digits printed."""

from fractions import Fraction

import pytest

import chainrule as cr
from chainrule.errors import SpecError


@pytest.mark.row(82)
def test_only_the_mixed_rounding_gives_the_printed_result():
    found = cr.check_arithmetic("0.7333(1 - 0.733) = 0.1958")

    assert found
    assert found.exact == Fraction("0.1957911")
    assert found.mixed == (("0.733", "0.7333", Fraction("0.19557111")),)
    assert "rounds to 0.1956, not what is printed" in str(found)
    assert not cr.check_arithmetic("0.7333(1 - 0.7333) = 0.1958")
    assert cr.check_arithmetic("0.7333(1 - 0.7333) = 0.1956")
    assert str(cr.check_arithmetic("0.7333(1 - 0.7333) = 0.1958")).startswith("0.7333(1 - 0.7333) = 0.1958: wrong")


@pytest.mark.parametrize(
    ("claim", "exact"),
    [
        ("1 + 2 * 3 = 7", 7),
        ("2^3^2 = 512", 512),
        ("-2^2 = -4", -4),
        ("8/4/2 = 1", 1),
        ("2 (3)(4) = 24", 24),
        ("0.5 · (-0.25) - (-1) = 0.875", "0.875"),
        ("1e-3 × 2 = 0.002", "0.002"),
        (".5 + .25 ≈ .8", "0.75"),
        ("2^-1 = 0.5", "0.5"),
        ("1499 = 1.5e3", 1499),
        ("1500 = 1.5e3", 1500),
        ("1.23e-5 = 1.23e-5", "1.23e-5"),
        ("1/3 = 3.33e-1", Fraction(1, 3)),
        ("149999 = 1e5", 149999),
        ("5 = 5.", 5),
        ("-0.5 = -.5", "-0.5"),
        ("1e300 1e300 / 1e300 / 1e300 = 1", 1),
    ],
)
def test_arithmetic_is_read_as_it_is_written(claim, exact):
    found = cr.check_arithmetic(claim)

    assert found.exact == Fraction(exact)
    assert found


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("1 + 2", "a claim has one sign ="),
        ("1 = 1 = 1", "a claim has one sign ="),
        ("x + 1 = 2", "'x' is neither a number nor a sign"),
        ("(1 + 2 = 3", "a bracket is not closed"),
        ("1 + = 2", "a number is missing"),
        ("1 ) = 1", r"unexpected '\)'"),
        ("1/0 = 1", "division by 0"),
        ("2^0.5 = 1.4", "an exponent is a whole number"),
        ("1 = ", "after the sign = stands one number"),
        ("0.333 = 1/3", "after the sign = stands one number"),
        ("2 = 1 + 1", "after the sign = stands one number"),
        ("1 = 1)", "after the sign = stands one number"),
        ("1 = -", "after the sign = stands one number"),
        ("0^-1 = 1", "division by 0"),
        ("1e400 = 1e400", "an exponent up to 300"),
        ("1e99999999 = 1", "an exponent up to 300"),
        ("1e" + "9" * 5000 + " = 1", "an exponent up to 300"),
        ("1" * 5000 + " = 1", "at most 300 digits"),
        ("(" * 400 + "1" + ")" * 400 + " = 1", "more than 100 brackets"),
        ("-" * 5000 + "1 = 1", "more than 100 brackets, signs"),
        ("2" + "^1" * 5000 + " = 2", "more than 100 brackets, signs or powers"),
        ("((1.0000001^100)^100)^100 = 1", "too many digits"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(claim, message):
    with pytest.raises(SpecError, match=message) as caught:
        cr.check_arithmetic(claim)

    assert "^" in str(caught.value).splitlines()[-1]


@pytest.mark.parametrize("claim", ["1.24e-5 = 1.23e-5", "0.00001 = 1.9e-5", "1449 = 1.5e3", "1551 = 1.5e3"])
def test_the_digits_of_a_power_of_ten_count(claim):
    assert not cr.check_arithmetic(claim)


def test_what_is_printed_of_a_large_value_is_exact():
    assert str(cr.check_arithmetic("10^25 + 1 = 1e25")).endswith("the left side is 10000000000000000000000001")
    assert str(cr.check_arithmetic("-1/3 = -0.33")).endswith("the left side is -0.333333")
