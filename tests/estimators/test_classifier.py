"""The classifier: every kind of labels in and out, probabilities where there are any, labels that do not fit."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import log_loss

import chainrule as cr
from chainrule.errors import DataError, PairError, ShapeError
from chainrule.network import Network

FIXED = {"tol": 0, "random_state": 0, "batch_size": 16, "learning_rate_init": 0.01}
SHORT = FIXED | {"max_iter": 3}
LEARNS = FIXED | {"max_iter": 60}

X, SPECIES = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
TALL = X[:, 2] > 0
MARKS = np.column_stack([SPECIES == 0, TALL, X[:, 0] > 0]).astype(int)
SOFT = 0.1 + 0.7 * np.eye(3)[SPECIES]


# Kinds of labels

BINARY = {
    "numbers": TALL.astype(int),
    "other numbers": np.where(TALL, 7, -3),
    "text": np.where(TALL, "yes", "no"),
    "objects": np.where(TALL, "yes", "no").astype(object),
    "booleans": TALL,
    "floats": np.where(TALL, 1.0, 0.0),
}


@pytest.mark.parametrize("labels", BINARY)
def test_two_classes_are_learned_by_one_logistic_output(labels):
    y = BINARY[labels]

    clf = cr.MLPClassifier((8,), **LEARNS).fit(X, y)

    assert str(clf.network_).endswith("1 logistic, binary_cross_entropy, l2(0.0001)/n")
    assert clf.classes_.tolist() == sorted(set(y.tolist()))
    assert clf.classes_.dtype == y.dtype == clf.predict(X).dtype
    assert clf.score(X, y) > 0.97
    assert clf.predict_proba(X).shape == (150, 2)


@pytest.mark.parametrize(
    "y", [SPECIES, NAMES, NAMES.astype(object), SPECIES.tolist()], ids=["numbers", "text", "objects", "list"]
)
def test_more_classes_are_learned_by_a_softmax(y):
    clf = cr.MLPClassifier((8,), **LEARNS).fit(X, y)

    assert str(clf.network_).endswith("3 softmax, cross_entropy, l2(0.0001)/n")
    assert clf.classes_.tolist() == sorted(set(np.asarray(y).tolist()))
    assert clf.score(X, y) > 0.95


def test_many_labels_are_learned_by_one_logistic_output_each():
    clf = cr.MLPClassifier((8,), **LEARNS).fit(X, MARKS)

    assert str(clf.network_).endswith("3 logistic, binary_cross_entropy, l2(0.0001)/n")
    assert clf.predict(X).shape == clf.predict_proba(X).shape == (150, 3)
    assert clf.score(X, MARKS) == (clf.predict(X) == MARKS).all(axis=1).mean() > 0.9


def test_columns_of_one_hot_labels_are_many_labels_unless_the_network_says_otherwise():
    one_hot = np.eye(3)[SPECIES]

    many, one = cr.MLPClassifier((8,), **SHORT), cr.MLPClassifier(network="4 -> 3 softmax", **LEARNS)

    assert many.fit(X, one_hot).predict(X).shape == (150, 3)
    assert one.fit(X, one_hot).predict(X).shape == (150,)
    assert one.score(X, one_hot) == one.score(X, SPECIES) > 0.9


@pytest.mark.parametrize("network", ["4 -> 8 tanh -> 3 softmax", Network("4 -> 8 tanh -> 3 softmax", "kl_divergence")])
def test_rows_of_probabilities_are_learned_by_a_softmax(network):
    clf = cr.MLPClassifier(network=network, **LEARNS).fit(X, SOFT)

    assert clf.classes_.tolist() == [0, 1, 2]
    assert clf.score(X, SPECIES) == clf.score(X, SOFT) > 0.9
    assert np.abs(clf.predict_proba(X) - SOFT).mean() < 0.06  # one-hot rows would be 0.13 away


def test_labels_in_a_column_are_taken_with_scikit_learns_warning():
    one = cr.MLPClassifier((4,), early_stopping=True, **SHORT).fit(X, SPECIES)

    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array was expected"):
        clf = cr.MLPClassifier((4,), early_stopping=True, **SHORT).fit(X, SPECIES[:, None])

    np.testing.assert_array_equal(clf.coefs_[0], one.coefs_[0])
    assert clf.validation_scores_ == one.validation_scores_


def test_numbering_the_classes_otherwise_changes_nothing():
    one, other = (cr.MLPClassifier((4,), **SHORT).fit(X, y) for y in (SPECIES, NAMES))

    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
    np.testing.assert_array_equal(other.classes_[one.predict(X)], other.predict(X))


# Probabilities


@pytest.mark.parametrize("y", [BINARY["text"], NAMES], ids=["binary", "multiclass"])
def test_probabilities_sum_to_one_and_choose_the_prediction(y):
    clf = cr.MLPClassifier((8,), **SHORT).fit(X, y)

    P = clf.predict_proba(X)

    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(clf.classes_[P.argmax(axis=1)], clf.predict(X))
    np.testing.assert_array_equal(np.exp(clf.predict_log_proba(X)), np.exp(np.log(P)))


def test_the_loss_without_penalty_is_scikit_learns_log_loss():
    clf = cr.MLPClassifier((8,), alpha=0, warm_start=True, **SHORT | {"batch_size": 150}).fit(X, NAMES)
    P = clf.predict_proba(X)

    clf.set_params(max_iter=1).fit(X, NAMES)

    assert clf.loss_ == pytest.approx(log_loss(NAMES, P), rel=1e-12)


def test_a_probability_that_underflows_has_the_logarithm_minus_infinity():
    clf = cr.MLPClassifier(network="4 -> 3 softmax", **SHORT).fit(X, SPECIES)

    logs = clf.predict_log_proba(1e6 * X)

    assert np.isneginf(logs).any()
    assert logs.max() <= 0


def test_one_logistic_output_for_each_class_gives_probabilities_too():
    clf = cr.MLPClassifier(network="4 -> 8 tanh -> 3 logistic", **LEARNS).fit(X, NAMES)

    np.testing.assert_allclose(clf.predict_proba(X).sum(axis=1), 1, rtol=1e-14)
    assert clf.score(X, NAMES) > 0.9


# Losses of its own


@pytest.mark.parametrize("loss", ["hinge", cr.squared_hinge], ids=str)
@pytest.mark.parametrize("y", [BINARY["text"], NAMES, MARKS], ids=["binary", "multiclass", "multilabel"])
def test_a_hinge_separates_and_gives_no_probabilities(loss, y):
    clf = cr.MLPClassifier((8,), loss=loss, **LEARNS)
    assert not hasattr(clf, "predict_proba")

    clf.fit(X, y)

    assert clf.score(X, y) > 0.9
    assert clf.out_activation_ == "identity"
    for method in ("predict_proba", "predict_log_proba"):
        with pytest.raises(AttributeError, match=f"has no attribute {method!r}"):
            getattr(clf, method)


@pytest.mark.parametrize(
    ("parameters", "there"),
    [
        ({}, True),
        ({"loss": "cross_entropy"}, True),
        ({"loss": "half_squared_error"}, False),
        ({"loss": "poisson"}, False),
        ({"network": "4 -> 3 softmax"}, True),
        ({"network": "4 -> 3 hard_sigmoid", "loss": "half_squared_error"}, True),
        ({"network": "4 -> 3 tanh", "loss": "half_squared_error"}, False),
        ({"network": "4 -> 4 tanh -> 4 logistic residual"}, False),
        ({"network": "4 -> sotfmax"}, False),
    ],
    ids=str,
)
def test_there_are_probabilities_where_outputs_lie_between_0_and_1(parameters, there):
    assert hasattr(cr.MLPClassifier(**parameters), "predict_proba") is there


def test_squared_errors_on_logistic_outputs_as_in_the_textbooks():
    net = Network("4 -> 8 logistic -> 3 logistic", loss="half_squared_error")

    clf = cr.MLPClassifier(network=net, **LEARNS).fit(X, NAMES)

    assert clf.score(X, NAMES) > 0.9
    assert clf.predict_proba(X).shape == (150, 3)


def test_cross_entropy_of_two_classes_is_a_softmax_of_two():
    clf = cr.MLPClassifier((8,), loss="cross_entropy", **LEARNS).fit(X, BINARY["text"])

    assert clf.network_.outputs == 2
    assert clf.score(X, BINARY["text"]) > 0.97


# Classes and partial_fit


def test_a_first_pass_needs_all_the_classes():
    with pytest.raises(
        ValueError, match=r"^classes must be passed on the first call to partial_fit: all classes there"
    ):
        cr.MLPClassifier().partial_fit(X, NAMES)


def test_a_pass_may_lack_classes_that_were_announced():
    clf = cr.MLPClassifier((4,), **SHORT).partial_fit(X[:40], NAMES[:40], classes=np.unique(NAMES)[::-1])

    clf.partial_fit(X[40:120], NAMES[40:120]).partial_fit(X, NAMES, classes=list(clf.classes_))

    assert clf.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert clf.predict_proba(X).shape == (150, 3)


def test_many_labels_go_on_pass_by_pass():
    clf = cr.MLPClassifier((4,), **SHORT | {"max_iter": 2}).fit(X, MARKS)

    parts = cr.MLPClassifier((4,), **SHORT).partial_fit(X, MARKS, classes=[0, 1, 2]).partial_fit(X, MARKS)

    np.testing.assert_array_equal(parts.coefs_[0], clf.coefs_[0])


def test_other_classes_in_a_later_pass_are_an_error():
    clf = cr.MLPClassifier((4,), **SHORT).fit(X, NAMES)

    with pytest.raises(
        ValueError, match=r"^classes=\['a', 'b'\] is not the same as on the first call to partial_fit: "
    ):
        clf.partial_fit(X, NAMES, classes=["a", "b"])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("unseen", ["iris", "zzz"])
def test_an_unseen_label_is_named(method, unseen):
    clf = cr.MLPClassifier((4,), warm_start=True, **SHORT).fit(X, NAMES)
    y = np.where(np.arange(150) == 77, unseen, NAMES)

    with pytest.raises(DataError, match=rf"^y has the label '{unseen}', which is not among classes 'setosa', 'versic"):
        getattr(clf, method)(X, y)


def test_an_unseen_label_in_the_first_pass_leaves_nothing_fitted():
    clf = cr.MLPClassifier((4,), **SHORT)

    with pytest.raises(
        DataError, match="y has the label 'virginica', which is not among classes 'setosa', 'versicolor'"
    ):
        clf.partial_fit(X, NAMES, classes=["setosa", "versicolor"])

    with pytest.raises(NotFittedError, match="is not fitted yet"):
        clf.score(X, NAMES)


def test_a_fit_after_other_classes_begins_anew():
    clf = cr.MLPClassifier((4,), **SHORT).fit(X, NAMES)

    assert clf.fit(X, TALL).classes_.tolist() == [False, True]
    assert clf.predict_proba(X).shape == (150, 2)


def test_labels_of_another_shape_in_a_later_pass_are_explained():
    many = cr.MLPClassifier((4,), **SHORT).fit(X, MARKS)
    one = cr.MLPClassifier((4,), **SHORT).fit(X, NAMES)

    with pytest.raises(ValueError, match=r"Y of shape \(150 x 3\), got \(150,\)"):
        many.partial_fit(X, SPECIES)
    with pytest.raises(ValueError, match=r"^y should be a 1d array, got an array of shape \(150, 3\) instead"):
        one.partial_fit(X, MARKS)


# Early stopping


@pytest.mark.parametrize("y", [NAMES, BINARY["text"], MARKS, SOFT], ids=["multiclass", "binary", "multilabel", "soft"])
def test_the_validation_score_is_an_accuracy(y):
    network = "4 -> 5 tanh -> 3 softmax" if y is SOFT else None
    sizes = {} if network else {"hidden_layer_sizes": (5,)}

    clf = cr.MLPClassifier(network=network, early_stopping=True, **sizes, **LEARNS).fit(X, y)

    assert 0.8 < clf.best_validation_score_ <= 1
    right = 15 * np.array(clf.validation_scores_)  # of 15 rows held out
    np.testing.assert_allclose(right, np.rint(right), atol=1e-12)


def test_a_class_of_one_row_cannot_be_held_out_in_its_share():
    y = np.where(np.arange(150) == 0, "rare", NAMES)

    with pytest.raises(DataError, match=r"^cannot hold out 0\.1 of 150 rows: The least populated class"):
        cr.MLPClassifier((4,), early_stopping=True).fit(X, y)


# Labels that do not fit

BAD = {
    "one class": (np.ones(150), DataError, r"^y has one class only, 1\.0: a classifier needs at least 2 classes$"),
    "one text": (np.full(150, "a"), DataError, r"^y has one class only, 'a': a classifier needs at least 2 classes$"),
    "numbers": (X[:, 0], ValueError, r"^Unknown label type: continuous"),
    "mixed": (np.array([1, "a", None] * 50, object), ValueError, r"^Unknown label type: unknown"),
    "two columns of classes": (np.c_[SPECIES, SPECIES], ValueError, r"^y should be a 1d array, got an array of shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_labels_that_cannot_be_learned_are_explained(case):
    y, error, message = BAD[case]

    with pytest.raises(error, match=message):
        cr.MLPClassifier((4,)).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "y", "error", "message"),
    [
        (
            {"network": "4 -> 2 softmax"},
            NAMES,
            ShapeError,
            "^the network has 2 outputs and y has 3 classes: end it in 3 ",
        ),
        ({"network": "4 -> 3 softmax"}, TALL, ShapeError, "y has 2 classes: end it in 1 logistic or 2 softmax$"),
        ({"network": "4 -> 2 logistic"}, MARKS, ShapeError, "y has 3 classes: end it in 3 logistic$"),
        ({"loss": "cross_entropy"}, MARKS, DataError, "takes targets that are rows of probabilities that sum to one"),
        (
            {"network": "4 -> 3", "loss": "cross_entropy"},
            NAMES,
            PairError,
            "end the network in softmax, or use the loss",
        ),
    ],
)
def test_a_network_or_a_loss_that_does_not_fit_the_labels_is_explained(parameters, y, error, message):
    with pytest.raises(error, match=message):
        cr.MLPClassifier(**parameters).fit(X, y)
