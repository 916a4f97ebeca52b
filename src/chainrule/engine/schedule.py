"""From lowered statements to a schedule: which instruction computes what, in which loop, in which phase.

A value with a row for each example is computed in tiles of rows; everything else in blocks of its own rows. A product
that contracts over the examples needs all of them, so it begins a new *level*: the phases come from the shapes.
Within a loop, elementwise work on one shape between two products is one instruction, whatever it is made of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chainrule.engine.resolve import (
    ROWS,
    NotLoweredError,
    bare,
    contracts,
    core,
    is_elementwise,
    is_number,
    over_rows,
)
from chainrule.engine.words import COSTLY, ROWWISE, WORDS
from chainrule.expr import (
    Node,
    matmul_op,
    symbol_op,
    toposort,
    transpose_op,
)
from chainrule.functions import is_function
from chainrule.primitives import log_softmax, softmax
from chainrule.program.lower import column_sums_op, repeat_op, row_sums_op, total_op
from chainrule.shapes import show

Kind = Literal["gemm", "map", "column_sums", "row_sums", "rowwise", "gather", "random", "finish", "store"]


@dataclass(frozen=True)
class Root:
    """What a MAP computes: the value of a node, its sum over all entries, or what a stored matrix becomes."""

    node: Node
    kind: Literal["value", "sum", "commit"]
    target: Node | None = None  # the total, or the parameter or state


@dataclass(eq=False)
class Instruction:
    """One instruction on the rows of a tile."""

    kind: Kind
    out: Node  # of a MAP, any matrix of the shape that it works on
    roots: list[Root] = field(default_factory=list)
    stage: int = 0
    reads: tuple[Node, ...] = ()


@dataclass(eq=False)
class Loop:
    """Instructions that run tile by tile of the same rows: of the minibatch, or of stored matrices."""

    extent: int | None  # rows; None for those of the minibatch
    level: int
    body: list[Instruction] = field(default_factory=list)
    phase: int = 0


@dataclass(frozen=True)
class Schedule:
    """Loops in phases, and who computes what."""

    loops: list[Loop]
    stored: set[Node]  # the values in memory; other elementwise work is done where it is used
    made: dict[Node, Loop]  # every value in memory, and the loop that makes it
    commits: dict[Node, Node]  # parameter or state -> its next value
    scalars: list[tuple[Node, Node]]  # 1 x 1 states and their next values, plain numbers
    outputs: dict[str, Node]  # named results


class Scheduler:
    """Makes a schedule; each step of the making is one method."""

    def __init__(self, results: Mapping[str, Node], commits: Mapping[Node, Node]) -> None:
        self.scalar_commits = [(old, new) for old, new in commits.items() if is_number(old)]
        self.commits = {old: new for old, new in commits.items() if not is_number(old)}
        self.outputs = dict(results)
        self.order = list(toposort(*self.outputs.values(), *self.commits.values()))
        self.live = [n for n in self.order if not is_number(n) and n.op not in (transpose_op, repeat_op)]
        self._refuse()
        self.stored = self._stored()
        self.stage = self._stages()
        self.level = self._levels()

    def _refuse(self) -> None:
        if any(is_number(out) and out.shape != (1, 1) for out in self.outputs.values()):
            raise NotLoweredError("outputs that are one number")
        for n in self.live:
            if n.shape[1] == ROWS:
                raise NotLoweredError(f"a value with a column for each example, {show(n.shape)}")
            if is_function(n) and n.op.name not in (WORDS.keys() | ROWWISE):
                raise NotLoweredError(f"the function {n.op.name}")
            if any(isinstance(s, str) and s != ROWS for s in n.shape):
                raise NotLoweredError(f"a size without a number, {show(n.shape)}")
            if n.op in (matmul_op, row_sums_op, column_sums_op, total_op) and any(map(_is_filled, n.args)):
                raise NotLoweredError(f"{n.op.name} of a matrix filled with one number")
            if n.op is symbol_op or is_elementwise(n) or n.op in (matmul_op, row_sums_op, column_sums_op, total_op):
                continue
            if not is_function(n):
                raise NotLoweredError(f"the operation {n.op.name}")
            if not over_rows(n):
                raise NotLoweredError(f"{n.op.name} of a matrix without a row for each example")
        for n in self.order:
            if n.op is transpose_op and not is_number(n):
                users = [u for u in self.order if n in u.args]
                if any(u.op is not matmul_op for u in users) or n in self.outputs.values():
                    raise NotLoweredError("a transposed matrix outside of a product")

    def _stored(self) -> set[Node]:
        """The nodes that get memory of their own; other elementwise work is done where it is used."""
        stored = {n for n in self.live if n.op is symbol_op}
        for n in self.order:
            if n.op is repeat_op:
                stored.add(n.args[0])
            elif not is_number(n) and not is_elementwise(n) and n.op not in (transpose_op, symbol_op):
                stored.add(n)
                if n.op is not total_op:
                    stored |= {bare(a) for a in n.args}
        stored |= set(self.outputs.values())
        return {n for n in stored if not is_number(n)}

    def _stages(self) -> dict[Node, int]:
        """How many instructions other than MAP are on the way to a value."""
        stage: dict[Node, int] = {}
        for n in self.order:
            before = max((stage[a] for a in n.args), default=0)
            plain = n.op in (symbol_op, transpose_op, repeat_op, total_op) or is_elementwise(n) or is_number(n)
            stage[n] = before if plain else before + 1
        return stage

    def _levels(self) -> dict[Node, int]:
        """How many contractions over the examples are on the way."""
        level: dict[Node, int] = {}
        for n in self.order:
            level[n] = max((level[a] for a in n.args), default=0) + contracts(n)
        return level

    # ---- loops

    def schedule(self) -> Schedule:
        """Everything in its loop, and the loops in phases."""
        self._spread_costly_work()
        groups = self._groups()
        loops: dict[object, Loop] = {}
        made: dict[Node, Loop] = {}

        def loop_of(n: Node, shape_of: Node) -> Loop:
            key = groups(shape_of, self.stage[n]) if not over_rows(shape_of) else ("rows", self.level[n])
            if key not in loops:
                loops[key] = Loop(None if over_rows(shape_of) else int(shape_of.shape[0]), self.level[n])
            return loops[key]

        maps: dict[tuple[Loop, int, object], Instruction] = {}

        def add_root(loop: Loop, root: Root, shape: object, stage: int) -> None:
            key = (loop, stage, shape)
            if key not in maps:
                maps[key] = Instruction("map", root.node, stage=stage)
                loop.body.append(maps[key])
            maps[key].roots.append(root)

        totals: list[Node] = []
        for n in self.order:
            if n not in self.stored or is_number(n):
                continue
            if n.op is symbol_op:
                if over_rows(n):
                    loop = made[n] = loop_of(n, n)
                    loop.body.append(Instruction("random" if n.value.role == "random" else "gather", n))
            elif n.op is total_op:
                a = n.args[0]
                add_root(loop_of(a, a), Root(a, "sum", n), a.shape, self.stage[a])
                totals.append(n)
            elif is_elementwise(n):
                loop = made[n] = loop_of(n, n)
                add_root(loop, Root(n, "value"), n.shape, self.stage[n])
            else:
                loop = made[n] = loop_of(n, n)
                kind: Kind = "rowwise"
                if n.op is matmul_op:
                    kind = "gemm"
                elif n.op is column_sums_op:
                    kind = "column_sums"
                elif n.op is row_sums_op:
                    kind = "row_sums"
                loop.body.append(Instruction(kind, n, stage=self.stage[n]))
        for old, new in self.commits.items():
            loop = loop_of(new, old)
            stage = max([self.stage[new], *(i.stage for i in loop.body)])
            add_root(loop, Root(new, "commit", old), new.shape, stage)
        for loop in loops.values():
            loop.body.sort(key=lambda i: (i.stage, i.kind == "map", i.out.op is log_softmax.op))
            for i in loop.body:
                i.reads = tuple(self._reads(i))
        for n in self.outputs.values():
            if over_rows(n):
                made[n].body.append(Instruction("store", n, stage=1 + max(i.stage for i in made[n].body), reads=(n,)))
        for n in totals:
            key = ("finish", n)
            loops[key] = made[n] = Loop(1, self.level[n], [Instruction("finish", n)])
        ordered = self._phases(list(loops.values()), made)
        return Schedule(ordered, self.stored, made, self.commits, self.scalar_commits, self.outputs)

    def _spread_costly_work(self) -> None:
        """A costly function that two instructions need is stored."""
        for n in reversed(self.order):
            if n in self.stored or not is_elementwise(n) or is_number(n) or n.op.name not in COSTLY:
                continue
            if len({self.stage[u] for u in self._users(n)}) > 1:
                self.stored.add(n)

    def _users(self, node: Node) -> list[Node]:
        """The stored values, sums and commits that would compute this node."""
        if not hasattr(self, "_used_by"):
            self._used_by: dict[Node, list[Node]] = defaultdict(list)
            for n in self.order:
                for a in n.args:
                    self._used_by[a].append(n)
        found, stack = [], [node]
        while stack:
            for u in self._used_by[stack.pop()]:
                if u in self.stored or not is_elementwise(u):
                    found.append(u)
                else:
                    stack.append(u)
        return found

    def _groups(self) -> Callable[[Node, int], object]:
        """Which matrices without examples are worked on together: those of one shape that read each other.

        What the rows of examples need is not among them: it must be there before.
        """
        parent: dict[Node, Node] = {}
        early = {n for root in self.order if over_rows(root) for n in root.args if not over_rows(n)}
        for n in reversed(self.order):
            if n in early:
                early |= set(n.args)

        def find(n: Node) -> Node:
            parent.setdefault(n, n)
            while parent[n] is not n:
                parent[n] = parent[parent[n]]
                n = parent[n]
            return n

        fixed: Callable[[Node], bool] = lambda n: not over_rows(n) and not is_number(n) and n.op is not repeat_op
        for n in self.order:
            if not fixed(n) or n.op is total_op or contracts(n):
                continue
            for a in n.args:
                if fixed(a) and a.shape == n.shape and a.op is not total_op and (a.op is symbol_op or a not in early):
                    parent[find(a)] = find(n)
        for old, new in self.commits.items():
            parent[find(old)] = find(new)
        kept = {find(old) for old in self.commits}
        return lambda n, stage: find(n) if find(n) in kept else (find(n), stage)

    def _probabilities(self, node: Node) -> list[Node]:
        """The softmax of the same scores, which the log softmax can be told from."""
        if node.op is not log_softmax.op:
            return []
        return [n for n in self.order if n.op is softmax.op and n.args == node.args and n in self.stored]

    def _phases(self, loops: list[Loop], made: Mapping[Node, Loop]) -> list[Loop]:
        """Number the phases: a loop comes after the loops whose whole results it reads."""
        owner = {
            old: loop for loop in loops for i in loop.body for r in i.roots if r.kind == "commit" for old in [r.target]
        }
        position: dict[Loop, int] = {}
        after: dict[Loop, set[Loop]] = {loop: set() for loop in loops}
        for loop in loops:
            for i in loop.body:
                for n in i.reads:
                    if n in made and made[n] is not loop:
                        after[loop].add(made[n])
                    writer = owner.get(n)
                    if writer is not None and writer is not loop:
                        after[writer].add(loop)  # the old value is read before it goes
        for loop in loops:
            if loop.body[0].kind == "finish":
                after[loop] |= {o for o in loops for i in o.body for r in i.roots if r.target is loop.body[0].out}
        while len(position) < len(loops):
            ready = [loop for loop in loops if loop not in position and after[loop] <= position.keys()]
            if not ready:
                raise NotLoweredError("equations that need each other's old and new values")
            for loop in ready:
                position[loop] = 1 + max((position[o] for o in after[loop]), default=-1)
        for loop in loops:
            loop.phase = position[loop]
        return sorted(loops, key=lambda loop: loop.phase)

    def _reads(self, i: Instruction) -> list[Node]:
        if i.kind == "finish":
            return []
        if i.kind == "store":
            return [i.out]
        if i.kind != "map":
            read = [bare(a) for a in i.out.args if not is_number(a)]
            return [*read, *self._probabilities(i.out)]
        found = [core(a) for n in walk_inlined(i.roots, self.stored) for a in n.args if core(a) in self.stored]
        found += [r.node for r in i.roots if r.kind != "value" and r.node in self.stored]
        return list(dict.fromkeys(found))


def walk_inlined(roots: Sequence[Root], stored: Iterable[Node]) -> list[Node]:
    """The elementwise nodes that a MAP computes itself, operands first."""
    stop = set(stored)
    own = [r.node for r in roots if r.kind == "value"]
    seen: dict[Node, None] = {}
    stack = [(r.node, False) for r in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if node in seen or is_number(node) or node.op is repeat_op or (node in stop and node not in own):
            continue
        if ready:
            seen[node] = None
        else:
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args))
    return list(seen)


def schedule(results: Mapping[str, Node], commits: Mapping[Node, Node]) -> Schedule:
    """A schedule that computes named results and what stored matrices become."""
    return Scheduler(results, commits).schedule()


def _is_filled(node: Node) -> bool:
    """Is this a matrix filled with one number, or its transpose?"""
    return is_number(node.args[0] if node.op is transpose_op else node)
