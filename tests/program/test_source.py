"""Parts of a derivation as programs, run with nothing but NumPy; arbitrary expressions as assignments."""

import ast
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program.random_expressions import run

import chainrule as cr
from chainrule.activations import activations
from chainrule.errors import DataError, UnknownNameError
from chainrule.losses import LOSSES
from chainrule.program.languages import LANGUAGES
from chainrule.program.source import PARTS
from chainrule.updates import UPDATES, UpdateRule

ROWS = 7
TWO_LAYERS = """\
dZ2 = (P - Y) / n
db2 = dZ2.sum(axis=0, keepdims=True)
dW2 = A1.T @ dZ2
dZ1 = (dZ2 @ W2.T) * (Z1 > 0)
db1 = dZ1.sum(axis=0, keepdims=True)
dW1 = X.T @ dZ1"""
IN_COLUMNS = """\
dZ2 = (P - Y) / n
db2 = dZ2.sum(axis=1, keepdims=True)
dW2 = dZ2 @ A1.T
dZ1 = (W2.T @ dZ2) * (Z1 > 0)
db1 = dZ1.sum(axis=1, keepdims=True)
dW1 = dZ1 @ X.T"""
FORWARD = """\
Z1 = X @ W1 + b1
A1 = np.maximum(Z1, 0)
Z2 = A1 @ W2 + b2
t1 = Z2 - Z2.max(axis=1, keepdims=True)
t2 = np.exp(t1)
t3 = t2.sum(axis=1, keepdims=True)
P = t2 / t3
loss = -(Y * (t1 - np.log(t3))).sum() / n"""
ADAM = """\
m_W1 = beta1 * m_W1 + (1 - beta1) * dW1
beta1_t = beta1 * beta1_t
v_W1 = beta2 * v_W1 + (1 - beta2) * dW1 * dW1
beta2_t = beta2 * beta2_t
W1 = W1 - lr * (m_W1 / (1 - beta1_t)) / (np.sqrt(v_W1 / (1 - beta2_t)) + eps)"""


# ---- golden text


@pytest.mark.parametrize(
    ("layout", "part", "text"),
    [("rows", "backward", TWO_LAYERS), ("columns", "backward", IN_COLUMNS), ("rows", "forward", FORWARD)],
)
def test_two_layers_are_written_as_a_person_would(layout, part, text):
    assert cr.Network("784 -> 128 relu -> 10 softmax").derive(layout).source(part=part) == text


def test_adam_is_written_as_its_paper_has_it():
    source = cr.Network("4 -> 3 nobias").derive(solver="adam").source(part="update")

    assert source == ADAM


@pytest.mark.parametrize("f", [f for f in dict.fromkeys(activations().values()) if f.axis is None], ids=str)
def test_a_backward_pass_of_two_layers_is_six_lines_and_what_they_share(f):
    text = cr.Network.of(4, cr.Dense(5, f), cr.Dense(3)).derive().source(part="backward")
    targets = [statement.targets[0].id for statement in ast.parse(text).body]
    named = [target for target in targets if not re.match(r"t\d+", target)]

    assert named == ["dZ2", "db2", "dW2", "dZ1", "db1", "dW1"]


# ---- parts, run by themselves

SPECS = [
    "4 -> 5 relu -> 3 softmax",
    "4 -> 4 gelu residual -> 5 mish dropout=0.25 -> 1 logistic",
    "3 -> 1 tanh nobias -> 2",
    "1 -> 1 softplus -> 1",
    "4 -> 6 softmax -> 5 log_softmax -> 4 elu(0.5) dropout=0.5 -> 2 softplus",
]


def values_of(derivation, dtype=float):
    """Random arrays for what a derivation is made of, numbers for what counts steps and for hyper-parameters."""
    rng = np.random.default_rng(0)
    listing = derivation.listing
    values = {"n": ROWS, **listing.hyper}
    for symbol in (*listing.data, *listing.randoms, *listing.parameters, *(s for s, _ in listing.states)):
        shape = [ROWS if size == "n" else size for size in symbol.shape]
        array = (
            rng.standard_normal(shape) if symbol.value.role in ("data", "parameter") else rng.uniform(0.1, 0.9, shape)
        )
        for axis, fact in enumerate(("columns_sum_to_one", "rows_sum_to_one")):
            if fact in symbol.value.facts:
                array /= array.sum(axis=axis, keepdims=True)
        values[symbol.name] = 0.5 if symbol.name.endswith("_t") else array.astype(dtype)
    return values


