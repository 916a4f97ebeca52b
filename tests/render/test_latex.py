import re
import subprocess

import pytest
from expressions import operands_of
from hypothesis import given, settings
from hypothesis import strategies as st
from render.formulas import CASES, NETWORKS, assert_reads_back, derivation, expressions
from render.reader import read_latex

import chainrule as cr
from chainrule.derive import Equation
from chainrule.errors import UnknownNameError
from chainrule.expr import full, matrix, scalar, scale
from chainrule.functions import FUNCTIONS
from chainrule.render.latex import LATEX, document, equations_latex, name_latex
from chainrule.render.notation import write


@pytest.mark.parametrize("name", CASES)
def test_an_expression_is_printed_with_the_brackets_and_signs_it_needs(name):
    expression, _, printed = CASES[name]

    assert cr.latex(expression) == printed


@given(expressions(), st.integers(0, 9))
@settings(max_examples=150)
def test_printed_latex_says_the_value_of_its_expression(expression, seed):
    printed = write(expression, LATEX)

    assert_balanced(printed)
    assert_reads_back(expression, printed, read_latex, seed)


def assert_balanced(printed):
    depth = 0
    for brace in re.sub(r"\\[{}]", "", printed):
        depth += (brace == "{") - (brace == "}")
        assert depth >= 0, printed
    assert depth == 0, printed
    sizes = re.findall(r"\\(left|right|biggl|biggr)\b", printed)
    assert sizes.count("left") == sizes.count("right")
    assert sizes.count("biggl") == sizes.count("biggr")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_prints(name):
    f = FUNCTIONS[name]
    X = operands_of(f)
    other = f(*(value + 0.125 for value in f.values))

    assert_balanced(cr.latex(f(*X)))
    assert all(symbol.name in cr.latex(f(*X)) for i, symbol in enumerate(X) if f"{{{i}}}" in f.latex)
    assert not f.parameters or f"{f.values[0] + 0.125:g}" in cr.latex(other(*X))


# ---- names


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("X", "X"),
        ("W1", "W_{1}"),
        ("b12", "b_{12}"),
        ("W_1", "W_{1}"),
        ("x_1_2", "x_{1,2}"),
        ("P", "P"),
        ("M1", "M_{1}"),
        ("loss", "L"),
        ("lr", r"\eta"),
        ("learning_rate", r"\eta"),
        ("lam", r"\lambda"),
        ("lambda", r"\lambda"),
        ("eps", r"\epsilon"),
        ("gamma1", r"\gamma_{1}"),
        ("beta2", r"\beta_{2}"),
        ("β1", r"\beta_{1}"),
        ("λ", r"\lambda"),
        ("Ω", r"\Omega"),
        ("m_W1", "m_{W_{1}}"),
        ("W1_next", "W_{1}^{+}"),
        ("m_W1_next", "m_{W_{1}}^{+}"),
        ("beta1_t", r"\beta_{1}^{t}"),
        ("beta1_t_next", r"\beta_{1}^{t+1}"),
        ("m_hat", r"\hat{m}"),
        ("m_hat_W1", r"\hat{m}_{W_{1}}"),
        ("running_mean1", r"\mathrm{running}_{\mathrm{mean}_{1}}"),
        ("weights", r"\mathrm{weights}"),
        ("conv2d", r"\mathrm{conv2d}"),
        ("data", r"\mathrm{data}"),
        ("next", r"\mathrm{next}"),
        ("_", r"\mathrm{\_}"),
        ("_x", r"\mathrm{\_x}"),
        ("__init__", r"\mathrm{\_\_init\_\_}"),
        ("_next", r"\mathrm{\_next}"),
        ("ñ_1", r"\text{ñ}_{1}"),
        ("名前", r"\text{名前}"),
    ],
)
def test_names_follow_the_field(name, latex):
    assert name_latex(name).text == latex


