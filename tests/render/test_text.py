import numpy as np
import pytest
from expressions import operands_of
from hypothesis import given, settings
from hypothesis import strategies as st
from render.formulas import CASES, NETWORKS, assert_reads_back, derivation, expressions, random_values
from render.reader import SIZE, read_text

import chainrule as cr
from chainrule.derive import Equation
from chainrule.expr import full, matrix, scale
from chainrule.functions import FUNCTIONS
from chainrule.render.lines import Piece, broken, joined
from chainrule.render.notation import compose, write
from chainrule.render.text import TEXT, equations_text, sentence_lines


@pytest.mark.parametrize("name", CASES)
def test_an_expression_is_printed_with_the_brackets_and_signs_it_needs(name):
    expression, printed, _ = CASES[name]

    assert cr.text(expression) == printed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_prints(name):
    f = FUNCTIONS[name]
    X = operands_of(f)

    printed = cr.text(f(*X))

    assert all(symbol.name in printed for i, symbol in enumerate(X) if f"{{{i}}}" in f.text)
    assert "{" not in printed


@pytest.mark.parametrize("name", [name for name, f in FUNCTIONS.items() if f.parameters])
def test_parameters_show_where_they_are_not_the_defaults(name):
    f = FUNCTIONS[name]
    X = [matrix(symbol, "n", "d") for symbol in ("A", "B")[: f.operands]]
    other = f(*(value + 0.125 for value in f.values))

    assert cr.text(other(*X)) != cr.text(f(*X))
    assert f"{f.values[0] + 0.125:g}" in cr.text(other(*X))


@given(expressions(), st.integers(0, 9))
@settings(max_examples=150)
def test_a_printed_text_says_the_value_of_its_expression(expression, seed):
    assert_reads_back(expression, write(expression, TEXT), read_text, seed)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("A + B c", lambda A, B, c: A + B @ c),
        ("(A + B) c", lambda A, B, c: (A + B) @ c),
        ("-A ∘ B", lambda A, B, c: -(A * B)),
        ("A - B - A", lambda A, B, c: -B),
        ("(A B) ∘ A", lambda A, B, c: (A @ B) * A),
        ("A (B ∘ A)", lambda A, B, c: A @ (B * A)),
        ("A + 1 c'", lambda A, B, c: A + c.T),
        ("1 - A", lambda A, B, c: 1 - A),
        ("A 1", lambda A, B, c: A.sum(axis=1, keepdims=True)),
        ("1' A 1", lambda A, B, c: A.sum()),
        ("(3 1 1') A", lambda A, B, c: 3 * A.sum(axis=0, keepdims=True).repeat(SIZE, axis=0)),
        ("2 A/4 + 1/2", lambda A, B, c: A / 2 + 0.5),
        ("A / B ∘ A", lambda A, B, c: A / B * A),
        ("||A| - |B|| c", lambda A, B, c: np.abs(np.abs(A) - np.abs(B)) @ c),
        ("leaky_relu(0.5)(-A)'", lambda A, B, c: np.where(A < 0, -A, -A / 2).T),
        ("A.^2 - B.^-1", lambda A, B, c: A**2 - 1 / B),
    ],
)
def test_the_reader_reads_as_a_person_does(printed, expected):
    rng = np.random.default_rng(0)
    values = {"A": rng.normal(size=(SIZE, SIZE)), "B": rng.normal(size=(SIZE, SIZE)), "c": rng.normal(size=(SIZE, 1))}

    found = np.broadcast_to(read_text(printed, values), (SIZE, SIZE))

    np.testing.assert_allclose(found, np.broadcast_to(expected(**values), (SIZE, SIZE)), rtol=1e-12)


def test_a_missing_bracket_would_be_found():
    values = {k: v if np.ndim(v) else np.full((1, 1), v) for k, v in random_values(0).items()}
    A, X = values["A"], values["X"]

    assert not np.allclose(read_text("A + X ∘ A", values), (A + X) * A)
    assert not np.allclose(read_text("A X'", values), (A @ X).T)


def test_a_formula_beyond_all_reading_is_refused():
    A = matrix("A", "n", "n")
    for _ in range(40):
        A = A @ A

    with pytest.raises(ValueError, match=r"this formula has more than 100000 letters: give names to its parts"):
        cr.text(A)


