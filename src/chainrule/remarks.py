"""What a reader of derived equations must be told beside them: sizes that do not show, facts that would shorten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from chainrule.algebra import constant
from chainrule.expr import Node, matmul_op, symbol_op, toposort, toposort_to_names, transpose_op
from chainrule.functions import function_of, is_function
from chainrule.matrix_functions import block_products, combined_blocks, is_identity, kron, unvec
from chainrule.render.notation import is_ones
from chainrule.render.text import text
from chainrule.shapes import show
from chainrule.stack import block_op, bounds

UNUSUAL = (block_products.op, combined_blocks.op, unvec.op)
FACT = ("columns_sum_to_one", "rows_sum_to_one")  # by the axis that is added up


def sizes_in_kronecker_products(expressions: Iterable[Node]) -> list[str]:
    """The sizes of 1 and I beside ⊗, which no neighbour shows."""
    found: dict[str, None] = {}
    for node in toposort(*expressions):
        if node.op is kron.op:
            sizes = [f"{_written(a)} is {show(a.shape)}" for a in node.args if is_identity(a) or constant(a)]
            if sizes:
                found[f"in {text(node)}, {' and '.join(sizes)}"] = None
    return [f"I is an identity matrix, and 1 a column of ones: {'; '.join(found)}"] if found else []


def entries_of_symmetric(wrt: Iterable[Node]) -> list[str]:
    """What the gradient by a symmetric matrix is, and what it is by the entries that are free."""
    return [
        f"d{S.name} takes the entries of {S.name} as independent; by those on and below the diagonal, as {S.name} is "
        f"symmetric, the derivative is d{S.name} + d{S.name}' - Diag(diag(d{S.name})) (The Matrix Cookbook, 2.8)"
        for S in wrt
        if "symmetric" in S.value.facts and S.shape != (1, 1)
    ]


def functions_of_few(expressions: Iterable[Node]) -> list[str]:
    """What the functions are that only this library calls so."""
    functions = {n.op: function_of(n) for n in toposort(*expressions) if n.op in UNUSUAL}
    return [f"{f.name}(...) is {f.summary}" for f in functions.values()]


def how_blocks_are_counted(expressions: Iterable[Node]) -> list[str]:
    """What the first block among the expressions is, in words."""
    first = next((n for n in toposort_to_names(*expressions) if n.op is block_op), None)
    if first is None:
        return []
    lines = [f"row{_to_last(r)}" if axis == 0 else f"column{_to_last(r)}" for axis, r in enumerate(bounds(first)) if r]
    return [f"{text(first)} is {', '.join(lines)} of {text(first.args[0])}, counted from 0"]


def _to_last(taken: tuple[int, int]) -> str:
    first, stop = taken
    return f" {first}" if first + 1 == stop else f"s {first} to {stop - 1}"


def _written(a: Node) -> str:
    rows, columns = a.shape
    return "I" if is_identity(a) else "1" if columns == 1 else "1'" if rows == 1 else "1 1'"


def facts_that_would_shorten(expressions: Iterable[Node]) -> list[str]:
    """Sums of targets beside a softmax: they are 1 where that is declared."""
    nodes = list(toposort(*expressions))
    if not any(is_function(n) and "rows_sum_to_one" in function_of(n).facts for n in nodes):
        return []
    return list(dict.fromkeys(_hints(nodes)))


def _hints(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        if node.op is not matmul_op or not any(map(is_ones, node.args)):
            continue
        axis = int(is_ones(node.args[1]))
        summed = node.args[1 - axis]
        symbol = summed.args[0] if summed.op is transpose_op else summed
        if symbol.op is symbol_op and summed.shape[axis] != 1:
            fact = FACT[axis if symbol is summed else 1 - axis]
            yield f"{text(node)} is 1 where {symbol.name} is declared {fact}, as a distribution is"
