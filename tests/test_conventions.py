"""Conventions: text as the books have it, and the same numbers in each of them after what it states."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from golden import make
from hypothesis import given
from hypothesis import strategies as st
from random_networks import conventions, draw_case

import chainrule as cr
from chainrule.conventions import CONVENTIONS, ONE, OPTIONS, SIDES, Reading, find_convention
from chainrule.errors import ConventionError, DataError, ShapeError, UnknownNameError
from chainrule.updates import UPDATES

NET = "4 -> 5 tanh -> 3 softmax"


def backward(d):
    return [str(e) for e in d if e.phase == "backward"]


def update(d):
    return [str(e) for e in d if e.phase == "update"]


# ---- golden text


@pytest.mark.parametrize("preset", CONVENTIONS)
def test_every_loss_and_option_reads_as_it_did(preset):
    assert make.golden(preset) == make.path(preset).read_text(encoding="utf-8"), (
        "changed on purpose? see golden/make.py"
    )


def test_no_golden_file_is_left_over():
    assert {p.stem for p in Path(make.HERE).glob("*.txt")} == set(CONVENTIONS)


def test_a_golden_file_shows_what_an_option_changes_and_what_it_leaves_out(monkeypatch):
    plain = {"Z1": "Z1 = X W1", "A1": "A1 = Z1"}
    monkeypatch.setattr(make, "lines", lambda d: plain if d == "plain" else {"Z1": "Z1 = X W1", "D1": "D1 = Z1"})
    monkeypatch.setattr(make, "derivation", lambda preset, loss, option: option)

    text = make.golden("hse").split("\n\n")

    assert text[1].splitlines()[1:] == ["  Z1 = X W1", "  A1 = Z1"]
    assert text[2].splitlines()[1:] == ["  D1 = Z1", "  (no A1)"]


# ---- as the books write


def test_nielsen_sums_over_the_examples_and_divides_in_the_step():
    """Neural Networks and Deep Learning, chapter 2: BP1 to BP4 for a minibatch, and the step with eta/m."""
    d = cr.Network("4 -> 5 logistic -> 3 logistic", "half_squared_error").derive(convention="nielsen")

    assert backward(d) == [
        "dZ2 = (A2 - Y) ∘ A2 ∘ (1 - A2)",
        "db2 = dZ2 1",
        "dW2 = dZ2 A1'",
        "dZ1 = (W2' dZ2) ∘ A1 ∘ (1 - A1)",
        "db1 = dZ1 1",
        "dW1 = dZ1 X'",
    ]
    assert update(d)[0] == "W1_next = W1 - lr dW1/n"


def test_ng_divides_in_the_gradients():
    """Deeplearning.ai, course 1, week 3: dZ2 = A2 - Y, dW2 = 1/m dZ2 A1', ..."""
    d = cr.Network("4 -> 5 tanh -> 1 logistic").derive(convention="ng")

    assert backward(d) == [
        "dZ2 = A2 - Y",
        "db2 = (dZ2 1)/n",
        "dW2 = (dZ2 A1')/n",
        "dZ1 = (W2' dZ2) ∘ (1 - A1 ∘ A1)",
        "db1 = (dZ1 1)/n",
        "dW1 = (dZ1 X')/n",
    ]
    assert update(d)[0] == "W1_next = W1 - lr dW1"


def test_raja_has_no_biases_and_sums():
    """E = 1/2 ||z - t||^2, delta_L = (x_L - t) o f'(W_L x_(L-1)), dE/dW_i = delta_i x_(i-1)'."""
    d = cr.Network("5 -> 3 logistic nobias -> 2 logistic nobias", "half_squared_error").derive(convention="raja")

    assert str(d["loss"]) == "loss = (1' ((A2 - Y) ∘ (A2 - Y)) 1)/2"
    assert backward(d) == [
        "dZ2 = (A2 - Y) ∘ A2 ∘ (1 - A2)",
        "dW2 = dZ2 A1'",
        "dZ1 = (W2' dZ2) ∘ A1 ∘ (1 - A1)",
        "dW1 = dZ1 X'",
    ]


@pytest.mark.parametrize("preset", ["cs231n", "hse"])
def test_rows_with_the_incoming_gradient_divided(preset):
    d = cr.Network("4 -> 5 relu -> 3 softmax").derive(convention=preset)

    assert backward(d)[:4] == ["dZ2 = (P - Y)/n", "db2 = 1' dZ2", "dW2 = A1' dZ2", "dZ1 = (dZ2 W2') ∘ [Z1 > 0]"]


