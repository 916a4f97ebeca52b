"""Views of a derivation: their depths, their reasons, and that they fit a terminal and a page."""

import re
import subprocess

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from networks import derived
from random_networks import conventions, draw_case

import chainrule as cr
from chainrule.errors import UnknownNameError
from chainrule.expr import matmul_op
from chainrule.render.reasons import also_fits, plain, warning
from chainrule.render.text import spelt
from chainrule.render.views import legend, reads_alike
from chainrule.rewrite import Step

NETS = {
    "plain": cr.Network("4 -> 5 tanh -> 3 softmax"),
    "penalty and dropout": cr.Network("4 -> 5 silu dropout=0.2 -> 5 relu residual -> 2 logistic", penalty=cr.l2(0.1)),
    "square": cr.Network("3 -> 3 tanh -> 3 tanh -> 3", loss="huber(0.5)", penalty=cr.l1(0.1)),
    "bias free": cr.Network("4 -> 5 tanh nobias -> 1 softplus nobias", loss="poisson"),
}


@pytest.mark.parametrize("depth", ["equations", "rules", "steps", "algebra"])
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("name", NETS)
def test_a_view_fits_the_terminal_and_names_every_equation(name, layout, depth):
    d = NETS[name].derive(layout, solver="momentum", sample_weight=True)

    lines = d.view(depth).splitlines()

    assert max(map(len, lines)) <= 80
    starts = " ".join(lines)
    assert all(re.search(rf"\b{e.name} = ", starts) for e in d.equations if e.phase != "update")


def test_the_deeper_view_says_more():
    d = NETS["plain"].derive()

    assert d.view() in str(d)
    assert "(n x 5)" not in d.view("equations")
    assert len(d.view("equations")) < len(d.view("rules")) < len(d.view("steps")) < len(d.view("algebra"))
    with pytest.raises(UnknownNameError, match=r"^unknown view 'step'; did you mean 'steps'\?$"):
        d.view("step")


@pytest.mark.row(79, 101, 102)
def test_the_steps_say_why_by_index():
    text = " ".join(NETS["plain"].derive().view("steps").split())

    assert "the loss reaches W2 only through Z2; A1' dZ2 collects it over the rows" in text
    assert "the loss reaches Z1 only through A1; dZ2 W2' brings it back from Z2" in text
    assert "W2[i,j] meets A1[k,i] in [k,j] of A1 W2, for every example k: " in text
    assert "the sum over k of A1[k,i] dZ2[k,j] is [i,j] of A1' dZ2" in text
    assert "b1[0,j] is added in every row k: the sum over k of dZ1[k,j] is [0,j] of 1' dZ1" in text
    assert "every row of A sums to s" in text  # where (P - Y)/n comes from


def test_every_step_has_shapes_and_one_sentence():
    for net in NETS.values():
        for layout in ("rows", "columns"):
            for s in net.derive(layout).steps:
                assert s.shapes == (s.before.shape, s.after.shape)
                assert s.via is not None or s.shapes[0] == s.shapes[1]
                assert 8 < len(s.why) < 250
                assert "\n" not in s.why


@pytest.mark.row(20, 79)
def test_the_sentence_about_a_product_is_true_by_index():
    """The sum of A[i,k] G[i,j] over i is [k,j] of A'G; the sum of G[i,j] B[k,j] over j is [i,k] of G B'."""
    rng = np.random.default_rng(0)
    A, B, G = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(4, 5))

    right = np.array([[sum(A[i, k] * G[i, j] for i in range(4)) for j in range(5)] for k in range(3)])
    left = np.array([[sum(G[i, j] * B[k, j] for j in range(5)) for k in range(3)] for i in range(4)])

    np.testing.assert_allclose(right, A.T @ G)
    np.testing.assert_allclose(left, G @ B.T)


# ---- where shapes prove nothing


@pytest.mark.row(72)
def test_square_shapes_are_warned_about_and_others_are_not():
    square, wide = (derived(widths, ("tanh", "softmax"), "cross_entropy") for widths in ((4, 3, 3), (4, 5, 3)))

    def warned(d):
        return {s.equation: also_fits(s) for s in d.steps if s.via and s.via[0].op is matmul_op and also_fits(s)}

    assert warned(wide) == {}
    assert warned(square) == {"dW2": ("dZ2' A1",), "dZ1": ("dZ2 W2",)}
    assert "note: shapes do not decide here: dZ2 W2 would be (n x 3) too" in " ".join(
        cr.Network("4 -> 3 tanh -> 3 softmax").derive().view("steps").split()
    )


@pytest.mark.parametrize(
    ("weights", "right", "wrong"),
    [
        ("XW", "A1' dZ2", "dZ2' A1"),
        ("XWt", "dZ2' A1", "A1' dZ2"),
        ("WX", "dZ2 A1'", "A1 dZ2'"),
        ("WtX", "A1 dZ2'", "dZ2 A1'"),
    ],
)
def test_a_warning_is_about_the_matrix_that_the_equation_is_about(weights, right, wrong):
    layout = "rows" if weights.startswith("X") else "columns"
    d = cr.Network("4 -> 3 tanh -> 3 softmax").derive(layout, weights=weights)
    (s,) = [s for s in d.steps if s.equation == "dW2" and s.rule == "product"]

    assert str(d["dW2"]) == f"dW2 = {right}"
    assert also_fits(s) == (wrong,)


