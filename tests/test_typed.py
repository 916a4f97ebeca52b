"""Typed formulas: what is read, what is inferred, and how mistakes are shown."""

import contextlib
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import DerivationError, ShapeError, SpecError, UnknownNameError
from chainrule.formula import DEEPEST

READ = [
    ("sum((X w - y)^2)", (), "1' ((X w - y) ∘ (X w - y))"),
    ("sum((X @ w - y).^2)", (), "1' ((X w - y) ∘ (X w - y))"),
    ("||X w - y||^2", (), "(X w - y)' (X w - y)"),
    ("||X w - y||_2", (), "‖X w - y‖"),
    ("‖X‖_F^2", (), "1' (X ∘ X) 1"),
    ("||x||_1", (), "1' |x|"),
    ("||x'||_2^2 + ||y'||_1", (), "1' (x' ∘ x') 1 + 1' |y'| 1"),
    ("(2^3)^2 x", (), "64 x"),
    ("tr(A^-1'^2)", (), "tr(A^-T A^-T)"),
    ("x^T A x", (), "x' A x"),
    ("x.T @ A @ x", (), "x' A x"),
    ("a'X^-T b", (), "a' X^-T b"),
    ("-x'x + 2 * 3", (), "-x' x + 6"),
    ("2*x'x", (), "2 x' x"),
    ("lam * x'x", (), "lam x' x"),
    ("x'x / 2", (), "(x' x)/2"),
    ("1/3 x'x", (), "(x'/3) x"),
    ("x'x / 2 / 3", (), "(x' x)/6"),
    ("sum_i x", ["sum_i: 1", "x: 1"], "sum_i x"),
    ("sum_i'x + mean_i", (), "sum_i' x + mean_i"),
    ("x'x / -2 / 3", (), "-(x' x)/6"),
    ("x'x ./ 2 ./ 3", (), "(x' x)/6"),
    ("x'x / 2 + 2/3 y", (), "(x' x)/2 + 2 y/3"),
    ("2^0.5 x", (), "1.41421 x"),
    ("sum(x ./ y)", (), "1' (x / y)"),
    ("sum(1 ./ x)", (), "1' (1/x)"),
    ("x'A x / x'x", (), "(x' A x)/(x' x)"),
    ("tr(X^3)", (), "tr(X X X)"),
    ("sum(X.^3)", (), "1' X.^3 1"),
    ("sum(X^-1)", ["X: n x n"], "1' X^-1 1"),
    ("sum(x^-1)", (), "1' (1/x)"),
    ("tr((X + lam I)^-1)", (), "tr((X + lam I)^-1)"),
    ("tr(A ⊗ X)", (), "tr(A ⊗ X)"),
    ("a'diag(x) b", (), "a' Diag(x) b"),
    ("sum(diag(X) .* a)", (), "1' (diag(X) ∘ a)"),
    ("mean(x)", (), "(1' x)/n"),
    ("mean(X)", ["X: 3 x k"], "(1' X 1)/(3 k)"),
    ("(1/n) sum(x)", ["x: n"], "(1' x)/n"),
    ("-y'log(softmax(z))", (), "-y' log(softmax(z))"),
    ("sum(softmax(Z))", (), "1' softmax(Z) 1"),
    ("sum(leaky_relu(x, 0.1))", (), "1' leaky_relu(0.1)(x)"),
    ("sum(maximum(x, 0))", (), "1' maximum(x, 0)"),
    ("huber(X w, y, 2)", (), "(1' huber(2)(X w - y) 1)/n"),
    ("sum(|x - 1|)", (), "1' |x - 1|"),
    ("sin(x)", (), "sin(x)"),
    ("b'(X(w - v))", (), "b' X (w - v)"),
]


@pytest.mark.parametrize(("text", "sizes", "expected"), READ, ids=[text for text, _, _ in READ])
def test_a_formula_is_read(text, sizes, expected):
    assert cr.text(cr.parse(text, sizes).expression) == expected


def shapes(text, sizes=()):
    return {name: node.shape for name, node in cr.parse(text, sizes).symbols.items()}