def test_what_is_broken_begins_and_ends_with_a_line():
    A, B, C = (matrix(16 * name, "n", "d") for name in "ABC")
    printed = equations_text([equation(A * (B + C * (A - B) * B) + C)])

    assert printed.split("\n")[1:] == [
        "  Y = AAAAAAAAAAAAAAAA  (n x d)  rule",
        "        ∘ (BBBBBBBBBBBBBBBB",
        "          + CCCCCCCCCCCCCCCC ∘ (AAAAAAAAAAAAAAAA - BBBBBBBBBBBBBBBB)",
        "            ∘ BBBBBBBBBBBBBBBB)",
        "    + CCCCCCCCCCCCCCCC",
    ]


def test_a_deep_formula_needs_no_recursion():
    A = matrix("A", "n", "n")
    for _ in range(3000):
        A = cr.tanh(A)

    assert cr.text(A).count("tanh") == 3000


# ---- derivations


GOLDEN = {
    "rows": """
forward
       Z1 = X W1 + 1 b1                      (n x 128)    dense
       A1 = relu(Z1)                         (n x 128)    relu
       Z2 = A1 W2 + 1 b2                     (n x 10)     dense
        P = softmax(Z2)                      (n x 10)     softmax
loss
     loss = -(1' (Y ∘ log_softmax(Z2)) 1)/n  (1 x 1)      cross_entropy
backward
      dZ2 = (P - Y)/n                        (n x 10)     product, log_softmax
      db2 = 1' dZ2                           (1 x 10)     sum over examples
      dW2 = A1' dZ2                          (128 x 10)   product
      dZ1 = (dZ2 W2') ∘ [Z1 > 0]             (n x 128)    product, relu
      db1 = 1' dZ1                           (1 x 128)    sum over examples
      dW1 = X' dZ1                           (784 x 128)  product
update
  W1_next = W1 - lr dW1                      (784 x 128)  sgd
  b1_next = b1 - lr db1                      (1 x 128)    sgd
  W2_next = W2 - lr dW2                      (128 x 10)   sgd
  b2_next = b2 - lr db2                      (1 x 10)     sgd
""",
    "columns": """
forward
       Z1 = W1 X + b1 1'                     (128 x n)    dense
       A1 = relu(Z1)                         (128 x n)    relu
       Z2 = W2 A1 + b2 1'                    (10 x n)     dense
        P = softmax(Z2)                      (10 x n)     softmax
loss
     loss = -(1' (Y ∘ log_softmax(Z2)) 1)/n  (1 x 1)      cross_entropy
backward
      dZ2 = (P - Y)/n                        (10 x n)     product, log_softmax
      db2 = dZ2 1                            (10 x 1)     sum over examples
      dW2 = dZ2 A1'                          (10 x 128)   product
      dZ1 = (W2' dZ2) ∘ [Z1 > 0]             (128 x n)    product, relu
      db1 = dZ1 1                            (128 x 1)    sum over examples
      dW1 = dZ1 X'                           (128 x 784)  product
update
  W1_next = W1 - lr dW1                      (128 x 784)  sgd
  b1_next = b1 - lr db1                      (128 x 1)    sgd
  W2_next = W2 - lr dW2                      (10 x 128)   sgd
  b2_next = b2 - lr db2                      (10 x 1)     sgd
""",
    "logistic": """
forward
       Z1 = X W1 + 1 b1               (n x 5)  dense
       A1 = silu(Z1)                  (n x 5)  silu
       Z2 = A1 W2 + 1 b2              (n x 1)  dense
       A2 = logistic(Z2)              (n x 1)  logistic
loss
     loss = (1' (Y ∘ softplus(-Z2)    (1 x 1)  binary_cross_entropy
                + (1 - Y) ∘ softplus(Z2)))/n
backward
      dZ2 = (A2 - Y)/n                (n x 1)  product, softplus
      db2 = 1' dZ2                    (1 x 1)  sum over examples
      dW2 = A1' dZ2                   (5 x 1)  product
      dZ1 = (dZ2 W2') ∘ logistic(Z1)  (n x 5)  product, silu
          ∘ (1 + Z1 ∘ (1 - logistic(Z1)))
      db1 = 1' dZ1                    (1 x 5)  sum over examples
      dW1 = X' dZ1                    (4 x 5)  product
update
  W1_next = W1 - lr dW1               (4 x 5)  sgd
  b1_next = b1 - lr db1               (1 x 5)  sgd
  W2_next = W2 - lr dW2               (5 x 1)  sgd
  b2_next = b2 - lr db2               (1 x 1)  sgd
""",
    "squared": """
forward
       Z1 = X W1 + 1 b1                         (n x 5)  dense
       A1 = tanh(Z1)                            (n x 5)  tanh
       Z2 = A1 W2 + 1 b2                        (n x 3)  dense
       A2 = logistic(Z2)                        (n x 3)  logistic
loss
     loss = (1' ((A2 - Y) ∘ (A2 - Y)) 1)/(2 n)  (1 x 1)  half_squared_error
backward
      dZ2 = ((A2 - Y) ∘ A2 ∘ (1 - A2))/n        (n x 3)  product, logistic
      db2 = 1' dZ2                              (1 x 3)  sum over examples
      dW2 = A1' dZ2                             (5 x 3)  product
      dZ1 = (dZ2 W2') ∘ (1 - A1 ∘ A1)           (n x 5)  product, tanh
      db1 = 1' dZ1                              (1 x 5)  sum over examples
      dW1 = X' dZ1                              (4 x 5)  product
update
  W1_next = W1 - lr dW1                         (4 x 5)  sgd
  b1_next = b1 - lr db1                         (1 x 5)  sgd
  W2_next = W2 - lr dW2                         (5 x 3)  sgd
  b2_next = b2 - lr db2                         (1 x 3)  sgd
""",
    "weighted": """
forward
       Z1 = X W1 + 1 b1                      (n x 10)   dense
        P = softmax(Z1)                      (n x 10)   softmax
        s = 1' w                             (1 x 1)    sum of weights
loss
     loss = -(w' (Y ∘ log_softmax(Z1)) 1)/s  (1 x 1)    cross_entropy
backward
      dZ1 = ((w 1') ∘ (P - Y))/s             (n x 10)   product, log_softmax
      db1 = 1' dZ1                           (1 x 10)   sum over examples
      dW1 = X' dZ1                           (20 x 10)  product
update
  W1_next = W1 - lr dW1                      (20 x 10)  sgd
  b1_next = b1 - lr db1                      (1 x 10)   sgd
""",
    "weighted_columns": """
forward
       Z1 = W1 X + b1 1'                      (10 x n)   dense
        P = softmax(Z1)                       (10 x n)   softmax
        s = w 1                               (1 x 1)    sum of weights
loss
     loss = -(1' (Y ∘ log_softmax(Z1)) w')/s  (1 x 1)    cross_entropy
backward
      dZ1 = ((1 w) ∘ (P - Y))/s               (10 x n)   product, log_softmax
      db1 = dZ1 1                             (10 x 1)   sum over examples
      dW1 = dZ1 X'                            (10 x 20)  product
update
  W1_next = W1 - lr dW1                       (10 x 20)  sgd
  b1_next = b1 - lr db1                       (10 x 1)   sgd
""",
    "penalty_and_dropout": """
forward
       Z1 = X W1 + 1 b1                (n x 3)  dense
       A1 = relu(Z1)                   (n x 3)  relu
       D1 = A1 ∘ M1                    (n x 3)  dropout
       Z2 = D1 W2 + 1 b2               (n x 3)  dense
        P = softmax(Z2)                (n x 3)  softmax
loss
     loss = 0.005 (1' (W1 ∘ W1) 1      (1 x 1)  cross_entropy
                + 1' (W2 ∘ W2) 1)
          - (1' (Y ∘ log_softmax(Z2)) 1)/n
backward
      dZ2 = (P - Y)/n                  (n x 3)  product, log_softmax
      db2 = 1' dZ2                     (1 x 3)  sum over examples
      dW2 = D1' dZ2 + 0.01 W2          (3 x 3)  product
      dZ1 = (dZ2 W2') ∘ M1 ∘ [Z1 > 0]  (n x 3)  product, relu
      db1 = 1' dZ1                     (1 x 3)  sum over examples
      dW1 = X' dZ1 + 0.01 W1           (4 x 3)  product
update
  W1_next = W1 - lr dW1                (4 x 3)  sgd
  b1_next = b1 - lr db1                (1 x 3)  sgd
  W2_next = W2 - lr dW2                (3 x 3)  sgd
  b2_next = b2 - lr db2                (1 x 3)  sgd
""",
    "nested": """
forward
       Z1 = W1 X + b1 1'                        (4 x n)  dense
       A1 = gelu_tanh(Z1)                       (4 x n)  gelu_tanh
       Z2 = W2 A1 + b2 1'                       (3 x n)  dense
       A2 = mish(Z2)                            (3 x n)  mish
       Z3 = W3 A2 + b3 1'                       (2 x n)  dense
       A3 = softsign(Z3)                        (2 x n)  softsign
loss
     loss = (1' ((A3 - Y) ∘ (A3 - Y)) 1)/(2 n)  (1 x 1)  half_squared_error
backward
      dZ3 = ((A3 - Y)                           (2 x n)  product, softsign
              / ((1 + |Z3|) ∘ (1 + |Z3|)))/n
      db3 = dZ3 1                               (2 x 1)  sum over examples
      dW3 = dZ3 A2'                             (2 x 3)  product
      dZ2 = (W3' dZ3)                           (3 x n)  product, mish
          ∘ (tanh(softplus(Z2))
              + Z2 ∘ (1 - tanh(softplus(Z2)) ∘ tanh(softplus(Z2)))
                ∘ logistic(Z2))
      db2 = dZ2 1                               (3 x 1)  sum over examples
      dW2 = dZ2 A1'                             (3 x 4)  product
      dZ1 = (W2' dZ2)                           (4 x n)  product, gelu_tanh
          ∘ (logistic(1.59577 (Z1 + 0.044715 Z1 ∘ Z1 ∘ Z1))
              + 1.59577 A1 ∘ logistic(-1.59577 (Z1 + 0.044715 Z1 ∘ Z1 ∘ Z1))
                ∘ (1 + 0.134145 Z1 ∘ Z1))
      db1 = dZ1 1                               (4 x 1)  sum over examples
      dW1 = dZ1 X'                              (4 x 5)  product
update
  W1_next = W1 - lr dW1                         (4 x 5)  sgd
  b1_next = b1 - lr db1                         (4 x 1)  sgd
  W2_next = W2 - lr dW2                         (3 x 4)  sgd
  b2_next = b2 - lr db2                         (3 x 1)  sgd
  W3_next = W3 - lr dW3                         (2 x 3)  sgd
  b3_next = b3 - lr db3                         (2 x 1)  sgd
""",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_derivation_is_printed_in_columns(name):
    assert equations_text(derivation(name).equations) == GOLDEN[name].strip("\n")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_line_fits_a_terminal(name):
    lines = equations_text(derivation(name).equations).split("\n")

    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line != line.rstrip()]