def test_pytorch_keeps_a_row_of_weights_for_every_output():
    d = cr.Network("4 -> 5 relu -> 3 softmax", penalty=cr.l2(0.1)).derive(convention="pytorch")

    assert str(d["Z1"]) == "Z1 = X W1' + 1 b1"
    assert "1' (W1 ∘ W1) 1" in str(d["loss"])
    assert backward(d)[2:4] == ["dW2 = dZ2' A1 + 0.1 W2", "dZ1 = (dZ2 W2) ∘ [Z1 > 0]"]


@pytest.mark.row(14)
def test_ascent_adds_the_negative_derivatives():
    d = cr.Network(NET).derive(sign="ascent", scale="gradient")

    assert backward(d)[:3] == ["dZ2 = Y - P", "db2 = (1' dZ2)/n", "dW2 = (A1' dZ2)/n"]
    assert update(d)[0] == "W1_next = W1 + lr dW1"
    assert "note: dZ is -n times the derivative of the loss\n" in str(d)
    assert "note: dW and db are -1 times the derivatives of the loss\n" in str(d)


def test_a_note_names_every_kind_of_multiple():
    net = cr.Network("4 -> 5 tanh -> 5 tanh residual -> 3 nobias")

    assert net.derive(scale="gradient").notes == ("dZ and dA are n times the derivatives of the loss",)
    assert net.derive(convention="nielsen").notes == ("dZ, dA, dW and db are n times the derivatives of the loss",)
    assert net.derive(scale="step", bias="ones").notes[:1] == ("dZ, dA and dW are n times the derivatives of the loss",)
    assert net.derive(reduction="sum").notes == ("the loss is n times net.loss, and so are its derivatives",)
    assert not net.derive("columns").notes


def test_biases_are_the_last_rows_of_the_weights():
    d = cr.Network("4 -> 5 tanh -> 3 softmax nobias", penalty=cr.l2(0.1)).derive(bias="ones")

    assert str(d["Z1"]) == "Z1 = [X, 1] W1"
    assert str(d["Z2"]) == "Z2 = A1 W2"
    assert backward(d) == [
        "dZ2 = (P - Y)/n",
        "dW2 = A1' dZ2 + 0.1 W2",
        "dZ1 = (dZ2 W2') ∘ (1 - A1 ∘ A1)",
        "dW1 = [X, 1]' dZ1 + 0.1 [W1[0:4, :]; 0]",
    ]


def test_biases_are_the_last_columns_of_the_weights_in_columns():
    d = cr.Network(NET).derive("columns", bias="ones")

    assert str(d["Z2"]) == "Z2 = W2 [A1; 1']"
    assert backward(d)[1:3] == ["dW2 = dZ2 [A1; 1']'", "dZ1 = (W2[:, 0:5]' dZ2) ∘ (1 - A1 ∘ A1)"]


@pytest.mark.row(61)
def test_a_learning_rate_for_every_weight():
    """Capability 61: w - alpha_w dE/dw, a rate of its own for each w."""
    d = cr.Network("4 -> 3 nobias").derive("columns", learning_rate="matrix", scale="step")

    assert update(d) == ["W1_next = W1 - (lr_W1 ∘ dW1)/n"]
    assert d["W1_next"].shape == (3, 4)
    assert r"W_{1} - \frac{1}{n} \eta_{W_{1}} \odot \mathrm{d}W_{1}" in d.latex()
    exec(d.source(), {"print": lambda line: None})


# ---- options


def test_options_change_a_preset():
    assert find_convention("nielsen", scale="gradient") == find_convention("ng")
    assert find_convention("cs231n", weights="XWt") == find_convention("pytorch")
    assert find_convention("ng", layout="rows") == cr.Convention("rows", "XW", "mean", "gradient", "row")
    assert find_convention("pytorch", layout="columns").weights == "WtX"
    assert find_convention("ng", layout="rows", weights="XWt").weights == "XWt"
    assert find_convention("nielsen", reduction="sum").scale is None
    assert find_convention(cr.Convention(bias="ones"), layout="columns").bias == "ones"
    assert find_convention(None) == cr.Convention()


