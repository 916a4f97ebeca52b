"""Reasons by index: what a sentence says of an entry is computed, and is the entry."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import conventions, draw_case
from render.reader import read_text

import chainrule as cr
from chainrule.conventions import CONVENTIONS
from chainrule.derive import Equation
from chainrule.expr import is_atom, toposort_to_names, transpose_op
from chainrule.primitives import abs as absolute
from chainrule.primitives import sign
from chainrule.render.reasons import entry_reasons, is_bookkeeping, passed_on, signals_passed_on, why
from chainrule.render.text import spelt
from chainrule.rewrite import Step

SAID = re.compile(r"(?:the sum over k of|alone:) (?P<term>.+) is \[(?P<i>\d+),(?P<j>\d+)\] of (?P<whole>.+)$")
ENTRY = re.compile(r"(?P<of>[A-Za-z]\w*|\[[^\]]*\]|\([^()]*\))\[(?P<r>\w+),(?P<c>\w+)\]")


def matrix_of(written, values):
    """A name, or a name beside or above ones."""
    if not written.startswith("["):
        return read_text(written, values)
    A = values[re.match(r"\[(\w+)", written)[1]]
    return np.hstack([A, np.ones((len(A), 1))]) if ", " in written else np.vstack([A, np.ones((1, A.shape[1]))])


def computed(term, values):
    """What a sentence says is to be added up: A1[0,k] dZ2[1,k]/n over every k."""
    found = [(matrix_of(m["of"], values), m["r"], m["c"]) for m in ENTRY.finditer(term)]
    counts = {array.shape[[r, c].index("k")] for array, r, c in found if "k" in (r, c)} or {1}
    names = iter("abc")
    formula = ENTRY.sub(lambda m: next(names), term)
    assert len(counts) == 1, f"k has another range in each factor of {term}"

    def at(k):
        index = lambda word: k if word == "k" else int(word)
        entries = {name: np.full((1, 1), a[index(r), index(c)]) for name, (a, r, c) in zip("abc", found, strict=False)}
        return read_text(formula, values | entries)

    return float(sum(np.asarray(at(k)).item() for k in range(*counts)))


def worked(case, convention):
    """The derivation of a random case, and the values of all its names."""
    weighted = "sample_weight" in case.options
    d = case.net.derive(convention=convention, sample_weight=weighted, dropout=bool(case.masks))
    return d, d.with_numbers(case.params, case.X, case.Y, **case.options).values


def products(d):
    return [
        s for e in d if e.phase == "backward" for s in signals_passed_on(t for t in d.steps if t.equation == e.name)
    ]


def check_index(d, values, s, rng):
    """One sentence about one entry at random."""
    operand = s.via[0].args[s.via[1]]
    of = operand.args[0] if operand.op is transpose_op else operand
    rows, columns = (values["n"].item() if size == "n" else size for size in of.shape)
    i, j = int(rng.integers(rows)), int(rng.integers(columns))
    expected = np.asarray(cr.evaluate(passed_on(s), values))

    said = SAID.search(why(s, i, j))

    assert said, why(s, i, j)
    assert (int(said["i"]), int(said["j"])) == (i, j)
    atol = 1e-12 * np.max(np.abs(expected), initial=0)  # of a sum whose terms cancel
    np.testing.assert_allclose(computed(said["term"], values), expected[i, j], rtol=1e-10, atol=atol)
    e = d[s.equation]
    if e.expression is passed_on(s):
        np.testing.assert_allclose(computed(said["term"], values), values[e.name][i, j], rtol=1e-10, atol=atol)


@pytest.mark.row(79, 101, 102)
@given(st.integers(0, 10**6), conventions())
@settings(max_examples=25)
def test_what_is_said_of_an_entry_is_the_entry(seed, convention):
    d, values = worked(draw_case(seed), convention)
    rng = np.random.default_rng(seed)

    for s in products(d):
        check_index(d, values, s, rng)


WRONG = {
    "another share": lambda s: replace(s, after=s.after + s.after),
    "another sign": lambda s: replace(s, before=-s.before),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_sentence_is_found(wrong):
    d, values = worked(draw_case(3), CONVENTIONS["pytorch"])

    with pytest.raises(AssertionError):
        check_index(d, values, WRONG[wrong](products(d)[0]), np.random.default_rng(0))


@given(st.integers(0, 10**6), conventions())
@settings(max_examples=25)
def test_what_is_said_is_about_the_equation_that_is_shown(seed, convention):
    """Every name in what a product passes on stands in the equation; where it is all of it, so does the formula."""
    d, _ = worked(draw_case(seed), convention)

    for s in products(d):
        e = d[s.equation]
        names = {n.name for n in toposort_to_names(e.expression) if is_atom(n)}
        assert {n.name for n in toposort_to_names(passed_on(s)) if is_atom(n)} - {"n", "s"} <= names, s


@pytest.mark.parametrize(
    ("convention", "entry", "reason"),
    [
        ("nielsen", "dW2[1,0]", "W2[1,0] meets A1[0,k] in [1,k] of W2 A1, for every example k: the sum over k of "
         "dZ2[1,k] A1[0,k] is [1,0] of dZ2 A1'"),
        ("ng", "dW2[1,0]", "the sum over k of dZ2[1,k] A1[0,k]/n is [1,0] of (dZ2 A1')/n"),
        ("cs231n", "dW2[0,1]", "the sum over k of A1[k,0] dZ2[k,1] is [0,1] of A1' dZ2"),
        ("pytorch", "dW2[1,0]", "W2[1,0] meets A1[k,0] in [k,1] of A1 W2', for every example k: the sum over k of "
         "dZ2[k,1] A1[k,0] is [1,0] of dZ2' A1"),
        ("nielsen", "db2[1,0]", "b2[1,0] is added in every column k: the sum over k of dZ2[1,k] is [1,0] of dZ2 1"),
        ("hse", "db2[0,1]", "b2[0,1] is added in every row k: the sum over k of dZ2[k,1] is [0,1] of 1' dZ2"),
        ("ng", "dZ1[2,1]", "A1[2,1] meets W2[k,2] in [k,1] of W2 A1, for every k: the sum over k of "
         "W2[k,2] dZ2[k,1] is [2,1] of W2' dZ2"),
        ("ng", "dZ1[2,1]", "[2,1] of tanh(Z1) depends on [2,1] of Z1 alone: times the slope of tanh there"),
    ],
)  # fmt: skip
def test_an_entry_is_justified_in_the_convention_shown(convention, entry, reason):
    net = cr.Network("2 -> 3 tanh -> 2 softmax")
    name, i, j = re.fullmatch(r"(\w+)\[(\d),(\d)\]", entry).groups()
    X, Y = np.array([[0.5, -1.0], [0.3, 0.2]]), np.eye(2)

    said = net.derive(convention=convention).entry(name, int(i), int(j), net.init(0), X, Y)

    assert reason in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80


def test_an_entry_behind_a_function_of_a_transpose_is_found_at_its_other_index():
    W, G = cr.matrix("W", 2, 3), cr.matrix("G", 3, 2)
    step = Step("abs", G, G * sign(W.T), "dW", via=(absolute(W.T), 0))
    e = Equation("dW", (G * sign(W.T)).T, (2, 3), "penalty", "backward")

    assert entry_reasons(e, [step], 1, 2) == [
        "[2,1] of |W'| depends on [2,1] of W' alone: times the slope of abs there"
    ]


@pytest.mark.parametrize(
    ("convention", "product"),
    [
        ("cs231n", "[A1, 1][1,0] meets W2[0,k] in [1,k] of [A1, 1] W2, for every k: the sum over k of "
         "dZ2[1,k] W2[0,k] is [1,0] of dZ2 W2'"),
        ("ng", "[A1; 1'][1,0] meets W2[k,1] in [k,0] of W2 [A1; 1'], for every k: the sum over k of "
         "W2[k,1] dZ2[k,0] is [1,0] of W2' dZ2"),
    ],
)  # fmt: skip
def test_an_entry_beside_which_ones_stand_has_its_indices_in_every_reason(convention, product):
    net = cr.Network("3 -> 2 tanh -> 2")
    d = net.derive(convention=convention, bias="ones")

    said = " ".join(d.entry("dZ1", 1, 0, net.init(0), [[1, 2, 3], [0, 1, 1]], [[1, 0], [0, 1]]).split())

    stack, line = ("[A1, 1]", "column") if convention == "cs231n" else ("[A1; 1']", "row")
    own = f"[1,0] of A1 is [1,0] of {stack}: of the derivative by that, {line}s 0 to 1 are its own"
    assert f"{product} {own} [1,0] of tanh(Z1)" in said


@pytest.mark.parametrize(
    ("convention", "share", "steps"),
    [
        ("cs231n", "dZ2 W2[0:5, :]'", ["(dZ2 W2')[:, 0:5]  =  dZ2 (W2')[:, 0:5]", "columns 0 to 4 are its own"]),
        ("ng", "W2[:, 0:5]' dZ2", ["W2' dZ2 -> W2[:, 0:5]' dZ2", "rows 0 to 4 are its own"]),
    ],
)
def test_what_is_passed_on_beside_ones_is_the_block_that_the_equation_shows(convention, share, steps):
    d = cr.Network("4 -> 5 tanh -> 3 softmax").derive(convention=convention, bias="ones")

    (about,) = [" ".join(p.split()) for p in d.view("steps").split("\n\n") if p.startswith("dZ1 = ")]

    assert f"the loss reaches Z1 only through A1; {share} brings it back from Z2" in about
    assert all(" ".join(each.split()) in about for each in steps)


def test_a_block_is_counted_as_entries_are_and_a_note_says_so():
    d = cr.Network("2 -> 3 tanh -> 1").derive(bias="ones")

    assert d.notes == ("W2[0:3, :] is rows 0 to 2 of W2, counted from 0",)
    assert d.notes[0] in str(d)
    assert d.notes[0] in d.latex()
    assert not cr.Network("2 -> 1").derive(bias="ones").notes
    one = cr.Network("2 -> 1 tanh -> 1").derive(layout="columns", bias="ones")
    assert one.notes == ("W2[:, 0] is column 0 of W2, counted from 0",)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_rule_speaks_of_rows_where_rows_are_added_and_of_columns_where_columns_are(convention, weighted):
    nobias = " nobias" if convention == "raja" else ""
    net = cr.Network(f"4 -> 3 relu{nobias} -> 2 softmax{nobias}")
    steps = net.derive(convention=convention, sample_weight=weighted).steps

    said = [(s, line) for s in steps for line in ("row", "column") if line in s.rule.split("_")]

    assert said
    for s, line in said:
        added = spelt(s.before)
        assert added.endswith(" 1") if line == "row" else added.startswith("1' "), s


def test_the_steps_view_speaks_of_the_product_that_is_shown():
    for convention in ("nielsen", "ng", "pytorch"):
        d = cr.Network("4 -> 5 tanh -> 3 softmax").derive(convention=convention)
        paragraphs = d.view("steps").split("\n\n")
        (about,) = [p for p in paragraphs if p.startswith("dW2 = ")]
        assert f"{str(d['dW2']).removeprefix('dW2 = ')} collects it over the" in " ".join(about.split())


def test_what_only_moves_numbers_and_brackets_is_bookkeeping():
    steps = cr.Network("4 -> 5 tanh -> 3 softmax").derive(convention="ng").steps
    moved = {s.rule for s in steps if is_bookkeeping(s)}
    meant = {s.rule for s in steps if not is_bookkeeping(s)}

    assert {"transposes_go_inward", "constants_multiply", "sums_are_tidy"} <= moved
    assert {"product", "tanh", "log_of_softmax", "known_column_sums", "the_name_is_used"} <= meant
    assert not moved & {"known_column_sums", "the_name_is_used", "log_of_softmax"}


def test_what_is_too_long_to_repeat_is_said_once():
    steps = cr.Network("4 -> 2 softmax").derive(convention="nielsen").steps

    said = [why(s) for s in steps if "A 1 adds up every row" in why(s)]

    assert said == [
        "A 1 adds up every row: each entry of A has the derivative of the sum of its row; A is Y ∘ log_softmax(Z1)"
    ]


@pytest.mark.parametrize("convention", ["nielsen", "pytorch"])
def test_a_letter_for_a_long_factor_is_explained_and_a_number_has_no_index(convention):
    steps = cr.Network("4 -> 3 tanh -> 2").derive(convention=convention, sample_weight=True).steps
    said = [why(s) for s in steps if s.via is not None]

    lettered = [sentence for sentence in said if re.search(r"\b[ABG]\[", sentence)]
    assert lettered
    assert all(re.search(r"; [AB] is \(A2 - Y\) ∘ \(A2 - Y\)$", sentence) for sentence in lettered)
    assert not any(re.search(r"(?<!\w)1\)?\[", sentence) for sentence in said)


def test_an_entry_of_a_product_is_one_of_the_product_in_brackets():
    x, A = cr.matrix("x", "n", 1), cr.matrix("A", "n", "n")
    steps = cr.differentiate(x.T @ A @ x, x).steps

    sentence = "x[i,0] meets (x' A)[0,i] in [0,0] of x' A x alone: (x' A)[0,i] is [i,0] of (x' A)'"
    assert sentence in [s.why for s in steps]
