"""The instructions of a training step in words, beside the equations that they came from."""

from __future__ import annotations

import textwrap
from dataclasses import fields

from chainrule.engine.lowering import Lowered, lowered_step, planned
from chainrule.engine.plan import Plan
from chainrule.engine.resolve import over_rows
from chainrule.engine.schedule import Instruction, Loop, Root, walk_inlined
from chainrule.errors import DataError
from chainrule.expr import Node, matrix, rebuild, symbol_op, toposort
from chainrule.functions import Function
from chainrule.layers import whole
from chainrule.network import Network
from chainrule.program.code import code
from chainrule.program.language import Language
from chainrule.program.languages import NUMPY
from chainrule.render.text import text
from chainrule.shapes import show
from chainrule.updates import find_update


class _Words(Language):
    """NumPy's words, and the name of a function that has none there."""

    def word(self, function: Function) -> str | None:
        operands = ", ".join(f"{{{i}}}" for i in range(function.operands))
        return NUMPY.word(function) or f"{function.name}({operands})"


ENGINE = _Words(**{f.name: getattr(NUMPY, f.name) for f in fields(NUMPY)} | {"name": "engine"})
WIDTH = 80
WORDS = {"column_sums": "column sums", "row_sums": "row sums", "rowwise": "row function"}


def program_text(network: Network, *, solver: str, sample_weight: bool, batch_size: int) -> str:
    """The instruction list of a training step; see `Network.program`."""
    if not whole(batch_size):
        raise DataError(f"batch_size is a whole number of rows, at least 1, found {batch_size!r}")
    lowered = lowered_step(network, find_update(solver), weighted=sample_weight)
    plan = planned(lowered, batch_size, labels="one_hot" in _facts(lowered))
    equations = network.derive(solver=solver, sample_weight=sample_weight).equations
    return _Listing(lowered, plan, {e.name: text(e.node) for e in equations}).write(str(network), solver)


def _facts(lowered: Lowered) -> tuple[str, ...]:
    return () if lowered.target is None else tuple(lowered.target.value.facts)


class _Listing:
    def __init__(self, lowered: Lowered, plan: Plan, equations: dict[str, str]) -> None:
        self.lowered, self.plan, self.equations = lowered, plan, equations
        self.stored = lowered.schedule.stored
        self.named: dict[Node, list[str]] = {}
        for name, node in lowered.names.items():
            self.named.setdefault(node, []).append(name)
        self.names: dict[Node, str] = {}
        self.unnamed = 0
        self.shown: set[str] = set()

    def write(self, title: str, solver: str) -> str:
        lines = textwrap.wrap(f"{title}, {solver}: one step on {self.plan.rows} rows", WIDTH)
        phase = -1
        for loop in self.lowered.schedule.loops:
            if loop.phase != phase:
                phase = loop.phase
                lines += ["", f"phase {phase}"]
            lines.append(f"  {self._heading(loop)}")
            for i in loop.body:
                lines += self._instruction(i)
        if self.lowered.schedule.scalars:
            lines += ["", "plain numbers"]
            for old, new in self.lowered.schedule.scalars:
                lines.append(f"    {'':12} {old.name} <- {self._expression(new)}")
                lines += self._source(f"{old.name}_next")
        entries = self.plan.shared - self.plan.stored
        lines += ["", f"{len(self.plan.code)} instructions, {len(self.plan.micro)} operations of MAP"]
        lines.append(
            f"memory: {self.plan.stored} entries of parameters and states, {entries} shared, "
            f"{self.plan.private} for each thread"
        )
        return "\n".join(lines)

    def _heading(self, loop: Loop) -> str:
        if loop.extent is None:
            return f"rows of the minibatch, {self.plan.tile} at a time"
        return f"{loop.extent} rows of stored matrices" if loop.extent > 1 else "one row"

    def _instruction(self, i: Instruction) -> list[str]:
        made = [r.node for r in i.roots] if i.kind == "map" else [i.out]
        word = WORDS.get(i.kind, i.kind)
        work = [f"    {'' if k else word:12} {line}" for k, line in enumerate(self._lines(i))]
        inside = walk_inlined(i.roots, self.stored) if i.kind == "map" else made
        sources = [name for n in (*inside, *made) for name in self.named.get(n, ())]
        for name in dict.fromkeys(sources):
            work += self._source(name)
        return [part for line in work for part in _folded(line)]

    def _source(self, name: str) -> list[str]:
        """The equation of that name, the first time it is asked for."""
        if name in self.shown or name not in self.equations:
            return []
        self.shown.add(name)
        first, further = " " * 17 + "<- ", " " * 22
        return textwrap.wrap(self.equations[name], WIDTH, initial_indent=first, subsequent_indent=further)

    def _lines(self, i: Instruction) -> list[str]:
        if i.kind in ("gather", "random"):
            return [f"{self._name(i.out)} {show(i.out.shape)}"]
        if i.kind in ("finish", "store"):
            return [self._name(i.out)]
        if i in self.plan.folds:
            target = self._name(self.plan.folds[i].root.target or i.out)
            return [f"{target} <- alpha {self._expression(i.out)} + beta {target}"]
        if i.kind != "map":
            return [f"{self._name(i.out)} = {self._expression(i.out)}"]
        done = {f.root for f in self.plan.folds.values()}
        return [self._root(r) for r in i.roots if r not in done]

    def _root(self, r: Root) -> str:
        if r.kind == "value":
            return f"{self._name(r.node)} = {self._expression(r.node)}"
        assert r.target is not None
        to = self._name(r.target)
        inner = self._name(r.node) if r.node in self.stored else self._expression(r.node)
        return f"{to} <- {inner}" if r.kind == "commit" else f"part of {to} = sum of {inner}"

    def _name(self, n: Node) -> str:
        """The name of a value in memory: its equation's, or t1, t2, ..."""
        if n.op is symbol_op:
            return str(n.name)
        if n not in self.names:
            known = [name for name in self.named.get(n, ()) if not name.endswith("_next")]
            self.names[n] = (
                known[0] if known else f"t{1 + sum(v[0] == 't' and v[1:].isdigit() for v in self.names.values())}"
            )
        return self.names[n]

    def _expression(self, root: Node) -> str:
        """What an instruction computes, with the values in memory by name."""
        new: dict[Node, Node] = {}
        for n in toposort(root):
            inner = n is not root and n.op is not symbol_op
            if inner and n in self.stored:
                new[n] = matrix(self._name(n), *n.shape)
            elif inner and n in self.named and not over_rows(n):
                new[n] = matrix(self.named[n][0], *n.shape)
            else:
                new[n] = rebuild(n, tuple(new[a] for a in n.args)) if n.args else n
        return code(new[root], ENGINE)


def _folded(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * 19, break_long_words=False)
