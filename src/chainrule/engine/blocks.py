"""The inner loops of matrix products: blocks whose sums stay in registers, and lines packed for them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from chainrule.engine.lanes import Lanes, fma
from chainrule.engine.vector import I32, I64, LINE, WIDE, Vectors

TALL = 8 if WIDE else 6  # rows of a block: 2 TALL sums and three more registers
LOWER = 4, 2, 1  # rows of the blocks for what is left, fewer than TALL
AHEAD = 8  # rows
LONG = 64  # terms of a sum, while which the block that is written comes from memory


@dataclass(frozen=True)
class Ahead:
    """Memory that is read soon: some `lines` of every row of it, of which each block calls a few."""

    place: Any
    ld: Any  # entries
    each: Any  # rows for a block
    lines: Any

    def call(self, v: Vectors, block: Any) -> None:
        """What is called with a block, by its number."""
        builder = v.builder
        first = builder.mul(block, self.each)
        with cgutils.for_range(builder, self.each) as rows:
            row = builder.gep(self.place, [builder.mul(builder.add(first, rows.index), self.ld)])
            with cgutils.for_range(builder, self.lines) as line:
                v.call_ahead(builder.gep(row, [builder.mul(line.index, I64(LINE // v.size))]))


@dataclass(frozen=True)
class Factors:
    """What a block of C = alpha A B + beta C is made from: places of entries, and distances between them in entries."""

    depth: Any
    row: Any  # entry (i, k) of A lies at i row + k step
    step: Any
    b: Any
    ldb: Any
    ldc: Any
    width: Any
    alpha: Lanes
    beta: Any
    ahead: Ahead

    def block(self, v: Vectors, rows: int, vectors: int, a: Any, c: Any, *, masked: bool) -> None:
        """Write the product for a few rows and one or two vectors of columns, all sums in registers.

        With `masked`, only `width` columns are written; whole vectors are read all the same, so memory must go on for
        two of them. An entry is a sum over k in order, of fused multiply-adds: its bits do not depend on the block.
        """
        builder, zeros = v.builder, v.constant(0.0).value
        places = [I64(i * v.lanes) for i in range(vectors)]
        ends = [None] * (vectors - 1) + [v.first(builder.sub(self.width, places[-1])) if masked else None]
        sums = [[cgutils.alloca_once_value(builder, zeros) for _ in places] for _ in range(rows)]
        heads = [builder.gep(a, [builder.mul(self.row, I64(i))]) for i in range(rows)]
        for total in itertools.chain(*sums):
            builder.store(zeros, total)
        if not masked:
            with builder.if_then(builder.icmp_signed(">=", self.depth, I64(LONG))):
                for i in range(rows):
                    v.call_ahead(builder.gep(c, [builder.mul(self.ldc, I64(i))]))
        with cgutils.for_range(builder, self.depth) as loop:
            line = builder.gep(self.b, [builder.mul(loop.index, self.ldb)])
            columns = [v.load(line, place) for place in places]
            offset = builder.mul(loop.index, self.step)
            for head, line_sums in zip(heads, sums, strict=True):
                x = v.repeated(builder.load(builder.gep(head, [offset])))
                for column, total in zip(columns, line_sums, strict=True):
                    builder.store(fma(x, column, Lanes(builder, builder.load(total))).value, total)
        for total in itertools.chain(*sums):
            builder.store((self.alpha * Lanes(builder, builder.load(total))).value, total)
        lines = [builder.gep(c, [builder.mul(self.ldc, I64(i))]) for i in range(rows)]
        with builder.if_then(builder.fcmp_unordered("!=", self.beta, ir.Constant(v.entry, 0.0))):
            betas = v.repeated(self.beta)
            for line, line_sums in zip(lines, sums, strict=True):
                for total, place in zip(line_sums, places, strict=True):
                    builder.store(fma(betas, v.load(line, place), Lanes(builder, builder.load(total))).value, total)
        for line, line_sums in zip(lines, sums, strict=True):
            for total, *at in zip(line_sums, places, ends, strict=True):
                v.store(Lanes(builder, builder.load(total)), line, *at)

    def column(self, v: Vectors, rows: Any, a: Any, down: Any, c: Any, vectors: int, *, masked: bool) -> None:
        """Write the blocks one below the other; those of A lie `down` apart for each row."""
        builder = v.builder
        whole = builder.udiv(rows, I64(TALL))
        with cgutils.for_range(builder, whole) as loop:
            self.ahead.call(v, loop.index)
            i = builder.mul(loop.index, I64(TALL))
            at = builder.gep(a, [builder.mul(i, down)])
            self.block(v, TALL, vectors, at, builder.gep(c, [builder.mul(i, self.ldc)]), masked=masked)
        done = builder.mul(whole, I64(TALL))
        left = builder.sub(rows, done)
        a, c = builder.gep(a, [builder.mul(done, down)]), builder.gep(c, [builder.mul(done, self.ldc)])
        for height in LOWER:
            with builder.if_then(builder.icmp_signed("!=", builder.and_(left, I64(height)), I64(0))):
                i = builder.and_(left, I64(-2 * height))  # done by those before
                at = builder.gep(a, [builder.mul(i, self.row)])
                self.block(v, height, vectors, at, builder.gep(c, [builder.mul(i, self.ldc)]), masked=masked)


def column_product() -> Any:
    """At most two vectors of columns of C = alpha A B + beta C.

    Entry (i, k) of A lies at a + i down + k step where i is a multiple of TALL, and the rows between at `row` from it.
    With each block, some `lines` of `each` rows are called from `soon` on.
    """

    @intrinsic
    def product(typing, rows, width, depth, a, down, row, step, b, ldb, c, ldc, soon, ld, each, lines, alpha, beta):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            rows, width, depth, a, down, row, step, b, ldb, c, ldc, soon, ld, each, lines, alpha, beta = args
            v = Vectors(builder, signature.args[-1])
            a, b, c, soon = map(v.pointer, (a, b, c, soon))
            ahead = Ahead(soon, ld, each, lines)
            factors = Factors(depth, row, step, b, ldb, ldc, width, v.repeated(alpha), beta, ahead)
            one, two = I64(v.lanes), I64(2 * v.lanes)
            with builder.if_else(builder.icmp_signed("==", width, two)) as (full, other):
                with full:
                    factors.column(v, rows, a, down, c, 2, masked=False)
                with other, builder.if_else(builder.icmp_signed(">", width, one)) as (wider, narrow):
                    with wider:
                        factors.column(v, rows, a, down, c, 2, masked=True)
                    with narrow:
                        factors.column(v, rows, a, down, c, 1, masked=True)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 15, alpha, alpha), generate

    return product


def copied_lines(entries: Callable[[Vectors], int], panels: int = 1, gap: int = 0) -> Any:
    """So many first `entries` of `deep` rows as lines, and those after them in the next panel, and so on.

    Whole vectors are copied: what is past the end of a line is written over by the next one, after a panel it lies in a
    `gap` of so many lines. The row some further on is called from memory meanwhile.
    """

    @intrinsic
    def copy(typing, deep, source, ld, target, like):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            deep, source, ld, target, _ = args
            v = Vectors(builder, signature.args[-1])
            source, target = v.pointer(source), v.pointer(target)
            count = entries(v)
            size = I64(count)
            with cgutils.for_range(builder, deep) as loop:
                row = builder.gep(source, [builder.mul(loop.index, ld)])
                line = builder.mul(loop.index, size)
                for panel in range(panels):
                    first = builder.mul(size, I64(panel))
                    v.call_ahead(builder.gep(row, [builder.add(first, builder.mul(ld, I64(AHEAD)))]))
                    place = builder.add(line, builder.mul(builder.mul(builder.add(deep, I64(gap)), size), I64(panel)))
                    for i in range(-(-count // v.lanes)):
                        step = I64(i * v.lanes)
                        v.store(v.load(row, builder.add(first, step)), target, builder.add(place, step))
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 4, like), generate

    return copy


def turned_lines() -> Any:
    """The transpose of `many` rows of `deep` entries, as lines; of what is past their end the next one is the owner.

    Blocks as high as a vector is long are turned in registers. The last one reads and writes more than there is.
    """

    @intrinsic
    def turn(typing, many, deep, source, ld, target, line, like):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            many, deep, source, ld, target, line, _ = args
            v = Vectors(builder, signature.args[-1])
            source, target = v.pointer(source), v.pointer(target)
            size, last = I64(v.lanes), builder.sub(many, I64(1))
            blocks = lambda n: builder.udiv(builder.add(n, I64(v.lanes - 1)), size)
            down = blocks(many)
            with cgutils.for_range(builder, blocks(deep)) as across:
                k = builder.mul(across.index, size)
                with cgutils.for_range(builder, down) as up:  # from the last one on, which may write over others
                    first = builder.mul(builder.sub(builder.sub(down, I64(1)), up.index), size)
                    rows = []
                    for i in range(v.lanes):
                        row = builder.add(first, I64(i))
                        row = builder.select(builder.icmp_signed("<", row, last), row, last)
                        rows.append(v.load(source, builder.add(builder.mul(row, ld), k)).value)
                    for i, turned in enumerate(_transposed(v, rows)):
                        at = builder.add(builder.mul(builder.add(k, I64(i)), line), first)
                        v.store(Lanes(builder, turned), target, at)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 6, like), generate

    return turn


def _transposed(v: Vectors, rows: list[Any]) -> list[Any]:
    """As many vectors as lanes, transposed: again and again each half is interleaved with the other."""
    half, n = len(rows) // 2, v.lanes
    ends = [
        ir.Constant(ir.VectorType(I32, n), [part * n // 2 + i // 2 + i % 2 * n for i in range(n)]) for part in (0, 1)
    ]
    for _ in range(n.bit_length() - 1):
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [v.builder.shuffle_vector(a, b, end) for a, b in pairs for end in ends]
    return rows