def test_what_a_convention_does_not_say_follows_its_layout():
    assert (
        cr.Convention("columns")
        == find_convention(None, layout="columns")
        == cr.Convention("columns", "WX", bias="column")
    )
    assert cr.Convention() == cr.Convention("rows", "XW", bias="row")
    assert cr.Convention("columns", "WtX").bias == "column"
    assert cr.Convention("columns", bias="row").weights == "WX"
    assert cr.Network(NET).derive(convention=cr.Convention("columns"))["dW1"].shape == (5, 4)


def test_the_convention_of_a_derivation_says_its_reduction():
    net = cr.Network(NET, reduction="sum")

    assert net.derive().convention == cr.Convention(reduction="sum")
    assert net.derive(convention="ng").convention == CONVENTIONS["ng"]
    assert net.derive(convention="ng").layout == "columns"


def test_a_convention_reads_in_words():
    words = {preset: str(c) for preset, c in CONVENTIONS.items()}

    assert words["raja"] == "columns, no biases, sum"
    assert words["pytorch"] == "rows, X W'"
    odd = cr.Convention("columns", "WtX", bias="row", sign="ascent", scale="delta")
    assert str(odd) == "columns, W' X, biases in rows, ascent"
    assert str(cr.Network(NET).derive(convention="ng")).startswith(
        f"{NET}, cross_entropy (columns, 1/n in dW and db)\n"
    )


def test_what_is_derived_in_a_convention_is_derived_once():
    net = cr.Network(NET)

    assert net.derive(convention="cs231n") is net.derive(convention="hse")
    assert net.derive(convention="ng") is not net.derive(convention="nielsen")


REFUSED = [
    (
        {"weights": "WX"},
        r"weights='WX' is the product W X of columns, and the layout is rows: in layer 1 already, W1 is "
        r"\(h x d\) and X \(n x d\); take weights='XW' or 'XWt', or layout='columns'",
    ),
    (
        {"convention": "ng", "weights": "XW"},
        r"convention 'ng': weights='XW' is the product X W of rows, and the layout is columns: in "
        r"layer 1 already, W1 is \(d x h\) and X \(d x n\); take weights='WX' or 'WtX', or layout='rows'",
    ),
    (
        {"convention": "raja"},
        "convention 'raja' is for networks without biases, and layers 1, 2 have them: write nobias there, or take "
        "bias='column'",
    ),
    (
        {"bias": "none"},
        "bias='none' is for networks without biases, and layers 1, 2 have them: write nobias there, or take bias='row'",
    ),
    *(
        (
            {"reduction": "sum", "scale": scale},
            f"scale='{scale}' says that the 1/n of a mean stands in {where}, and with reduction='sum' layers 1 and 2 "
            "have none there: take reduction='mean', or leave scale out",
        )
        for scale, where in [
            ("delta", "dZ1, dZ2"),
            ("gradient", "dW1, db1, dW2, db2"),
            ("step", "the step of W1, b1, W2, b2"),
        ]
    ),
    (
        {"convention": cr.Convention("columns", reduction="sum"), "scale": "delta"},
        "scale='delta' says that the 1/n of a mean stands in dZ1, dZ2, and with reduction='sum' layers 1 and 2 have "
        "none there: take reduction='mean', or leave scale out",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=str)
def test_a_contradiction_is_named_with_its_layer(options, message):
    with pytest.raises(ConventionError, match=f"^{message}$"):
        cr.Network(NET).derive(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "rows", "weights": "WX"}, r"^weights='WX' is the product W X of columns, and the layout is rows"),
        ({"layout": "columns", "weights": "XWt"}, r"W1 is \(h x d\) and X \(d x n\); take weights='WX' or 'WtX'"),
        (
            {"reduction": "sum", "scale": "step"},
            r"^scale='step' says .* step of W and b, and with reduction='sum' no layer has one",
        ),
        ({"reduction": "sum", "scale": "delta"}, r"^scale='delta' says .* stands in dZ, and with reduction='sum' no "),
        ({"layout": "columns", "weights": "XW"}, r"^weights='XW' is the product X W of rows, and the layout is col"),
    ],
)
def test_a_convention_that_contradicts_itself_is_not_made(options, message):
    with pytest.raises(ConventionError, match=message):
        cr.Convention(**options)


@pytest.mark.parametrize("convention", [3, ["ng"], {"layout": "rows"}])
def test_what_is_no_convention_is_refused(convention):
    with pytest.raises(TypeError, match=r"^a convention is a name such as 'ng', or a chainrule.Convention, got "):
        cr.Network(NET).derive(convention=convention)


