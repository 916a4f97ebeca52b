"""Users' arrays: what is accepted, and what is said about the rest."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.arrays import as_data, as_targets, as_weights, check_parameters, common_dtype, draw_masks, filled
from chainrule.errors import DataError, ShapeError
from chainrule.layers import mask
from chainrule.losses import TARGETS


class Table:
    """What a data frame is to NumPy."""

    def __array__(self, dtype=None, copy=None):
        return np.array([[1.0, 2.0], [3.0, 4.0]])


# Data


@pytest.mark.parametrize(
    "X",
    [
        [[1, 2], [3, 4]],
        Table(),
        np.array([[True, False]]),
        np.ones((3, 2), np.float32),
        np.ones((0, 2)),
        np.asfortranarray(np.ones((3, 2))),
        np.ones((3, 4))[:, ::2],
    ],
)
def test_finite_numbers_are_data(X):
    np.testing.assert_array_equal(as_data(X, 2), X)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones((3, 3)), ShapeError, r"the network takes X of shape \(n x 2\), got \(3 x 3\)"),
        (np.ones(2), ShapeError, r"shape \(n x 2\), got \(2,\); X\[None, :\] is one row"),
        (np.ones(5), ShapeError, r"shape \(n x 2\), got \(5,\)$"),
        (np.ones((2, 2, 2)), ShapeError, r"shape \(n x 2\), got \(2 x 2 x 2\)"),
        (3.0, ShapeError, r"shape \(n x 2\), got \(\)"),
        (
            [[1, 2], [3]],
            ShapeError,
            "X is a matrix, got rows of different lengths: row 0 has length 2, row 1 has length 1$",
        ),
        ([[1, 2], [3, 4], 5], ShapeError, "different lengths: row 0 has length 2, row 2 is 5$"),
        ([[[1], [2]], [[3], [4, 5]]], ShapeError, "X is a matrix, got rows of different lengths$"),
        ([[0.05, "a"]], DataError, r"X holds real numbers, got 'a' at \[0, 1\]"),
        ([["a", "b"]], DataError, r"X holds real numbers, got 'a' at \[0, 0\]"),
        ([[1j, 2]], DataError, r"X holds real numbers, got 1j at \[0, 0\]"),
        ([[None, 2]], DataError, r"X holds real numbers, got None at \[0, 0\]"),
        ([[1, np.nan]], DataError, r"X holds nan at \[0, 1\]: all values must be finite numbers"),
        ([[1, 2], [-np.inf, 3]], DataError, r"X holds -inf at \[1, 0\]"),
    ],
)
def test_other_data_are_refused_in_words(X, error, message):
    with pytest.raises(error, match=message):
        as_data(X, 2)


# Targets


def test_labels_become_one_hot_rows():
    for labels in ([2, 0, 1], [2.0, 0.0, 1.0], np.array([2, 0, 1], np.uint8), np.array([2, 0, 1], np.float32)):
        np.testing.assert_array_equal(as_targets(labels, 3, 3, "distribution"), np.eye(3)[[2, 0, 1]])
    np.testing.assert_array_equal(as_targets([True, False], 2, 2, "distribution"), [[0, 1], [1, 0]])


@pytest.mark.parametrize("domain", ["real", "unit", "nonnegative", "signs", "distribution"])
def test_targets_of_one_output_may_be_flat(domain):
    np.testing.assert_array_equal(as_targets([1, 1, 1], 3, 1, domain), [[1], [1], [1]])


def test_rows_of_targets_stay_as_they_are():
    Y = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)

    assert as_targets(Y, 2, 2, "distribution") is Y


@pytest.mark.parametrize(
    ("Y", "outputs", "domain", "message"),
    [
        ([0, 1], 3, "distribution", r"X and the network need Y of shape \(3 x 3\) or labels of shape \(3,\), got"),
        ([[0], [1], [2]], 3, "distribution", r"got \(3 x 1\); Y.ravel\(\) are labels"),
        (np.ones((3, 2)), 3, "distribution", r"got \(3 x 2\)$"),
        ([0, 1, 2], 2, "real", r"X and the network need Y of shape \(3 x 2\), got \(3,\)"),
        (np.ones((2, 2)), 2, "real", r"got \(2 x 2\)"),
        ([1, 2], 1, "real", r"need Y of shape \(3 x 1\), got \(2,\)"),
        ([[1, 2], [3]], 2, "real", "Y is a matrix, got rows of different lengths"),
    ],
)  # fmt: skip
def test_targets_of_another_shape_are_refused_with_both_shapes(Y, outputs, domain, message):
    with pytest.raises(ShapeError, match=message):
        as_targets(Y, 3, outputs, domain)


@pytest.mark.parametrize(
    ("Y", "domain", "message"),
    [
        ([0, 1, 3], "distribution", "labels for 3 outputs are whole numbers from 0 to 2, got 3 in row 2"),
        ([0, 1.5, 3], "distribution", "whole numbers from 0 to 2, got 1.5 in row 1"),
        ([0, -1, 2], "distribution", "whole numbers from 0 to 2, got -1 in row 1"),
        ([0, 1, np.nan], "distribution", r"Y holds nan at \[2\]"),
        (["a", "b", "c"], "distribution", r"Y holds real numbers, got 'a' at \[0\]"),
    ],
)
def test_wrong_labels_are_refused_with_their_row(Y, domain, message):
    with pytest.raises(DataError, match=message):
        as_targets(Y, 3, 3, domain)


INSIDE = {"real": -5.0, "distribution": 0.5, "unit": 0.0, "nonnegative": 7.0, "signs": -1.0}
OUTSIDE = {"distribution": 0.4, "unit": 1.001, "nonnegative": -0.001, "signs": 0.999}


@pytest.mark.parametrize("domain", TARGETS)
def test_a_domain_has_an_inside_and_an_outside(domain):
    Y = np.full((3, 2), INSIDE[domain])
    assert as_targets(Y, 3, 2, domain) is Y

    if domain in OUTSIDE:
        Y[1, 1] = OUTSIDE[domain]
        with pytest.raises(DataError, match=rf"targets that are .*{TARGETS[domain][:20]}.* in row 1"):
            as_targets(Y, 3, 2, domain)


# Weights


@pytest.mark.parametrize("w", [[1, 0, 2], [[1], [0], [2]], np.array([1, 0, 2], np.float32), [True, False, True]])
def test_weights_become_a_column(w):
    found = as_weights(w, 3, np.dtype("f4"))

    np.testing.assert_array_equal(found, np.reshape(w, (3, 1)))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("w", "error", "message"),
    [
        ([0, 0, 0], DataError, "sample weights are not all 0: their weighted mean would be 0/0"),
        ([1, -2, 3], DataError, "sample weights are at least 0, got -2 in row 1"),
        ([1, 2], ShapeError, r"X needs sample_weight of shape \(3,\), one for each row, got \(2,\)"),
        ([[1, 2, 3]], ShapeError, r"of shape \(3,\), .*, got \(1 x 3\)"),
        ([1, np.inf, 3], DataError, r"sample_weight holds inf at \[1\]"),
    ],
)
def test_other_weights_are_refused_in_words(w, error, message):
    with pytest.raises(error, match=message):
        as_weights(w, 3, np.dtype(float))


@pytest.mark.parametrize(
    ("weight", "dtype"),
    [(1e-320, "f8"), (1e-293, "f8"), (1e292, "f8"), (1e308, "f8"), (1e-40, "f4"), (1e-60, "f4"), (1e32, "f4")],
)
def test_weights_whose_sum_cannot_be_divided_by_are_refused(weight, dtype):
    with pytest.raises(DataError, match=r"a sum between .* in float\d\d, got ([\de.+-]+|inf): rescale them$"):
        as_weights([weight] * 3, 3, np.dtype(dtype))


@pytest.mark.parametrize(("weight", "dtype"), [(1e-291, "f8"), (1e291, "f8"), (1e-31, "f4"), (1e30, "f4")])
def test_weights_near_the_limits_are_taken(weight, dtype):
    w = as_weights([weight] * 3, 3, np.dtype(dtype))

    np.testing.assert_allclose(w / w.sum(), 1 / 3, rtol=1e-6)


# Parameters


DECLARED = [cr.matrix("W1", 2, 3), cr.matrix("b1", 1, 3)]
GOOD = {"W1": np.ones((2, 3)), "b1": np.zeros((1, 3))}


def test_the_order_of_parameters_does_not_matter():
    found = check_parameters(dict(reversed(GOOD.items())), DECLARED)

    assert list(found) == ["W1", "b1"]
    assert all(found[name] is GOOD[name] for name in GOOD)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"W1": GOOD["W1"]}, ShapeError, "the parameters do not fit the network: b1 is missing"),
        ({**GOOD, "W2": np.ones((3, 1))}, ShapeError, "there is no W2"),
        ({"w1": GOOD["W1"], "b1": GOOD["b1"]}, ShapeError, "W1 is missing, there is no w1; did you mean 'W1'"),
        ({**GOOD, "W1": np.ones((3, 2))}, ShapeError, r"W1 is \(3 x 2\), not \(2 x 3\)"),
        ({**GOOD, "b1": np.zeros(3)}, ShapeError, r"b1 is \(3,\), not \(1 x 3\) \(b1\[None, :\] is a row\)"),
        ({**GOOD, "b1": 0}, ShapeError, r"b1 is \(\), not \(1 x 3\)"),
        ({**GOOD, "W1": np.full((2, 3), np.inf)}, DataError, r"W1 holds inf at \[0, 0\]"),
        ({**GOOD, "b1": [["a", "b", "c"]]}, DataError, r"b1 holds real numbers, got 'a' at \[0, 0\]"),
        ([GOOD["W1"], GOOD["b1"]], TypeError, "the parameters are a mapping of names to arrays, .* got a list"),
        (None, TypeError, "the parameters are a mapping of names to arrays, as init gives them, got None"),
        ({1: GOOD["W1"]}, TypeError, "got the name 1"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_in_words(params, error, message):
    with pytest.raises(error, match=message):
        check_parameters(params, DECLARED)


def test_both_ledgers_are_shown():
    with pytest.raises(ShapeError) as caught:
        check_parameters({"b1": np.zeros((1, 4)), "W2": np.ones(2)}, DECLARED)

    _, declared, found = str(caught.value).splitlines()
    assert declared == "  declared: W1 (2 x 3), b1 (1 x 3)"
    assert found == "  found:    b1 (1 x 4), W2 (2,)"
    with pytest.raises(ShapeError, match=r"\n  found:    none$"):
        check_parameters({}, DECLARED)


# Types


@pytest.mark.parametrize(
    ("dtypes", "common"),
    [
        (["f4", "f4"], "f4"),
        (["f4", "f8"], "f8"),
        (["f8", "f8"], "f8"),
        (["f2", "f2"], "f8"),
        (["i8", "f4"], "f8"),
        (["i4", "i4"], "f8"),
    ],
)
def test_only_float32_throughout_stays_float32(dtypes, common):
    assert common_dtype(np.ones(2, d) for d in dtypes) == np.dtype(common)


def test_one_number_fills_a_matrix():
    array = np.ones((2, 3), np.float32)

    assert filled(array, (2, 3), array.dtype) is array
    np.testing.assert_array_equal(filled(2, (2, 3), np.dtype("f4")), np.full((2, 3), 2, np.float32))
    assert filled(np.float64(2), (2, 3), np.dtype("f4")).dtype == np.float32


# Masks


MASKS = [mask("M1", "n", 50, 0.2), mask("M2", "n", 30, 0.5)]


def test_a_mask_keeps_with_its_probability_and_has_mean_one():
    masks = draw_masks(MASKS, 2000, 0, float)

    for M, keep in zip(masks.values(), (0.8, 0.5), strict=True):
        assert set(np.unique(M)) == {0, 1 / keep}
        # Five standard errors of the mean of Bernoulli(keep)/keep.
        assert abs(M.mean() - 1) < 5 * np.sqrt((1 - keep) / keep / M.size)


def test_the_check_of_the_mean_fails_without_the_division():
    M = draw_masks(MASKS[:1], 2000, 0, float)["M1"] * 0.8

    assert abs(M.mean() - 1) > 5 * np.sqrt(0.2 / 0.8 / M.size)


def test_masks_follow_the_seed_and_not_the_type():
    first, again, other, single = (draw_masks(MASKS, 9, *a) for a in [(3, "f8"), (3, "f8"), (4, "f8"), (3, "f4")])

    for name, M in first.items():
        np.testing.assert_array_equal(M, again[name])
        assert not np.array_equal(M, other[name])
        assert single[name].dtype == np.float32
        np.testing.assert_array_equal(M.astype("f4"), single[name])


def test_a_generator_goes_on_where_it_was():
    rng = np.random.default_rng(0)

    first, second = (draw_masks(MASKS, 9, rng, float)["M1"] for _ in range(2))

    assert (first != second).any()


def test_without_random_matrices_a_generator_is_left_alone():
    rng = np.random.default_rng(0)

    assert draw_masks([], 9, rng, float) == {}
    assert rng.random() == np.random.default_rng(0).random()
