"""The interpreter: steps on many minibatches, as one member of a team of threads that all read the same instructions.

What a task is follows from shapes alone, and sums over tasks are added in their order; threads only choose who does
which. So the number of threads does not change a bit of the result.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit, types

from chainrule.arrays import GOLDEN, MIX
from chainrule.engine import entries as e
from chainrule.engine.compiled import OPTIONS, kept, unit
from chainrule.engine.kernels import DO_FILL, compute, operate, row_function, work
from chainrule.engine.products import PACKED, gemm
from chainrule.engine.vector import copy_ahead, fetch, fetch_add, flush_tiny
from chainrule.engine.words import (
    FINISH,
    GATHER,
    GEMM,
    LABELS,
    MAP,
    RANDOM,
    ROW_FUNCTION,
    ROW_SUMS,
    STORE,
)  # fmt: skip

TICKET, STOP = 8, 16  # places in the team's board, a cache line each; the meetings are counted at 0
PATIENCE = 4000  # looks at the board before a thread lets others run
AHEAD = 1024  # bytes that are called from memory before they are copied, a row at least
give_way = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


copy_row = copy_ahead()


@unit(lambda real: (real[::1], types.int64, types.int64, real[:, ::1], types.int64[::1], types.int64, types.int64))
def gather(m, base, out, source, order, first, rows):
    """The rows `order[first]` and on of a C-contiguous matrix, one after the other."""
    size, k, address = m.itemsize, source.shape[1], source.ctypes.data
    ahead = max(1, AHEAD // max(1, size * k))
    last = (len(order) if len(order) else len(source)) - 1
    for r in range(rows):
        here, soon = first + r, min(first + r + ahead, last)
        if len(order):
            here, soon = order[here], order[soon]
        copy_row(k, base + size * (out + r * k), address + size * k * here, address + size * k * soon, m.dtype.type(0))


STRIDE, FIRST_MIX, LAST_MIX = map(np.uint64, (GOLDEN, *MIX))


@unit(lambda real: (real[::1], types.int64, types.int64, types.uint64, types.uint64, types.float64))
def draw(m, out, count, seed, first, keep):
    """Entries 1 / keep with probability keep, else 0, by their number alone, as `arrays.counted_masks` says."""
    value = m.dtype.type(1.0 / keep)
    zero = m.dtype.type(0)
    for i in range(count):
        x = seed + (first + np.uint64(i)) * STRIDE
        x = (x ^ (x >> np.uint64(30))) * FIRST_MIX
        x = (x ^ (x >> np.uint64(27))) * LAST_MIX
        x = x ^ (x >> np.uint64(31))
        m[out + i] = value if np.float64(x >> np.uint64(40)) * 2.0**-24 < keep else zero


@njit(**OPTIONS)
def on_tile(
    m, base, numbers, code, micro, first, last, r0, rows, n, mine, pack, partials, tile, tiles,
    X, Y, labels, weights, order, start, results, seed,
):  # fmt: skip
    """The instructions of a loop, from `first` on, on `rows` rows from r0."""
    real, size = m.dtype.type, m.itemsize
    for i in range(first, last):
        kind = code[i, 0]
        if kind == MAP:
            work(
                m, base, numbers, micro, code[i, 2], code[i, 3], code[i, 4], code[i, 1], code[i, 5] == 1, rows, r0,
                mine, partials, tile,
            )  # fmt: skip
            continue
        out = code[i, 1] + code[i, 2] * r0 + code[i, 3] * mine
        a = code[i, 4] + code[i, 5] * r0 + code[i, 6] * mine
        k = code[i, 7]
        if kind == GEMM:
            gemm(
                m, base, pack, rows, code[i, 13], n if code[i, 14] < 0 else code[i, 14], a, k, code[i, 8],
                code[i, 9] + code[i, 10] * mine, code[i, 11], code[i, 12] == 1, out, code[i, 13],
                real(numbers[code[i, 15]]), real(numbers[code[i, 16]]),
            )  # fmt: skip
        elif kind == ROW_FUNCTION:
            known = code[i, 9] + code[i, 10] * r0 + code[i, 11] * mine
            row_function(m, base, code[i, 8], out, a, known, k, rows)
        elif kind == ROW_SUMS:
            for r in range(rows):
                m[out + r] = e.row_sum(k, base + size * (a + r * k), real(0))
        elif kind == GATHER:
            source = X if code[i, 8] == 0 else (Y if code[i, 8] == 1 else weights)
            gather(m, base, out, source, order, start + r0, rows)
        elif kind == LABELS:
            operate(DO_FILL, rows * k, base + size * out, base, base, real(0), real(0))
            for r in range(rows):
                m[out + r * k + labels[order[start + r0 + r]]] = real(1)
        elif kind == RANDOM:
            keep = numbers[code[i, 8]]
            draw(m, out, rows * k, seed, np.uint64(code[i, 9] + (start + r0) * k + 1), keep)
        elif kind == STORE:
            for r in range(rows):
                for j in range(k):
                    results[start + r0 + r, j] = m[a + r * k + j]
        elif kind == FINISH:
            s = 0.0
            for q in range(code[i, 4], code[i, 4] + (tiles if code[i, 5] < 0 else code[i, 5])):
                s += partials[q]
                partials[q] = 0.0
            m[out] = real(s)


@njit(**OPTIONS)
def meet(board, team):
    """Wait for the others; False if all are to stop. After a while it lets whoever waits for this processor go on."""
    round = fetch_add(board, 1) // team
    waited = 0
    while fetch(board) // team <= round:
        if fetch(board + 8 * STOP) != 0:
            return False
        waited += 1
        if waited > PATIENCE:
            give_way()
    return True


@kept
@njit(**OPTIONS)
def run(
    m, base, numbers, arithmetic, loops, code, micro, partials, private, area, X, Y, labels, weights, order, starts,
    shares, results, tile_rows, at_n, at_loss, seed, total, me, team, board,
):  # fmt: skip
    """Steps on the minibatches `starts[i] : starts[i + 1]` of `order`, in order.

    `total` takes the sum of shares[i] times the loss of minibatch i.
    """
    control: int = flush_tiny(1, 0)
    mine = private + me * area
    pack = mine + area - PACKED
    taken = 0  # tickets that are gone
    for b in range(len(starts) - 1):
        if fetch(board + 8 * STOP) != 0:
            break
        start = starts[b]
        n = starts[b + 1] - start
        numbers[at_n] = n
        compute(numbers, arithmetic)
        q = 0
        while q < len(loops):
            end, tasks, phase = q, 0, loops[q, 0]
            while end < len(loops) and loops[end, 0] == phase:
                extent = n if loops[end, 3] < 0 else loops[end, 3]
                tasks += (extent + loops[end, 4] - 1) // loops[end, 4]
                end += 1
            if q and team > 1 and not meet(board, team):
                break
            loop, before, task = q, 0, 0
            while True:
                if team > 1:
                    task = fetch_add(board + 8 * TICKET, 1) - taken
                if task >= tasks or fetch(board + 8 * STOP) != 0:
                    break
                while True:
                    extent = n if loops[loop, 3] < 0 else loops[loop, 3]
                    height = loops[loop, 4]
                    tiles = (extent + height - 1) // height
                    if task - before < tiles:
                        break
                    before += tiles
                    loop += 1
                tile = task - before
                r0 = tile * height
                on_tile(
                    m, base, numbers, code, micro, loops[loop, 1], loops[loop, 2], r0, min(height, extent - r0), n,
                    mine, pack, partials, tile, (n + tile_rows - 1) // tile_rows, X, Y, labels, weights, order,
                    start, results, seed,
                )  # fmt: skip
                task += 1
            taken += tasks + team
            q = end
        if team > 1 and not meet(board, team):
            break
        if me == 0 and len(shares):
            total[0] += m[at_loss] * shares[b]
    flush_tiny(0, control)