def test_the_only_layer_with_a_bias_is_named():
    with pytest.raises(ConventionError, match=r"and layer 2 has one: write nobias there, or take bias='row'$"):
        cr.Network("4 -> 5 nobias -> 3").derive(bias="none")


def test_a_sum_that_was_declared_has_nothing_to_place():
    for scale in OPTIONS["scale"]:
        with pytest.raises(
            ConventionError, match=rf"^scale='{scale}' says .* and with reduction='sum' layers 1 and 2 "
        ):
            cr.Network(NET, reduction="sum").derive(scale=scale)
    with pytest.raises(ConventionError, match=r" stands in dW1, dW2, dW3, \.\.\., dW7, and .* layers 1 to 7 have none"):
        cr.Network(" -> ".join("22222222"), reduction="sum").derive(scale="gradient", bias="ones")
    with pytest.raises(
        ConventionError, match=r"^convention 'raja': scale='gradient' .* in dW1, and .* layer 1 has none"
    ):
        cr.Network("2 -> 1 nobias").derive(convention="raja", scale="gradient")

    cr.Network(NET, reduction="sum").derive(scale="step", reduction="mean")


@pytest.mark.parametrize("option", [*OPTIONS, "convention", "learning_rate"])
def test_an_unknown_word_is_refused(option):
    with pytest.raises(UnknownNameError, match=f"^unknown {option} 'fairly'"):
        cr.Network(NET).derive(**{option: "fairly"})


# ---- the same numbers


def in_rows(case):
    """Everything that the network computes, by name."""
    w = case.options.get("sample_weight")
    values = {"X": case.X, "Y": case.Y, **case.params, **case.masks} | ({} if w is None else {"w": w[:, None]})
    d = case.net.derive(sample_weight=w is not None, dropout=bool(case.masks))
    return values, {e.name: cr.evaluate(e.expression, values) for e in d if e.phase != "update"}


def assert_close(found, expected, name):
    atol = 1e-10 * np.max(np.abs(expected), initial=0) + 1e-15  # what cancels exactly in one way, and not in another
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=name)


def ran(source, values):
    scope = {"np": np, **values}
    exec(f"import scipy.special\n{source}", scope)
    return scope


POWERS = {  # of n, by the reductions of the network and of the convention: of the loss, of dZ, of dW and db
    ("mean", "mean", "delta"): (0, 0, 0),
    ("mean", "mean", "gradient"): (0, 1, 0),
    ("mean", "mean", "step"): (0, 1, 1),
    ("mean", "sum", "delta"): (1, 1, 1),
    ("sum", "mean", "delta"): (-1, -1, -1),
    ("sum", "mean", "gradient"): (-1, 0, -1),
    ("sum", "mean", "step"): (-1, 0, 0),
    ("sum", "sum", "delta"): (0, 0, 0),
}


def meant(convention, reduction, values, n):
    """Named arrays in rows as a convention means them, said once more and without the package."""
    out = dict(values)
    loss, signal, gradient = POWERS[reduction, convention.reduction, convention.place]
    sign = -1 if convention.sign == "ascent" else 1
    for name in [name for name in values if name.lstrip("d").startswith("W")]:
        if convention.bias == "ones" and name.replace("W", "b") in out:
            out[name] = np.concatenate([out[name], out.pop(name.replace("W", "b"))])
    for name, array in out.items():
        kind = name.lstrip("d")[0]
        if name == "loss":
            k = float(n) ** loss
        elif name.startswith("d"):
            k = sign * float(n) ** (gradient if kind in "Wb" else signal)
        else:
            k = 1.0
        if kind == "W":
            turned = convention.weights in ("WX", "XWt")
        else:
            turned = convention.bias == "column" if kind == "b" else convention.layout == "columns"
        out[name] = k * (array.T if turned else array)
    return out