@pytest.mark.parametrize(
    ("text", "sizes", "expected"),
    [
        ("sum((X w - y)^2)", (), {"X": ("n", "d"), "w": ("d", 1), "y": ("n", 1)}),
        ("tr(A X B)", (), {"A": ("n", "d"), "X": ("d", "k"), "B": ("k", "n")}),
        ("||X w - y||^2 + lam ||w||^2", (), {"X": ("n", "d"), "w": ("d", 1), "y": ("n", 1), "lam": (1, 1)}),
        ("a x + b", (), {"a": (1, 1), "x": (1, 1), "b": (1, 1)}),
        ("x'A x", {"A": "m x m"}, {"x": ("m", 1), "A": ("m", "m")}),
        ("x'A x", {"A": (3, 3)}, {"x": (3, 1), "A": (3, 3)}),
        ("sum(lam X)", {"X": "n x d"}, {"lam": (1, 1), "X": ("n", "d")}),
        ("w'x", {"w": 3}, {"w": (3, 1), "x": (3, 1)}),
        ("w'x", "w=3", {"w": (3, 1), "x": (3, 1)}),
        ("sum(w X)", ["w: 1 x d"], {"w": (1, "d"), "X": ("d", "n")}),
        ("vec(X)'a", ["X: 2x3"], {"X": (2, 3), "a": (6, 1)}),
        ("sum(X)", ["X=3,4"], {"X": (3, 4)}),
        ("cross_entropy(softmax(X W), Y)", (), {"X": ("n", "d"), "W": ("d", "k"), "Y": ("n", "k")}),
    ],
)
def test_sizes_follow_from_the_formula_and_what_is_declared(text, sizes, expected):
    assert shapes(text, sizes) == expected


def test_what_was_inferred_is_said():
    formula = cr.parse("x'A x", ["A: n x n symmetric"])

    assert formula.inferred == ("x",)
    assert formula["A"].value.facts == ("symmetric",)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("sum((X w)^2)", "goes entry by entry"),
        ("tr(X^2)", "is the matrix power"),
        ("-y'log(softmax(z))", "goes down the column"),
    ],
)
def test_what_was_decided_is_noted(text, note):
    assert note in " ".join(cr.parse(text).notes)


