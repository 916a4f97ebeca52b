"""Statements of NumPy operation by operation, each into an array that is there: the loop allocates none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from chainrule.expr import (
    Node,
    add_op,
    full,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    scale,
    scale_op,
    transpose_op,
    walk,
)
from chainrule.functions import is_function
from chainrule.primitives import reciprocal
from chainrule.program.arrays import grouped, noted
from chainrule.program.code import ATOM, Code, Memo, broadcast, core, filled, named, parameters, stacked, word, written
from chainrule.program.language import Language, Names
from chainrule.program.lower import (
    Statement,
    column_sums_op,
    fresh_names,
    is_entrywise,
    repeat_op,
    row_sums_op,
    total_op,
)
from chainrule.rewrite import Rewriter, on
from chainrule.rules import numbers_leave_products
from chainrule.shapes import Shape
from chainrule.stack import block_op, hstack_op, vstack_op

STACKS = (hstack_op, vstack_op)
NUMBER = (1, 1)
ONE = full(1, NUMBER)
DOT = "np.vdot({0}, {1})"
NEGATIVE, UFUNC = "np.negative({0}, out={out})", "np.{}({{0}}, {{1}}, out={{out}})"


def operations(statements: Sequence[Statement], to: Language, names: Names, notes: Names) -> list[str]:
    """The arrays that are needed, then the operations."""
    arrays, lines = allocated(statements, to, names, notes)
    return [*arrays, *lines]


def allocation(name: str, shape: Shape, dtype: str = "", value: float | None = None) -> str:
    """An array, to be written to unless it is filled; `dtype` is a last argument, with its comma."""
    make, filled_with = ("empty", "") if value is None else ("ones", "") if value == 1 else ("full", f", {value!r}")
    return f"{name} = np.{make}(({shape[0]}, {shape[1]}){filled_with}{dtype})"


def allocated(
    statements: Sequence[Statement],
    to: Language,
    names: Names,
    notes: Names,
    *,
    numbers: Collection[str] = (),
    views: Collection[str] = (),
    dtype: str = "",
) -> tuple[list[str], list[str]]:
    """The arrays that statements write to, but for `views` of others, and the operations: lines of both.

    1 x 1 results are numbers, but for those with a name of an array; `numbers` are none.
    """
    numbers_in_front = Rewriter([numbers_leave_entrywise_products])
    statements = [replace(s, expression=numbers_in_front(s.expression)) for s in statements]
    arrays = {s.target: s.shape for s in statements if s.target not in names and s.shape != NUMBER}
    fresh = fresh_names([s.target for s in statements], [s.expression for s in statements])
    scratch = Scratch(arrays, fresh, numbers)
    lines: list[str] = []
    for group in grouped(statements, notes):
        lines += noted(group, to, notes)
        for s in group:
            lines += _operations(s, to, names, scratch)
    made = [allocation(name, shape, dtype) for name, shape in arrays.items() if name not in views]
    made += [allocation(name, node.shape, dtype, node.value) for node, name in scratch.constants.items()]
    return made, lines


@on(hadamard_op)
def numbers_leave_entrywise_products(node: Node) -> Node | None:
    """(kA) o B = k (A o B): the numbers of a product are multiplied first, and then one array by them."""
    return numbers_leave_products(node)


@dataclass
class Scratch:
    """Arrays for what has no name: one is used again once its last reader has run."""

    arrays: dict[str, Shape]  # all there are
    fresh: Iterator[str]
    numbers: Collection[str] = ()  # 1 x 1 values that are no arrays, though they have a name
    constants: dict[Node, str] = field(default_factory=dict)  # filled with one number, once
    free: list[str] = field(default_factory=list)
    readers: Counter[str] = field(default_factory=Counter)  # still to come, of those in use

    def take(self, shape: Shape, readers: int) -> str:
        """An array of this shape, for so many readers."""
        name = next((each for each in self.free if self.arrays[each] == shape), None)
        if name is None:
            name = next(self.fresh)
            self.arrays[name] = shape
        else:
            self.free.remove(name)
        self.readers[name] = readers
        return name

    def constant(self, node: Node) -> str:
        """The array filled with a number."""
        if node not in self.constants:
            self.constants[node] = next(self.fresh)
        return self.constants[node]

    def read(self, name: str) -> None:
        """One reader less."""
        self.readers[name] -= 1
        if not self.readers[name]:
            self.free.append(name)

    def end(self, target: str) -> None:
        """A statement is complete: nothing is read any more but its target."""
        self.free += [name for name, count in self.readers.items() if count > 0]
        self.free = [name for name in self.free if name != target]
        self.readers.clear()


def _operations(s: Statement, to: Language, names: Names, scratch: Scratch) -> list[str]:
    """One statement; `held` says which scratch array a value is in, itself or as a view."""
    target, root = names.get(s.target, s.target), s.expression
    nodes = list(walk([root], lambda node: _operation(node, to)[1]))
    uses = Counter(a for node in nodes for a in _operation(node, to)[1])
    memo: dict[Node, Code] = {ONE: Code("1", ATOM, NUMBER)}
    held: dict[Node, str] = {}
    lines: list[str] = []
    if is_entrywise(root) and target in scratch.arrays:  # it may hold parts of its own value until they are complete
        scratch.free.insert(0, target)

    def operand(node: Node, shape: Shape, number_too: bool) -> Code:
        """All rows and columns of an operand, where an operation needs them."""
        if memo[node].shape == shape and not (number_too and shape == NUMBER):
            return memo[node]
        if node.op is full_op:
            return Code(scratch.constant(node), ATOM, shape)
        out = scratch.take(shape, 1)
        lines.append(f"{out}[...] = {memo[node].text}")
        return Code(out, ATOM, shape)

    for node in nodes:
        template, operands = _operation(node, to)
        if is_atom(node):
            memo[node] = named(node, names)
        elif _is_dot(node):
            memo[node] = filled(DOT, [operand(a, a.shape, False) for a in operands], NUMBER)
        elif not template:
            memo[node] = memo[operands[0]] if node.op is repeat_op else written(node, memo, to.plain or to)
            if node.shape != NUMBER and operands and operands[0] in held:  # a view
                held[node] = held[operands[0]]
                scratch.readers[held[node]] += uses[node] - 1
        else:
            entrywise = is_entrywise(node)
            pieces = [memo[a] if entrywise else operand(a, a.shape, node.op in STACKS) for a in operands]
            done = [held[a] for a in operands if a in held]
            if entrywise:
                for name in done:
                    scratch.read(name)
            shape = broadcast(node.shape, pieces) if entrywise else node.shape
            out = target if node is root else scratch.take(shape, uses[node])
            for name in () if entrywise else done:
                scratch.read(name)
            lines.append(_into(out, template, pieces, node, memo, to))
            memo[node] = Code(out, ATOM, shape)
            if node is not root:
                held[node] = out
    value = memo[root].text
    if s.shape == NUMBER or value != target:
        array = s.shape != NUMBER or (s.target in names and target not in scratch.numbers)
        into = "[...]" if array else ""
        lines.append(f"{target}{into} = {value}")
    scratch.end(target)
    return lines


def _operation(node: Node, to: Language) -> tuple[str, tuple[Node, ...]]:
    """The template of an operation and its operands; no template where nothing has to be computed, or a number."""
    if is_atom(node):
        return "", ()
    if _is_dot(node):
        return "", node.args[0].args
    if node.shape == NUMBER or node.op in (full_op, repeat_op, transpose_op, block_op):
        return "", node.args
    if node.op is add_op:
        a, b = node.args
        taken = core(b)
        negative = taken.op is scale_op and taken.value[0] < 0
        return (UFUNC.format("subtract"), (a, scale(taken, -1))) if negative else (UFUNC.format("add"), (a, b))
    if node.op is hadamard_op:
        a, b = node.args
        inverse = core(b).op is reciprocal.op
        return (UFUNC.format("divide"), (a, core(b).args[0])) if inverse else (UFUNC.format("multiply"), (a, b))
    if node.op is scale_op:
        if node.args[0].op is full_op:
            return "", node.args
        if node.value == (-1, ()):
            return NEGATIVE, node.args
        return UFUNC.format("divide" if _divides(node) else "multiply"), node.args
    if node.op in STACKS:
        return stacked(node, to, [f"{{{i}}}" for i in range(len(node.args))]), node.args
    if node.op is column_sums_op:
        return UFUNC.format("matmul"), (full(1, (1, node.args[0].shape[0])), *node.args)
    if node.op is row_sums_op:
        return UFUNC.format("matmul"), (*node.args, full(1, (node.args[0].shape[1], 1)))
    return UFUNC.format("matmul") if node.op is matmul_op else word(node, to), node.args


def _is_dot(node: Node) -> bool:
    """Is a number 1' (A o B) 1, the product of two matrices as rows?"""
    if node.op is not total_op or node.args[0].op is not hadamard_op:
        return False
    return all(core(a) is a and a.op not in (full_op, transpose_op, block_op, reciprocal.op) for a in node.args[0].args)


def _divides(node: Node) -> bool:
    """Is a coefficient 1/k, such as 1/n?"""
    k, exponents = node.value
    return k.numerator == 1 and k.denominator < 10 and all(e < 0 for e in exponents) and node.value != (1, ())


def _into(out: str, template: str, pieces: Sequence[Code], node: Node, memo: Memo, to: Language) -> str:
    """The line of one operation."""
    if node.op is scale_op:
        k, exponents = node.value
        turn = -1 if _divides(node) else 1
        factor = scale(ONE, k**turn, *((s, e * turn) for s, e in zip(node.args[1:], exponents, strict=True)))
        single = factor.op is scale_op and factor.value == (1, (1,))
        pieces = [pieces[0], memo[factor.args[1]] if single else written(factor, memo, to)]
    others = parameters(node, to) if is_function(node) else {}
    text = filled(template, pieces, node.shape, out=out, **others).text
    return text if "{out}" in template else f"{out}[...] = {text}"
