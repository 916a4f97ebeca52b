"""What the engine can do: opcodes of operations on entries, on rows, on plain numbers, and of instructions."""

from __future__ import annotations

# Entry by entry: MAP's operations, on operands a and b and numbers s and t.
COPY, ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM, AXPBY, SCALE, SHIFT = range(10)
ADD_RELU, MUL_STEP, MUL_TANH, AXPBY_SQUARE = range(10, 14)  # common pairs and triples of these in one pass
ROW, COLUMN, NUMBER, FILL = range(14, 18)  # a row or a column repeated, a stored or plain number
SUM, SHIFT_TWICE = 18, 19  # a partial sum; a + s + t
OVER_ROOT = 20  # a / (sqrt(s b) + t), of the updates that divide by a root
UNARY = (
    "reciprocal", "sqrt", "abs", "sign", "step", "exp", "log", "log1p", "expm1", "tanh", "logistic", "softplus",
    "erf", "erfc", "sin", "cos", "log_softplus", "x_log_x", "power",
)  # fmt: skip
WORDS: dict[str, int] = {"maximum": MAXIMUM, "minimum": MINIMUM} | {name: 21 + i for i, name in enumerate(UNARY)}
COSTLY = frozenset(UNARY[UNARY.index("exp") :])  # worth storing rather than computing twice

# Along the rows of a value.
ROWWISE: dict[str, int] = {"softmax": 0, "log_softmax": 1, "logsumexp": 2, "row_maximum": 3, "first_maximum": 4}

# Instructions.
GEMM, MAP, ROW_SUMS, ROW_FUNCTION, GATHER, LABELS, RANDOM, FINISH, STORE = range(9)

# Plain numbers.
MULTIPLY, PLUS, POWER, ASSIGN, FUNCTION = range(5)
NUMBER_WORDS = ("sqrt", "reciprocal", "abs", "exp", "log", "tanh")

BLOCK = 512  # entries that MAP works on at a time