@given(st.from_regex(r"[^\W\d]\w{0,8}(_(W1|next|hat|t|1|\w))?", fullmatch=True).filter(str.isidentifier))
def test_any_identifier_is_valid_latex(name):
    printed = cr.latex(matrix(name, 2, 2).T)

    assert_balanced(printed)
    assert "_" not in re.sub(r"\\_|_\{", "", printed), "an underscore that is not escaped"
    assert not re.search(r"\^\{[^{}]*\}\^", printed), "two superscripts side by side"


@pytest.mark.parametrize(
    ("name", "delta", "partial"),
    [
        ("dZ1", r"\delta^{1}", r"\frac{\partial L}{\partial Z_{1}}"),
        ("dZ", r"\delta", r"\frac{\partial L}{\partial Z}"),
        ("dW1", r"\frac{\partial L}{\partial W_{1}}", r"\frac{\partial L}{\partial W_{1}}"),
        ("db2", r"\frac{\partial L}{\partial b_{2}}", r"\frac{\partial L}{\partial b_{2}}"),
        ("dgamma1", r"\frac{\partial L}{\partial \gamma_{1}}", r"\frac{\partial L}{\partial \gamma_{1}}"),
        ("dP", r"\frac{\partial L}{\partial P}", r"\frac{\partial L}{\partial P}"),
        ("dt", r"\mathrm{dt}", r"\mathrm{dt}"),
        ("d", "d", "d"),
    ],
)
def test_derivatives_are_written_either_way(name, delta, partial):
    expression = matrix(name, 2, 2) * matrix("A", 2, 2)

    assert cr.latex(expression) == rf"{delta} \odot A"
    assert cr.latex(expression, derivatives="partial") == rf"{partial} \odot A"


def test_the_derivative_by_a_name_of_ones_own_is_known_beside_that_name():
    weights, d = matrix("weights", 2, 2), matrix("dweights", 2, 2)

    assert cr.latex(weights - d) == r"\mathrm{weights} - \frac{\partial L}{\partial \mathrm{weights}}"
    assert cr.latex(d) == r"\mathrm{dweights}"


def test_a_name_with_a_superscript_is_bracketed_before_another():
    A = matrix("W1_next", 2, 2)

    assert cr.latex(A.T) == r"(W_{1}^{+})^{\top}"
    assert cr.latex(cr.power(A, 3)).startswith(r"(W_{1}^{+})^")


def test_a_fraction_is_bracketed_before_a_superscript():
    A = matrix("dW1", 2, 2)

    assert cr.latex(A.T) == r"\left(\frac{\partial L}{\partial W_{1}}\right)^{\top}"


def test_another_way_to_write_derivatives_is_refused():
    with pytest.raises(UnknownNameError, match="derivatives are written as one of delta, partial, got 'nabla'"):
        cr.latex(matrix("A", 2, 2), derivatives="nabla")


def test_numbers_of_any_size_print():
    A = matrix("A", 2, 2)

    assert cr.latex(A + 1.5e300) == r"A + 1.5 \cdot 10^{300}"
    assert cr.latex(A + float("inf")) == r"A + \infty"
    assert cr.latex(full(float("nan"), (2, 2))) == r"\mathrm{nan} \, \mathbf{1} \mathbf{1}^{\top}"
    assert cr.latex(scale(A, "1e-8", (scalar("lr"), 1))) == r"10^{-8} \eta A"
    assert cr.latex(cr.power(A, -1)).endswith("-1}")


# ---- derivations


