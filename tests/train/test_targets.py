"""Labels as targets and back: every kind of labels, and the sentence for labels that do not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.errors import DataError, ShapeError
from chainrule.network import Network
from chainrule.train.targets import encoding_for

LETTERS = np.array(["a", "b", "c"])


def encoding(spec, kind, classes, loss=None):
    return encoding_for(Network(spec, loss), kind, np.asarray(classes))


# Targets


def test_two_classes_are_one_column_of_0_and_1():
    Y = encoding("4 -> 1 logistic", "binary", ["no", "yes"]).encode(np.array(["yes", "no", "yes"]))

    assert Y.tolist() == [[1], [0], [1]]


def test_two_classes_are_one_hot_before_a_softmax():
    Y = encoding("4 -> 2 softmax", "binary", ["no", "yes"]).encode(np.array(["yes", "no"]))

    assert Y.tolist() == [[0, 1], [1, 0]]


def test_more_classes_are_one_hot_in_the_order_of_the_classes():
    Y = encoding("4 -> 3 softmax", "multiclass", LETTERS).encode(np.array(["c", "a"]))

    assert Y.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_labels_of_a_hinge_are_minus_1_and_1():
    one = encoding("4 -> 1", "binary", LETTERS[:2], loss="hinge").encode(np.array(["a", "b"]))
    three = encoding("4 -> 3", "multiclass", LETTERS, loss="squared_hinge").encode(np.array(["b"]))
    many = encoding("4 -> 2", "multilabel", [0, 1], loss="hinge").encode(np.array([[1, 0]]))

    assert one.tolist() == [[-1], [1]]
    assert three.tolist() == [[-1, 1, -1]]
    assert many.tolist() == [[1, -1]]


@pytest.mark.parametrize("kind", ["multilabel", "distribution"])
def test_an_indicator_matrix_is_taken_as_it_is(kind):
    Y = encoding("4 -> 2 logistic", kind, [0, 1]).encode(np.array([[1, 0], [0, 1]]), np.float32)

    assert Y.tolist() == [[1, 0], [0, 1]]
    assert Y.dtype == np.float32


@pytest.mark.parametrize("spec", ["4 -> 1 logistic", "4 -> 2 softmax"])
def test_targets_have_the_data_type_asked_for(spec):
    assert encoding(spec, "binary", [3, 7]).encode(np.array([7]), np.float32).dtype == np.float32


# And back


@pytest.mark.parametrize(
    ("spec", "kind", "loss"),
    [
        ("4 -> 1 logistic", "binary", None),
        ("4 -> 2 softmax", "binary", None),
        ("4 -> 1", "binary", "hinge"),
        ("4 -> 2", "binary", "half_squared_error"),
    ],
)
@given(st.lists(st.booleans(), min_size=1))
def test_two_classes_come_back(spec, kind, loss, flags):
    labels = np.where(flags, "yes", "no")
    labelled = encoding(spec, kind, ["no", "yes"], loss)

    assert labelled.decode(labelled.encode(labels)).tolist() == labels.tolist()


@given(st.lists(st.integers(-(2**40), 2**40), min_size=3, unique=True), st.data())
def test_any_classes_come_back(numbers, data):
    classes = np.unique(numbers)
    labelled = encoding(f"4 -> {len(classes)} softmax", "multiclass", classes)

    labels = np.array(data.draw(st.lists(st.sampled_from(numbers), min_size=1)))

    assert labelled.decode(labelled.encode(labels)).tolist() == labels.tolist()


def test_many_labels_come_back_as_0_and_1():
    Y = np.array([[1, 0, 1], [0, 0, 0]])

    for loss in ("binary_cross_entropy", "hinge"):
        spec = "4 -> 3 logistic" if loss == "binary_cross_entropy" else "4 -> 3"
        labelled = encoding(spec, "multilabel", range(3), loss)
        assert labelled.decode(labelled.encode(Y)).tolist() == Y.tolist()


def test_rows_of_probabilities_come_back_as_the_likeliest_class():
    soft = encoding("4 -> 3 softmax", "distribution", range(3))

    assert soft.decode(np.array([[0.2, 0.7, 0.1], [0.4, 0.3, 0.3]])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("spec", "loss", "outputs"),
    [
        ("4 -> 1 logistic", None, [0.4, 0.6]),
        ("4 -> 1", "half_squared_error", [0.4, 0.6]),
        ("4 -> 1", "hinge", [-0.1, 0.1]),
    ],
)
def test_an_output_says_yes_above_the_middle_of_no_and_yes(spec, loss, outputs):
    labelled = encoding(spec, "binary", ["no", "yes"], loss)
    marked = encoding(spec, "multilabel", [0], loss)

    assert labelled.decode(np.array(outputs)[:, None]).tolist() == ["no", "yes"]
    assert marked.decode(np.array(outputs)[:, None]).tolist() == [[0], [1]]


# Probabilities


def test_one_logistic_output_is_the_probability_of_the_second_class():
    A = np.array([[0.25], [1.0]])

    assert encoding("4 -> 1 logistic", "binary", [0, 1]).probabilities(A).tolist() == [[0.75, 0.25], [0, 1]]


def test_one_logistic_output_for_each_class_is_divided_by_the_sum():
    A = np.array([[0.25, 0.25, 0.0], [0.0, 0.0, 0.0]])

    P = encoding("4 -> 3 logistic", "multiclass", LETTERS).probabilities(A)

    assert P.tolist() == [[0.5, 0.5, 0], [0, 0, 0]]


def test_probabilities_of_many_labels_are_the_outputs():
    A = np.array([[0.25, 0.75, 1.0]])

    assert encoding("4 -> 3 logistic", "multilabel", range(3)).probabilities(A) is A


# What does not fit


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (LETTERS, ["a", "zz"], r"^y has the label 'zz', which is not among classes 'a', 'b', 'c'$"),
        ([0, 1, 2], [7], r"^y has the label 7, which is not among classes 0, 1, 2$"),
        (range(30), [-1], r"label -1, which is not among classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.$"),
    ],
    ids=["text", "numbers", "many"],
)
def test_an_unseen_label_is_named(classes, labels, message):
    labelled = encoding(f"4 -> {len(classes)} softmax", "multiclass", classes)

    with pytest.raises(DataError, match=message):
        labelled.encode(np.array(labels))


@pytest.mark.parametrize(
    ("spec", "kind", "classes", "message"),
    [
        ("4 -> 3 softmax", "binary", [0, 1], "3 outputs and y has 2 classes: end it in 1 logistic or 2 softmax$"),
        ("4 -> 2 softmax", "multiclass", [0, 1, 2], "2 outputs and y has 3 classes: end it in 3 softmax$"),
        ("4 -> 2 logistic", "multilabel", [0, 1, 2], "2 outputs and y has 3 classes: end it in 3 logistic$"),
    ],
)
def test_a_network_of_other_outputs_is_told_its_ending(spec, kind, classes, message):
    with pytest.raises(ShapeError, match=message):
        encoding(spec, kind, classes)
