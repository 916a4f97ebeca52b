"""From a schedule to integers: where every value lies, and each instruction as a row of numbers for the kernels.

Memory is one arena: parameters and states end to end, then what several loops share, then an area for each thread.
Values that are never alive at once share a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import salt
from chainrule.engine.fold import Fold, folds
from chainrule.engine.map import REGISTERS, MapWriter
from chainrule.engine.numbers import Numbers
from chainrule.engine.resolve import ROWS, over_rows
from chainrule.engine.schedule import Instruction, Loop, Root, Schedule
from chainrule.engine.words import (
    BLOCK,
    COLUMN,
    FINISH,
    GATHER,
    GEMM,
    LABELS,
    MAP,
    RANDOM,
    ROW,
    ROW_FUNCTION,
    ROW_SUMS,
    ROWWISE,
    STORE,
)  # fmt: skip
from chainrule.expr import Node, transpose_op

LINE = 16  # entries: places begin at cache lines
SMALL = 200_000  # multiply-adds of a minibatch: fewer are one tile, and so many more are worth another
MOST_PARTS = 4  # for that reason; what does not fit the cache has more
CODE, MICRO = 24, 16  # numbers of an instruction and of an operation of MAP


@dataclass(frozen=True)
class Place:
    """Where a value lies, in entries of the arena; a private one has a copy in each thread's area."""

    base: int
    private: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """A schedule as integers."""

    loops: np.ndarray[Any, Any]  # phase, first and last instruction, rows (-1: of the minibatch), tile, alone
    code: np.ndarray[Any, Any]
    micro: np.ndarray[Any, Any]
    numbers: Numbers
    places: dict[Node, Place]
    shared: int  # entries of the arena that all threads share
    private: int  # entries of each thread's area
    partials: int
    rows: int  # of a minibatch, at most
    tile: int  # of them at a time
    stored: int  # entries of parameters and states, at the front
    lasting: tuple[tuple[str, int, int, tuple[int, int]], ...]  # name, first and last entry, and shape of each of them
    folds: dict[Instruction, Fold]  # products that go straight into a stored matrix