def check_numbers(seed, convention, solver, matrix):
    """A random network in a convention: the interpreter and the program give what is meant."""
    case = draw_case(seed)
    values, named = in_rows(case)
    options = {"sample_weight": "w" in values, "dropout": bool(case.masks), "solver": solver}
    d = case.net.derive(convention=convention, learning_rate="matrix" if matrix else "number", **options)
    total = values["w"].sum() if "w" in values else len(case.X)
    expected = meant(convention, case.net.reduction, values | named, total)
    for name, value in d.translate(values | named).items():
        assert_close(value, expected[name], f"{name} translated")
    inputs = {name: v for name, v in expected.items() if name in values}
    for symbol, initial in d.listing.states:
        inputs[symbol.name] = initial if symbol.shape == (1, 1) else np.full(symbol.shape, initial)
    rates = np.random.default_rng(seed)
    inputs |= {r.name: rates.uniform(0.01, 0.1, r.shape) for r in d.listing.rates}
    inputs |= {"n": len(case.X), **d.listing.hyper}

    program = ran(d.source(part="forward"), inputs)
    program |= ran(d.source(part="backward"), program)
    after = ran(d.source(part="update"), program)

    for e in d:
        found = cr.evaluate(e.expression, inputs)
        assert found.shape == tuple(len(case.X) if size == "n" else size for size in e.shape)
        if e.phase == "update":
            assert_close(after[e.name.removesuffix("_next")], found, f"{e.name} in the program")
        else:
            assert_close(found, expected[e.name], e.name)
            assert_close(program[e.name], expected[e.name], f"{e.name} in the program")


@given(st.integers(0, 2**32), conventions(), st.sampled_from(sorted(UPDATES)), st.booleans())
def test_random_networks_give_the_same_numbers_in_any_convention(seed, convention, solver, matrix):
    check_numbers(seed, convention, solver, matrix)


@pytest.mark.slow
def test_hundreds_of_networks_give_the_same_numbers_in_random_conventions():
    rng = np.random.default_rng(5)
    for seed in range(300):
        weights = str(rng.choice(OPTIONS["weights"]))
        bias = str(rng.choice(["row", "column", "ones"]))
        reduction, scale = [("sum", None), *(("mean", scale) for scale in OPTIONS["scale"])][rng.integers(4)]
        sign = str(rng.choice(OPTIONS["sign"]))
        convention = cr.Convention(SIDES[weights], weights, reduction, scale, bias, sign)
        check_numbers(seed, convention, str(rng.choice(sorted(UPDATES))), bool(rng.integers(2)))


@pytest.mark.parametrize(
    ("of", "wrong"),
    [
        ("is_transposed", lambda self, name: False),
        ("is_transposed", lambda self, name: True),
        ("multiple", lambda self, name: ONE),
        ("multiple", lambda self, name: (Fraction(1), 1) if name.startswith("d") else ONE),
    ],
    ids=["nothing turned", "all turned", "nothing multiplied", "all multiplied"],
)
def test_a_wrong_reading_is_found(of, wrong, monkeypatch):
    monkeypatch.setattr(Reading, of, wrong)

    with pytest.raises(AssertionError, match=r"translated|dZ|dW"):
        check_numbers(3, cr.Convention("columns", "WtX", "mean", "gradient", "column", "ascent"), "sgd", False)


@given(st.integers(0, 2**32), conventions(), st.sampled_from(sorted(UPDATES)))
def test_a_step_of_a_mean_is_the_same_in_any_convention(seed, convention, solver):
    """Only a sum takes another step: it goes down another loss."""
    case = draw_case(seed)
    values, _ = in_rows(case)
    options = {"sample_weight": "w" in values, "dropout": bool(case.masks), "solver": solver}
    plain = case.net.derive(**options)
    reduction = case.net.reduction
    other = cr.Convention(
        convention.layout, convention.weights, reduction, convention.scale if reduction == "mean" else None,
        convention.bias, convention.sign,
    )  # fmt: skip
    d = case.net.derive(convention=other, **options)

    before, after = (stepped(each, each.translate(values), len(case.X)) for each in (plain, d))

    for name, value in d.translate(before).items():
        assert_close(after[name], value, name)


def stepped(d, inputs, n):
    """The parameters after one step from the initial state."""
    states = {s.name: v if s.shape == (1, 1) else np.full(s.shape, v) for s, v in d.listing.states}
    values = {**inputs, **states, **d.listing.hyper, "n": n}
    names = [str(p.name) for p in d.listing.parameters]
    return {name: cr.evaluate(d[f"{name}_next"].expression, values) for name in names}


@given(conventions(), st.booleans(), st.booleans())
def test_every_convention_verifies(convention, weighted, penalized):
    penalty = cr.l2(0.1) + cr.l1(0.2, per_sample=True) if penalized else None
    net = cr.Network("4 -> 5 gelu dropout=0.2 -> 5 tanh residual -> 3 softmax", penalty=penalty)

    d = net.derive(convention=convention, sample_weight=weighted)

    assert d.verify(), d.verify()


def test_large_networks_with_biases_in_the_weights_verify():
    assert cr.Network("300 -> 40 relu -> 10 softmax", penalty=cr.l2(0.1)).derive(bias="ones").verify()


