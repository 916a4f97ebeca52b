"""Rules about where transposes, stacks and blocks stand in a formula; the docstring is the identity."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from chainrule.algebra import constant
from chainrule.expr import (
    Node,
    define_op,
    full,
    full_op,
    is_atom,
    matmul_op,
    ones_op,
    rebuild,
    scale,
    scale_op,
    transpose_op,
    walk,
)
from chainrule.functions import function_of, is_function, transposed
from chainrule.rewrite import on
from chainrule.stack import block, block_op, bounds, hstack, hstack_op, vstack, vstack_op

STACKS = (hstack_op, vstack_op)


@on(transpose_op)
def transposes_go_inward(node: Node) -> Node | None:
    """(AB)' = B'A', (A + B)' = A' + B', (A o B)' = A' o B', f(A)' = f(A'), A'' = A."""
    return _inside(node.args[0])


@on(transpose_op)
def transposes_go_to_functions(node: Node) -> Node | None:
    """(AB)' = B'A', (A + B)' = A' + B', (A o B)' = A' o B', A'' = A, and f(A')' = f(A); f(A)' is what was computed."""
    a = node.args[0]
    computed = is_function(a) and not function_of(a).whole and a.shape != (1, 1) and constant(a) is None
    return None if computed and not _all_turned(a) else _inside(a)


@on(transpose_op)
def transposes_cancel(node: Node) -> Node | None:
    """(A'B)' = B'A, (A' + B)' = A + B', f(A')' = f(A), ..., where fewer transposes are left."""
    a = node.args[0]
    known = a.shape == (1, 1) or a.op in (full_op, transpose_op)
    return _inside(a) if known or _turning(a) < 1 else None


def _inside(a: Node) -> Node | None:
    """A' with the transpose at the operands; None where it stays outside."""
    if a.shape == (1, 1):
        return a
    if is_atom(a) or a.op is ones_op or a.op is block_op:
        return None
    if a.op is full_op:
        return full(a.value, a.shape[::-1])
    if a.op is transpose_op:
        return a.args[0]
    if a.op is matmul_op:
        return a.args[1].T @ a.args[0].T
    if a.op in STACKS:
        return _other_way(a) if _all_turned(a) else None
    if is_function(a):
        return transposed(a)
    return rebuild(a, tuple(x if x.shape == (1, 1) else x.T for x in a.args))


_turnings: WeakKeyDictionary[Node, int] = WeakKeyDictionary()


def _turning(root: Node) -> int:
    """How many more transposes are written when one goes into an expression; where that is 1, it stays outside."""
    for node in walk([root], lambda n: () if n in _turnings else _parts(n)):
        if node not in _turnings:
            _turnings[node] = _own_turning(node)
    return _turnings[root]


def _own_turning(node: Node) -> int:
    if node.shape == (1, 1) or node.op is full_op or node.op is ones_op:
        return 0
    turns = node.op in STACKS or (is_function(node) and not function_of(node).whole)
    if node.op is transpose_op or (turns and _all_turned(node)):
        return -1
    parts = _parts(node)
    return min(1, sum(_turnings[part] for part in parts)) if parts else 1


def _parts(node: Node) -> tuple[Node, ...]:
    """The operands that a transpose would meet inside."""
    if node.op in (define_op, transpose_op, block_op, *STACKS) or is_function(node):
        return ()  # what was computed is turned as a whole
    return node.args[:1] if node.op is scale_op else node.args


@on(matmul_op)
def totals_turn(node: Node) -> Node | None:
    """1' A' 1 = 1' A 1, where A' has fewer transposes in it than A."""
    a, one = node.args
    if node.shape != (1, 1) or one.op is not ones_op or a.op is not matmul_op or a.args[0].shape[0] != 1:
        return None
    left, A = a.args
    if left.op is not transpose_op or left.args[0].op is not ones_op or _turning(A) >= 0 or A.op is transpose_op:
        return None
    return one.T @ A.T @ left.T


# ---- stacks and blocks


def _all_turned(node: Node) -> bool:
    """Is every operand a transpose, constants aside? In a stack it may also be made of transposes, as f(A') + B'."""
    parts = [a for a in node.args if constant(a) is None]
    return bool(parts) and all(a.op is transpose_op or (node.op in STACKS and _turning(a) < 0) for a in parts)


def _other_way(stack: Node) -> Node:
    """The transposed parts one below the other, if they stood side by side; else side by side."""
    parts = [full(k, a.shape[::-1]) if a.op is full_op and (k := constant(a)) is not None else a.T for a in stack.args]
    return vstack(*parts) if stack.op is hstack_op else hstack(*parts)


@on(*STACKS)
def transposes_leave_stacks(node: Node) -> Node | None:
    """[A', B'] = [A; B]', and [A'; f(B')] = [A, f(B)]'; ones and zeros beside a transpose go with it."""
    return _other_way(node).T if _all_turned(node) else None


@on(*STACKS)
def numbers_leave_stacks(node: Node) -> Node | None:
    """[kA, 0] = k[A, 0]; [0, 0] = 0."""
    if len({constant(a) for a in node.args}) == 1 and (k := constant(node.args[0])) is not None:
        return full(k, node.shape)
    scaled = [i for i, a in enumerate(node.args) if constant(a) != 0]
    if len(scaled) != 1 or (part := node.args[scaled[0]]).op is not scale_op:
        return None
    number, exponents = part.value
    bare = tuple(part.args[0] if i == scaled[0] else a for i, a in enumerate(node.args))
    return scale(rebuild(node, bare), number, *zip(part.args[1:], exponents, strict=True))


@on(block_op)
def blocks_go_inward(node: Node) -> Node | None:
    """(AB)[r, c] = A[r, :] B[:, c], (A')[r, c] = A[c, r]', (kA)[r, c] = k A[r, c], and so of constants."""
    a = node.args[0]
    rows, columns = bounds(node)
    if a.op is matmul_op:
        return block(a.args[0], rows=rows) @ block(a.args[1], columns=columns)
    if a.op is transpose_op:
        return block(a.args[0], columns, rows).T
    if a.op is scale_op:
        return rebuild(a, (block(a.args[0], rows, columns), *a.args[1:]))
    return full(k, node.shape) if (k := constant(a)) is not None else None


@on(block_op)
def parts_of_a_stack(node: Node) -> Node | None:
    """[A, B][:, 0:m] = A, where A has m columns; so of rows, and of every part."""
    a = node.args[0]
    if a.op not in STACKS:
        return None
    along = 1 if a.op is hstack_op else 0
    wanted, start = bounds(node)[along], 0
    for part in a.args:
        width = part.shape[along]
        assert isinstance(width, int)
        if wanted == (start, start + width):
            return block(part, rows=bounds(node)[0]) if along else block(part, columns=bounds(node)[1])
        start += width
    return None