def block_rows(extent: int, columns: int, work: int) -> int:
    """Rows of a stored matrix that are updated at a time: whole cache-sized blocks, by the shape alone.

    `work` is multiply-adds of all of them; where it is enough to share, there are several blocks.
    """
    parts = max(1, min(MOST_PARTS, work // SMALL))
    most = extent if extent * columns <= 16_384 else max(32, min(256, 98_304 // columns))
    rows = min(most, -(-extent // parts))
    return min(extent, -(-rows // 8) * 8)


def tile_rows(rows: int, work: int) -> int:
    """Rows of a minibatch that are computed at a time, by the shape alone; `work` is multiply-adds a row."""
    if rows * work <= SMALL:
        return min(rows, 512)
    least = 16 if work <= 65_536 else 64  # where factors do not stay in the cache, they are packed for each tile
    return max(least, min(128, -(-rows // 16) * 8))


class Pool:
    """Places for intervals of time: first fit."""

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self.taken: list[tuple[int, int, int, int]] = []  # base, end, born, dies

    def take(self, size: int, born: int, dies: int) -> int:
        """A place that nothing alive in between has."""
        size = -(-size // LINE) * LINE
        clashes = sorted((b, e) for b, e, x, y in self.taken if x <= dies and born <= y)
        base = self.start
        for b, e in clashes:
            if base + size <= b:
                break
            base = max(base, e)
        self.taken.append((base, base + size, born, dies))
        self.end = max(self.end, base + size)
        return base


class Planner:
    """Places values, then writes instructions."""

    def __init__(self, schedule: Schedule, stored: Sequence[Node], rows: int, labels: Node | None, work: int) -> None:
        self.schedule, self.rows, self.labels = schedule, rows, labels
        self.numbers = Numbers()
        self.code: list[list[int]] = []
        self.folds: dict[Instruction, Fold] = {}
        self.micro: list[list[int]] = []
        self.partials: dict[Node, tuple[int, int]] = {}  # total -> first slot and how many (-1: one each tile)
        self.tile = tile_rows(rows, work)
        self.places: dict[Node, Place] = {}
        self.lasting: list[tuple[str, int, int, tuple[int, int]]] = []
        at = 0
        for node in stored:
            self.places[node] = Place(at)
            shape = int(node.shape[0]), int(node.shape[1])
            self.lasting.append((str(node.name), at, at + shape[0] * shape[1], shape))
            at += shape[0] * shape[1]
        self.stored = at
        self.one = at  # where a 1 lies

    def plan(self) -> Plan:
        """Everything."""
        self._reserve_partials()
        shared, private = self._place()
        loops = []
        for loop in self.schedule.loops:
            first = len(self.code)
            found = {} if loop.extent is None else folds(loop, self.schedule.stored, self.numbers)
            self.folds |= found
            done = {f.root for f in found.values()}
            for i in loop.body:
                self._write(i, found.get(i), done)
            tile, alone = self._tile(loop), loop.extent is not None and self._tile(loop) >= loop.extent
            loops.append([loop.phase, first, len(self.code), -1 if loop.extent is None else loop.extent, tile, alone])
        self.numbers.commit(self.schedule.scalars)
        return Plan(
            np.array(loops, np.int64).reshape(-1, 6),
            _table(self.code, CODE),
            _table(self.micro, MICRO),
            self.numbers,
            self.places,
            shared,
            private,
            max(self.n_partials, 1),
            self.rows,
            self.tile,
            self.stored,
            tuple(self.lasting),
            self.folds,
        )

    def _tile(self, loop: Loop) -> int:
        if loop.extent is None:
            return self.tile
        columns = max(int(i.out.shape[1]) for i in loop.body)
        products = [i.out for i in loop.body if i.kind == "gemm"]
        depth = sum(self.rows if n.args[0].shape[1] == ROWS else int(n.args[0].shape[1]) for n in products)
        return block_rows(loop.extent, columns, depth * loop.extent * columns)

    def _reserve_partials(self) -> None:
        self.n_partials = 0
        for loop in self.schedule.loops:
            tiles = -(-(self.rows if loop.extent is None else loop.extent) // self._tile(loop))
            for i in loop.body:
                for r in i.roots:
                    if r.kind == "sum":
                        assert r.target is not None
                        self.partials[r.target] = (self.n_partials, -1 if loop.extent is None else tiles)
                        self.n_partials += tiles

    # ---- memory

    def _place(self) -> tuple[int, int]:
        """A place for every value: in a thread's area if it lives and dies within one loop."""
        clock = {i: t for t, i in enumerate(i for loop in self.schedule.loops for i in loop.body)}
        owner = {i: loop for loop in self.schedule.loops for i in loop.body}
        begins: dict[int, int] = {}
        ends: dict[int, int] = {}
        for i, t in clock.items():
            begins.setdefault(owner[i].phase, t)
            ends[owner[i].phase] = t
        users: dict[Node, list[Instruction]] = {}
        for i in clock:
            for n in i.reads:
                users.setdefault(n, []).append(i)
        kept = {n for n in self.schedule.outputs.values() if not over_rows(n)}
        shared, private = Pool(-(-(self.stored + 1) // LINE) * LINE), Pool(REGISTERS * BLOCK)
        for i, t in clock.items():
            loop = owner[i]
            made = [r.node for r in i.roots if r.kind == "value"] if i.kind == "map" else [i.out]
            if i.kind == "store":
                continue
            for n in made:
                uses = users.get(n, [])
                columns = int(n.shape[1])
                if n not in kept and all(owner[u] is loop for u in uses):
                    rows = self._tile(loop) if loop.extent is None else min(self._tile(loop), loop.extent)
                    last = max((clock[u] for u in uses), default=t)
                    self.places[n] = Place(private.take(rows * columns, t, last), True)
                else:
                    rows = self.rows if over_rows(n) else int(n.shape[0])
                    last = max((ends[owner[u].phase] for u in uses), default=t)
                    until = len(clock) if n in kept else max(last, ends[loop.phase])
                    since = 0 if n in kept else begins[loop.phase]  # it is read when the next step has begun
                    self.places[n] = Place(shared.take(rows * columns, since, until))
        return shared.end, private.end

    def stream(self, n: Node) -> list[int]:
        """How a MAP walks over a stored value: first entry, entries between rows of tiles, private, moving."""
        place = self.places[n]
        return [place.base, 0 if place.private else int(n.shape[1]), int(place.private), 1]

    def _tiled(self, n: Node) -> list[int]:
        """Where the rows of a tile begin: first entry, entries between rows, private."""
        return self.stream(n)[:3]

    # ---- instructions

    def _write(self, i: Instruction, fold: Fold | None, done: set[Root]) -> None:
        out = i.out
        columns = int(out.shape[1])
        if i.kind == "map":
            self._map(i, done)
        elif i.kind == "gemm":
            self._gemm(out, fold)
        elif i.kind == "column_sums":
            a = out.args[0]
            self._product(out, [self.one, 0, 0, 0, 0], a, a.shape[0], False, fold)
        elif i.kind == "row_sums":
            a = out.args[0]
            self.code.append([ROW_SUMS, *self._tiled(out), *self._tiled(a), int(a.shape[1])])
        elif i.kind == "rowwise":
            a = out.args[0]
            known = self._tiled(i.reads[1]) if len(i.reads) > 1 else [-1, 0, 0]
            function = ROWWISE[out.op.name]
            self.code.append([ROW_FUNCTION, *self._tiled(out), *self._tiled(a), int(a.shape[1]), function, *known])
        elif i.kind == "gather":
            if out is self.labels:
                self.code.append([LABELS, *self._tiled(out), 0, 0, 0, columns])
            else:
                source = ("data", "target", "weight").index(out.value.role)
                self.code.append([GATHER, *self._tiled(out), 0, 0, 0, columns, source])
        elif i.kind == "random":
            keep = self.numbers.constant(out.value.distribution[1])
            self.code.append([RANDOM, *self._tiled(out), 0, 0, 0, columns, keep, salt(out)])
        elif i.kind == "store":
            self.code.append([STORE, 0, 0, 0, *self._tiled(out), columns])
        else:
            self.code.append([FINISH, *self._tiled(out), *self.partials[out]])

    def _gemm(self, out: Node, fold: Fold | None) -> None:
        """out = A B for the rows of a tile; A by strides, B as it lies or transposed."""
        left, right = out.args
        a = left.args[0] if left.op is transpose_op else left
        b = right.args[0] if right.op is transpose_op else right
        place, ld = self.places[a], int(a.shape[1])
        if left.op is transpose_op:
            where = [place.base, 1, int(place.private), 1, ld]
        else:
            where = [*self._tiled(a), ld, 1]
        self._product(out, where, b, left.shape[1], right.op is transpose_op, fold)

    def _product(
        self, out: Node, left: Sequence[int], right: Node, depth: int | str, turned: bool, fold: Fold | None
    ) -> None:
        """The left factor by where it begins and its strides; of a sum over rows it is the same 1 everywhere."""
        place = self.places[right]
        self.code.append(
            [
                GEMM, *self._into(out, fold), *left, place.base, int(place.private), int(right.shape[1]), int(turned),
                int(out.shape[1]), -1 if depth == ROWS else int(depth), *self._weights(fold),
            ]
        )  # fmt: skip

    def _into(self, out: Node, fold: Fold | None) -> list[int]:
        """Where a product is written."""
        if fold is None:
            return self._tiled(out)
        assert fold.root.target is not None
        return self._tiled(fold.root.target)

    def _weights(self, fold: Fold | None) -> tuple[int, int]:
        """The slots of alpha and beta."""
        return (self.numbers.constant(1.0), self.numbers.constant(0.0)) if fold is None else (fold.alpha, fold.beta)

    def _map(self, i: Instruction, done: set[Root]) -> None:
        """What no product has done already; that is read where it was committed."""
        roots = [r for r in i.roots if r not in done]
        if not roots:
            return
        given = {r.node: self.stream(r.target) for r in i.roots if r in done and r.target is not None}
        partials = {total: slot for total, (slot, _) in self.partials.items()}
        committed = set(self.schedule.commits)
        writer = MapWriter(
            roots, self.schedule.stored, self.numbers, self.stream, self.places, partials, given, committed
        )
        fills, body = writer.write()
        start = len(self.micro)
        self.micro += fills + body
        broadcast = any(row[0] in (ROW, COLUMN) for row in fills + body)
        self.code.append([MAP, int(i.out.shape[1]), start, start + len(fills), len(self.micro), int(broadcast)])


def _table(rows: list[list[int]], width: int) -> np.ndarray[Any, Any]:
    table = np.zeros((len(rows), width), np.int64)
    for row, values in zip(table, rows, strict=True):
        row[: len(values)] = values
    return table