@pytest.mark.row(72)
def test_what_also_fits_is_wrong():
    """The warning is not idle: a rule that finds transposes by shapes may choose it, and replay catches that."""
    from dataclasses import replace

    from chainrule.check.proof import verify
    from chainrule.derive import Derived

    d = derived((4, 3, 3), ("tanh", "softmax"), "cross_entropy")
    (s,) = [s for s in d.steps if s.equation == "dZ1" and warning(s)]
    dZ2, W2 = s.before, s.via[0].args[1]

    assert verify(Derived((), (s,)))
    assert not verify(Derived((), (replace(s, after=dZ2 @ W2),)))


def test_a_rewriting_is_never_ambiguous():
    A = cr.matrix("A", "k", "k")

    assert also_fits(Step("x", A @ A, A @ A)) == ()


# ---- LaTeX


@pytest.mark.tex
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("name", ["plain", "square"])
def test_every_view_typesets(name, layout, tmp_path):
    net = NETS[name]
    d = net.derive(layout)
    X = np.linspace(-1, 1, 2 * net.inputs).reshape(2, -1)
    data = net.init(0), X, np.eye(net.outputs)[:2]
    parts = [d.latex(view) for view in ("equations", "rules", "steps", "algebra")]
    parts += [d.with_numbers(*data).latex(), d.entry("dZ1", 1, 1, *data, latex=True)]
    body = "\n\n".join(parts)
    paper = tmp_path / "paper.tex"
    paper.write_text(
        "\\documentclass[a4paper]{article}\n\\usepackage{amsmath}\n\\usepackage[utf8]{inputenc}\n"
        f"\\allowdisplaybreaks\n\\begin{{document}}\n{body}\n\\end{{document}}\n",
        encoding="utf-8",
    )

    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)

    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.tex
@pytest.mark.parametrize("depth", ["steps", "rules"])
@pytest.mark.parametrize("convention", [None, "nielsen"])
def test_pages_end_inside_what_is_long(convention, depth, tmp_path):
    spec = "784 -> 128 relu -> 64 gelu -> 32 tanh -> 16 tanh -> 10 softmax"
    net = cr.Network(spec, penalty=cr.l1(0.001) + cr.l2(0.01))
    body = net.derive(convention=convention, solver="adam").latex(depth)
    start = "\\documentclass[a4paper]{article}\n\\usepackage{amsmath}\n\\begin{document}\n"
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]

    def overfull(body):
        (tmp_path / "paper.tex").write_text(f"{start}{body}\n\\end{{document}}\n", encoding="utf-8")
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        return re.findall(r"Overfull .*", (tmp_path / "paper.log").read_text("utf-8", errors="replace"))

    assert not overfull(body)
    assert overfull(body.replace(r"\allowdisplaybreaks", ""))


def test_latex_of_the_steps_has_every_step():
    d = NETS["plain"].derive()
    latex = d.latex("algebra")

    assert latex.count(r"\textit{") == sum(not reads_alike(s) for s in d.steps) > 15
    assert r"A_{1}^{\top} \delta^{2}" in latex
    assert d.latex() == d.latex("equations")
    assert r"\textit{product, tanh}" in d.latex("rules")


@pytest.mark.parametrize("convention", [None, "nielsen"])
def test_steps_say_what_a_1_stands_for_and_none_reads_alike(convention):
    d = cr.Network("4 -> 3 tanh -> 3 softmax").derive(convention=convention)

    written = d.view("steps")
    one_liners = [line.strip() for line in written.splitlines() if "  =  " in line]

    assert written.startswith("beside a matrix, 1 is a column of ones, 1' a row of them, and 1 1' a matrix of")
    assert "\nsteps of which both sides read alike are left out\n" in written
    assert one_liners
    assert all(before != after for before, _, after in (line.partition("  =  ") for line in one_liners))


BARE_NUMBER = re.compile(r"(?<![\w|])\([\d.]+\)")  # a 1 x 1 matrix, as 2 (1) or (0.1) 1'


@pytest.mark.parametrize("convention", [None, "nielsen", "ng"])
@pytest.mark.parametrize("name", NETS)
def test_a_step_shows_numbers_as_coefficients_and_none_that_only_spells_them_anew(name, convention):
    shown = NETS[name].derive(convention=convention).view("algebra")

    assert not BARE_NUMBER.findall(shown)
    assert BARE_NUMBER.findall("(1) ∘ (A2 - Y)") == ["(1)"]