def parts_run(derivation, values):
    """What forward, backward and update define, one after the other; the new values under the names of the old."""
    found = run(derivation.source(part="forward"), values)
    found = run(derivation.source(part="backward"), found)
    return found, run(derivation.source(part="update"), found)


@pytest.mark.parametrize("sample_weight", [False, True])
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("spec", SPECS)
def test_every_part_computes_what_the_equations_say(spec, layout, sample_weight):
    net = cr.Network(spec, penalty=cr.l1(0.1) + cr.l2(0.01))
    d = net.derive(layout, solver="nadam", sample_weight=sample_weight)
    values = values_of(d)

    found, updated = parts_run(d, values)

    for e in d.equations:
        expected = cr.evaluate(e.expression, values)
        result = updated[e.name.removesuffix("_next")] if e.phase == "update" else found[e.name]
        if np.ndim(result) == 0:
            expected = expected.item()
        atol = 1e-12 * np.max(np.abs(expected))  # other entries may be what is left of terms that cancel
        np.testing.assert_allclose(result, expected, rtol=0, atol=atol, err_msg=e.name, strict=np.ndim(result) == 2)


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("spec", SPECS)
def test_every_part_stays_in_single_precision(spec, layout):
    d = cr.Network(spec, penalty=cr.l1(0.1) + cr.l2(0.01)).derive(layout, solver="adam", sample_weight=True)
    values = values_of(d, np.float32)

    found, updated = parts_run(d, values)

    arrays = [v for v in (found | updated).values() if isinstance(v, np.ndarray | np.generic)]
    assert {v.dtype for v in arrays} == {np.dtype(np.float32)}


def test_a_part_needs_only_the_inputs_the_names_of_others_and_the_number_of_rows():
    d = cr.Network("4 -> 5 tanh -> 3 softmax").derive()
    values = values_of(d)
    found = run(d.source(part="forward"), {k: values[k] for k in ("n", "X", "Y", "W1", "b1", "W2", "b2")})

    named = {k: found[k] for k in ("n", "X", "Y", "W2", "Z1", "A1", "Z2", "P")}

    assert run(d.source(part="backward"), named)["dW1"].shape == (4, 5)


# ---- updates in place


def derived_with(monkeypatch, block, **hyper):
    """The derivation of one layer, updated by a rule that is not in the book."""
    monkeypatch.setitem(UPDATES, "crafted", UpdateRule("crafted", block, hyper, ""))
    return cr.Network("2 -> 1 nobias").derive(solver="crafted")


def test_an_old_value_that_is_still_needed_is_kept(monkeypatch):
    def remembering(p, lr):
        p.next(p.parameter, p.parameter - lr * p.gradient)
        p.next(p.state("last"), 2 * p.parameter)  # the old one

    source = derived_with(monkeypatch, remembering, lr=0.5).source(part="update")

    assert source.splitlines() == ["W1_next = W1 - lr * dW1", "last_W1 = 2 * W1", "W1 = W1_next"]
    assert run(source, {"W1": 3.0, "dW1": 1.0, "lr": 0.5, "last_W1": 0.0})["last_W1"] == 6


def test_states_may_change_places(monkeypatch):
    def swapping(p, lr):
        first, second = p.state("f"), p.state("g")
        p.next(first, -second)
        p.next(second, -first)
        p.next(p.parameter, p.parameter - lr * p.gradient)

    source = derived_with(monkeypatch, swapping, lr=0.5).source(part="update")
    found = run(source, {"W1": 3.0, "dW1": 1.0, "lr": 0.5, "f_W1": 1.0, "g_W1": 2.0})

    assert (found["f_W1"], found["g_W1"], found["W1"]) == (-2, -1, 2.5)


def test_a_new_value_may_be_read_and_is_the_new_one(monkeypatch):
    def following(p, lr):
        new = p.next(p.parameter, p.parameter - lr * p.gradient)
        p.next(p.state("mean"), p.state("mean") + new - p.parameter)

    source = derived_with(monkeypatch, following, lr=0.5).source(part="update")

    assert run(source, {"W1": 3.0, "dW1": 1.0, "lr": 0.5, "mean_W1": 1.0})["mean_W1"] == 0.5


