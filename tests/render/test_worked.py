"""Equations with numbers: three lines each, readable matrices, one entry by index."""

import math
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DataError, ShapeError, UnknownNameError
from chainrule.render.worked import block_text, entries, matrix_latex
from chainrule.updates import UPDATES

NET = cr.Network("4 -> 3 tanh -> 3 softmax", penalty=cr.l2(0.1))
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 4)).round(1), np.array([0, 1, 2, 1, 0])
PARAMS = NET.init(0)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_the_numbers_are_those_of_the_network(layout):
    worked = NET.derive(layout).with_numbers(PARAMS, X, Y, lr=0.5)
    turn = (lambda a: a.T) if layout == "columns" else (lambda a: a)

    for name, value in NET.gradient(PARAMS, X, Y).items():
        np.testing.assert_allclose(turn(worked[f"d{name}"]), value, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(turn(worked[f"{name}_next"]), PARAMS[name] - 0.5 * value, rtol=1e-12)
    for name, value in NET.forward(PARAMS, X).items():
        if name in worked.values:
            np.testing.assert_allclose(turn(worked[name]), value, rtol=1e-12, atol=1e-15)
    assert worked["loss"].item() == pytest.approx(NET.loss(PARAMS, X, Y))


def test_every_equation_has_symbols_numbers_and_a_result():
    d = NET.derive()
    text = str(d.with_numbers(PARAMS, X, Y))

    assert max(map(len, text.splitlines())) <= 80
    for e in d.equations:
        (start,) = [i for i, line in enumerate(text.splitlines()) if line.startswith(f"  {e.name} = ")]
        block = text.splitlines()[start:]
        block = block[: block.index("")] if "" in block else block
        assert sum(bool(re.match(r"\s+= ", line)) for line in block[1:]) == 2, e.name


@pytest.mark.row(11)
def test_the_six_steps_hold_every_equation_once_in_an_order_that_runs():
    d = cr.Network("3 -> 4 tanh -> 4 relu -> 2 softmax").derive(solver="momentum")
    params = cr.Network("3 -> 4 tanh -> 4 relu -> 2 softmax").init(0)
    worked = d.with_numbers(params, [[1.0, 2, 3]], [1])

    text = worked.six_steps()
    order = re.findall(r"^  (\w+) = ", text, re.MULTILINE)

    assert [h[0] for h in re.findall(r"^\d\. .*", text, re.MULTILINE)] == list("123456")
    assert sorted(order) == sorted(e.name for e in d.equations)
    said = set()
    from chainrule.expr import is_atom, toposort_to_names

    for name in order:
        needs = {str(n.name) for n in toposort_to_names(d[name].expression) if is_atom(n)}
        assert needs & {e.name for e in d.equations} <= said
        said.add(name)
    assert text.index("2. the error signal of the last") < text.index("dZ3 =") < text.index("3. the error")
    assert text.index("5. the derivatives by the biases") < text.index("db3 =") < text.index("6. the update")


@pytest.mark.row(11)
def test_every_worked_line_can_be_checked_again():
    """The numbers printed for Z1, recomputed from the printed matrices."""
    text = str(cr.Network("2 -> 2 tanh -> 1").derive().with_numbers(
        {"W1": [[0.5, -1], [2, 0.25]], "b1": [[0.1, 0.2]], "W2": [[1], [2]], "b2": [[0]]}, [[1, 2]], [[1]]
    ))  # fmt: skip

    assert "  Z1 = X W1 + 1 b1                                                       (1 x 2)\n" in text
    assert "     = [1 2] [0.50 -1.00] + 1 [0.1 0.2]\n             [2.00  0.25]\n     = [4.6 -0.3]" in text


def test_dropout_masks_and_weights_are_drawn_or_given():
    net = cr.Network("4 -> 6 tanh dropout=0.5 -> 1")
    d = net.derive(sample_weight=True)
    w = [1, 2, 3, 4, 5]

    worked = d.with_numbers(net.init(0), X, Y, sample_weight=w, random_state=3)

    gradient = net.gradient(net.init(0), X, Y, sample_weight=w, random_state=3)
    np.testing.assert_allclose(worked["dW1"], gradient["W1"], rtol=1e-12)


# ---- matrices


@pytest.mark.parametrize("digits", [0, -1, 2.5, True])
def test_digits_are_a_whole_number_of_at_least_1(digits):
    d = cr.Network("2 -> 1").derive()
    params = {"W1": [[0.5], [-1]], "b1": [[0]]}

    with pytest.raises(ValueError, match=f"^digits is a whole number of at least 1, got {digits}$"):
        d.with_numbers(params, [[1, 2]], [[0]], digits=digits)
    with pytest.raises(ValueError, match=r"^digits is a whole number of at least 1"):
        d.entry("dW1", 0, 0, params, [[1, 2]], [[0]], digits=digits)


@pytest.mark.parametrize(
    ("values", "digits", "expected"),
    [
        ([0.05, 0.1], 4, ["0.05", "0.10"]),
        ([1, 2, 30], 4, ["1", "2", "30"]),
        ([0.5, -1], 4, ["0.5", "-1.0"]),
        ([0.138498562, -0.038098236], 4, ["0.1385", "-0.0381"]),
        ([0, 0.0], 4, ["0", "0"]),
        ([-0.0, 2.5], 4, ["0.0", "2.5"]),
        ([1e-9, 1], 4, ["1e-09", "1"]),
        ([1e9], 4, ["1e+09"]),
        ([float("nan"), 1], 4, ["nan", "1"]),
    ],
)
def test_numbers_read_well(values, digits, expected):
    assert entries(values, digits) == expected


def test_large_matrices_are_elided():
    block = block_text(RNG.normal(size=(100, 100)), 4)

    assert len(block) == 5
    assert len(set(map(len, block))) == 1
    assert len(block[0]) <= 40
    assert "⋮" in block[3]
    assert "…" in block[0]
    assert r"\ddots" in matrix_latex(np.ones((9, 9)), 4)


# ---- one entry


@pytest.mark.row(20)
def test_one_entry_says_its_row_and_its_column():
    text = NET.derive().entry("dW2", 1, 0, PARAMS, X, Y)

    assert "dW2[1,0] is row 1 of A1' times column 0 of dZ2, plus 0.1 times W2[1,0]" in text
    assert "= A1[0,1] · dZ2[0,0] + A1[1,1] · dZ2[1,0] + A1[2,1] · dZ2[2,0] + ..." in text
    assert "of A1[k,1] dZ2[k,0] is [1,0] of A1' dZ2" in text
    assert "note: shapes do not decide here: dZ2' A1" in text


@pytest.mark.row(15, 20)
def test_an_entry_s_numbers_add_up_to_it():
    net = cr.Network("2 -> 2 tanh -> 2 logistic", penalty=cr.l2(0.1))
    params, x, y = net.init(1), [[0.3, -0.7], [1.1, 0.2], [0.4, 0.9]], [[0, 1], [1, 0], [1, 1]]
    for layout in ("rows", "columns"):
        d = net.derive(layout)
        worked = d.with_numbers(params, x, y)
        for e in d.equations:
            if e.phase == "forward" or e.name == "loss":
                continue
            i, j = (size - 1 for size in worked[e.name].shape)
            lines = d.entry(e.name, i, j, params, x, y, digits=12).splitlines()
            starts = [k for k, line in enumerate(lines) if line.startswith("  = ")]
            numbers = " ".join(lines[starts[1] : starts[2]]).strip(" =")
            claim = re.sub(r"\s+", " ", numbers) + " = " + lines[starts[2]].strip(" =")
            assert re.search(r"[a-z]", claim) is None, claim
            assert re.search(r"[\d)] [\d(]", claim) is None, f"numbers side by side: {claim}"
            assert cr.check_arithmetic(claim).exact == pytest.approx(worked[e.name][i, j], rel=1e-10), claim


@pytest.mark.parametrize("solver", UPDATES)
def test_every_entry_of_every_update_rule_is_explained(solver):
    net = cr.Network("2 -> 1", penalty="l2(0.1)")
    d = net.derive(solver=solver)
    data = net.init(0), [[1.0, 2.0], [3.0, -4.0]], [[1.0], [0.0]]
    worked = d.with_numbers(*data)

    for e in d.equations:
        if e.phase == "update":
            text = d.entry(e.name, 0, 0, *data, digits=16)
            numbers = text.split("\n  = ")[-2].replace("\n", " ").replace("·", "*")
            formula = re.sub(r"\|([^|]*)\|", r"abs(\1)", numbers)
            found = eval(formula, {"sqrt": math.sqrt, "maximum": max, "abs": abs})
            assert found == pytest.approx(worked[e.name][0, 0], rel=1e-9)


def test_a_coefficient_that_is_a_sum_is_written_out_in_numbers():
    net = cr.Network("2 -> 1 nobias")
    d = net.derive(solver="adam")
    data = {"W1": [[0.5], [0.0]]}, [[2.0, 0.0]], [[0.0]]

    moment = d.entry("m_W1_next", 0, 0, *data)
    step = " ".join(d.entry("W1_next", 0, 0, *data).split())

    assert "= beta1 · m_W1[0,0] + (1 - beta1) · dW1[0,0]\n  = 0.9 · 0 + (1 - 0.9) · 2\n  = 0.2" in moment
    assert "v_W1_next[0,0]), plus eps)" in step
    assert r"(1 - 0.9) \cdot 2" in d.entry("m_W1_next", 0, 0, *data, latex=True)


@pytest.mark.parametrize("name", ["loss", "P", "dZ2", "dW1", "Z1", "A1", "b1_next"])
def test_every_kind_of_entry_reads_well(name):
    for layout in ("rows", "columns"):
        d = NET.derive(layout)
        text = d.entry(name, 0, 0, PARAMS, X, Y)
        assert max(map(len, text.splitlines())) <= 80
        assert len(text.splitlines()) < 40
        latex = d.entry(name, 0, 0, PARAMS, X, Y, latex=True)
        assert latex.count("{") == latex.count("}")
        assert latex.startswith(r"\begin{align*}")


def test_bad_requests_are_answered_in_one_sentence():
    d = NET.derive()

    with pytest.raises(ShapeError, match=r"dW2 is \(3 x 3\): it has no entry \[3,0\]; indices count from 0"):
        d.entry("dW2", 3, 0, PARAMS, X, Y)
    with pytest.raises(UnknownNameError, match=r"no equation for 'dW7'; did you mean 'dW"):
        d.entry("dW7", 0, 0, PARAMS, X, Y)
    with pytest.raises(UnknownNameError, match="the update rule has no 'rate'"):
        d.with_numbers(PARAMS, X, Y, rate=0.5)
    with pytest.raises(UnknownNameError, match="there is no 'dW9' in this derivation"):
        d.with_numbers(PARAMS, X, Y)["dW9"]
    with pytest.raises(ShapeError, match=r"the network takes X of shape \(n x 4\)"):
        d.with_numbers(PARAMS, X[:, :2], Y)


@pytest.mark.parametrize("index", [0.5, "0", None, True])
def test_an_index_is_a_whole_number(index):
    with pytest.raises(TypeError, match=f"the row and the column of an entry are whole numbers from 0, got {index!r}"):
        NET.derive().entry("dW2", 0, index, PARAMS, X, Y)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lr": "a"}, DataError, "lr holds real numbers, got 'a'"),
        ({"lr": None}, DataError, "lr holds real numbers, got None"),
        ({"lr": [1, 2]}, DataError, r"lr is one finite number, got \[1, 2\]"),
        ({"lr": np.nan}, DataError, "lr is one finite number, got nan"),
        ({"sample_weight": [1] * 5}, DataError, r"no weights of examples: take derive\(sample_weight=True\)"),
        ({"params": None}, TypeError, "the parameters are a mapping of names to arrays, .* got None"),
        ({"X": X[:0], "Y": Y[:0]}, DataError, "numbers need at least one row, got X without rows"),
    ],
)
def test_data_that_have_no_numbers_to_show_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        NET.derive().with_numbers(**{"params": PARAMS, "X": X, "Y": Y, **change})


