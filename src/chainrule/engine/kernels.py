"""The kernels behind the instructions: elementwise work in blocks, rows of probabilities, sums, plain numbers.

They address one array, the arena, by entries; a data type is its data type.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

from chainrule.engine import entries as e
from chainrule.engine.compiled import OPTIONS, unit
from chainrule.engine.vector import BYTES
from chainrule.engine.words import (
    ASSIGN,
    BLOCK,
    COLUMN,
    COPY,
    FILL,
    FUNCTION,
    MULTIPLY,
    NUMBER,
    PLUS,
    POWER,
    ROW,
    ROWWISE,
    SCALE,
    SHIFT,
    SHIFT_TWICE,
    SUM,
    WORDS,
)  # fmt: skip

RECIPROCAL, SQRT, ABS, EXP, LOG, TANH = (WORDS[name] for name in ("reciprocal", "sqrt", "abs", "exp", "log", "tanh"))
SOFTMAX, LOGSUMEXP = ROWWISE["softmax"], ROWWISE["logsumexp"]
ROW_MAXIMUM, FIRST_MAXIMUM = ROWWISE["row_maximum"], ROWWISE["first_maximum"]
FLOATS, INTEGERS = types.float64[::1], types.int64[:, ::1]


@unit(lambda real: (*(types.int64,) * 5, real, real))
def operate(code, n, d, a, b, s, t):
    """One operation of MAP on n entries from address d, by those from a and b and two numbers."""
    e.one_entry(code, n, d, a, b, s, t)


DO_COPY, DO_FILL, DO_EXP, DO_LOG, DO_SCALE, DO_SHIFT, DO_SHIFT_TWICE, DO_RECIPROCAL = map(
    np.int64,
    (COPY, FILL, EXP, LOG, SCALE, SHIFT, SHIFT_TWICE, RECIPROCAL),  # of one type with what a program holds
)


@unit(
    lambda real: (
        real[::1],
        types.int64,
        FLOATS,
        INTEGERS,
        *(types.int64,) * 4,
        types.boolean,
        *(types.int64,) * 3,
        FLOATS,
        types.int64,
    )
)
def work(m, base, numbers, micro, first, body, last, k, wide, rows, r0, mine, partials, tile):
    """MAP on rows of k entries: what is filled once, then block after block; `wide` if a row or column is repeated.

    An operand lies at first + r0 per_row + mine private + e0 moving, where the block begins at entry e0 of the tile.
    """
    real, size = m.dtype.type, m.itemsize
    none = real(0)
    total = rows * k
    by_rows = wide and k > BLOCK
    length = min(total, (BLOCK // k) * k if wide and not by_rows else BLOCK)
    for q in range(first, body):
        code, d, a = micro[q, 0], micro[q, 1] + micro[q, 3] * mine, micro[q, 5] + micro[q, 7] * mine
        D, A = base + size * d, base + size * a
        if code == ROW:
            if not by_rows:
                for i in range(0, length, k):
                    operate(DO_COPY, k, D + size * i, A, A, none, none)
        else:
            operate(DO_FILL, length, D, D, D, m[a] if code == NUMBER else real(numbers[micro[q, 13]]), none)
    e0 = 0
    while e0 < total:
        n = min(length, total - e0)
        if by_rows:
            column = e0 % k
            n = min(n, k - column)
            for q in range(first, body):
                if micro[q, 0] == ROW:
                    A = base + size * (micro[q, 5] + micro[q, 7] * mine + column)
                    operate(DO_COPY, n, base + size * (micro[q, 1] + micro[q, 3] * mine), A, A, none, none)
        for q in range(body, last):
            code = micro[q, 0]
            D = base + size * (micro[q, 1] + micro[q, 2] * r0 + micro[q, 3] * mine + micro[q, 4] * e0)
            a = micro[q, 5] + micro[q, 6] * r0 + micro[q, 7] * mine
            A = base + size * (a + micro[q, 8] * e0)
            if code == COLUMN:
                for i in range(max(1, n // k)):
                    operate(DO_FILL, min(n, k), D + size * i * k, D, D, m[a + e0 // k + i], none)
            elif code == SUM:
                partials[micro[q, 13] + tile] += e.row_sum(n, A, none)
            else:
                B = base + size * (micro[q, 9] + micro[q, 10] * r0 + micro[q, 11] * mine + micro[q, 12] * e0)
                operate(code, n, D, A, B, real(numbers[micro[q, 13]]), real(numbers[micro[q, 14]]))
        e0 += n


@unit(lambda real: (real[::1], *(types.int64,) * 7))
def row_function(m, base, kind, out, a, probabilities, k, rows):
    """A function along each row of k entries, finite at any score.

    Where the probabilities of the same scores are known, the logarithms need no more exponentials: the largest of a
    row is exp(0) / s, of which log s follows to the last digit.
    """
    real, size = m.dtype.type, m.itemsize
    none = real(0)
    A, D = base + size * a, base + size * out
    short = k <= BYTES // size
    if kind in (ROW_MAXIMUM, FIRST_MAXIMUM):
        for r in range(rows):
            first, top = 0, m[a + r * k]
            for j in range(1, k):
                if not m[a + r * k + j] <= top:
                    first, top = j, m[a + r * k + j]
            if kind == ROW_MAXIMUM:
                m[out + r] = top
            else:
                operate(DO_FILL, k, D + size * r * k, D, D, none, none)
                m[out + r * k + first] = real(1)
    elif kind == SOFTMAX:
        if short:
            e.less_largest(rows, k, D, A, none)
        else:
            for row in range(0, size * rows * k, size * k):
                operate(DO_SHIFT, k, D + row, A + row, A, -e.row_maximum(k, A + row, none), none)
        operate(DO_EXP, rows * k, D, D, D, none, none)
        if short:
            e.over_sum(rows, k, D, D, none)
        else:
            for row in range(D, D + size * rows * k, size * k):
                operate(DO_SCALE, k, row, row, row, real(1) / e.row_sum(k, row, none), none)
    else:  # sums of exp(a - top), one after the other from `out` on, and their logarithms
        if probabilities >= 0:
            P = base + size * probabilities
            if short:
                e.largest(rows, k, D, P, none)
            else:
                for r in range(rows):
                    m[out + r] = e.row_maximum(k, P + size * r * k, none)
            operate(DO_RECIPROCAL, rows, D, D, D, none, none)
        elif short:
            e.exp_sums(rows, k, D, A, none)
        else:
            for r in range(rows):
                row = A + size * r * k
                m[out + r] = e.exp_sum(k, row, e.row_maximum(k, row, none))
        operate(DO_LOG, rows, D, D, D, none, none)
        if short and kind == LOGSUMEXP:
            e.plus_largest(rows, k, D, A, none)
        elif short:
            e.less_logarithm(rows, k, D, A, none)
        else:
            for r in range(rows - 1, -1, -1):
                row = A + size * r * k
                top, s = e.row_maximum(k, row, none), m[out + r]
                if kind == LOGSUMEXP:
                    m[out + r] = top + s
                else:
                    operate(DO_SHIFT_TWICE, k, D + size * r * k, row, row, -top, -s)


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
