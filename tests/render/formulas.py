"""Formulas for the printers to print: chosen ones, random ones, and the networks whose derivations are printed."""

from fractions import Fraction

import numpy as np
from hypothesis import assume, note
from hypothesis import strategies as st
from render.reader import SIZE

import chainrule as cr
from chainrule.activations import leaky_relu, relu
from chainrule.evaluate import evaluate_all
from chainrule.expr import define, full, matrix, ones, scalar, scale, size, toposort
from chainrule.expr import sum as total
from chainrule.primitives import (
    abs,
    exp,
    expm1,
    logistic,
    maximum,
    minimum,
    power,
    reciprocal,
    softmax,
    sqrt,
    step,
    tanh,
    x_log_x,
)

# ---- random expressions, every size 3, so that a printed column of ones has one meaning

SHAPES = [(SIZE, SIZE), (SIZE, 1), (1, SIZE), (1, 1)]
SYMBOLS = {
    (SIZE, SIZE): [matrix(name, SIZE, SIZE) for name in ("A", "W1", "X")],
    (SIZE, 1): [matrix("c", SIZE, 1), ones(SIZE)],
    (1, SIZE): [matrix("b1", 1, SIZE), ones(SIZE).T],
    (1, 1): [matrix("s", 1, 1)],
}
NAMED = define("Z1", SYMBOLS[SIZE, SIZE][0] @ SYMBOLS[SIZE, SIZE][1])
SCALARS = [scalar("lr"), scalar("beta1"), size("n"), 1 - scalar("beta1")]
NUMBERS = [
    Fraction(k) for k in ("-1", "2", "-3", "1/2", "-3/4", "7/3", "1/12", "0.1", "-0.25", "1.5", "1e-3", "2.5e-5")
]
UNARY = [exp, expm1, tanh, logistic, relu, leaky_relu(0.1), leaky_relu, abs, reciprocal, power, power(3), power(-1)]
BINARY = [maximum, minimum]
KINDS = ["leaf", "add", "subtract", "hadamard", "divide", *2 * ["scale", "matmul"], "transpose", "unary", "binary"]


@st.composite
def expressions(draw, shape=None, depth=4):
    """A random expression of a shape, not simplified: brackets must be right for what no rule would leave, too."""
    shape = shape or draw(st.sampled_from(SHAPES))
    kind = draw(st.sampled_from(KINDS)) if depth else "leaf"

    def part(like=shape):
        return draw(expressions(like, depth - 1))

    if kind == "leaf":
        leaves = [*SYMBOLS[shape], *([NAMED] if shape == NAMED.shape else [])]
        return draw(st.sampled_from([*leaves, full(draw(st.sampled_from([1, 2, -3, 0.1])), shape)]))
    if kind == "matmul":
        inner = draw(st.sampled_from([1, SIZE]))
        return part((shape[0], inner)) @ part((inner, shape[1]))
    if kind == "scale":
        powers = draw(st.lists(st.tuples(st.sampled_from(SCALARS), st.sampled_from([1, -1, 2, -2])), max_size=2))
        return scale(part(), draw(st.sampled_from(NUMBERS)), *powers)
    if kind == "unary":
        return draw(st.sampled_from(UNARY))(part())
    return {
        "add": lambda: part() + part(),
        "subtract": lambda: part() - part(),
        "hadamard": lambda: part() * part(),
        "divide": lambda: part() * reciprocal(part()),
        "transpose": lambda: part(shape[::-1]).T,
        "binary": lambda: draw(st.sampled_from(BINARY))(part(), part()),
    }[kind]()


def random_values(seed):
    rng = np.random.default_rng(seed)
    symbols = [s for found in SYMBOLS.values() for s in found if s.name] + SCALARS[:2]
    return {s.name: rng.uniform(0.2, 1.2, s.shape) * rng.choice([-1, 1], s.shape) for s in symbols} | {"n": SIZE}


def assert_reads_back(expression, printed, read, seed):
    note(printed)
    values = random_values(seed)
    with np.errstate(all="ignore"):
        *parts, expected = evaluate_all(list(toposort(expression)), values)
        largest = max(np.abs(part).max() for part in (*parts, expected))
        assume(np.isfinite(largest) and largest < 1e4)
        values["Z1"] = cr.evaluate(NAMED, values)
        found = read(printed, {name: np.reshape(v, np.shape(v) or (1, 1)) for name, v in values.items()})
    # Numbers are printed to six digits.
    np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, rtol=1e-4, atol=1e-4 * largest)


