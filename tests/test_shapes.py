"""Shapes, sizes and the exact numbers in front of matrices."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.errors import ShapeError
from chainrule.shapes import check_size, fraction, product_shape, real, same_shape, show

SIZES = st.one_of(st.integers(1, 1000), st.sampled_from(["n", "d", "batch_size", "σ"]))


def test_a_shape_is_written_as_the_field_writes_it():
    assert show(("n", 784)) == "(n x 784)"


@given(SIZES)
def test_a_size_is_a_name_or_a_whole_number(size):
    assert check_size(size) == size


def test_a_size_of_numpy_becomes_one_of_python():
    assert type(check_size(np.int64(3))) is int


@pytest.mark.parametrize("size", [0, "0*n", -1, 1.5, 2.0, True, None, "", "a b", "3", (1, 2), np.float64(3)], ids=repr)
def test_anything_else_is_no_size(size):
    with pytest.raises(ShapeError) as caught:
        check_size(size)

    assert str(caught.value) == f"a size is a name or a whole number of at least 1, got {size!r}"


@given(SIZES, SIZES, SIZES)
def test_a_product_has_the_outer_sizes(a, b, c):
    assert product_shape((a, b), (b, c)) == (a, c)


def test_a_product_needs_as_many_columns_as_rows():
    with pytest.raises(ShapeError, match=r"^cannot multiply \(n x d\) by \(h x k\): d columns meet h rows$"):
        product_shape(("n", "d"), ("h", "k"))


def test_a_name_and_a_number_are_two_sizes():
    with pytest.raises(ShapeError, match=r"^cannot multiply \(n x d\) by \(3 x k\): d columns meet 3 rows$"):
        product_shape(("n", "d"), (3, "k"))


def test_entry_by_entry_shapes_are_equal():
    assert same_shape(("n", 3), ("n", 3)) == ("n", 3)
    with pytest.raises(ShapeError, match=r"^entry by entry, \(n x 3\) does not fit \(3 x n\)$"):
        same_shape(("n", 3), (3, "n"))


@pytest.mark.parametrize("row", [("n", 3), (1, 3)])
def test_a_row_beside_rows_is_told_how_to_fit(row):
    other = (1, 3) if row == ("n", 3) else ("n", 3)

    with pytest.raises(ShapeError, match=r"does not fit .*; ones\(n\) @ b makes a row b fit every row$"):
        same_shape(row, other)


@pytest.mark.parametrize(
    ("number", "exact"),
    [
        (0.1, Fraction(1, 10)),
        (np.float64(0.1), Fraction(1, 10)),
        (np.float32(0.5), Fraction(1, 2)),
        (np.int64(3), Fraction(3)),
        (7, Fraction(7)),
        (True, Fraction(1)),
        ("2/3", Fraction(2, 3)),
        (Fraction(2, 3), Fraction(2, 3)),
    ],
    ids=repr,
)
def test_a_number_is_what_it_is_written_as(number, exact):
    found = fraction(number)

    assert found == exact
    assert type(found.numerator) is int


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_as_a_fraction(number):
    assert float(fraction(number)) == number


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -np.inf], ids=repr)
def test_a_coefficient_is_finite(number):
    with pytest.raises(ValueError, match=f"^a coefficient is a finite number, got {float(number)}$"):
        fraction(number)


@pytest.mark.parametrize("value", [np.ones((2, 2)), None, 1j, [1], Decimal(1)], ids=repr)
def test_what_is_no_real_number_is_refused(value):
    kind = type(value).__name__
    with pytest.raises(TypeError, match=f"^expressions go with expressions and numbers, got {kind}: declare a matrix$"):
        real(value)
