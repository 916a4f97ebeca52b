"""Matrix products: blocks in registers, over columns of B that are packed where they would not stay in the cache."""

from __future__ import annotations

from numba import njit

from chainrule.engine.compiled import OPTIONS
from chainrule.engine.vector import BYTES, TALL, block_product

DEEP = 1024  # terms of a sum at a time
PACKED = DEEP * 2 * BYTES // 4  # entries of packed columns, at most
FAR = 1024  # bytes between the rows of B from which packing pays

tall, pair, single = (block_product(rows, 2, masked=False) for rows in (TALL, 2, 1))
tall_part, pair_part, single_part = (block_product(rows, 2, masked=True) for rows in (TALL, 2, 1))
tall_half, pair_half, single_half = (block_product(rows, 1, masked=True) for rows in (TALL, 2, 1))


@njit(**OPTIONS)
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


@njit(**OPTIONS)
def pack_turned(m, b, ldb, target, wide, many, deep):
    """The transpose of `many` rows of B, `wide` entries to a line; whole lines, so that stores meet in the cache."""
    for p in range(0, deep, 8):
        end = min(p + 8, deep)
        for q in range(many):
            source = b + q * ldb
            for k in range(p, end):
                m[target + k * wide + q] = m[source + k]


@njit(**OPTIONS)
def gemm(m, base, pack, rows, width, depth, a, row, step, b, ldb, turned, c, ldc, alpha, beta):
    """C = alpha A B + beta C, or with B' if `turned`; a, b, c, pack are entries of the arena m, which lies at `base`.

    Entry (i, k) of A is m[a + i row + k step], so that A' is A with its strides exchanged.
    """
    size = m.itemsize
    wide = 2 * (BYTES // size)
    packs = ldb * size > FAR and rows >= 4 * TALL
    for j in range(0, width, wide):
        many = min(wide, width - j)
        for k in range(0, depth, DEEP):
            deep = min(DEEP, depth - k)
            at, ld = b + k * ldb + j, ldb
            if turned:
                pack_turned(m, b + j * ldb + k, ldb, pack, wide, many, deep)
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