def test_what_only_looks_like_a_next_value_is_not_committed(monkeypatch):
    def named(p, lr):
        p.next(p.parameter, p.parameter - lr * cr.define("part_next", 0.1 * p.gradient))

    source = derived_with(monkeypatch, named, lr=0.5).source(part="update")

    assert source.splitlines() == ["part_next = 0.1 * dW1", "W1 = W1 - lr * part_next"]


# ---- steps and whole programs


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("solver", UPDATES)
def test_a_step_is_forward_backward_and_update_in_one(solver, layout):
    d = cr.Network("3 -> 4 silu -> 2 softmax", penalty=cr.l2(0.1)).derive(layout, solver=solver, sample_weight=True)
    values = values_of(d)
    step = run(d.source(part="step"), {})["step"]
    arguments = {k: v for k, v in values.items() if k != "n"}

    loss, *rest = step(**arguments)
    found, updated = parts_run(d, values)

    names = [s.name for s in (*d.listing.parameters, *(s for s, _ in d.listing.states))]
    assert np.ndim(loss) == 0
    np.testing.assert_allclose(loss, found["loss"], rtol=1e-14)
    for name, value in zip(names, rest, strict=True):
        np.testing.assert_allclose(value, updated[name], rtol=1e-13, atol=1e-15, err_msg=name)  # sums in another order


def test_a_step_leaves_its_arguments_alone():
    d = cr.Network("3 -> 4 silu -> 2 softmax").derive(solver="adam")
    arguments = {k: v for k, v in values_of(d).items() if k != "n"}
    before = {k: np.copy(v) for k, v in arguments.items()}

    run(d.source(part="step"), {})["step"](**arguments)

    for name, value in before.items():
        np.testing.assert_array_equal(arguments[name], value)