@pytest.mark.parametrize("name", NETWORKS)
def test_lines_of_a_broken_formula_start_with_an_operator(name):
    for e in derivation(name).equations:
        _, *more = equations_text([e]).split("\n")[1:]
        more = [line for line in more if line.strip() not in e.rule]  # a long rule goes on below, too
        assert all(line.split()[0] in ("+", "-", "∘", "/") for line in more), more


def equation(expression, name="Y", rule="rule"):
    return Equation(name, expression, expression.shape, rule, "forward")


def test_a_sum_is_broken_before_a_product_and_outside_brackets_before_inside():
    A, B = (matrix(14 * name, "n", "d") for name in "AB")
    printed = equations_text([equation(A * B * A + (A + B) * (A + B) * B)])

    assert printed.split("\n")[1:] == [
        "  Y = AAAAAAAAAAAAAA ∘ BBBBBBBBBBBBBB ∘ AAAAAAAAAAAAAA  (n x d)  rule",
        "    + (AAAAAAAAAAAAAA + BBBBBBBBBBBBBB) ∘ (AAAAAAAAAAAAAA + BBBBBBBBBBBBBB)",
        "        ∘ BBBBBBBBBBBBBB",
    ]


def test_a_rule_of_many_words_goes_on_below():
    A = matrix("A", "n", "d")
    rule = "product, Hadamard product, softplus, logistic"
    printed = equations_text([equation(A + A, rule=rule), equation(A, "Z", rule=f"{rule}, log_softmax, gelu")])

    assert printed == "\n".join(
        [
            "forward",
            "  Y = A + A  (n x d)  product, Hadamard product, softplus, logistic",
            "  Z = A      (n x d)  product, Hadamard product, softplus, logistic,",
            "                      log_softmax, gelu",
        ]
    )


