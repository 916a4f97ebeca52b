"""Statements as loops over entries: nested lists of Python, arrays of C.

What is summed over gets a statement of its own where it would be computed again for other entries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count

from chainrule.errors import DataError
from chainrule.expr import (
    Node,
    define,
    full_op,
    is_atom,
    is_coefficient,
    matmul_op,
    rebuild,
    symbol_op,
    toposort_to_names,
    transpose_op,
    walk,
)
from chainrule.functions import function_of, is_function
from chainrule.primitives import reciprocal
from chainrule.program.code import ATOM, PRODUCT, Code, written
from chainrule.program.code import word as template_of
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
from chainrule.shapes import Shape, Size
from chainrule.stack import block_op, bounds, hstack_op, vstack_op

STACKS = (hstack_op, vstack_op)
APART = (transpose_op, block_op, *STACKS)  # whose entries are at other places than their operands'
SUMS = (row_sums_op, column_sums_op, total_op)
Indexes = tuple[str, str, str]  # of rows, of columns, of what is summed over
Place = tuple[str, str]  # what stands for the row and for the column of an entry


# ---- one loop nest for each statement


def separated(statements: Sequence[Statement]) -> list[Statement]:
    """Statements of which each needs one nest of loops: what would be computed again inside gets a name."""
    fresh = fresh_names([s.target for s in statements], [s.expression for s in statements])
    renamed: dict[Node, Node] = {}
    out: list[Statement] = []
    for s in statements:
        nodes = list(toposort_to_names(s.expression))
        apart = _apart(nodes, s.expression)
        for node in nodes:
            new = node if is_atom(node) else rebuild(node, tuple(renamed[a] for a in node.args))
            if node in apart:
                name = next(fresh)
                out.append(Statement(name, new, s.phase, node.shape))
                new = define(name, new)
            renamed[node] = new
        out.append(Statement(s.target, renamed[s.expression], s.phase, s.shape))
    return out


def _apart(nodes: Sequence[Node], root: Node) -> set[Node]:
    """The nodes that need statements of their own."""
    found: set[Node] = set()
    for node in nodes:
        if is_reduction(node):
            found |= {n for a in node.args for n in toposort_to_names(a) if is_reduction(n)}
            found |= {node} if node.shape != root.shape else set()
        if node.op in (matmul_op, transpose_op, block_op) or (is_reduction(node) and node.op not in SUMS):
            found |= {a for a in node.args if not _is_plain(a, node)}
        if node.op in STACKS:
            found |= {node} | {a for a in node.args if a.op is not full_op and not _is_plain(a, node)}
        if node.op is repeat_op:
            found |= {n for a in node.args if not is_coefficient(a) for n in toposort_to_names(a) if _is_costly(n)}
    if root.shape == (1, 1):
        sums = {node for node in nodes if is_reduction(node)}
        found |= sums if len(sums) > 1 else set()
    return found - {root}


def _is_costly(node: Node) -> bool:
    """Would it be a waste to compute it again for every entry that it is repeated in?"""
    return is_function(node) and function_of(node).elementwise and node.op is not reciprocal.op


def is_reduction(node: Node) -> bool:
    """Is one entry of the result computed over many of an operand?"""
    return node.op in (matmul_op, *SUMS) or (is_function(node) and function_of(node).axis is not None)


def _is_plain(operand: Node, user: Node) -> bool:
    """Is an entry of it there to be read? A product reads transposes too, and blocks are read where they are."""
    turned = user.op in (matmul_op, *STACKS) and operand.op is transpose_op
    read = operand.args[0] if turned else operand
    return is_atom(read.args[0] if read.op is block_op else read)


# ---- an entry as source text


@dataclass(frozen=True)
class Reduction:
    """Something computed over k for one entry: a sum, a product of matrices, a maximum."""

    name: str  # of what adds up
    template: str  # says {there}, perhaps {here}, {own}, {k}, {size}, {acc}
    there: str  # the term of one k
    here: str
    own: str
    over: tuple[tuple[str, Size], ...]  # the loops: an index and its size each


Reduce = Callable[[Reduction], Code]


def entry(root: Node, place: Place, to: Language, names: Names, by: Indexes, reduce: Reduce) -> Code:
    """The entry of a separated expression at a place; `reduce` writes what is computed over k."""
    row, column, k = by

    def read(node: Node, place: Place) -> Code:
        if node.op is transpose_op:
            node, place = node.args[0], place[::-1]
        if node.op is block_op:
            starts = (r[0] if r else 0 for r in bounds(node))
            place = tuple(
                _moved(index if size != 1 else "0", start)
                for index, size, start in zip(place, node.shape, starts, strict=True)
            )  # type: ignore[assignment]  # two of them
            node = node.args[0]
        name = names.get(str(node.name), str(node.name))
        if node.shape == (1, 1) and is_number(node, names):
            return Code(name, ATOM, (1, 1))
        first, second = (index if size != 1 else "0" for index, size in zip(place, node.shape, strict=True))
        return Code(f"{name}[{first}][{second}]", ATOM, (1, 1))

    def stack(node: Node) -> Code:
        """From the last part to the first: this one up to its end, else what comes after it."""
        along = 1 if node.op is hstack_op else 0
        sizes = [int(a.shape[along]) for a in node.args]
        ends = list(accumulate(sizes))
        parts = []
        for a, size, end in zip(node.args, sizes, ends, strict=True):
            i, j = (row, _moved(column, size - end)) if along else (_moved(row, size - end), column)
            parts.append(entry(a, (i, j), to, names, by, reduce).text)
        text = parts.pop()
        for part, end in zip(reversed(parts), reversed(ends[:-1]), strict=True):
            text = to.choice.format(if_=f"{(row, column)[along]} < {end}", yes=part, no=text)
        return Code(text, ATOM, (1, 1))

    def operand(node: Node, row: str, column: str) -> str:
        return entry(node.args[0], (row, column), to, names, by, reduce).text

    def reduction(node: Node) -> Code:
        (i, j), (rows, columns) = place, node.args[0].shape
        if node.op is matmul_op:
            a, b = node.args
            term = f"{read(a, (i, k)).text} * {read(b, (k, j)).text}"
            one_term = Code(term, PRODUCT, (1, 1))
            return one_term if columns == 1 else reduce(Reduction("sum", to.total, term, "", "", ((k, columns),)))
        if node.op is total_op:
            there = operand(node, row, column)
            return reduce(Reduction("sum", to.total, there, "", "", ((row, rows), (column, columns))))
        if node.op in SUMS:
            across = node.op is row_sums_op
            there = operand(node, i, k) if across else operand(node, k, j)
            return reduce(Reduction("sum", to.total, there, "", "", ((k, columns if across else rows),)))
        across = function_of(node).axis == 1
        there, here = operand(node, i, k) if across else operand(node, k, j), operand(node, i, j)
        over = ((k, columns if across else rows),)
        return reduce(Reduction("found", template_of(node, to), there, here, j if across else i, over))

    memo: dict[Node, Code] = {}
    for node in walk([root], lambda n: () if is_atom(n) or is_reduction(n) or n.op in APART else n.args):
        if is_atom(node) or node.op in (transpose_op, block_op):
            memo[node] = read(node, place)
        elif node.op in STACKS:
            memo[node] = stack(node)
        elif is_reduction(node):
            memo[node] = reduction(node)
        elif is_entrywise(node) or node.op in (full_op, repeat_op):
            memo[node] = written(node, memo, to)
        else:
            raise DataError(f"{to.name} has no loops for {node.op.name}: choose a language of whole arrays, as numpy")
    return memo[root]


def _moved(index: str, by: int) -> str:
    """An index so much further on."""
    if index.isdecimal():
        return str(int(index) + by)
    return f"{index} {'+' if by > 0 else '-'} {abs(by)}" if by else index


def place_in(shape: Shape, by: Indexes) -> Place:
    """An entry of a matrix, in its loops."""
    return by[0] if shape[0] != 1 else "0", by[1] if shape[1] != 1 else "0"


def indexes(statements: Sequence[Statement]) -> Indexes:
    """i, j, k, but for names in use: of results, of matrices and of sizes."""
    nodes = [node for s in statements for node in toposort_to_names(s.expression)]
    taken = {s.target for s in statements} | {str(n.name) for n in nodes} | {s for n in nodes for s in n.shape}
    free = (name for name in chain("ijkpqr", (f"i{number}" for number in count(1))) if name not in taken)
    return next(free), next(free), next(free)


def is_number(node: Node, names: Names) -> bool:
    """Is a 1 x 1 matrix a mere number in the program? Hyper-parameters and sizes are, and results of their own."""
    return node.value.role in ("hyper", "size") if node.op is symbol_op else str(node.name) not in names


def is_scalar(s: Statement, names: Names) -> bool:
    """Is the result a mere number? Not where it takes the place of a matrix."""
    return s.shape == (1, 1) and s.target not in names