# ---- expressions with their text and LaTeX

A, B, C = (matrix(name, "n", "d") for name in "ABC")
X, W1, W2 = matrix("X", "n", "d"), matrix("W1", "d", "d"), matrix("W2", "d", "d")
b1, r = matrix("b1", 1, "d"), matrix("r", 1, "d")
w = matrix("w", "n", 1)
lr, lam, n, eps, beta1 = scalar("lr"), scalar("lam"), size("n"), scalar("eps"), scalar("beta1")
Z1 = define("Z1", X @ W1)
delta = define("dZ1", A * Z1)

CASES = {  # name: (expression, text, LaTeX)
    "sum": (A + B + C, "A + B + C", "A + B + C"),
    "sum_on_the_right": (A + (B + C), "A + (B + C)", "A + (B + C)"),
    "difference": (A - B, "A - B", "A - B"),
    "difference_on_the_right": (A - (B - C), "A - (B - C)", "A - (B - C)"),
    "negative_first": (-A + B, "-A + B", "-A + B"),
    "negative_of_a_sum": (-(A + B), "-(A + B)", "-(A + B)"),
    "minus_a_negative_number": (A - full(-2, A.shape), "A + 2", "A + 2"),
    "number_first": (1 - A, "1 - A", "1 - A"),
    "number_of_nine_digits": (A + 0.123456789, "A + 0.123456789", "A + 0.123456789"),
    "irrational_number": (A + 2**0.5, "A + 1.41421", "A + 1.41421"),
    "tiny_number": (A + 2.5e-8, "A + 2.5e-08", r"A + 2.5 \cdot 10^{-8}"),
    "power_of_ten": (A + 1e-8, "A + 1e-08", "A + 10^{-8}"),
    "hadamard_chain": (A * B * C, "A ∘ B ∘ C", r"A \odot B \odot C"),
    "hadamard_on_the_right": (A * (B * C), "A ∘ (B ∘ C)", r"A \odot (B \odot C)"),
    "sum_in_hadamard": ((A + B) * C, "(A + B) ∘ C", r"(A + B) \odot C"),
    "hadamard_in_sum": (A + B * C, "A + B ∘ C", r"A + B \odot C"),
    "matmul_chain": (X @ W1 @ W2, "X W1 W2", "X W_{1} W_{2}"),
    "matmul_on_the_right": (X @ (W1 @ W2), "X (W1 W2)", "X (W_{1} W_{2})"),
    "matmul_in_hadamard": ((X @ W1) * A, "(X W1) ∘ A", r"(X W_{1}) \odot A"),
    "hadamard_in_matmul": ((A * B) @ W1, "(A ∘ B) W1", r"(A \odot B) W_{1}"),
    "sum_in_matmul": ((A + B) @ (W1 - W2), "(A + B) (W1 - W2)", "(A + B) (W_{1} - W_{2})"),
    "bias": (X @ W1 + ones("n") @ b1, "X W1 + 1 b1", r"X W_{1} + \mathbf{1} b_{1}"),
    "negative_in_matmul": ((-A) @ W1, "(-A) W1", "(-A) W_{1}"),
    "coefficient": (2 * A, "2 A", "2 A"),
    "coefficient_of_a_sum": (3 * (A - B), "3 (A - B)", "3 (A - B)"),
    "coefficient_of_a_product": (2 * (A @ W1), "2 A W1", "2 A W_{1}"),
    "coefficient_of_a_hadamard": (2 * (A * B), "2 A ∘ B", r"2 A \odot B"),
    "coefficient_of_one_factor": ((2 * A) * B, "(2 A) ∘ B", r"(2 A) \odot B"),
    "coefficient_in_matmul": ((2 * A) @ W1, "(2 A) W1", "(2 A) W_{1}"),
    "negative_coefficient": (A - 0.1 * B, "A - 0.1 B", "A - 0.1 B"),
    "half": (scale(A, "1/2"), "A/2", r"\frac{1}{2} A"),
    "third_of_a_product": (scale(A @ W1, "-2/3"), "-(2 A W1)/3", r"-\frac{2}{3} A W_{1}"),
    "one_of_784": (scale(A, "1/784"), "A/784", r"\frac{1}{784} A"),
    "decimal": (0.25 * A + 0.1 * B, "A/4 + 0.1 B", r"\frac{1}{4} A + 0.1 B"),
    "mean": ((A - B) / n, "(A - B)/n", r"\frac{1}{n} (A - B)"),
    "mean_of_a_product": ((A.T @ B) / n, "(A' B)/n", r"\frac{1}{n} A^{\top} B"),
    "mean_of_a_negative": (-(A * B) / n, "-(A ∘ B)/n", r"-\frac{1}{n} A \odot B"),
    "scalar_over_size": (scale(A - B, "1/2", (lam, 1), (n, -1)), "lam (A - B)/(2 n)", r"\frac{\lambda}{2 n} (A - B)"),
    "powers_of_scalars": (scale(A, 3, (lr, 2), (n, -2)), "3 lr^2 A/n^2", r"\frac{3 \eta^{2}}{n^{2}} A"),
    "two_scalars_below": (scale(A @ W1, 1, (lr, -1), (n, -1)), "(A W1)/(lr n)", r"\frac{1}{\eta n} A W_{1}"),
    "scalar_sum": (scale(A, 1, (1 - beta1, 1)), "(1 - beta1) A", r"(1 - \beta_{1}) A"),
    "scalar_sum_squared": (scale(A, 1, (1 - beta1, 2)), "(1 - beta1)^2 A", r"(1 - \beta_{1})^{2} A"),
    "scalar_sum_below": (scale(A, 1, (1 - beta1, -1)), "A/(1 - beta1)", r"\frac{1}{1 - \beta_{1}} A"),
    "scalar_sum_and_number_below": (
        scale(A, "1/2", (1 - beta1, -1)),
        "A/(2 (1 - beta1))",
        r"\frac{1}{2 (1 - \beta_{1})} A",
    ),
    "step": (W1 - scale(W2, 1, (lr, 1)), "W1 - lr W2", r"W_{1} - \eta W_{2}"),
    "transpose": (A.T @ B, "A' B", r"A^{\top} B"),
    "transpose_of_a_sum": ((A + B).T, "(A + B)'", r"(A + B)^{\top}"),
    "transpose_of_a_product": ((A @ W1).T, "(A W1)'", r"(A W_{1})^{\top}"),
    "transpose_of_a_function": (tanh(A).T, "tanh(A)'", r"\tanh(A)^{\top}"),
    "transpose_of_a_negative": ((-A).T, "(-A)'", r"(-A)^{\top}"),
    "transpose_of_a_delta": (delta.T @ A, "dZ1' A", r"(\delta^{1})^{\top} A"),
    "quotient": (A * reciprocal(B), "A / B", r"\frac{A}{B}"),
    "quotient_by_a_sum": (A * reciprocal(1 + abs(B)), "A / (1 + |B|)", r"\frac{A}{1 + |B|}"),
    "quotient_of_a_sum": ((A + B) * reciprocal(C), "(A + B) / C", r"\frac{A + B}{C}"),
    "quotient_of_a_product": ((A @ W1) * reciprocal(B), "(A W1) / B", r"\frac{A W_{1}}{B}"),
    "quotient_in_a_product": (A * reciprocal(B) * C, "(A / B) ∘ C", r"\frac{A}{B} \odot C"),
    "quotient_of_quotient": (A * reciprocal(B) * reciprocal(C), "(A / B) / C", r"\frac{A}{B} \odot \frac{1}{C}"),
    "quotient_with_coefficient": (
        scale(A * reciprocal(sqrt(B) + 1e-8), -1, (lr, 1)),
        "-lr A / (sqrt(B) + 1e-08)",
        r"-\eta \frac{A}{\sqrt{B} + 10^{-8}}",
    ),
    "quotient_of_a_long_matrix": (
        (A * tanh(B) * tanh(C) * A * B) * reciprocal(C),
        "A ∘ tanh(B) ∘ tanh(C) ∘ A ∘ B / C",
        r"A \odot \tanh(B) \odot \tanh(C) \odot A \odot B \odot \frac{1}{C}",
    ),
    "quotient_by_a_long_matrix": (
        A * reciprocal(A * tanh(B) * tanh(C) * A * B),
        "A / (A ∘ tanh(B) ∘ tanh(C) ∘ A ∘ B)",
        r"A \oslash (A \odot \tanh(B) \odot \tanh(C) \odot A \odot B)",
    ),
    "quotient_of_a_fraction": ((A / n) * reciprocal(B), "(A/n) / B", r"\left(\frac{1}{n} A\right) \odot \frac{1}{B}"),
    "reciprocal": (reciprocal(A), "1/A", r"\frac{1}{A}"),
    "reciprocal_of_a_sum": (2 * reciprocal(A + B), "2 (1/(A + B))", r"2 \frac{1}{A + B}"),
    "reciprocal_first": (reciprocal(A) * B, "(1/A) ∘ B", r"\frac{1}{A} \odot B"),
    "function": (tanh(A + B), "tanh(A + B)", r"\tanh(A + B)"),
    "function_of_function": (exp(-tanh(A)), "exp(-tanh(A))", r"\exp(-\tanh(A))"),
    "function_of_a_fraction": (exp(A * A / n), "exp((A ∘ A)/n)", r"\exp\left(\frac{1}{n} A \odot A\right)"),
    "function_of_a_long_fraction": (
        exp(A * B * tanh(A) * tanh(B) * tanh(C) / n),
        "exp((A ∘ B ∘ tanh(A) ∘ tanh(B) ∘ tanh(C))/n)",
        r"\exp\biggl(\frac{1}{n} A \odot B \odot \tanh(A) \odot \tanh(B) \odot \tanh(C)\biggr)",
    ),
    "absolute_value_of_a_fraction": (abs(A / n), "|A/n|", r"\left|\frac{1}{n} A\right|"),
    "function_in_matmul": (relu(A) @ W1, "relu(A) W1", r"\max(A, 0) W_{1}"),
    "default_parameter": (leaky_relu(A), "leaky_relu(A)", r"\operatorname{leaky\ relu}(A)"),
    "parameter": (leaky_relu(0.1)(A), "leaky_relu(0.1)(A)", r"\operatorname{leaky\ relu}_{0.1}(A)"),
    "parameter_of_many_digits": (
        leaky_relu(0.12345678901234)(A),
        "leaky_relu(0.12345678901234)(A)",
        r"\operatorname{leaky\ relu}_{0.12345678901234}(A)",
    ),
    "parameter_of_a_function_that_a_loss_adds": (cr.huber_of(A, 2), "huber(2)(A)", "h_{2}(A)"),
    "tiny_parameter": (leaky_relu(1e-8)(A), "leaky_relu(1e-08)(A)", r"\operatorname{leaky\ relu}_{10^{-8}}(A)"),
    "step_function": (A * step(B - C), "A ∘ [B - C > 0]", r"A \odot [B - C > 0]"),
    "square": (power(A), "A.^2", r"A^{\odot 2}"),
    "cube_of_a_sum": (power(A + B, 3), "(A + B).^3", r"(A + B)^{\odot 3}"),
    "power_of_a_transpose": (power(A.T, 3), "(A').^3", r"(A^{\top})^{\odot 3}"),
    "inverse_power": (power(A, -1), "A.^-1", r"A^{\odot -1}"),  # and no inverse
    "inverse_power_of_a_function": (power(tanh(A), -1), "tanh(A).^-1", r"\tanh(A)^{\odot -1}"),
    "two_operands": (maximum(A, B - C), "maximum(A, B - C)", r"\max(A, B - C)"),
    "x_log_x": (x_log_x(A) * B, "x_log_x(A) ∘ B", r"(A \log A) \odot B"),
    "expm1_in_hadamard": (expm1(A) * B, "expm1(A) ∘ B", r"(\exp(A) - 1) \odot B"),
    "rowwise": (softmax(A) @ W1, "softmax(A) W1", r"\operatorname{softmax}(A) W_{1}"),
    "rowwise_twin": (
        softmax(A).T * softmax.twin(B.T),
        "softmax(A)' ∘ softmax(B')",
        r"\operatorname{softmax}(A)^{\top} \odot \operatorname{softmax}(B^{\top})",
    ),
    "total": (total(A * B), "1' (A ∘ B) 1", r"\mathbf{1}^{\top} (A \odot B) \mathbf{1}"),
    "coefficient_of_a_total": (0.1 * total(A), "0.1 1' A 1", r"0.1 \, \mathbf{1}^{\top} A \mathbf{1}"),
    "row_sums_spread": (
        A - (A * B) @ ones("d") @ ones("d").T,
        "A - (A ∘ B) 1 1'",
        r"A - (A \odot B) \mathbf{1} \mathbf{1}^{\top}",
    ),
    "column_sums_spread": (ones("n") @ (ones("n").T @ A), "1 (1' A)", r"\mathbf{1} (\mathbf{1}^{\top} A)"),
    "full_in_matmul": (full(3, ("n", "n")) @ A, "(3 1 1') A", r"(3 \, \mathbf{1} \mathbf{1}^{\top}) A"),
    "ones_matrix_in_matmul": (full(1, ("n", "n")) @ A, "1 1' A", r"\mathbf{1} \mathbf{1}^{\top} A"),
    "ones_matrix_on_the_right": (A @ full(1, ("d", "d")), "A 1 1'", r"A \mathbf{1} \mathbf{1}^{\top}"),
    "coefficient_of_ones_matrix": (
        scale(full(1, ("n", "n")), 1, (n, -1)) @ A,
        "((1 1')/n) A",
        r"\left(\frac{1}{n} \, \mathbf{1} \mathbf{1}^{\top}\right) A",
    ),
    "minus_a_column_of_ones": (X @ scale(ones("d"), -1), "X ((-1) 1)", r"X (-\mathbf{1})"),
    "minus_a_row_of_ones": (scale(ones("n").T, -1) @ X, "(-1') X", r"(-\mathbf{1}^{\top}) X"),
    "fraction_of_a_column_of_ones": (
        X @ scale(ones("d"), -1, (n, -1)),
        "X ((-1/n) 1)",
        r"X \left(-\frac{1}{n} \, \mathbf{1}\right)",
    ),
    "multiple_of_a_column_of_ones": (
        X @ scale(ones("d"), 2, (n, -1)),
        "X ((2 1)/n)",
        r"X \left(\frac{2}{n} \, \mathbf{1}\right)",
    ),
    "full_column": (X @ full(2, ("d", 1)), "X (2 1)", r"X (2 \, \mathbf{1})"),
    "full_row": (full(-2, (1, "n")) @ X, "(-2 1') X", r"(-2 \, \mathbf{1}^{\top}) X"),
    "full_in_hadamard": (2 * (full(3, A.shape) * A), "2 (3) ∘ A", r"2 (3) \odot A"),
    "full_transposed": (A + full(2, ("d", "n")).T, "A + 2", "A + 2"),
    "minus_a_scalar_alone": (
        scale(full(1, A.shape), -1, (1 - beta1, 1), (n, -1)),
        "-((1 - beta1) 1 1')/n",
        r"-\frac{1 - \beta_{1}}{n} \, \mathbf{1} \mathbf{1}^{\top}",
    ),
    "full_alone": (scale(full(2, A.shape), 1, (n, -1)), "(2 1 1')/n", r"\frac{2}{n} \, \mathbf{1} \mathbf{1}^{\top}"),
    "zero_alone": (full(0, A.shape), "0", "0"),
    "minus_one_alone": (full(-1, A.shape), "-1 1'", r"-\mathbf{1} \mathbf{1}^{\top}"),
    "minus_a_column_alone": (full(-1, ("n", 1)), "(-1) 1", r"-\mathbf{1}"),
    "constant_function_in_matmul": (
        exp(full(1, ("n", "n"))) @ A,
        "(exp(1) 1 1') A",
        r"(\exp(1) \, \mathbf{1} \mathbf{1}^{\top}) A",
    ),
    "weights_by_row": ((w @ ones("d").T) * A, "(w 1') ∘ A", r"(w \mathbf{1}^{\top}) \odot A"),
    "named": (tanh(Z1), "tanh(Z1)", r"\tanh(Z_{1})"),
    "definition": (Z1, "Z1 = X W1", "Z_{1} = X W_{1}"),
    "derivative": (X.T @ delta, "X' dZ1", r"X^{\top} \delta^{1}"),
}


# ---- derivations

NETWORKS = {  # name: what `derive` is asked of a network
    "rows": (cr.Network("784 -> 128 relu -> 10 softmax"), {}),
    "columns": (cr.Network("784 -> 128 relu -> 10 softmax"), {"layout": "columns"}),
    "logistic": (cr.Network("4 -> 5 silu -> 1 logistic"), {}),
    "squared": (cr.Network("4 -> 5 tanh -> 3 logistic", "half_squared_error"), {}),
    "weighted": (cr.Network("20 -> 10 softmax"), {"sample_weight": True}),
    "weighted_columns": (cr.Network("20 -> 10 softmax"), {"sample_weight": True, "layout": "columns"}),
    "penalty_and_dropout": (cr.Network("4 -> 3 relu dropout=0.1 -> 3 softmax", penalty=cr.l2(0.01)), {}),
    "long": (cr.Network("64 -> 64 gelu residual -> 3 softplus", "poisson", penalty="l1(0.1)"), {"solver": "adam"}),
    "nested": (cr.Network("5 -> 4 gelu_tanh -> 3 mish -> 2 softsign", "half_squared_error"), {"layout": "columns"}),
}


def derivation(name):
    network, options = NETWORKS[name]
    return network.derive(**options)