def test_a_rate_for_every_weight_has_the_shape_of_the_weights():
    d = cr.Network("2 -> 1").derive(learning_rate="matrix")
    data = cr.Network("2 -> 1").init(0), [[1, 2]], [[0]]

    with pytest.raises(ShapeError, match=r"lr_W1 is a number or a matrix \(2 x 1\), got an array of shape \(3,\)"):
        d.with_numbers(*data, lr_W1=[1, 2, 3])


@pytest.mark.parametrize("convention", ["nielsen", "pytorch", cr.Convention("columns", "WtX")])
def test_rates_are_given_in_rows_in_every_convention(convention):
    net = cr.Network("2 -> 3")
    d = net.derive(convention=convention, learning_rate="matrix")
    data = net.init(0), [[1, 2], [0, 1]], [[0, 1, 2], [1, 0, 0]]
    rate = np.arange(6.0).reshape(2, 3)

    stepped = d.with_numbers(*data, lr_W1=rate, lr=0.5)

    gradient = net.gradient(*data)
    after = stepped["W1_next"].T if d.is_transposed("W1_next") else stepped["W1_next"]
    np.testing.assert_allclose(after, data[0]["W1"] - rate * gradient["W1"], rtol=1e-12)
    np.testing.assert_allclose(stepped["b1_next"].ravel(), (data[0]["b1"] - 0.5 * gradient["b1"]).ravel(), rtol=1e-12)