GOLDEN = {
    ("rows", "delta"): r"""
\begin{align*}
  &\textit{forward} \\
  Z_{1} &= X W_{1} + \mathbf{1} b_{1} && \in \mathbf{R}^{n \times 128} \\
  A_{1} &= \max(Z_{1}, 0) && \in \mathbf{R}^{n \times 128} \\
  Z_{2} &= A_{1} W_{2} + \mathbf{1} b_{2} && \in \mathbf{R}^{n \times 10} \\
  P &= \operatorname{softmax}(Z_{2}) && \in \mathbf{R}^{n \times 10} \\
  &\textit{loss} \\
  L &= -\frac{1}{n} \, \mathbf{1}^{\top} (Y \odot \log\operatorname{softmax}(Z_{2})) \mathbf{1} && \in \mathbf{R} \\
  &\textit{backward} \\
  \delta^{2} &= \frac{1}{n} (P - Y) && \in \mathbf{R}^{n \times 10} \\
  \frac{\partial L}{\partial b_{2}} &= \mathbf{1}^{\top} \delta^{2} && \in \mathbf{R}^{1 \times 10} \\
  \frac{\partial L}{\partial W_{2}} &= A_{1}^{\top} \delta^{2} && \in \mathbf{R}^{128 \times 10} \\
  \delta^{1} &= (\delta^{2} W_{2}^{\top}) \odot [Z_{1} > 0] && \in \mathbf{R}^{n \times 128} \\
  \frac{\partial L}{\partial b_{1}} &= \mathbf{1}^{\top} \delta^{1} && \in \mathbf{R}^{1 \times 128} \\
  \frac{\partial L}{\partial W_{1}} &= X^{\top} \delta^{1} && \in \mathbf{R}^{784 \times 128} \\
  &\textit{update} \\
  W_{1}^{+} &= W_{1} - \eta \frac{\partial L}{\partial W_{1}} && \in \mathbf{R}^{784 \times 128} \\
  b_{1}^{+} &= b_{1} - \eta \frac{\partial L}{\partial b_{1}} && \in \mathbf{R}^{1 \times 128} \\
  W_{2}^{+} &= W_{2} - \eta \frac{\partial L}{\partial W_{2}} && \in \mathbf{R}^{128 \times 10} \\
  b_{2}^{+} &= b_{2} - \eta \frac{\partial L}{\partial b_{2}} && \in \mathbf{R}^{1 \times 10}
\end{align*}
""",
    ("weighted_columns", "partial"): r"""
\begin{align*}
  &\textit{forward} \\
  Z_{1} &= W_{1} X + b_{1} \mathbf{1}^{\top} && \in \mathbf{R}^{10 \times n} \\
  P &= \operatorname{softmax}(Z_{1}) && \in \mathbf{R}^{10 \times n} \\
  s &= w \mathbf{1} && \in \mathbf{R} \\
  &\textit{loss} \\
  L &= -\frac{1}{s} \, \mathbf{1}^{\top} (Y \odot \log\operatorname{softmax}(Z_{1})) w^{\top} && \in \mathbf{R} \\
  &\textit{backward} \\
  \frac{\partial L}{\partial Z_{1}} &= \frac{1}{s} (\mathbf{1} w) \odot (P - Y) && \in \mathbf{R}^{10 \times n} \\
  \frac{\partial L}{\partial b_{1}} &= \frac{\partial L}{\partial Z_{1}} \mathbf{1} && \in \mathbf{R}^{10 \times 1} \\
  \frac{\partial L}{\partial W_{1}} &= \frac{\partial L}{\partial Z_{1}} X^{\top} && \in \mathbf{R}^{10 \times 20} \\
  &\textit{update} \\
  W_{1}^{+} &= W_{1} - \eta \frac{\partial L}{\partial W_{1}} && \in \mathbf{R}^{10 \times 20} \\
  b_{1}^{+} &= b_{1} - \eta \frac{\partial L}{\partial b_{1}} && \in \mathbf{R}^{10 \times 1}
\end{align*}
""",
    ("nested", "delta"): r"""
{\allowdisplaybreaks
\begin{align*}
  &\textit{forward} \\*
  Z_{1} &= W_{1} X + b_{1} \mathbf{1}^{\top} && \in \mathbf{R}^{4 \times n} \\
  A_{1} &= \operatorname{gelu\ tanh}(Z_{1}) && \in \mathbf{R}^{4 \times n} \\
  Z_{2} &= W_{2} A_{1} + b_{2} \mathbf{1}^{\top} && \in \mathbf{R}^{3 \times n} \\
  A_{2} &= \operatorname{mish}(Z_{2}) && \in \mathbf{R}^{3 \times n} \\
  Z_{3} &= W_{3} A_{2} + b_{3} \mathbf{1}^{\top} && \in \mathbf{R}^{2 \times n} \\
  A_{3} &= \operatorname{softsign}(Z_{3}) && \in \mathbf{R}^{2 \times n} \\
  &\textit{loss} \\*
  L &= \frac{1}{2 n} \, \mathbf{1}^{\top} ((A_{3} - Y) \odot (A_{3} - Y)) \mathbf{1} && \in \mathbf{R} \\
  &\textit{backward} \\*
  \delta^{3} &= \frac{1}{n} \frac{A_{3} - Y}{(1 + |Z_{3}|) \odot (1 + |Z_{3}|)} && \in \mathbf{R}^{2 \times n} \\
  \frac{\partial L}{\partial b_{3}} &= \delta^{3} \mathbf{1} && \in \mathbf{R}^{2 \times 1} \\
  \frac{\partial L}{\partial W_{3}} &= \delta^{3} A_{2}^{\top} && \in \mathbf{R}^{2 \times 3} \\
  \delta^{2} &= (W_{3}^{\top} \delta^{3}) && \in \mathbf{R}^{3 \times n} \\
  &\quad {}\odot (\tanh(\operatorname{softplus}(Z_{2})) \\
  &\quad\quad {}+ Z_{2} \\
  &\quad\quad\quad {}\odot (1 - \tanh(\operatorname{softplus}(Z_{2})) \odot \tanh(\operatorname{softplus}(Z_{2}))) \\
  &\quad\quad\quad {}\odot \sigma(Z_{2})) \\
  \frac{\partial L}{\partial b_{2}} &= \delta^{2} \mathbf{1} && \in \mathbf{R}^{3 \times 1} \\
  \frac{\partial L}{\partial W_{2}} &= \delta^{2} A_{1}^{\top} && \in \mathbf{R}^{3 \times 4} \\
  \delta^{1} &= (W_{2}^{\top} \delta^{2}) && \in \mathbf{R}^{4 \times n} \\
  &\quad {}\odot (\sigma(1.59577 (Z_{1} + 0.044715 Z_{1} \odot Z_{1} \odot Z_{1})) \\
  &\quad\quad {}+ 1.59577 A_{1} \\
  &\quad\quad\quad {}\odot \sigma(-1.59577 (Z_{1} + 0.044715 Z_{1} \odot Z_{1} \odot Z_{1})) \\
  &\quad\quad\quad {}\odot (1 + 0.134145 Z_{1} \odot Z_{1})) \\
  \frac{\partial L}{\partial b_{1}} &= \delta^{1} \mathbf{1} && \in \mathbf{R}^{4 \times 1} \\
  \frac{\partial L}{\partial W_{1}} &= \delta^{1} X^{\top} && \in \mathbf{R}^{4 \times 5} \\
  &\textit{update} \\*
  W_{1}^{+} &= W_{1} - \eta \frac{\partial L}{\partial W_{1}} && \in \mathbf{R}^{4 \times 5} \\
  b_{1}^{+} &= b_{1} - \eta \frac{\partial L}{\partial b_{1}} && \in \mathbf{R}^{4 \times 1} \\
  W_{2}^{+} &= W_{2} - \eta \frac{\partial L}{\partial W_{2}} && \in \mathbf{R}^{3 \times 4} \\
  b_{2}^{+} &= b_{2} - \eta \frac{\partial L}{\partial b_{2}} && \in \mathbf{R}^{3 \times 1} \\
  W_{3}^{+} &= W_{3} - \eta \frac{\partial L}{\partial W_{3}} && \in \mathbf{R}^{2 \times 3} \\
  b_{3}^{+} &= b_{3} - \eta \frac{\partial L}{\partial b_{3}} && \in \mathbf{R}^{2 \times 1}
\end{align*}}
""",
}