# ---- what a derivation says of itself


def test_a_derivation_says_which_multiple_and_which_way():
    d = cr.Network(NET).derive(convention="nielsen", sample_weight=True)

    assert cr.text(d.factor("dW1")) == "s"
    assert cr.text(d.factor("loss")) == cr.text(d.factor("Z1")) == "1"
    assert d.is_transposed("dW1")
    assert d.is_transposed("X")
    assert not cr.Network(NET).derive(convention="pytorch").is_transposed("b1")


def test_arrays_are_translated():
    net = cr.Network(NET)
    params = net.init(0)
    d = net.derive(convention="nielsen", bias="ones", sample_weight=True)
    gradient = {"dW1": np.ones((4, 5)), "db1": np.zeros((1, 5))}

    found = d.translate({"X": np.ones((7, 4)), "w": np.full((7, 1), 0.5), **params, **gradient})

    np.testing.assert_array_equal(found["W1"], np.vstack([params["W1"], params["b1"]]).T)
    np.testing.assert_array_equal(found["dW1"], 3.5 * np.vstack([np.ones((4, 5)), np.zeros((1, 5))]).T)
    assert "b1" not in found
    with pytest.raises(DataError, match=r"^dW1 is multiplied by the number of examples here: give X too"):
        d.translate(gradient)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (None, TypeError, "the values are a mapping of names to arrays, got None"),
        ({3: [[4]]}, TypeError, "the values are a mapping of names to arrays, got the name 3"),
        ({"dZ1": [[1]], "X": 3}, ShapeError, r"X is \(n x 2\) in rows, got an array of shape \(\)"),
        ({"W1": np.ones((7, 9))}, ShapeError, r"W1 is \(2 x 1\) in rows, got an array of shape \(7, 9\)"),
        ({"W1": [1, 2]}, ShapeError, r"W1 is \(2 x 1\) in rows, got an array of shape \(2,\)"),
        (
            {"X": np.ones((3, 2)), "Y": np.ones((4, 1))},
            ShapeError,
            r"Y is \(n x 1\) in rows with n = 3, got an array of shape \(4, 1\)",
        ),
        ({"Qq": [[1]]}, UnknownNameError, "there is no 'Qq' in this derivation; known names are"),
        ({"dw1": [[1], [2]]}, UnknownNameError, "there is no 'dw1' in this derivation; did you mean 'dW1'"),
        ({"W1": "a"}, DataError, "W1 holds real numbers, got 'a'"),
    ],
)
def test_values_that_cannot_be_translated_are_refused_in_words(values, error, message):
    with pytest.raises(error, match=message):
        cr.Network("2 -> 1").derive(convention="ng").translate(values)


def test_latex_does_not_call_a_multiple_a_derivative():
    net = cr.Network(NET)
    nielsen, ng, raja = (net.derive(convention=c, bias="column").latex() for c in ("nielsen", "ng", "raja"))

    assert r"\mathrm{d}W_{1} &= \delta^{1} X^{\top}" in nielsen
    assert r"\text{$\delta$, $\mathrm{d}W$ and $\mathrm{d}b$ are $n$ times the derivatives of the loss}} \\" in nielsen
    assert r"\frac{\partial L}{\partial W_{1}} &= \frac{1}{n} \delta^{1} X^{\top}" in ng
    assert r"\frac{\partial L}{\partial W_{1}} &= \delta^{1} X^{\top}" in raja
    assert r"&\rlap{\text{the loss is $n$ times that of the network, and so are its derivatives}} \\" in raja
    partial = net.derive(convention="ng").latex(derivatives="partial")
    assert r"\mathrm{d}Z_{2} &= P - Y" in partial
    assert r"$\mathrm{d}Z$ is $n$ times" in partial


@pytest.mark.parametrize("penalty", ["l1(0.1)", "l1(0.1) + l2(0.2)"])
def test_a_penalty_of_weights_with_their_biases_in_columns_is_not_turned_twice(penalty):
    d = cr.Network("2 -> 3 tanh -> 1", penalty=penalty).derive(convention="nielsen", bias="ones")
    written = str(d["dW2"])

    assert re.search(r"\[.*sign\(W2\[:, 0:3\]\), 0\]$", written)
    assert written.startswith("dW2 = dZ2 [A1; 1']' + ")
    assert written.count("'") == 2
    assert d.verify().ok