def losses_of(derivation, capsys):
    run(derivation.source(part="program"), {"__name__": "__main__"})
    return [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("solver", UPDATES)
def test_a_program_trains_with_every_solver(solver, capsys):
    losses = losses_of(cr.Network("5 -> 8 tanh -> 3 softmax").derive(solver=solver), capsys)

    assert len(losses) == 6
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("loss", [None, *LOSSES])
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_a_program_trains_on_every_loss(loss, layout, capsys):
    partner = cr.Network("2 -> 2").objective.partner if loss is None else LOSSES[loss].partner
    net = cr.Network(f"5 -> 8 tanh dropout=0.1 -> 3 {partner}", loss=loss, penalty=cr.l2(0.001))

    losses = losses_of(net.derive(layout, sample_weight=True), capsys)

    assert losses[-1] < losses[0]


def test_a_program_of_one_unit_starts_away_from_zero(capsys):
    losses = losses_of(cr.Network("5 -> 1 tanh nobias -> 1 nobias").derive(), capsys)

    assert losses[-1] < losses[0]


def test_lines_of_a_program_are_of_the_width_of_a_page_but_for_equations():
    d = cr.Network("5 -> 8 tanh dropout=0.1 -> 8 gelu -> 8 mish -> 3 softmax").derive(solver="amsgrad")

    lines = d.source(part="program").splitlines()
    equation = re.compile(r"^    \w+ = ")

    assert max(len(line) for line in lines if not equation.match(line)) <= 88


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_comments_are_of_the_width_of_a_page_and_go_on_at_an_operator(language, layout):
    net = cr.Network("784 -> 128 gelu dropout=0.2 -> 64 silu -> 10 softmax", penalty=cr.l1(0.1) + cr.l2(0.01))
    start, end = LANGUAGES[language].comment
    lines = net.derive(layout, solver="adam").source(language).splitlines()
    comments = [line for line in lines if line.strip().startswith(start)]
    texts = [c.strip().removeprefix(start).removesuffix(end) for c in comments]
    loss = next(i for i, text in enumerate(texts) if text.startswith("loss = "))

    assert max(map(len, comments)) <= 88
    assert [text[:9].split()[0] for text in texts[loss + 1 : loss + 3]] == ["+", "-"]


def test_a_program_imports_what_it_uses():
    imports = lambda spec: re.findall(r"^import .*$", cr.Network(spec).derive().source(), re.MULTILINE)

    assert imports("2 -> 3 tanh -> 1") == ["import numpy as np"]
    assert imports("2 -> 3 gelu -> 1") == ["import numpy as np", "import scipy.special"]


def test_dropout_in_a_program_keeps_what_the_layer_says():
    source = cr.Network("2 -> 3 tanh dropout=0.1234567 -> 1").derive().source()

    assert "M1 = (rng.random((n, 3)) < 0.8765433) / 0.8765433" in source


# ---- arbitrary expressions

X, W, b = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("b", 1, "k")
Z = cr.define("Z", X @ W + cr.ones("n") @ b)
A = cr.define("A", cr.tanh(Z))


def test_names_defined_inside_are_written_first():
    assert cr.source({"S": cr.sum(A * A)}) == "Z = X @ W + b\nA = np.tanh(Z)\nS = (A * A).sum()"


def test_several_expressions_share_what_they_have_in_common():
    lines = cr.source({"S": cr.tanh(X @ W), "T": cr.exp(cr.tanh(X @ W))}).splitlines()

    assert lines == ["S = np.tanh(X @ W)", "T = np.exp(S)"]


def test_an_expression_may_be_asked_for_by_its_own_name():
    assert cr.source({"A": A}) == cr.source({"Z": Z, "A": A}) == "Z = X @ W + b\nA = np.tanh(Z)"


def test_a_symbol_may_get_another_name():
    assert cr.source({"V": W}) == "V = W"


def test_a_name_may_be_assigned_after_it_was_read_for_the_last_time():
    assert cr.source({"W": W - 0.1 * W}) == "W = W - 0.1 * W"


@pytest.mark.parametrize(
    "expressions",
    [
        {"W": -W, "T": W @ W.T},  # T would read the new W
        {"Z": X @ W, "T": cr.exp(Z)},  # Z stands for something else inside
        {"T": A * cr.define("A", X @ W)},
        {"T": cr.matrix("A", "n", "k") * A},
    ],
)
def test_a_name_that_would_mean_two_things_is_refused(expressions):
    with pytest.raises(DataError, match=r"'[WZA]' names two things: .* and "):
        cr.source(expressions)


@pytest.mark.parametrize("expressions", [{"np": -W}, {"out": -cr.matrix("scipy", 2, 2)}])
def test_the_name_of_a_library_is_refused(expressions):
    with pytest.raises(DataError, match=r"'(np|scipy)' has a meaning of its own in a program of numpy"):
        cr.source(expressions)


@given(st.lists(st.sampled_from(["t1", "t2", "t3", "X"]), min_size=2, max_size=4, unique=True), st.data())
def test_temporary_names_never_collide_with_those_of_users(names, data):
    """Names such as t1 on matrices, definitions and results, in any order."""
    symbols = [cr.matrix(name, "n", "n") for name in names[:-1]]
    twice = lambda x: cr.tanh(x) * cr.exp(cr.tanh(x))
    used = data.draw(st.lists(st.sampled_from(symbols), min_size=1, max_size=3))
    expression = sum((twice(x @ x) for x in used[1:]), twice(used[0] @ used[0]))
    values = {x.name: np.random.default_rng(i).uniform(-1, 1, (3, 3)) for i, x in enumerate(symbols)}

    found = run(cr.source({names[-1]: expression}), values)

    np.testing.assert_allclose(found[names[-1]], cr.evaluate(expression, values), rtol=1e-13)


def test_a_graph_deeper_than_the_recursion_limit_is_written_and_runs():
    x, total = cr.matrix("x", 2, 2), cr.matrix("x", 2, 2)
    for i in range(3000):
        total = cr.define(f"y{i}", cr.tanh(total) + x)

    found = run(cr.source({"out": total}), {"x": np.full((2, 2), 0.1)})

    np.testing.assert_allclose(found["out"], cr.evaluate(total, {"x": np.full((2, 2), 0.1)}), rtol=1e-13)


# ---- errors


def test_an_unknown_language_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown language 'nunpy'.*numpy"):
        cr.source({"A": A}, language="nunpy")
    with pytest.raises(UnknownNameError, match=r"unknown language 'nunpy'.*numpy"):
        cr.Network("2 -> 1").derive().source("nunpy")


def test_an_unknown_part_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown part 'backwards'.*backward"):
        cr.Network("2 -> 1").derive().source(part="backwards")


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_python(part):
    compile(cr.Network("2 -> 3 relu -> 1").derive().source(part=part), part, "exec")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_what_a_program_says_of_examples_holds_in_both_layouts(language, layout):
    written = cr.Network("2 -> 3 tanh -> 1").derive(layout=layout).source(language)

    assert "on all examples" in written
    assert not re.search(r"\brows?\b", written)
