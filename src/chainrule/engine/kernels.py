"""The kernels behind the instructions: elementwise work in blocks, rows of probabilities, sums, plain numbers.

They address one array, the arena, by entries; a data type is its data type.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import overload

from chainrule.engine import entries as e
from chainrule.engine.compiled import OPTIONS
from chainrule.engine.elementary import FLOAT32, FLOAT64
from chainrule.engine.products import columns
from chainrule.engine.vector import BYTES
from chainrule.engine.words import (
    ADD,
    ADD_RELU,
    ASSIGN,
    AXPBY,
    AXPBY_SQUARE,
    BLOCK,
    COLUMN,
    COPY,
    DIV,
    FILL,
    FUNCTION,
    MAXIMUM,
    MINIMUM,
    MUL,
    MUL_STEP,
    MUL_TANH,
    MULTIPLY,
    NUMBER,
    PLUS,
    POWER,
    ROW,
    ROWWISE,
    SCALE,
    SHIFT,
    SUB,
    SUM,
    WORDS,
)  # fmt: skip

RECIPROCAL, SQRT, ABS, SIGN, STEP = (WORDS[name] for name in ("reciprocal", "sqrt", "abs", "sign", "step"))
EXP, LOG, LOG1P, EXPM1, TANH, LOGISTIC = (WORDS[name] for name in ("exp", "log", "log1p", "expm1", "tanh", "logistic"))
SOFTPLUS, ERF, ERFC, SIN, COS = (WORDS[name] for name in ("softplus", "erf", "erfc", "sin", "cos"))
LOG_SOFTPLUS, X_LOG_X = WORDS["log_softplus"], WORDS["x_log_x"]
SOFTMAX, LOGSUMEXP = ROWWISE["softmax"], ROWWISE["logsumexp"]
ROW_MAXIMUM, FIRST_MAXIMUM = ROWWISE["row_maximum"], ROWWISE["first_maximum"]


def _of_type(name: str) -> Any:
    """A function of the rule book, for the type that it is called with."""

    def stub(*args: Any) -> Any:
        raise NotImplementedError(name)

    def chosen(x: Any) -> Callable[..., Any]:
        return (FLOAT32 if x == types.float32 else FLOAT64)[name]

    @overload(stub)
    def of_one(x):
        function = chosen(x)
        return lambda x: function(x)

    return stub


exp, log, expm1, tanh, logistic, softplus, erf = map(
    _of_type, ("exp", "log", "expm1", "tanh", "logistic", "softplus", "erf")
)


@njit(**OPTIONS)
def transcend(code, A, D, s):
    """D = f(A) of a function that is more than an instruction or two; s is its parameter."""
    n = len(D)
    if code == EXP:
        for i in range(n):
            D[i] = exp(A[i])
    elif code == LOG:
        for i in range(n):
            D[i] = log(A[i])
    elif code == TANH:
        for i in range(n):
            D[i] = tanh(A[i])
    elif code == LOGISTIC:
        for i in range(n):
            D[i] = logistic(A[i])
    elif code == SOFTPLUS:
        for i in range(n):
            D[i] = softplus(A[i])
    elif code == ERF:
        for i in range(n):
            D[i] = erf(A[i])
    elif code == EXPM1:
        for i in range(n):
            D[i] = expm1(A[i])
    else:
        transcend_seldom(code, A, D, s)


@njit(**OPTIONS)
def transcend_seldom(code, A, D, s):
    """The same by the C library, in float64: these are used so little that compiling more would cost more."""
    real = D.dtype.type
    for i in range(len(D)):
        x = np.float64(A[i])
        if code == LOG1P:
            y = math.log1p(x)
        elif code == ERFC:
            y = math.erfc(x)
        elif code == SIN:
            y = math.sin(x)
        elif code == COS:
            y = math.cos(x)
        elif code == X_LOG_X:
            y = 0.0 if x == 0.0 else x * math.log(x)
        elif code == LOG_SOFTPLUS:
            y = x if x < -40.0 else math.log(max(x, 0.0) + math.log1p(math.exp(-abs(x))))
        else:
            y = x ** np.float64(s)
        D[i] = real(y)


@njit(**OPTIONS)
def operate(m, base, code, n, d, a, b, s, t):
    """One operation of MAP on n entries."""
    size = m.itemsize
    D, A, B = base + size * d, base + size * a, base + size * b
    if code == ADD:
        e.add(n, D, A, B, s, t)
    elif code == SUB:
        e.sub(n, D, A, B, s, t)
    elif code == MUL:
        e.mul(n, D, A, B, s, t)
    elif code == DIV:
        e.div(n, D, A, B, s, t)
    elif code == AXPBY:
        e.axpby(n, D, A, B, s, t)
    elif code == SCALE:
        e.scale(n, D, A, B, s, t)
    elif code == SHIFT:
        e.shift(n, D, A, B, s, t)
    elif code == ADD_RELU:
        e.add_relu(n, D, A, B, s, t)
    elif code == MUL_STEP:
        e.mul_step(n, D, A, B, s, t)
    elif code == MUL_TANH:
        e.mul_tanh(n, D, A, B, s, t)
    elif code == AXPBY_SQUARE:
        e.axpby_square(n, D, A, B, s, t)
    elif code == MAXIMUM:
        e.maximum(n, D, A, B, s, t)
    elif code == MINIMUM:
        e.minimum(n, D, A, B, s, t)
    elif code == COPY:
        e.copy(n, D, A, B, s, t)
    elif code == FILL:
        e.fill(n, D, A, B, s, t)
    elif code == SQRT:
        e.sqrt(n, D, A, B, s, t)
    elif code == RECIPROCAL:
        e.reciprocal(n, D, A, B, s, t)
    elif code == ABS:
        e.absolute(n, D, A, B, s, t)
    elif code == SIGN:
        e.sign(n, D, A, B, s, t)
    elif code == STEP:
        e.step(n, D, A, B, s, t)
    else:
        transcend(code, m[a : a + n], m[d : d + n], s)


DO_COPY, DO_FILL, DO_EXP, DO_LOG = map(np.int64, (COPY, FILL, EXP, LOG))  # of one type with what is read from a program


@njit(**OPTIONS)
def work(m, base, numbers, micro, first, body, last, k, wide, rows, r0, mine, partials, tile):
    """MAP on rows of k entries: what is filled once, then block after block; `wide` if a row or column is repeated.

    An operand lies at first + r0 per_row + mine private + e0 moving, where the block begins at entry e0 of the tile.
    """
    real = m.dtype.type
    total = rows * k
    by_rows = wide and k > BLOCK
    length = min(total, (BLOCK // k) * k if wide and not by_rows else BLOCK)
    for q in range(first, body):
        code, d, a = micro[q, 0], micro[q, 1] + micro[q, 3] * mine, micro[q, 5] + micro[q, 7] * mine
        if code == ROW:
            if not by_rows:
                for i in range(0, length, k):
                    operate(m, base, DO_COPY, k, d + i, a, a, real(0), real(0))
        else:
            operate(m, base, DO_FILL, length, d, d, d, m[a] if code == NUMBER else real(numbers[micro[q, 13]]), real(0))
    e0 = 0
    while e0 < total:
        n = min(length, total - e0)
        if by_rows:
            column = e0 % k
            n = min(n, k - column)
            for q in range(first, body):
                if micro[q, 0] == ROW:
                    a = micro[q, 5] + micro[q, 7] * mine + column
                    operate(m, base, DO_COPY, n, micro[q, 1] + micro[q, 3] * mine, a, a, real(0), real(0))
        for q in range(body, last):
            code = micro[q, 0]
            d = micro[q, 1] + micro[q, 2] * r0 + micro[q, 3] * mine + micro[q, 4] * e0
            a = micro[q, 5] + micro[q, 6] * r0 + micro[q, 7] * mine
            if code == COLUMN:
                for i in range(max(1, n // k)):
                    operate(m, base, DO_FILL, min(n, k), d + i * k, d, d, m[a + e0 // k + i], real(0))
                continue
            a += micro[q, 8] * e0
            if code == SUM:
                part = real(0)
                for x in m[a : a + n]:
                    part += x
                partials[micro[q, 13] + tile] += part
                continue
            b = micro[q, 9] + micro[q, 10] * r0 + micro[q, 11] * mine + micro[q, 12] * e0
            operate(m, base, code, n, d, a, b, real(numbers[micro[q, 13]]), real(numbers[micro[q, 14]]))
        e0 += n


@njit(**OPTIONS)
def row_function(m, base, kind, out, a, probabilities, k, rows):
    """A function along each row of k entries, finite at any score.

    Where the probabilities of the same scores are known, the logarithms need no more exponentials: the largest of a
    row is exp(0) / s, of which log s follows to the last digit.
    """
    real, size = m.dtype.type, m.itemsize
    if kind in (ROW_MAXIMUM, FIRST_MAXIMUM):
        for r in range(rows):
            where = largest(m, a + r * k, k)
            if kind == ROW_MAXIMUM:
                m[out + r] = m[where]
            else:
                m[out + r * k : out + r * k + k].fill(real(0))
                m[out + where - a] = real(1)
    elif kind == SOFTMAX:
        short = k <= BYTES // size
        if short:
            e.less_largest(rows, k, base + size * out, base + size * a, real(0))
        else:
            for r in range(rows):
                A, D = base + size * (a + r * k), base + size * (out + r * k)
                e.shift(k, D, A, A, -e.row_maximum(k, A, real(0)), real(0))
        transcend(DO_EXP, m[out : out + rows * k], m[out : out + rows * k], real(0))
        if short:
            e.over_sum(rows, k, base + size * out, base + size * out, real(0))
        else:
            for r in range(rows):
                D = base + size * (out + r * k)
                e.scale(k, D, D, D, real(1) / e.row_sum(k, D, real(0)), real(0))
    else:
        log_sums(m, base, out, a, probabilities, k, rows)
        for r in range(rows - 1, -1, -1):
            A = base + size * (a + r * k)
            top, s = e.row_maximum(k, A, real(0)), m[out + r]
            if kind == LOGSUMEXP:
                m[out + r] = top + s
            else:
                e.shift_twice(k, base + size * (out + r * k), A, A, -top, -s)


@njit(**OPTIONS)
def log_sums(m, base, out, a, probabilities, k, rows):
    """log sum exp of each row less its largest entry, one after the other from `out` on."""
    real, size = m.dtype.type, m.itemsize
    for r in range(rows):
        if probabilities >= 0:
            m[out + r] = real(1) / e.row_maximum(k, base + size * (probabilities + r * k), real(0))
        else:
            top = e.row_maximum(k, base + size * (a + r * k), real(0))
            s = real(0)
            for j in range(a + r * k, a + r * k + k):
                s += exp(m[j] - top)
            m[out + r] = s
    transcend(DO_LOG, m[out : out + rows], m[out : out + rows], real(0))


@njit(**OPTIONS)
def largest(m, first, k):
    """Where the first largest of k entries is, or a NaN."""
    where, top = first, m[first]
    for j in range(first + 1, first + k):
        if not m[j] <= top:
            where, top = j, m[j]
    return where


@njit(**OPTIONS)
def column_sums(m, base, out, a, k, rows, one, alpha, beta):
    """alpha 1' A + beta of what is there: the product of a row of ones, which lie all at `one`, with the rows."""
    size = m.itemsize
    wide = 2 * (BYTES // size)
    for j in range(0, k, wide):
        columns(
            size, 1, min(wide, k - j), rows, base + size * one, 0, 0, base + size * (a + j), k,
            base + size * (out + j), k, alpha, beta,
        )  # fmt: skip


@njit(**OPTIONS)
def row_sums(m, out, a, k, rows):
    """The sum of each row."""
    for r in range(rows):
        s = m.dtype.type(0)
        for j in range(k):
            s += m[a + r * k + j]
        m[out + r] = s


@njit(**OPTIONS)
def compute(numbers, code):
    """The program over plain numbers, in float64."""
    for q in range(len(code)):
        kind, d, a, b = int(code[q, 0]), int(code[q, 1]), int(code[q, 2]), code[q, 3]
        if kind == MULTIPLY:
            numbers[d] = numbers[a] * numbers[int(b)]
        elif kind == PLUS:
            numbers[d] = numbers[a] + numbers[int(b)]
        elif kind == POWER:
            numbers[d] = 1.0 / numbers[a] if b == -1.0 else numbers[a] ** b
        elif kind == ASSIGN:
            numbers[d] = numbers[a]
        elif kind == FUNCTION:
            numbers[d] = of_number(int(b), numbers[a])


@njit(**OPTIONS)
def of_number(code, x):
    """A function of a plain number."""
    if code == SQRT:
        return math.sqrt(x)
    if code == RECIPROCAL:
        return 1.0 / x
    if code == ABS:
        return abs(x)
    if code == EXP:
        return math.exp(x)
    if code == LOG:
        return math.log(x)
    if code == TANH:
        return math.tanh(x)
    return math.nan