def test_no_line_of_a_sentence_ends_inside_an_equation():
    words = "x" * 72
    lines = sentence_lines(f"{words} A'' = A, and B[i,k] C[k,j] too", 2, 4)

    assert lines == [f"  {words}", "    A'' = A, and B[i,k] C[k,j] too"]
    assert sentence_lines(f"{words} is A = B", 0) == [f"{words} is", "A = B"]
    assert sentence_lines(f"{words} B[i,k] C[k,j]", 0) == [words, "B[i,k] C[k,j]"]


def test_a_long_shape_stands_below_its_formula():
    A = matrix("A", "number_of_examples_in_the_batch", "number_of_hidden_units")
    printed = equations_text([equation(A + A, "value_of_the_first_sum")])

    assert printed.split("\n")[1:] == [
        "  value_of_the_first_sum = A + A",
        "        (number_of_examples_in_the_batch x number_of_hidden_units)  rule",
    ]


def test_no_equations_are_no_lines():
    assert equations_text([]) == ""


def test_breaks_are_where_they_cost_least():
    pieces = [
        Piece("aaa", 3),
        Piece("+ bbb", 5),
        Piece("∘ ccc", 5, level=1),
        Piece("+ ddd", 5),
        Piece("eee", 3, 0, False),
    ]

    lines = broken(pieces, 20, 20, lambda piece: 0, 1)

    assert [joined(line) for line in lines] == ["aaa + bbb ∘ ccc", "+ ddd eee"]


