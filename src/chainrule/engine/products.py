"""Matrix products: blocks in registers, over columns of B that are packed where they would not stay in the cache."""

from __future__ import annotations

from numba import types

from chainrule.engine.compiled import unit
from chainrule.engine.vector import BYTES, TALL, block_product, turned_lines

DEEP = 1024  # terms of a sum at a time
PACKED = DEEP * 2 * BYTES // 4  # entries of packed columns, at most
FAR = 1024  # bytes between the rows of B from which packing pays

tall, pair, single = (block_product(rows, 2, masked=False) for rows in (TALL, 2, 1))
tall_part, pair_part, single_part = (block_product(rows, 2, masked=True) for rows in (TALL, 2, 1))
tall_half, pair_half, single_half = (block_product(rows, 1, masked=True) for rows in (TALL, 2, 1))


@unit(lambda real: (*(types.int64,) * 11, real, real))
def columns(size, rows, width, depth, a, row, step, b, ldb, c, ldc, alpha, beta):
    """At most two vectors of columns of C = alpha A B + beta C; a, b, c are addresses."""
    i = 0
    down_a, down_c = size * row, size * ldc
    if width == 2 * (BYTES // size):
        while i + TALL <= rows:
            tall(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)
            i += TALL
        while i + 2 <= rows:
            pair(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)
            i += 2
        if i < rows:
            single(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)
    elif width > BYTES // size:
        while i + TALL <= rows:
            tall_part(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)
            i += TALL
        while i + 2 <= rows:
            pair_part(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)
            i += 2
        if i < rows:
            single_part(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)
    else:
        while i + TALL <= rows:
            tall_half(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)
            i += TALL
        while i + 2 <= rows:
            pair_half(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)
            i += 2
        if i < rows:
            single_half(depth, a + i * down_a, row, step, b, ldb, c + i * down_c, ldc, width, alpha, beta)


turn = turned_lines()


@unit(
    lambda real: (
        real[::1], *(types.int64,) * 10, types.boolean, types.int64, types.int64, real, real,
    )
)  # fmt: skip
def gemm(m, base, pack, rows, width, depth, a, row, step, b, ldb, turned, c, ldc, alpha, beta):
    """C = alpha A B + beta C, or with B' if `turned`; a, b, c, pack are entries of the arena m, which lies at `base`.

    Entry (i, k) of A is m[a + i row + k step], so that A' is A with its strides exchanged.
    """
    size = m.itemsize
    wide = 2 * (BYTES // size)
    if width == 1 and row == 1 and ldc == 1:  # a column of A' b is a row of b' A, which vectors run along
        rows, width, a, row, step, b, ldb, turned = 1, rows, b, 0, 1 if turned else ldb, a, step, False
    packs = ldb * size > FAR and rows >= 4 * TALL
    for j in range(0, width, wide):
        many = min(wide, width - j)
        for k in range(0, depth, DEEP):
            deep = min(DEEP, depth - k)
            at, ld = b + k * ldb + j, ldb
            if turned:
                turn(many, deep, base + size * (b + j * ldb + k), ldb, base + size * pack, alpha)
                at, ld = pack, wide
            elif packs:
                for p in range(deep):
                    source = m[at + p * ldb : at + p * ldb + many]
                    target = m[pack + p * wide : pack + p * wide + many]
                    for q in range(many):
                        target[q] = source[q]
                at, ld = pack, wide
            columns(
                size, rows, many, deep, base + size * (a + k * step), row, step, base + size * at, ld,
                base + size * (c + j), ldc, alpha, beta if k == 0 else m.dtype.type(1),
            )  # fmt: skip