def test_the_numbers_of_a_coefficient_are_multiplied_with_a_dot():
    net = cr.Network("2 -> 3 logistic -> 1")
    data = net.init(0), [[1, 2], [0, 1]], [[0], [1]]

    text = net.derive().entry("loss", 0, 0, *data)
    latex = net.derive().entry("loss", 0, 0, *data, latex=True)

    assert ")/(2 n)\n" in text
    assert ")/(2 · 2)\n" in text
    assert r"\cdot" not in text
    claim = " ".join(text.split("\n  = ")[2].split()) + " = " + text.split("\n  = ")[3]
    assert cr.check_arithmetic(claim).ok
    assert r"\frac{1}{2 n} (" in latex
    assert r"\frac{1}{2 \cdot 2} (" in latex


@pytest.mark.parametrize("latex", [False, True])
def test_an_entry_that_is_another_s_is_not_written_twice(latex):
    net = cr.Network("2 -> 3 logistic -> 1")
    data = net.init(0), [[1, 2]], [[0]]

    one, two = (net.derive().entry("db1", 0, 0, data[0], data[1] * k, data[2] * k, latex=latex) for k in (1, 2))

    assert one.count("= ") == two.count("= ") - 1


def test_one_minus_an_output_reads_as_it_is_spoken():
    net = cr.Network("2 -> 3 logistic -> 1")
    data = net.init(0), [[1, 2]], [[0]]

    text = " ".join(net.derive().entry("dZ1", 0, 1, *data).split())
    update = net.derive().entry("W1_next", 0, 1, *data)

    assert "of W2', times A1[0,1], times (1 minus A1[0,1])" in text
    assert "W1_next[0,1] is W1[0,1] minus lr times dW1[0,1]\n" in update