@pytest.mark.parametrize(("name", "derivatives"), GOLDEN)
def test_a_derivation_is_aligned(name, derivatives):
    printed = equations_latex(derivation(name).equations, derivatives=derivatives)

    assert printed == GOLDEN[name, derivatives].strip("\n")


def test_a_long_formula_is_broken_before_its_operators():
    rows = [row for name in NETWORKS for row in equations_latex(derivation(name).equations).split("\n")]
    further = [row for row in rows if row.startswith(r"  &\quad")]

    assert further
    assert all(re.match(r"  &(\\quad)+ \{\}(\+|-|\\odot|\\oslash) ", row) for row in further)


def test_sizes_with_names_are_set_as_names():
    A = matrix("A", "n_hidden", "d")

    assert r"\in \mathbf{R}^{n_{\mathrm{hidden}} \times d}" in equations_latex([equation(A, "B")])


def test_no_equations_are_an_empty_display():
    assert equations_latex([]) == "\\begin{align*}\n\n\\end{align*}"


def equation(expression, name):
    return Equation(name, expression, expression.shape, "rule", "forward")


# ---- as TeX sees it


def typeset(source, folder):
    """Run pdflatex; its log, and what overflows the margin, in points."""
    folder.joinpath("paper.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    log = re.sub("(?<=.{79})\n", "", done.stdout.decode("latin-1"))
    return done.returncode, log, [float(width) for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]


def paper(*bodies):
    preamble, end = document([]).split("\\begin{align*}\n\n\\end{align*}")
    return "\n\n".join([preamble, *bodies, end])


@pytest.mark.tex
@pytest.mark.parametrize("derivatives", ["delta", "partial"])
def test_derivations_compile_with_amsmath_alone_and_stay_within_the_margins(tmp_path, derivatives):
    bodies = [equations_latex(derivation(name).equations, derivatives=derivatives) for name in NETWORKS]

    code, log, overfull = typeset(paper(*bodies), tmp_path)

    assert code == 0, log
    assert not [width for width in overfull if width > 5], log


@pytest.mark.tex
def test_a_document_compiles(tmp_path):
    code, log, overfull = typeset(document(derivation("long").equations), tmp_path)

    assert code == 0, log
    assert not overfull


@pytest.mark.tex
def test_every_function_and_every_case_compiles(tmp_path):
    matrices = [matrix("A", "n", "d"), matrix("B", "n", "d")]
    applied = [f(*operands_of(f)) for f in FUNCTIONS.values()]
    others = [f(*(v + 0.125 for v in f.values))(*matrices[: f.operands]) for f in FUNCTIONS.values() if f.parameters]
    cases = [expression for expression, _, _ in CASES.values()]
    names = [
        matrix(name, 2, 2).T for name in ("W1_next", "m_hat_W1", "beta1_t_next", "_", "__init__", "ñ", "x_1_y_next")
    ]

    displays = [rf"\[{cr.latex(e)}\]" for e in (*applied, *others, *cases, *names)]
    code, log, overfull = typeset(paper(*displays), tmp_path)

    assert code == 0, log
    assert not overfull


@pytest.mark.tex
def test_a_long_line_would_be_found(tmp_path):
    code, _, overfull = typeset(paper(r"\begin{align*} A &= " + "A + " * 60 + r"A \end{align*}"), tmp_path)

    assert code == 0
    assert max(overfull) > 100


def test_a_constant_matrix_of_a_number_with_a_shape_shows_its_own():
    f = cr.parse("sum(kron(A, B))")

    expected = r"(\mathbf{1}^{\top} A \mathbf{1}) \, \mathbf{1} \mathbf{1}^{\top}"
    assert cr.latex(*cr.gradient(f.expression, f["B"])) == expected