def central_differences(loss, x):
    """The gradient by differences of a loss that is written by hand."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = 1e-6
        out[i] = (loss(x + step) - loss(x - step)) / 2e-6
    return out


@pytest.mark.parametrize("name", ["cross_entropy", "kl_divergence"])
def test_targets_that_nobody_declared_to_sum_to_one_need_not(name):
    f = cr.parse(f"{name}(softmax(Z), Y)")
    (dZ,) = cr.gradient(f.expression, f["Z"])
    Z, Y = np.array([[0.3, -1.0, 2.0], [0.1, 0.2, 0.3]]), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])

    def by_hand(Z):
        return -np.sum(Y * (Z - np.log(np.exp(Z).sum(axis=1, keepdims=True)))) / 2

    np.testing.assert_allclose(cr.evaluate(dZ, {"Z": Z, "Y": Y}), central_differences(by_hand, Z), atol=1e-8)
    assert any("Y 1 is 1 where Y is declared" in note for note in cr.differentiate(f.expression, f["Z"]).notes)


@pytest.mark.parametrize("fact", ["rows_sum_to_one", "one_hot"])
def test_a_fact_is_declared_with_a_shape_or_alone(fact):
    alone = cr.parse("cross_entropy(softmax(Z), Y)", [f"Y: {fact}"])
    sized = cr.parse("cross_entropy(softmax(Z), Y)", {"Y": f"n x 3 {fact}"})

    assert cr.text(*cr.gradient(alone.expression, alone["Z"])) == "(softmax(Z) - Y)/n"
    assert cr.text(*cr.gradient(sized.expression, sized["Z"])) == "(softmax(Z) - Y)/n"
    assert alone.inferred == ("Z", "Y")
    assert sized.inferred == ("Z",)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lam/2 ||w||^2", 3 / 2 * 5),
        ("w'w/2 lam", 5 / 2 * 3),
        ("lam / 2 w'w / 4", 3 / 2 * 5 / 4),
        ("lam/2 w'w/4 lam + w'w/5", 3 / 2 * 5 / 4 * 3 + 1),
        ("1 / 2 / 4 w'w", 5 / 8),
        ("lam / w'w", 3 / 5),
        ("lam / (2 w'w)", 3 / 10),
        ("sum(w / 2 w' ./ 4)", 9 / 8),
    ],
)
def test_a_number_below_binds_alone(text, value):
    f = cr.parse(text, ["lam: 1", "w: 2"] if "lam" in text else ["w: 2"])

    values = {name: {"lam": [[3.0]], "w": [[1.0], [2.0]]}[name] for name in f.symbols}
    assert cr.evaluate(f.expression, values).item() == pytest.approx(value, rel=1e-15)


def test_a_column_is_folded_like_another_matrix():
    f = cr.parse("||unvec(x, A) b - c||^2", ["A: 3 x 2"])
    (dx,) = cr.gradient(f.expression, f["x"])
    rng = np.random.default_rng(0)
    x, b, c = (rng.standard_normal((n, 1)) for n in (6, 2, 3))

    def by_hand(x):
        return np.sum((x.reshape(2, 3).T @ b - c) ** 2)

    assert f["x"].shape == (6, 1)
    values = {"x": x, "A": np.zeros((3, 2)), "b": b, "c": c}
    np.testing.assert_allclose(cr.evaluate(dx, values), central_differences(by_hand, x), atol=1e-7)
    assert cr.parse("sum(unvec(x, A))")["x"].shape == ("d*n", 1)


MISTAKES = [
    ("", "empty formula", None),
    ("x + ", "found the end", "   ^"),
    ("x + * y", "found '[*]'", "    ^"),
    ("(x", "never closed", "^"),
    ("||x", "never closed", "^^"),
    ("x)", "closes no bracket", " ^"),
    ("ln(x'x)", "unknown function 'ln'; did you mean 'log'", "^^"),
    ("KL(p, q)", "unknown function 'KL'; did you mean 'kl_divergence'", "^^"),
    ("sigma(x'x)", "unknown function 'sigma'; did you mean 'logistic'", "^^^^^"),
    ("(x, y)", "unexpected ','", "  ^"),
    ("1'x", "1 is a number here, .* write sum", "^"),
    ("1'X 1", "write sum.x. for 1'x or x'1, sum.X. for 1'X 1", "^"),
    ("w'1 - 1", "1 is a number here", "  ^"),
    ("1 1'x", "1 is a number here", "  ^"),
    ("sum_i x_i^2", "no sum goes over an index: write sum", "^^^^^"),
    ("x $ y", "unexpected '[$]'", "  ^"),
    ("sum(sofmax(X))", "did you mean 'softmax'", "    ^^^^^^"),
    ("sum(a * B)", "two readings: a B is the matrix product, a .* B goes", "      ^"),
    ("sum(X*w)", "two readings: X w .* X [.][*] w", "     ^"),
    ("x^y", "an exponent is a number", "  ^"),
    ("1/n sum(x)", "two ways: [(]1 / n[)] sum[(]x[)], or 1 / [(]n sum[(]x[)][)]", " ^"),
    ("a / b c", "two ways", "  ^"),
    ("a / b / 2 c", r"two ways: [(]a / b / 2[)] c", "      ^"),
    ("sum(x .* y / 2 z')", "two ways", "           ^"),
    ("x' / X", "divides by a number", "   ^"),
    ("tanh(x, 1, 2)", "takes 1 matrix", "^^^^"),
    ("tanh(3)", "not of a number", "^^^^"),
    ("2 + 3", "no derivative", "^^^^^"),
    ("lambda x'x", "is a word of Python", "^^^^^^"),
    ("3 @ x'x", "between two matrices", "  ^"),
    ("x/0", "division by 0", " ^"),
    ("x ./ 0", "division by 0", "  ^^"),
    ("x/(1-1)", "division by 0", " ^"),
    ("0^(-1) x", "division by 0", " ^"),
    ("(-2)^0.5 x", "a root of a negative number", "    ^"),
    ("10^400.5 x", "too large or too small", "^^^^^^^^"),
    ("2^99999999999 x", "too large or too small", "^^^^^^^^^^^^^"),
    ("2^-99999999999 x", "too large or too small", "^^^^^^^^^^^^^^"),
    ("1e300 (1e300 x)", "too large or too small", "^^^^^^^^^^^^^^^"),
    ("1e-300 1e-300 x", "too large or too small", "^^^^^^^^^^^^^"),
    ("x^1e400", "'1e400' is too large", "  ^^^^^"),
    ("elu(x, 1e400)", "'1e400' is too large", "       ^^^^^"),
    ("1e999999999 x", "'1e999999999' is too large", "^^^^^^^^^^^"),
    ("1e-999999999 x", "'1e-999999999' is too small", "^^^^^^^^^^^^"),
    ("1" * 301 + "x", "at most 300 digits", None),
    ("tr(X^100000)", "a matrix power is at most 100, got 100000", "    ^"),
    ("x²", "'x²' is no name", "^^"),
    ("½x", "'½x' is no name", "^^"),
    ("2^3^2 x", r"two ways: [(]2\^3[)]\^2, or 2\^[(]3\^2[)]", "   ^"),
    ("sum(x.^2.^3)", r"two ways: [(]x.\^2[)].\^3, or x\^[(]2.\^3[)]", "        ^^"),
    ("||x||_3", "no norm is called '_3'", "     ^^"),
    ("||x||_inf^2", "no norm is called '_inf'", "     ^^^^"),
    ("|x|_1", "no norm is called '_1'", "   ^^"),
    ("||X||_2", "of a matrix, [(]n x d[)], this norm may be the largest singular value", "^^"),
    ("||X||_1", "largest sum of a column, .* or the sum of all |entries|: sum", "^^"),
    ("||A - X B||_2^2", "or the Frobenius norm: ||X||_F", "^^"),
]


@pytest.mark.parametrize(("text", "message", "carets"), MISTAKES, ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_shown_where_it_is(text, message, carets):
    with pytest.raises(SpecError, match=message) as found:
        cr.parse(text)

    if carets is not None:
        assert str(found.value).splitlines()[-2:] == [f"  {text}", f"  {carets}"]


CLASHES = [
    ("sum(unvec(X, A))", ["X: 3 x 2"], r"'unvec' folds a column, got \(3 x 2\)", "    ^^^^^"),
    ("sum(unvec(x, A))", ["x: 5", "A: 2 x 3"], "x has size 5 where 6 is needed", "          ^"),
    (
        "sum(X W)",
        ["X: n x d", "W: k x m"],
        "by [(]k x m[)]: d columns meet k rows",
        "      ^",
    ),
    ("sum(X + W)", ["X: n x d", "W: n x k"], "entry by entry, [(]n x d[)] does not fit [(]n x k[)]", "      ^"),
    ("w'x", ["w: 3", "x: 4"], "3 columns meet 4 rows", "  ^"),
    ("tr(X)", ["X: n x d"], "square", "^^"),
    (
        "sum(X^-1 A)",
        ["X: n x d"],
        r"a square matrix, got [(]n x d[)]; .\^ goes entry",
        "     ^",
    ),
    ("tr(X^0.5)", ["X: n x n"], "a matrix power is whole", "    ^"),
    ("sum(A * B)", ["A: n x d", "B: d x n"], "only be the matrix product: write A B, or A @ B", "      ^"),
    ("sum(A * B)", ["A: n x d", "B: n x d"], "only go entry by entry: write A .[*] B", "      ^"),
    ("sum(A * B)", ["A: n x d", "B: k x m"], "neither product fits", "      ^"),
    ("sum(vec(X) .* vec(A))", ["X: n x d"], "declare the shapes", None),
    ("x/2'x", ["x: 3"], "2 is its own transpose, and binds alone below: write / 2\n", "   ^"),
    ("w'x ./ 3'", ["x: 3"], "3 is its own transpose, and binds alone below: write / 3\n", "        ^"),
]


@pytest.mark.parametrize(("text", "sizes", "message", "carets"), CLASHES, ids=[c[0] + str(c[1]) for c in CLASHES])
def test_sizes_that_clash_are_shown_where_they_meet(text, sizes, message, carets):
    with pytest.raises(SpecError, match=message) as found:
        cr.differentiate(cr.parse(text, sizes).expression, *cr.parse(text, sizes).symbols.values())

    if carets is not None:
        assert str(found.value).splitlines()[-1] == f"  {carets}"


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        (["x 3"], SpecError, "a size is written as"),
        (["x: 3 x"], SpecError, "a matrix has two sizes"),
        (["x: 0"], SpecError, "at least 1"),
        (["X=2,-3"], SpecError, "at least 1, got '-3'"),
        (["x: 3 x 1 foo"], SpecError, "unknown fact 'foo'"),
        (
            ["X: positive"],
            SpecError,
            r"unknown fact 'positive'; known .*; if it is a size, .*\n  X: positive\n     \^{8}$",
        ),
        (
            ["X: symetric"],
            SpecError,
            r"unknown fact 'symetric'; did you mean 'symmetric'\?; if it is a size, X has two",
        ),
        (["x: 3 x 4 symmetric"], SpecError, "a symmetric matrix is square"),
        (["x: 3", "x: 4"], SpecError, "declared twice"),
        (["q: 3"], SpecError, r"'q', which is not in \"w'x\"; known names are 'w', 'x'\n  q: 3\n  \^$"),
        ({"q": 3}, UnknownNameError, "'q', which is not in \"w'x\"; known names are 'w', 'x'$"),
        (["w: 3; X=3,4"], SpecError, r"did you mean 'x'\?\n   X=3,4\n   \^$"),
        (["X=3 4"], SpecError, r"an x or a comma stands between two sizes: X: 3 x 4\n  X=3 4\n      \^$"),
        (["x: n d symmetric"], SpecError, r"between two sizes: x: n x d\n"),
        ({"x": (1, 2, 3)}, ShapeError, "rows and columns"),
        ({"x": (2, 0)}, ShapeError, "at least 1, got 0 for x$"),
        ({"x": -3}, ShapeError, "at least 1, got -3 for x$"),
        ({"x": (2.5, 1)}, ShapeError, "a size is a name or a whole number"),
        ({"x y": (2, 3)}, ShapeError, "a shape is given for a name, got 'x y'"),
        ({1: 2}, ShapeError, "a shape is given for a name, got 1: 2"),
    ],
)
def test_wrong_declarations_are_refused(sizes, error, message):
    with pytest.raises(error, match=message):
        cr.parse("w'x", sizes)


OPERANDS = ["a", "b'", "A", "B'", "(a + b)", "A b", "-b", "(A - B)", "tanh(A)", "a'A", "vec(A)", "(a'b)", "2 A"]
SHAPES = ["n", "d", "n x d", "d x n", "n x n", "1 x d", "2 x 3", "1 x 1"]
SHOWN = {
    "two readings": {" ", " .* "},
    "only be the matrix product": {" "},
    "only go entry by entry": {" .* "},
    "has no reading": set(),
}


def is_read(text, sizes, numbers=True):
    """Is it, also as one in which names without a declared size are numbers?"""
    try:
        symbols = cr.parse(text, sizes).symbols
    except SpecError:
        return False
    return numbers or not any(s.shape == (1, 1) for name, s in symbols.items() if name not in sizes)


@settings(max_examples=400)
@given(
    *2 * [st.sampled_from(OPERANDS)],
    st.sampled_from(["sum({})", "tr({})", "sum({}) + a'b", "||{} - A||^2", "{}"]),
    st.dictionaries(st.sampled_from("abAB"), st.sampled_from(SHAPES)),
)
def test_of_a_lone_star_the_readings_that_fit_are_shown(left, right, around, shapes):
    typed = around.format(f"{left} * {right}")
    names = re.findall(r"\b[abAB]\b", typed)
    sizes = {name: shape for name, shape in shapes.items() if name in names and (name.islower() or "x" in shape)}
    with contextlib.suppress(SpecError):
        cr.parse(typed, sizes)
        return  # one of them is a number
    with pytest.raises(SpecError) as found:
        cr.parse(typed, sizes)
    a, b = (f"({x})" if x[0] == "-" and x is right else x for x in (left, right))

    most, least = (
        {sign for sign in (" ", " .* ") if is_read(around.format(f"{a}{sign}{b}"), sizes, numbers=numbers)}
        for numbers in (True, False)
    )

    message = str(found.value).splitlines()[0]
    shown = next((SHOWN[words] for words in SHOWN if words in message), None)
    assert not most or (shown is not None and least <= shown <= most)


def test_where_no_reading_makes_a_number_those_are_shown_that_fit_where_the_star_stands():
    with pytest.raises(SpecError, match=r"two readings: lam X is the matrix product, lam .[*] X goes entry by entry"):
        cr.parse("lam * X")
    with pytest.raises(SpecError, match="two readings: a b is the matrix product"):
        cr.parse("sum(a*b*c*d*e*f*g*h)")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sum(-x * (y - z))", "x (y - z) is the matrix product, x .* (y - z) goes"),
        ("sum(x .* y * z)", "(x .* y) z is the matrix product, (x .* y) .* z goes"),
        ("sum(X * -w)", "X (-w) is the matrix product, X .* (-w) goes"),
        ("sum(X w * z)", "X w z is the matrix product, X w .* z goes"),
        ("a*b", "a b is the matrix product, a .* b goes"),
    ],
)
def test_the_readings_of_a_lone_star_have_the_brackets_they_need(text, shown):
    with pytest.raises(SpecError, match=re.escape(f"'*' has two readings: {shown} entry by entry")):
        cr.parse(text)


def test_a_name_that_is_not_there_is_an_error():
    with pytest.raises(UnknownNameError, match="no matrix 'z'"):
        cr.parse("w'x")["z"]


def test_many_brackets_are_an_error_and_no_crash():
    with pytest.raises(SpecError, match="brackets in each other"):
        cr.parse("(" * (DEEPEST + 1) + "x" + ")" * (DEEPEST + 1))


@pytest.mark.parametrize(
    ("term", "count"),
    [
        ("sum(x)", 500),
        ("x'x", 150),  # what is to be decided is looked at again after each decision
        pytest.param("x'x", 500, marks=pytest.mark.slow),
    ],
)
def test_a_long_sum_is_no_problem(term, count):
    formula = cr.parse(" + ".join([term] * count))

    assert cr.evaluate(formula.expression, {"x": np.ones((2, 1))}) == 2 * count


@settings(max_examples=40)
@given(st.text("xXyY12 '+-*/^.()|@,⊗", max_size=25))
def test_any_text_is_read_or_refused_in_words(text):
    with contextlib.suppress(SpecError, ShapeError, UnknownNameError):
        assert len(cr.text(cr.parse(text).expression)) > 0


def test_a_column_of_probabilities_is_one_example():
    f = cr.parse("cross_entropy(softmax(z), y)", ["z: k", "y: one_hot"])
    (dz,) = cr.gradient(f.expression, f["z"])
    z, y = np.array([[0.3], [-1], [2]]), np.array([[0.0], [1], [0]])

    assert cr.text(dz) == "softmax(z) - y"  # and not divided by k
    assert "cross_entropy of a column goes down the column" in f.notes
    expected = np.log(np.exp(z).sum()) - z[1, 0]
    assert cr.evaluate(f.expression, {"z": z, "y": y}) == pytest.approx(expected, rel=1e-14)
    in_rows = cr.parse("cross_entropy(softmax(z), y)", ["z: 1 x k", "y: 1 x k"])
    assert cr.evaluate(in_rows.expression, {"z": z.T, "y": y.T}) == pytest.approx(expected, rel=1e-14)
    many = cr.parse("squared_error(a, y)", ["a: n", "y: n"])  # of n examples with one output each
    assert cr.evaluate(many.expression, {"a": z, "y": y}) == pytest.approx(np.mean((z - y) ** 2), rel=1e-14)


@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        ("diag(x)", "n x n"),
        ("x x'", "n x n"),
        ("softmax(z) softmax(z')", "n x n"),
        ("vec(x)", "n x 1"),
        ("kron(a, b)", "d[*]n x 1"),
        ("x'y + x", "n x 1"),
        ("exp(X)", "n x d"),
    ],
)
def test_what_is_no_number_is_not_made_one_by_a_size_of_1(formula, shape):
    parsed = cr.parse(formula)

    with pytest.raises(DerivationError, match=rf"^a gradient is of one number, got \({shape}\): reduce it"):
        cr.gradient(parsed.expression, *parsed.symbols.values())


def test_a_formula_of_a_matrix_has_a_jacobian_product():
    f = cr.parse("tanh(X W) .* Y")
    V, U = cr.matrix("V", *f["W"].shape), cr.matrix("U", *f.expression.shape)

    assert f["Y"].shape == f.expression.shape == ("n", "k")
    assert f.notes == ()
    assert cr.text(cr.jvp(f.expression, {f["W"]: V})) == "(X V) ∘ (1 - tanh(X W) ∘ tanh(X W)) ∘ Y"
    assert cr.text(*cr.vjp(f.expression, U, f["Y"])) == "U ∘ tanh(X W)"


@pytest.mark.parametrize(
    ("formula", "note"),
    [
        ("x^2 + 3 x", "x is taken as a number, because the whole must be one"),
        ("(w'x + b - y)^2", "b, y are taken as numbers, because the whole must be one"),
    ],
)
def test_what_is_a_number_only_because_the_whole_is_one_is_said(formula, note):
    assert note in cr.parse(formula).notes


def test_what_is_a_number_in_any_case_is_not_remarked():
    assert not any("taken as" in note for note in cr.parse("sum(X w)").notes)


def test_a_matrix_by_its_capital_needs_two_sizes():
    said = "^X is a matrix by its capital, and has two sizes: "
    for sizes, error, column in [
        ("X=3", SpecError, "write X=3,1"),
        ("X: 3", SpecError, "write X: 3 x 1"),
        ({"X": "3"}, SpecError, "write X: 3 x 1"),
        ({"X": 3}, ShapeError, r"give {'X': \(3, 1\)}"),
        ({"X": ("n",)}, ShapeError, r"give {'X': \('n', 1\)}"),
    ]:
        with pytest.raises(error, match=f"{said}{column} for a column"):
            cr.parse("sum(X)", sizes)
    assert cr.parse("sum(X)", {"X": (3, 1)})["X"].shape == (3, 1)


def test_what_is_divided_by_in_brackets_is_divided_by_as_a_whole():
    f = cr.parse("exp(-||x - y||^2/(2 s^2))")
    values = {"x": [[1.0], [2]], "y": [[0.0], [4]], "s": 3}

    assert cr.evaluate(f.expression, values).item() == pytest.approx(np.exp(-5 / 18), rel=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tanh x",
            r"^'tanh' is a function: write tanh\(...\), or declare its shape as a matrix\n  tanh x\n  \^\^\^\^$",
        ),
        ("sum(X**2)", r"^'\*\*' is written .\^ where it goes entry by entry, and \^ for the power of a square matrix"),
        ("mse(x, y)", r"^unknown function 'mse'; did you mean 'mean_squared_error'\?"),
        ("max(x)", r"^unknown function 'max'; did you mean 'maximum', of two matrices, or 'row_maximum'\?"),
        ("sum(x) for", r"^'for' is a word of Python: choose another name, such as 'for_'"),
        ("tr(I)", r"^a formula of numbers has no derivative: it needs a matrix"),
    ],
)
def test_what_reads_otherwise_elsewhere_is_explained(text, message):
    with pytest.raises(SpecError, match=message):
        cr.parse(text)


def test_a_matrix_may_have_the_name_of_a_function_where_it_is_declared():
    assert cr.parse("sum(step x)", {"step": "n x d"})["step"].shape == ("n", "d")


@pytest.mark.parametrize("size", ["X: n x d x k", "X: 2.5 x 3"])
def test_a_matrix_has_two_sizes(size):
    with pytest.raises(SpecError, match=r"^a matrix has two sizes, each a name or a whole number, as in X: n x 3"):
        cr.parse("sum(X)", [size])


@pytest.mark.parametrize(
    ("text", "said"), [("tr(exp(X))", True), ("tr(tanh(X))", False), ("sum(exp(x))", False), ("exp(x'x)", False)]
)
def test_a_function_of_a_square_matrix_goes_entry_by_entry_and_that_is_said(text, said):
    notes = cr.parse(text).notes

    assert ("exp of a square matrix goes entry by entry: it is not the matrix function" in notes) == said


def test_a_number_in_the_operand_that_gives_unvec_its_shape_stays_there():
    parsed = cr.parse("sum(unvec(x, 3 A) .* B)", ["x: 6 x 1", "A: 2 x 3"])
    values = {name: np.random.default_rng(0).standard_normal(s.shape) for name, s in parsed.symbols.items()}

    derivatives = cr.differentiate(parsed.expression, parsed.symbols["x"])

    np.testing.assert_allclose(derivatives.at(values)["loss"], cr.evaluate(parsed.expression, values))
    assert derivatives.verify()


def test_a_shape_and_facts_may_be_declared_apart():
    together = cr.parse("x'A x", sizes=["A: n x n symmetric nonnegative"])
    apart = cr.parse("x'A x", sizes=["A: symmetric", "A=n,n", "A: nonnegative"])

    assert apart["A"] is together["A"]