def test_a_piece_that_fits_no_line_gets_one_of_its_own():
    pieces = [Piece("a", 1), Piece("+ b", 3), Piece("+ " + 30 * "c", 32), Piece("+ d", 3)]

    assert [joined(line) for line in broken(pieces, 10, 10, lambda piece: 0, 1)] == ["a + b", "+ " + 30 * "c", "+ d"]


def test_factors_part_only_where_nothing_else_can():
    A, B = matrix(30 * "A", "n", "n"), matrix("B", "n", "n")
    printed = equations_text([equation(A @ A @ A @ B)])

    assert printed.split("\n")[1:] == [
        "  Y = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA  (n x n)  rule",
        "      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA B",
    ]


def test_a_number_of_any_size_prints():
    A = matrix("A", 2, 2)

    assert cr.text(A + 1e300) == "A + 1e+300"
    assert cr.text(A + float("inf")) == "A + inf"
    assert cr.text(full(float("-inf"), (2, 2))) == "-inf 1 1'"
    assert cr.text(scale(A, "1/1234567")) == "8.10001e-07 A"
    assert cr.text(full(-0.0, (2, 2))) == "0"


@given(expressions(depth=6), st.integers(30, 80))
@settings(max_examples=100)
def test_breaking_loses_nothing_and_keeps_within_the_width(expression, width):
    written = compose(expression, TEXT)

    lines = broken(written.pieces, width, width, lambda piece: 2 * min(piece.level, 5), TEXT.space)
    printed = equations_text([equation(expression)]).split("\n")

    assert " ".join(map(joined, lines)) == written.text
    assert all(len(joined(line)) <= width or len(line) == 1 for line in lines)
    assert max(map(len, printed)) <= max(80, 20 + max(p.width for p in written.pieces))  # which stay whole


@pytest.mark.parametrize(
    ("formula", "wrt", "expected"),
    [
        ("sum(kron(A, B))", "B", "(1' A 1) 1 1'"),
        ("sum(kron(A, B))", "A", "(1' B 1) 1 1'"),
        ("lam sum(X)", "X", "lam 1 1'"),
        ("lam mean(x)", "x", "(lam 1)/n"),
        ("sum(A) sum(X) + tr(X)", "X", "I + (1' A 1) 1 1'"),
        ("sum(X)", "X", "1 1'"),
        ("-sum(X)", "X", "-1 1'"),
        ("mean(X)", "X", "(1 1')/(d n)"),
        ("sum(x)", "x", "1"),
        ("2 sum(x')", "x", "2 1"),
        ("mean(x)", "x", "(1/n) 1"),
    ],
)
def test_a_matrix_of_one_number_shows_its_shape(formula, wrt, expected):
    f = cr.parse(formula)

    assert cr.text(*cr.gradient(f.expression, f[wrt])) == expected
