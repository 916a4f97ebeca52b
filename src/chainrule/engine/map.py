"""MAP: elementwise work on the entries of a tile, as operations on blocks that stay in the cache.

Whatever is elementwise between two products, of any activation, loss or update rule, is one such program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.engine.numbers import Numbers
from chainrule.engine.resolve import NotLoweredError, is_number, is_zero
from chainrule.engine.schedule import Root
from chainrule.engine.words import (
    ADD,
    ADD_RELU,
    AXPBY,
    AXPBY_SQUARE,
    BLOCK,
    COLUMN,
    COPY,
    DIV,
    FILL,
    MUL,
    MUL_STEP,
    MUL_TANH,
    NUMBER,
    OVER_ROOT,
    ROW,
    SCALE,
    SHIFT,
    SUB,
    SUM,
    WORDS,
)  # fmt: skip
from chainrule.expr import Node, Op, add_op, full_op, hadamard_op, scale_op, walk
from chainrule.primitives import maximum, reciprocal, sqrt, step
from chainrule.program.lower import repeat_op

REGISTERS = 48  # blocks that a MAP keeps at a time


@dataclass(frozen=True)
class Form:
    """One operation of MAP on operands that are nodes."""

    op: int
    a: Node
    b: Node | None = None
    s: int = 0
    t: int = 0


class MapWriter:
    """Writes the operations of one MAP."""

    def __init__(
        self,
        roots: Sequence[Root],
        stored: set[Node],
        numbers: Numbers,
        stream: Callable[[Node], list[int]],
        places: Mapping[Node, Any],
        partials: Mapping[Node, int],
        given: Mapping[Node, list[int]],
        committed: set[Node],
    ) -> None:
        self.roots, self.stored, self.numbers = roots, stored, numbers
        self.stream, self.places, self.partials = stream, places, partials
        self.own = {r.node for r in roots if r.kind == "value"}
        self.fills: list[list[int]] = []
        self.body: list[list[int]] = []
        self.committed = committed
        self.register: dict[object, list[int]] = {}
        for n, place in given.items():
            self.register[n] = place
        self.given = given
        self.free: list[int] = []
        self.count = 0
        self.forms: dict[Node, Form] = {}

    def inlined(self, n: Node) -> bool:
        """Is this computed here?"""
        known = is_number(n) or n.op is repeat_op or n in self.given
        return not known and (n not in self.stored or n in self.own)

    def write(self) -> tuple[list[list[int]], list[list[int]]]:
        """What is filled once a tile, and what is done for every block."""
        changed = {r.target for r in self.roots if r.kind == "commit"} | self.committed
        if any(r.kind == "commit" and r.node in changed for r in self.roots):
            raise NotLoweredError("a state that becomes the old value of another")
        operands: Callable[[Node], tuple[Node, ...]] = lambda n: tuple(
            x for x in (self.form(n).a, self.form(n).b) if x is not None and self.inlined(x)
        )
        order = list(walk([r.node for r in self.roots if self.inlined(r.node)], operands))
        reads: dict[Node, int] = {}  # how often each operand is still to be read
        for n in order:
            for x in (self.form(n).a, self.form(n).b):
                if x is not None:
                    reads[x] = reads.get(x, 0) + 1
        for r in self.roots:
            reads[r.node] = reads.get(r.node, 0) + (r.kind == "sum")
        commits = {r.node: r.target for r in self.roots if r.kind == "commit"}
        late: list[tuple[Node, Node]] = []
        written: set[Node] = set()
        for n in order:
            f = self.form(n)
            a, b = self.operand(f.a), [0, 0, 0, 0] if f.b is None else self.operand(f.b)
            for x in (f.a, f.b):
                if x is not None:
                    reads[x] -= 1
                    self.release(x, reads)
            target = commits.get(n)
            if n in self.own:
                to = self.stream(n)
            elif target is not None and n not in written and not reads.get(target):
                to = self.stream(target)
                written.add(n)
            else:
                to = self.take()
            self.register[n] = to
            self.body.append([f.op, *to, *a, *b, f.s, f.t])
        for r in self.roots:
            if r.kind == "sum":
                assert r.target is not None
                self.body.append([SUM, 0, 0, 0, 0, *self.operand(r.node), 0, 0, 0, 0, self.partials[r.target]])
            elif r.kind == "commit" and not (r.node in written and commits[r.node] is r.target):
                assert r.target is not None
                late.append((r.node, r.target))
        for node, target in late:
            self.body.append([COPY, *self.stream(target), *self.operand(node)])
        return self.fills, self.body

    def take(self, *, fresh: bool = False) -> list[int]:
        """A block of one's own; a fresh one has not been used before."""
        if fresh or not self.free:
            self.count += 1
            if self.count > REGISTERS:
                raise NotLoweredError(f"elementwise work that needs more than {REGISTERS} blocks at once")
            self.free.append(self.count - 1)
        return [self.free.pop() * BLOCK, 0, 1, 0]

    def release(self, x: Node, reads: dict[Node, int]) -> None:
        """The block of what is not read again is free."""
        at = self.register.get(x)
        keeps = any(r.node is x for r in self.roots)
        if at is not None and not reads[x] and at[3] == 0 and not keeps and self.inlined(x):
            self.free.append(at[0] // BLOCK)

    def operand(self, n: Node) -> list[int]:
        """Where to read an operand."""
        if n in self.register:
            return self.register[n]
        if is_number(n):
            key: object = ("number", self.numbers.number(n))
            if key not in self.register:
                self.register[key] = self.take(fresh=True)
                self.fills.append([FILL, *self.register[key], 0, 0, 0, 0, 0, 0, 0, 0, self.numbers.number(n)])
            return self.register[key]
        if n.op is repeat_op:
            x = n.args[0]
            place = self.places[x]
            to = self.register[n] = self.take(fresh=True)
            if x.shape == (1, 1):
                self.fills.append([NUMBER, *to, place.base, 0, int(place.private), 0])
            elif x.shape[0] == 1:
                self.fills.append([ROW, *to, place.base, 0, int(place.private), 0])
            else:
                self.body.append([COLUMN, *to, *self.stream(x)])
            return to
        return self.stream(n)

    # ---- which operation

    def form(self, n: Node) -> Form:
        """The operation that computes a node."""
        if n not in self.forms:
            self.forms[n] = self._form(n)
        return self.forms[n]

    def _form(self, n: Node) -> Form:
        if n.op is add_op:
            return self._sum(*n.args)
        if n.op is scale_op:
            return Form(SCALE, n.args[0], s=self.numbers.coefficient(n))
        if n.op is hadamard_op:
            return self._product(*n.args)
        if n.op is maximum.op and is_zero(n.args[1]) and self._is(n.args[0], add_op):
            a, b = n.args[0].args
            if not is_number(a) and not is_number(b):
                return Form(ADD_RELU, a, b)
        s = self.numbers.constant(n.value[0]) if n.op.name == "power" else 0
        return Form(WORDS[n.op.name], n.args[0], n.args[1] if len(n.args) > 1 else None, s)

    def _is(self, n: Node, op: Op) -> bool:
        """Is this an operation that is done here and needs no place of its own?"""
        return n.op is op and self.inlined(n) and n not in self.own

    def _product(self, a: Node, b: Node) -> Form:
        if is_number(a):
            a, b = b, a
        if is_number(b):
            return Form(SCALE, a, s=self.numbers.number(b))
        for x, y in ((a, b), (b, a)):
            if self._is(y, reciprocal.op):
                return self._quotient(x, y.args[0])
            if self._is(y, step.op):
                return Form(MUL_STEP, x, y.args[0])
            if (z := self._one_less_square(y)) is not None:
                return Form(MUL_TANH, x, z)
        return Form(MUL, a, b)

    def _quotient(self, x: Node, y: Node) -> Form:
        if self._is(y, add_op):
            for root, number in (y.args, y.args[::-1]):
                if self._is(root, sqrt.op) and is_number(number):
                    under, s = self._scaled(root.args[0])
                    return Form(OVER_ROOT, x, under, s, self.numbers.number(number))
        return Form(DIV, x, y)

    def _one_less_square(self, n: Node) -> Node | None:
        """The z of 1 - z o z."""
        if not self._is(n, add_op):
            return None
        for one, rest in (n.args, n.args[::-1]):
            if one.op is full_op and one.value == 1 and rest.op is scale_op and rest.value == (-1, ()):
                return self._root(rest.args[0])
        return None

    def _root(self, n: Node) -> Node | None:
        """The z of z o z."""
        return n.args[0] if self._is(n, hadamard_op) and n.args[0] is n.args[1] else None

    def _sum(self, a: Node, b: Node) -> Form:
        if is_number(a):
            a, b = b, a
        if is_number(b):
            return Form(SHIFT, a, s=self.numbers.number(b))
        (x, s), (y, t) = self._scaled(a), self._scaled(b)
        one, minus = self.numbers.constant(1.0), self.numbers.constant(-1.0)
        for p, q, u, v in ((x, y, s, t), (y, x, t, s)):
            if (z := self._root(q)) is not None:
                return Form(AXPBY_SQUARE, p, z, u, v)
        if s == one and t in (one, minus):
            return Form(ADD if t == one else SUB, x, y)
        if t == one and s == minus:
            return Form(SUB, y, x)
        return Form(AXPBY, x, y, s, t)

    def _scaled(self, n: Node) -> tuple[Node, int]:
        if self._is(n, scale_op) and not is_number(n.args[0]):
            return n.args[0], self.numbers.coefficient(n)
        return n, self.numbers.constant(1.0)