@pytest.mark.parametrize("formula", ["sum((X w - y)^2)/n + 0.1*norm(w)^2", "log(det(X'X))", "sum(0.1*abs(X W))"])
def test_nor_do_the_steps_of_expressions(formula):
    parsed = cr.parse(formula, ["X=n,d"])
    steps = cr.differentiate(parsed.expression, *parsed.symbols.values()).view("algebra")

    assert "  ->  " in steps
    assert not BARE_NUMBER.findall(steps)


def test_a_constant_times_a_matrix_entry_by_entry_is_shown_as_that_many_times_the_matrix():
    shown = cr.Network("2 -> 1", loss="squared_error").derive().view("algebra")

    assert "     (1/n) 1  ->  (A1 - Y)/n\n" in shown
    assert " ∘ (A1 - Y)  =  " not in shown


def said_twice(steps):
    """Yield what two steps of one equation say word for word."""
    said = set()
    for s in steps:
        words = (s.equation, s.why, spelt(plain(s.before)), spelt(plain(s.after)))
        if words in said:
            yield words
        said.add(words)


@example(2713, cr.Convention(), False)
@given(st.integers(0, 10**6), conventions(), st.booleans())
def test_no_two_steps_of_an_equation_say_the_same(seed, convention, weighted):
    d = draw_case(seed).net.derive(convention=convention, sample_weight=weighted)

    assert not list(said_twice([s for s in d.steps if not reads_alike(s)]))  # those are not shown


def test_a_step_says_which_of_two_equal_factors_it_is_about():
    d = cr.Network("3 -> 2", loss="squared_error", penalty=cr.l2(0.1)).derive()
    left, right = (s for s in d.steps if s.equation == "dW1" and s.rule == "Hadamard product")

    assert left.why == "entry by entry: [i,j] of the left W1 meets only [i,j] of the right W1"
    assert right.why == "entry by entry: [i,j] of the right W1 meets only [i,j] of the left W1"
    assert (left.before, left.after) == (right.before, right.after)
    assert len(list(said_twice([left, right, right]))) == 1
    A = cr.matrix("A", 2, 2)
    square = cr.differentiate(cr.trace(A @ A) + cr.norm(cr.kron(A, A)), A)
    which = [
        min(("left A", "right A", "first A", "second A"), key=lambda word, why=s.why: f"{why} {word}".index(word))
        for s in square.steps
        if s.via and s.via[0].args == (A, A)
    ]
    assert sorted(which) == ["first A", "left A", "right A", "second A"]


def test_in_a_step_1_is_the_number_and_a_matrix_of_ones_is_spelt_out():
    lines = cr.Network("3 -> 2", loss="squared_error").derive().view("steps").splitlines()

    assert "     1/n  ->  (1/n) 1'" in lines
    assert "     (1/n) 1 1'  ->  (A1 - Y)/n" in lines
    assert not any(re.search(r"= +1( |$)", line) and "(1 x 1)" not in line for line in lines)


@pytest.mark.parametrize(("convention", "of"), [("nielsen", "n"), (cr.Convention(sign="ascent"), "-1")])
def test_a_chain_that_does_not_start_from_1_says_so_in_a_step(convention, of):
    d = cr.Network("3 -> 2 softmax").derive(convention=convention)
    first = next(s for s in d.steps if s.equation == "dZ1")

    assert (spelt(first.before), spelt(first.after)) == ("1", of)
    assert first.why == f"dZ1 is {of} times the derivative of loss: the chain starts from {of}"
    assert [s for s in d.steps if s.rule == first.rule] == [first]
    assert d.verify().ok


def test_a_sum_of_a_mean_starts_from_the_loss_of_the_network():
    d = cr.Network("3 -> 2 softmax").derive(reduction="sum")

    assert any(s.why == "dZ1 is n times the derivative of net.loss: the chain starts from n" for s in d.steps)
    assert d.verify().ok


def test_where_no_1_stands_nothing_is_said_of_it():
    assert not cr.Network("2 -> 1 nobias", loss="hinge").derive().view("equations").startswith("beside a matrix")
    W = cr.matrix("W", 2, 2)
    assert legend(cr.differentiate(cr.trace(W @ W), W).steps) == []


def test_every_function_of_a_whole_matrix_says_why_for_each_operand():
    from chainrule.functions import FUNCTIONS

    wholes = [f for f in FUNCTIONS.values() if f.whole]
    assert wholes
    for f in wholes:
        assert len(f.because) == f.operands, f.name
        for sentence in f.because:
            assert "{" not in sentence.format("X", "B", Y="Y", i="i", j="j")


def test_an_entry_of_a_determinant_meets_its_cofactor():
    f = cr.parse("det(X)")
    text = " ".join(cr.differentiate(f.expression, f["X"]).view("steps").split())

    assert "[i,j] of X meets its cofactor, which is the determinant times [j,i] of the" in text


def test_rows_of_a_square_matrix_are_no_examples():
    f = cr.parse("tr(X^-1 A)")
    text = " ".join(cr.differentiate(f.expression, f["X"]).view("steps").split())

    assert "for every k: the sum over k of" in text
    assert "example" not in text
    assert "note:" not in text  # that I could stand on either side is no trap
