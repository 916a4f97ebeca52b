"""How a formula is written, whatever the alphabet: where brackets go, how coefficients and quotients read.

text.py and latex.py supply the alphabet; the rule book supplies each function's own vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from chainrule.expr import (
    Node,
    Op,
    add_op,
    define_op,
    fraction,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    ones_op,
    scale_op,
    symbol_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import function_of, is_function
from chainrule.matrix_functions import is_identity
from chainrule.primitives import reciprocal
from chainrule.render.alphabet import (
    ATOM,
    POSTFIX,
    PRODUCT,
    QUOTIENT,
    STACKED,
    SUM,
    Form,
    Notation,
    bracketed,
    deeper,
    fill,
    glyph,
    infix,
    operand,
    side_by_side,
    solid,
    width_of,
)
from chainrule.render.lines import Written
from chainrule.render.numbers import range_text, ratio
from chainrule.stack import block_op, bounds, hstack_op, vstack_op

LONGEST = 100_000  # letters: nobody reads more

Memo = dict[Node, Written]


def write(root: Node, notation: Notation) -> str:
    """A formula on one line; a defined name in it is not opened."""
    return compose(root, notation).text


def compose(root: Node, notation: Notation) -> Written:
    """A formula in pieces between which a line may end."""
    memo: Memo = {}
    for node in toposort_to_names(root):
        written = _WRITERS.get(node.op, _function)(node, memo, notation)
        constant = _is_constant(node, memo)
        memo[node] = written if written.constant == constant else replace(written, constant=constant)
        if len(written.pieces) > LONGEST or sum(p.width for p in written.pieces) > LONGEST:
            raise ValueError(f"this formula has more than {LONGEST} letters: give names to its parts with define()")
    alone = memo[root].constant and root.shape != (1, 1) and not _is_zero(root)
    return _constant_matrix(root, memo, notation) if alone else memo[root]


# ---- the operations of the core


def _name(node: Node, memo: Memo, to: Notation) -> Written:
    return to.name(str(node.name))


def _ones(node: Node, memo: Memo, to: Notation) -> Written:
    return glyph(to.one, to)


def _full(node: Node, memo: Memo, to: Notation) -> Written:
    return _signed(to.number(abs(node.value)), to, negative=node.value < 0)


def _signed(written: Written, to: Notation, *, negative: bool) -> Written:
    if not negative:
        return written
    first, *rest = written.pieces
    minus = replace(first, text=f"-{first.text}", width=first.width + to.measure("-"))
    return replace(written, pieces=(minus, *rest), binds=SUM)


def _transpose(node: Node, memo: Memo, to: Notation) -> Written:
    (a,) = node.args
    if memo[a].constant and not is_ones(a):  # the same number in every entry
        return memo[a]
    if is_function(a) and (turned := to.turned(function_of(a))) is not None:
        return fill(turned, {"0": operand(memo[a.args[0]], to, turned.operand)}, to)
    return fill(Form(to.transposed, POSTFIX), {"0": operand(memo[a], to, ATOM)}, to)


def _entries(node: Node, memo: Memo, to: Notation) -> Written:
    """An operand of an operation on entries: there a column of ones is the number 1."""
    return replace(to.number(1), constant=True) if is_ones(node) else memo[node]


def _beside_entries(node: Node, memo: Memo, to: Notation, others: Iterable[Node]) -> Written:
    """The same, beside a matrix whose entries differ: (1' B 1) 1 1' there, which alone would look 1 x 1."""
    shown = _fills(node, memo, is_atom) and not all(memo[a].constant for a in others)
    return _constant_matrix(node, memo, to) if shown else _entries(node, memo, to)


def _add(node: Node, memo: Memo, to: Notation) -> Written:
    a, b = node.args
    left = memo[a] if a.op is add_op else deeper(_beside_entries(a, memo, to, node.args))
    sign, right = "+", _beside_entries(b, memo, to, node.args)
    if b.op is full_op and b.value < 0:
        sign, right = "-", to.number(-b.value)
    elif b.op is scale_op and b.value[0] < 0:
        sign, right = "-", _scale(b, memo, to, negate=True)
    return infix(left, sign, deeper(operand(right, to, QUOTIENT)), to, SUM)


def _hadamard(node: Node, memo: Memo, to: Notation) -> Written:
    a, b = node.args
    left, right = (_beside_sign(x, memo, to, node.args) for x in node.args)
    if a.op is hadamard_op and memo[a].binds >= PRODUCT:
        left = memo[a]
    if b.op is reciprocal.op:
        below = _entries(b.args[0], memo, to)
        if to.fraction and _stacks(memo[a], to) and _stacks(below, to):
            return _stack(_entries(a, memo, to), below, to)
        if memo[b].binds < POSTFIX:
            return infix(left, to.divided, operand(below, to, ATOM), to, QUOTIENT)
    return infix(left, to.hadamard, right, to, PRODUCT)


def _beside_sign(node: Node, memo: Memo, to: Notation, others: Iterable[Node]) -> Written:
    """A factor of a product entry by entry; a number would join a coefficient in front of it."""
    spelt = _fills(node, memo, is_atom, to) if to.spelt else False
    written = _constant_matrix(node, memo, to) if spelt else _beside_entries(node, memo, to, others)
    return operand(written, to, ATOM + 1 if written.constant else POSTFIX)


def _stacks(written: Written, to: Notation) -> bool:
    return not written.tall and width_of(written, to) <= STACKED


def _stack(above: Written, below: Written, to: Notation) -> Written:
    """A fraction, as wide as the wider part."""
    written = fill(Form(to.fraction or "", POSTFIX, tall=True), {"0": above, "1": below}, to)
    (piece,) = written.pieces
    width = max(width_of(above, to), width_of(below, to)) + 1
    return replace(written, pieces=(replace(piece, width=width),))


def _matmul(node: Node, memo: Memo, to: Notation) -> Written:
    a, b = node.args
    left = memo[a] if a.op is matmul_op else _factor(a, memo, to)
    plain = b.op is matmul_op and 1 in b.shape and not is_ones(a)  # A (B x) and u (v' A): the order is no question
    right = memo[b] if plain else _factor(b, memo, to)
    first, *rest = right.pieces
    pieces = (*left.pieces, replace(first, level=0, operator=False), *rest)
    return Written(pieces, PRODUCT, left.tall or right.tall)


def _factor(node: Node, memo: Memo, to: Notation) -> Written:
    """A factor of a product; a constant matrix as (c 1 1'), because a number alone would not say its shape."""
    written = memo[node]
    inner = _untransposed(node)
    if inner.op is full_op and node.shape == (1, 1):
        return bracketed(written, to)
    if not written.constant or is_ones(node) or node.shape == (1, 1):
        return operand(written, to, POSTFIX)
    matrix = _constant_matrix(node, memo, to)
    return matrix if inner.op is full_op and inner.value == 1 else bracketed(matrix, to)


def _constant_matrix(node: Node, memo: Memo, to: Notation) -> Written:
    """c 1 1', the matrix filled with a number."""
    column = glyph(to.one, to)
    row = fill(Form(to.transposed, POSTFIX), {"0": column}, to)
    ones = [column] if node.shape[1] == 1 else [row] if node.shape[0] == 1 else [column, row]
    shown, inner = side_by_side(ones, to, PRODUCT), _untransposed(node)
    if inner.op is ones_op or (inner.op is full_op and inner.value == 1):
        return shown
    like_a_number = node.shape[1] == 1 and to.one == to.number(1).text and not _shows_a_factor(inner)  # -1, 1/n
    if inner.op is scale_op and _is_filled(inner.args[0]) and not to.spelt and not like_a_number:
        return _scale(inner, memo, to, filling=shown)
    if inner.op is full_op and not like_a_number:
        number = [] if inner.value == -1 else [to.number(abs(inner.value))]
        return _signed(side_by_side([*number, shown], to, PRODUCT, to.apart), to, negative=inner.value < 0)
    return side_by_side([operand(memo[node], to, POSTFIX), shown], to, PRODUCT, to.apart)


def _shows_a_factor(node: Node) -> bool:
    """Has a constant matrix something in front of its ones, other than a sign?"""
    if node.op is not scale_op:
        return node.op is full_op and abs(node.value) != 1
    number, exponents = node.value
    inner = _untransposed(node.args[0])
    value = number * fraction(inner.value) if inner.op is full_op and _is_filled(inner) else number
    return ratio(abs(value))[0] != 1 or any(e > 0 for e in exponents)


def _fills(node: Node, memo: Memo, alone: Callable[[Node], bool], to: Notation | None = None) -> bool:
    """Is it a constant matrix whose number would look 1 x 1, as 1' A 1 does? What may stand `alone` does not.

    In a notation that spells them out, every one is.
    """
    scaled = _untransposed(node)
    if node.shape == (1, 1) or not memo[node].constant:
        return False
    if to and to.spelt:
        return True
    return scaled.op is scale_op and not all(memo[s].constant or alone(s) for s in scaled.args[1:])


def _scale(node: Node, memo: Memo, to: Notation, *, negate: bool = False, filling: Written | None = None) -> Written:
    """A coefficient and a matrix: 2 lr A, -A, (A B)/(2 n); of a constant matrix the one number, 2/n, or `filling`."""
    number, exponents = node.value
    inner, body = _untransposed(node.args[0]), memo[node.args[0]]
    filled = _is_filled(inner)
    if inner.op is full_op and filled:
        number *= fraction(inner.value)
    above, below = ratio(abs(number))
    powers = list(zip((memo[s] for s in node.args[1:]), exponents, strict=True))
    top = _coefficient(above, [_power(s, e, to) for s, e in powers if e > 0], to)
    bottom = _coefficient(below, [_power(s, -e, to) for s, e in powers if e < 0], to)
    if body.constant or (body.binds < PRODUCT and inner.op is not hadamard_op):
        body = bracketed(body, to)
    between = to.apart if filling or is_ones(_first_factor(inner)) else " "
    whole = _fraction(top, bottom, filling if filled else body, to, between)
    alone = filled and filling is None and whole is top  # in brackets already, where it needs them
    return _signed(whole if alone else replace(whole, binds=PRODUCT), to, negative=(number < 0) != negate)


def _power(scalar: Written, exponent: int, to: Notation) -> Written:
    if exponent == 1:
        return scalar
    return fill(Form(to.power, POSTFIX), {"0": operand(scalar, to, ATOM), "1": to.number(exponent)}, to)


def _coefficient(number: float, scalars: list[Written], to: Notation) -> Written | None:
    """The product of a number and scalars, if it is not 1."""
    if number == 1 and len(scalars) < 2:
        bare = not scalars or scalars[0].binds != PRODUCT or not set(scalars[0].text) & set(" /")
        return None if not scalars else scalars[0] if bare else bracketed(scalars[0], to)
    numbers = [] if number == 1 else [to.number(number)]
    parts = [*numbers, *(operand(s, to, POSTFIX) for s in scalars)]
    return parts[0] if len(parts) == 1 else side_by_side(parts, to, PRODUCT, to.times)


def _fraction(top: Written | None, bottom: Written | None, body: Written | None, to: Notation, between: str) -> Written:
    """top/bottom times the body: the fraction in front of it, or the denominator behind it."""
    if bottom and to.fraction:
        top, bottom = _stack(top or to.number(1), bottom, to), None
    top = top and operand(top, to, PRODUCT)
    whole = side_by_side([top, body], to, PRODUCT, between) if top and body else body or top or to.number(1)
    if bottom and to.over:
        divided = bracketed(whole, to) if body and body.binds < POSTFIX else whole
        return side_by_side([divided, solid(operand(bottom, to, POSTFIX), to)], to, PRODUCT, to.over)
    return whole


def _stacked(node: Node, memo: Memo, to: Notation) -> Written:
    """[A, B] and [A; B], in which no line ends."""
    operands = (f"{{{i}}}" for i in range(len(node.args)))
    template = to.stacked.replace("{0}", (to.beside if node.op is hstack_op else to.below).join(operands))
    return fill(Form(template, ATOM), {str(i): solid(memo[a], to) for i, a in enumerate(node.args)}, to)


def _block(node: Node, memo: Memo, to: Notation) -> Written:
    """A[0:3, :], counted from 0, as entries are."""
    rows, columns = (glyph(range_text(r, to.span), to) for r in bounds(node))
    return fill(Form(to.block, ATOM), {"0": operand(memo[node.args[0]], to, ATOM), "1": rows, "2": columns}, to)


def _function(node: Node, memo: Memo, to: Notation) -> Written:
    if is_identity(node):
        return glyph(to.identity, to)
    written = to.function(function_of(node), node.value)
    whole = function_of(node).whole
    args = [_factor(a, memo, to) if whole and memo[a].constant else _entries(a, memo, to) for a in node.args]
    if node.op is reciprocal.op and written.tall and not _stacks(args[0], to):
        return infix(to.number(1), to.divided, operand(args[0], to, ATOM), to, QUOTIENT)
    operands = {str(i): deeper(operand(a, to, written.operand)) for i, a in enumerate(args)}
    return fill(written, operands | {f"p{i}": to.number(p, exact=True) for i, p in enumerate(node.value)}, to)


_WRITERS: dict[Op, Callable[[Node, Memo, Notation], Written]] = {
    symbol_op: _name,
    define_op: _name,
    full_op: _full,
    ones_op: _ones,
    transpose_op: _transpose,
    add_op: _add,
    hadamard_op: _hadamard,
    matmul_op: _matmul,
    scale_op: _scale,
    hstack_op: _stacked,
    vstack_op: _stacked,
    block_op: _block,
}


# ---- what a node is


def is_ones(node: Node) -> bool:
    """True for 1 and 1', a column or a row of ones."""
    return _untransposed(node).op is ones_op


def _is_filled(node: Node) -> bool:
    """Is it full of one number?"""
    inner = _untransposed(node)
    return inner.op is ones_op or (inner.op is full_op and math.isfinite(inner.value))


def _is_zero(node: Node) -> bool:
    """The zero matrix, which is written as the number."""
    return node.op is full_op and node.value == 0


def _untransposed(node: Node) -> Node:
    return node.args[0] if node.op is transpose_op else node


def _first_factor(node: Node) -> Node:
    while node.op is matmul_op:
        node = node.args[0]
    return node


def _is_constant(node: Node, memo: Memo) -> bool:
    """Is one number all there is to see in a formula?"""
    whole = node.op in (matmul_op, hstack_op, vstack_op) or (is_function(node) and function_of(node).whole)
    if is_atom(node) or whole:
        return False
    return all(memo[a].constant for a in (node.args[:1] if node.op is scale_op else node.args))