def test_an_entry_behind_a_softmax_is_explained_in_the_names_and_numbers_at_hand():
    net = cr.Network("1 -> 2 softmax nobias")
    data = {"W1": [[0.0, 0.0]]}, [[1.0], [2.0]], [[0, 1], [1, 0]]

    rows = " ".join(net.derive().entry("dZ1", 0, 1, *data).split())
    columns = " ".join(net.derive(convention="ng").entry("dZ1", 1, 0, *data).split())

    assert "Z1[0,1] changes every entry of row 0 of log_softmax(Z1), and no other row" in rows
    assert "-Y[0,1]/n - P[0,1] · (-Y[0,0]/n - Y[0,1]/n) = -1/2 - 0.5 · (-0/2 - 1/2)" in rows
    assert "Z1[1,0] changes every entry of column 0 of log_softmax(Z1), and no other column" in columns
    assert "-Y[1,0] + P[1,0] · (Y[0,0] + Y[1,0]) = -1 + 0.5 · (0 + 1)" in columns


def test_an_entry_that_is_its_softmax_is_not_written_twice():
    net = cr.Network("2 -> 3 softmax -> 1")
    data = net.init(0), [[1.0, 2.0]], [[1.0]]

    assert "what comes back" not in net.derive().entry("dZ1", 0, 1, *data)


def test_three_factors_stand_side_by_side_in_words():
    net = cr.Network("2 -> 3 tanh dropout=0.5 -> 2 softmax")
    data = net.init(0), [[1.0, 2.0]], [[1, 0]]

    assert "dZ1[0,1] is row 0 of dZ2 times column 1 of W2', times M1[0,1], times (1 minus " in " ".join(
        net.derive().entry("dZ1", 0, 1, *data).split()
    )
