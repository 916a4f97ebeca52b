"""Layers: what may be declared, what is equal, and the expressions that a layer builds."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.activations import activations
from chainrule.errors import ShapeError, SpecError, UnknownNameError
from chainrule.layers import build, check_widths, find_activation, whole

A = cr.matrix("X", "n", 3)


def built(*args, last=False, training=False, **options):
    return build(cr.Dense(*args, **options), 2, A, last=last, training=training)


def written(layer):
    return [(cr.text(d.node), d.rule) for d in layer.definitions]


def test_a_dense_layer_is_a_product_and_an_activation():
    layer = built(4, "tanh")

    assert written(layer) == [("Z2 = X W2 + 1 b2", "dense"), ("A2 = tanh(Z2)", "tanh")]
    assert [(p.name, p.shape, p.value.role) for p in layer.parameters] == [
        ("W2", (3, 4), "parameter"),
        ("b2", (1, 4), "parameter"),
    ]
    assert layer.output.name == "A2"
    assert layer.pre_activation.name == "Z2"


def test_without_bias_there_is_no_b():
    layer = built(4, "tanh", bias=False)

    assert written(layer)[0] == ("Z2 = X W2", "dense")
    assert [p.name for p in layer.parameters] == ["W2"]


def test_an_identity_layer_has_an_output_of_its_own():
    assert written(built(4)) == [("Z2 = X W2 + 1 b2", "dense"), ("A2 = Z2", "identity")]


def test_a_residual_layer_adds_its_inputs():
    layer = built(3, "leaky_relu(0.1)", residual=True)

    assert written(layer)[1:] == [
        ("F2 = leaky_relu(0.1)(Z2)", "leaky_relu(0.1)"),
        ("A2 = F2 + X", "residual"),
    ]


def test_dropout_is_a_random_matrix_while_training_only():
    still, moving = built(4, "relu", dropout=0.2), built(4, "relu", dropout=0.2, training=True)

    assert [d.node.name for d in still.definitions] == ["Z2", "A2"]
    assert written(moving)[-1] == ("D2 = A2 ∘ M2", "dropout")
    assert moving.output.name == "D2"
    (M,) = moving.randoms
    assert (M.shape, M.value.role, M.value.distribution) == (("n", 4), "random", ("inverted_bernoulli", 0.8))


def test_outputs_that_are_one_distribution_are_called_p():
    assert built(4, "softmax", last=True).output.name == "P"
    assert built(4, "softmax").output.name == "A2"
    assert built(4, "logistic", last=True).output.name == "A2"
    assert built(3, "softmax", last=True, residual=True).output.name == "A2"


# What may be declared


@pytest.mark.parametrize("name", activations())
def test_every_activation_may_be_named_or_given(name):
    record = activations()[name]

    assert find_activation(name) is record
    assert cr.Dense(2, name) == cr.Dense(2, record) == cr.Dense(2, record.name)


def test_layers_that_mean_the_same_are_equal():
    assert cr.Dense(2, "sigmoid") == cr.Dense(2, "logistic")
    assert cr.Dense(2, "leaky_relu") == cr.Dense(2, "leaky_relu(0.01)") == cr.Dense(2, cr.leaky_relu(0.01))
    assert cr.Dense(2, "elu(alpha = 0.5)") == cr.Dense(2, "elu(.5)") == cr.Dense(2, cr.elu(0.5))
    assert cr.Dense(2, initializer="normal( 0.10 )") == cr.Dense(2, initializer="normal(0.1)")
    assert len({cr.Dense(2, "swish"), cr.Dense(2, "silu"), cr.Dense(np.int64(2), "silu")}) == 1


@pytest.mark.parametrize(
    "other",
    [cr.Dense(3), cr.Dense(2, "tanh"), cr.Dense(2, bias=False), cr.Dense(2, dropout=0.1), cr.Dense(2, residual=True)],
)
def test_layers_that_differ_are_not(other):
    assert other != cr.Dense(2)


@pytest.mark.parametrize(
    "layer", [cr.Dense(2, "elu(0.123456789)"), cr.Dense(3, cr.silu, dropout=0.1, initializer="he_normal")]
)
def test_a_layer_travels_between_processes(layer):
    for again in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer), eval(repr(layer), {"Dense": cr.Dense})):
        assert again == layer
        assert again.function.values == layer.function.values


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cr.Dense(0), ShapeError, "the width of a layer is a whole number of at least 1, got 0"),
        (lambda: cr.Dense(2.5), ShapeError, "at least 1, got 2.5"),
        (lambda: cr.Dense(True), ShapeError, "at least 1, got True"),
        (lambda: cr.Dense("3"), ShapeError, "at least 1, got '3'"),
        (lambda: cr.Dense(2, dropout=1), ValueError, r"dropout is a probability in \[0, 1\), got 1"),
        (lambda: cr.Dense(2, dropout=-0.1), ValueError, r"dropout is a probability in \[0, 1\), got -0.1"),
        (lambda: cr.Dense(2, dropout=float("nan")), ValueError, r"dropout is a probability in \[0, 1\), got nan"),
        (lambda: cr.Dense(2, "rleu"), UnknownNameError, "unknown activation 'rleu'; did you mean 'relu'"),
        (lambda: cr.Dense(2, cr.exp), UnknownNameError, "exp is a function, and no activation; known are .*relu"),
        (lambda: cr.Dense(2, cr.logsumexp), UnknownNameError, "logsumexp is a function, and no activation"),
        (lambda: cr.Dense(2, cr.softmax.twin), UnknownNameError, "softmax.twin is a function, and no activation"),
        (lambda: cr.Dense(2, "elu(1, 2)"), SpecError, "too many parameters for 'elu': it takes alpha, got 2"),
        (lambda: cr.Dense(2, "elu(beta=1)"), SpecError, "'elu' has no parameter 'beta'; known names are 'alpha'"),
        (lambda: cr.Dense(2, "elu("), SpecError, r"'\(' after 'elu' is never closed"),
        (lambda: cr.Dense(2, initializer="he_nrmal"), UnknownNameError, "'he_nrmal'; did you mean 'he_normal'"),
        (lambda: cr.Dense(2, initializer="normal(1, 2)"), SpecError, "too many parameters for 'normal'"),
    ],
)  # fmt: skip
def test_a_layer_that_cannot_be_is_an_error_in_words(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("size", [1, 7, np.int32(3), np.uint8(255)])
def test_whole_numbers_are_sizes(size):
    assert whole(size) == size
    assert type(whole(size)) is int


@pytest.mark.parametrize("size", [0, -1, 2.0, True, np.True_, "3", None, np.array(3)])
def test_other_things_are_not(size):
    assert whole(size) == 0


def test_residual_layers_keep_the_width():
    check_widths(3, [cr.Dense(3, residual=True), cr.Dense(2)])

    with pytest.raises(
        ShapeError, match="residual layer 2 adds its input of width 4 to its output of width 2: give both"
    ):
        check_widths(3, [cr.Dense(4), cr.Dense(2, residual=True)])
    with pytest.raises(ShapeError, match="residual layer 1 adds its input of width 3 to its output of width 4"):
        check_widths(3, [cr.Dense(4, residual=True)])


def test_the_last_layer_drops_nothing():
    with pytest.raises(ValueError, match=r"layer 2 is the output: dropout=0\.5 would drop predictions"):
        check_widths(3, [cr.Dense(4, dropout=0.5), cr.Dense(2, dropout=0.5)])


# Initial weights


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("relu", "he_uniform"),
        ("leaky_relu(0.3)", "he_uniform"),
        ("selu", "lecun_normal"),
        ("tanh", "glorot_uniform"),
        ("softmax", "glorot_uniform"),
        ("identity", "glorot_uniform"),
    ],
)
def test_the_initializer_follows_the_activation(activation, name):
    assert cr.Dense(3, activation).initial() == (name, ())
    assert cr.Dense(3, activation, initializer="normal(0.1)").initial() == ("normal", (0.1,))
    assert cr.Dense(3, activation, initializer="normal").initial() == ("normal", (0.05,))


def test_the_function_whose_bounds_the_outputs_have():
    assert cr.Dense(3, "logistic").ending is cr.logistic
    assert cr.Dense(3, "logistic", residual=True).ending is cr.identity


@pytest.mark.parametrize("spec", ["4 -> 1 softmax -> 3", "4 -> 1 log_softmax"])
def test_a_function_of_rows_with_one_output_is_remarked(spec):
    note, *_ = cr.Network(spec).notes

    assert note.startswith("layer 1: ")
    assert note.endswith("softmax over one output is always the same number; give it 2 or more")
    assert cr.Network(spec.replace(" 1 ", " 2 ")).notes == cr.Network(spec).notes[1:]
