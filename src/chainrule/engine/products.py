"""Matrix products: blocks in registers, over columns of B that are packed where they would not stay in the cache."""

from __future__ import annotations

from numba import types

from chainrule.engine.blocks import TALL, column_product, copied_lines, turned_lines
from chainrule.engine.compiled import unit
from chainrule.engine.kernels import DO_SCALE, operate
from chainrule.engine.vector import BYTES, LINE

DEEP = 256  # terms of a sum at a time: two vectors of columns of B so long stay in the first cache
HIGH = 128  # rows of A at a time, which with them stay in the second
PANELS = 4  # blocks of columns that are packed at a time: a row of B is then more than a line of the cache
GAP = 2  # rows between packed blocks, for what is copied past their end
PACKED = DEEP * PANELS * 2 * BYTES // 4 + (DEEP + GAP) * (HIGH + PANELS * TALL)  # entries of columns and rows, at most
FAR = 1024  # bytes between rows from which packing pays
MANY = 16  # blocks of columns from which packing rows of A pays

columns, turn = column_product(), turned_lines()
copy_rows, copy_columns = copied_lines(lambda v: TALL, PANELS, GAP), copied_lines(lambda v: 2 * v.lanes, PANELS)


@unit(
    lambda real: (
        real[::1], *(types.int64,) * 10, types.boolean, types.int64, types.int64, real, real,
    )
)  # fmt: skip
def gemm(m, base, pack, rows, width, depth, a, row, step, b, ldb, turned, c, ldc, alpha, beta):
    """C = alpha A B + beta C, or with B' if `turned`; a, b, c, pack are entries of the arena m, which lies at `base`.

    Entry (i, k) of A is m[a + i row + k step], so that A' is A with its strides exchanged. While columns of B
    are worked on, those that are packed next are called from memory.
    """
    size = m.itemsize
    wide = 2 * (BYTES // size)
    if width == 1 and row == 1 and ldc == 1:  # a column of A' b is a row of b' A, which vectors run along
        rows, width, a, row, step, b, ldb, turned = 1, rows, b, 0, 1 if turned else ldb, a, step, False
    if depth == 1 and beta == 0 and (ldb == 1 or not turned):  # a column times a row: the row, scaled for each row of C
        for i in range(rows):
            operate(
                DO_SCALE, width, base + size * (c + i * ldc), base + size * b, base + size * b,
                alpha * m[a + i * row], m.dtype.type(0),
            )  # fmt: skip
        return
    packs_a = max(row, step) * size > FAR and width >= MANY * wide and rows >= 2 * TALL
    packs_b = ldb * size > FAR and rows >= 4 * TALL
    packed_a = pack + PANELS * DEEP * wide
    for i in range(0, rows, HIGH):
        high = min(HIGH, rows - i)
        for k in range(0, depth, DEEP):
            deep = min(DEEP, depth - k)
            from_a, down, within, along = a + i * row + k * step, row, row, step
            if packs_a:
                for p in range(0, high, PANELS * TALL if row == 1 else TALL):
                    source, target = base + size * (from_a + p * row), base + size * (packed_a + p * (deep + GAP))
                    if row == 1:
                        copy_rows(deep, source, step, target, alpha)
                    else:
                        turn(min(TALL, high - p), deep, source, row, target, TALL, alpha)
                from_a, down, within, along = packed_a, deep + GAP, 1, TALL
            for j in range(0, width, wide):
                many = min(wide, width - j)
                from_b, ld = b + k * ldb + j, ldb
                soon, each, lines = from_b, 0, 0
                if turned or packs_b:
                    panel = j // wide % PANELS
                    blocks = max(high // TALL, 1)
                    if turned:
                        soon, part, lines = b + (j + wide) * ldb + k, wide, DEEP * size // LINE
                    else:
                        part, lines = DEEP // PANELS, PANELS * wide * size // LINE
                        soon = b + (k + panel * part) * ldb + j + (PANELS - panel) * wide
                    each = (part + blocks - 1) // blocks
                    packed_b = pack + panel * deep * wide
                    if turned:
                        from_b = b + j * ldb + k
                        turn(many, deep, base + size * from_b, ldb, base + size * packed_b, wide, alpha)
                    elif panel == 0:
                        copy_columns(deep, base + size * from_b, ldb, base + size * pack, alpha)
                    from_b, ld = packed_b, wide
                columns(
                    high, many, deep, base + size * from_a, down, within, along, base + size * from_b, ld,
                    base + size * (c + i * ldc + j), ldc, base + size * soon, ldb, each, lines,
                    alpha, beta if k == 0 else m.dtype.type(1),
                )  # fmt: skip
