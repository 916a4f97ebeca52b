"""How a formula is written, whatever the alphabet: where brackets go, how coefficients and quotients read.

text.py and latex.py supply the alphabet, a `Notation`; the rule book supplies each function's own vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from string import Formatter

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
from chainrule.functions import Function, function_of, is_function
from chainrule.matrix_functions import is_identity
from chainrule.primitives import reciprocal
from chainrule.render.lines import Piece, Written
from chainrule.render.numbers import range_text, ratio
from chainrule.stack import block_op, bounds, hstack_op, vstack_op

# How tightly the outermost operation of a written formula binds. Products are written without brackets only beside
# products of their own kind, so that A B and A ∘ B never mix.
SUM, QUOTIENT, PRODUCT, POSTFIX, ATOM = 1, 2, 3, 4, 5
STACKED = 24  # letters: a wider quotient is not written as a fraction, because no line can end inside one
LONGEST = 100_000  # letters: nobody reads more


@dataclass(frozen=True, slots=True)
class Form:
    """The template of a function: its operands are {0}, {1}, its parameters {p0}, ..."""

    template: str
    binds: int
    operand: int = 0  # how tightly an operand must bind to need no brackets
    tall: bool = False  # is it a fraction?


def form(template: str) -> Form:
    """A template that encloses its operands, or not: in 1/{0}, {0}^2 and {0} ⊗ {1} they stand open."""
    if template.startswith("{0}") and template.endswith("{1}"):
        return Form(template, PRODUCT, POSTFIX)
    if template.endswith("{0}"):
        return Form(template, QUOTIENT, ATOM)
    return Form(template, POSTFIX, ATOM) if template.startswith("{0}") else Form(template, ATOM)


@dataclass(frozen=True)
class Notation:
    """An alphabet for formulas. Templates are those of `str.format`."""

    name: Callable[[str], Written]
    number: Callable[..., Written]  # (value, exact=False)
    function: Callable[[Function, tuple[float, ...]], Form]
    turned: Callable[[Function], Form | None]  # of a function's transpose, where it has a way of its own
    measure: Callable[[str], float]  # the width, in letters, of a part of a name or template
    encloses: Callable[[str], bool]  # after this start of a template, can no line end until more of it has come?
    enlarged: Callable[[str, float], str]  # a template for a tall operand of this width
    space: float  # the width of what is between two pieces
    one: str  # the column of ones
    identity: str  # the diagonal matrix of ones
    apart: str  # what stands between a number and a column of ones
    transposed: str  # "{0}'"
    power: str  # "{0}^{1}"
    hadamard: str  # the sign of the product, entry by entry
    divided: str  # the sign of the quotient, entry by entry
    stacked: str  # "[{0}]", around matrices side by side and one below the other
    beside: str  # the sign between those side by side
    below: str  # and between those one below the other
    block: str  # {0} is a matrix, {1} rows and {2} columns of it
    span: str  # from {0} to {1}
    over: str | None = None  # the sign before a coefficient's denominator, where it stands behind the matrix
    fraction: str | None = None  # or: a coefficient is a fraction in front of it, and so are short quotients


Memo = dict[Node, Written]


def write(root: Node, notation: Notation) -> str:
    """A formula on one line; a defined name in it is not opened."""
    return compose(root, notation).text


def compose(root: Node, notation: Notation) -> Written:
    """A formula in pieces between which a line may end."""
    memo: Memo = {}
    for node in toposort_to_names(root):
        written = _WRITERS.get(node.op, _function)(node, memo, notation)
        memo[node] = replace(written, constant=_is_constant(node, memo))
        if len(written.pieces) > LONGEST or sum(p.width for p in written.pieces) > LONGEST:
            raise ValueError(f"this formula has more than {LONGEST} letters: give names to its parts with define()")
    return memo[root]


# ---- putting parts together


def glyph(text: str, to: Notation, binds: int = ATOM) -> Written:
    """A part without places to break."""
    return Written((Piece(text, to.measure(text)),), binds)


def fill(form: Form, operands: Mapping[str, Written], to: Notation) -> Written:
    """A template with its operands: a line may end inside one unless the template encloses it."""
    tall = any(o.tall for o in operands.values())
    width = sum(_width(o, to) for o in operands.values())
    template = to.enlarged(form.template, width) if tall else form.template
    done: list[Piece] = []
    last, before = Piece("", 0), ""
    for literal, field, _, _ in Formatter().parse(template):
        before += literal
        last = _beside(last, Piece(literal, to.measure(literal)))
        if not field:
            continue
        operand = operands[field]
        if to.encloses(before):
            operand = _solid(operand, to)
        first, *rest = _deeper(operand).pieces
        done.append(_beside(last, first))
        done.extend(rest)
        last = done.pop()
    return Written((*done, last), form.binds, tall or form.tall)


def _beside(a: Piece, b: Piece) -> Piece:
    """Two pieces as one."""
    return replace(a, text=a.text + b.text, width=a.width + b.width)


def _width(written: Written, to: Notation) -> float:
    return sum(p.width for p in written.pieces) + to.space * (len(written.pieces) - 1)


def _solid(written: Written, to: Notation) -> Written:
    """In one piece, inside which no line ends."""
    return replace(written, pieces=(Piece(written.text, _width(written, to)),))


def _deeper(written: Written) -> Written:
    return replace(written, pieces=tuple(replace(p, level=p.level + 1) for p in written.pieces))


def _bracketed(written: Written, to: Notation) -> Written:
    return fill(Form("({0})", ATOM), {"0": written}, to)


def _operand(written: Written, to: Notation, level: int) -> Written:
    """An operand, in brackets where it binds less tightly than its place needs."""
    return _bracketed(written, to) if written.binds < level else written


def _infix(left: Written, sign: str, right: Written, to: Notation, binds: int) -> Written:
    """Two operands with a sign between them, before which a line may end."""
    first, *rest = right.pieces
    head = Piece(f"{sign} {first.text}", to.measure(sign) + to.space + first.width)
    return Written((*left.pieces, head, *rest), binds, left.tall or right.tall)


def _row(parts: list[Written], to: Notation, binds: int, between: str = " ") -> Written:
    """Parts side by side; no line ends between them."""
    first, *rest = parts
    pieces = list(first.pieces)
    for part in rest:
        last = _beside(pieces.pop(), Piece(between, to.space if between.isspace() else to.measure(between)))
        pieces += [_beside(last, part.pieces[0]), *part.pieces[1:]]
    return Written(tuple(pieces), binds, any(p.tall for p in parts))


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
        return fill(turned, {"0": _operand(memo[a.args[0]], to, turned.operand)}, to)
    return fill(Form(to.transposed, POSTFIX), {"0": _operand(memo[a], to, ATOM)}, to)


def _entries(node: Node, memo: Memo, to: Notation) -> Written:
    """An operand of an operation on entries: there a column of ones is the number 1."""
    return replace(to.number(1), constant=True) if is_ones(node) else memo[node]


def _add(node: Node, memo: Memo, to: Notation) -> Written:
    a, b = node.args
    left = memo[a] if a.op is add_op else _deeper(_entries(a, memo, to))
    sign, right = "+", _entries(b, memo, to)
    if b.op is full_op and b.value < 0:
        sign, right = "-", to.number(-b.value)
    elif b.op is scale_op and b.value[0] < 0:
        sign, right = "-", _scale(b, memo, to, negate=True)
    return _infix(left, sign, _deeper(_operand(right, to, QUOTIENT)), to, SUM)


def _hadamard(node: Node, memo: Memo, to: Notation) -> Written:
    a, b = node.args
    left, right = (_beside_sign(x, memo, to) for x in node.args)
    if a.op is hadamard_op and memo[a].binds >= PRODUCT:
        left = memo[a]
    if b.op is reciprocal.op:
        below = _entries(b.args[0], memo, to)
        if to.fraction and _stacks(memo[a], to) and _stacks(below, to):
            return _stack(_entries(a, memo, to), below, to)
        if memo[b].binds < POSTFIX:
            return _infix(left, to.divided, _operand(below, to, ATOM), to, QUOTIENT)
    return _infix(left, to.hadamard, right, to, PRODUCT)


def _beside_sign(node: Node, memo: Memo, to: Notation) -> Written:
    """A factor of a product entry by entry; a number would join a coefficient in front of it."""
    written = _entries(node, memo, to)
    return _operand(written, to, ATOM + 1 if written.constant else POSTFIX)


def _stacks(written: Written, to: Notation) -> bool:
    return not written.tall and _width(written, to) <= STACKED


def _stack(above: Written, below: Written, to: Notation) -> Written:
    """A fraction, as wide as the wider part."""
    written = fill(Form(to.fraction or "", POSTFIX, tall=True), {"0": above, "1": below}, to)
    (piece,) = written.pieces
    width = max(_width(above, to), _width(below, to)) + 1
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
        return _bracketed(written, to)
    if not written.constant or is_ones(node) or node.shape == (1, 1):
        return _operand(written, to, POSTFIX)
    column = glyph(to.one, to)
    row = fill(Form(to.transposed, POSTFIX), {"0": column}, to)
    matrix = [column] if node.shape[1] == 1 else [row] if node.shape[0] == 1 else [column, row]
    if inner.op is full_op and inner.value == 1:
        return _row(matrix, to, PRODUCT)
    product = _row([_operand(written, to, POSTFIX), _row(matrix, to, PRODUCT)], to, PRODUCT, to.apart)
    return _bracketed(product, to)


def _scale(node: Node, memo: Memo, to: Notation, *, negate: bool = False) -> Written:
    """A coefficient and a matrix: 2 lr A, -A, (A B)/(2 n); of a constant matrix the one number, 2/n."""
    number, exponents = node.value
    inner, body = _untransposed(node.args[0]), memo[node.args[0]]
    filled = inner.op is ones_op or (inner.op is full_op and math.isfinite(inner.value))
    if inner.op is full_op and filled:
        number *= fraction(inner.value)
    above, below = ratio(abs(number))
    powers = list(zip((memo[s] for s in node.args[1:]), exponents, strict=True))
    top = _coefficient(above, [_power(s, e, to) for s, e in powers if e > 0], to)
    bottom = _coefficient(below, [_power(s, -e, to) for s, e in powers if e < 0], to)
    if body.constant or (body.binds < PRODUCT and inner.op is not hadamard_op):
        body = _bracketed(body, to)
    between = to.apart if is_ones(_first_factor(inner)) else " "
    whole = _fraction(top, bottom, None if filled else body, to, between)
    return _signed(replace(whole, binds=PRODUCT), to, negative=(number < 0) != negate)


def _power(scalar: Written, exponent: int, to: Notation) -> Written:
    if exponent == 1:
        return scalar
    return fill(Form(to.power, POSTFIX), {"0": _operand(scalar, to, ATOM), "1": to.number(exponent)}, to)


def _coefficient(number: float, scalars: list[Written], to: Notation) -> Written | None:
    """The product of a number and scalars, if it is not 1."""
    if number == 1 and len(scalars) < 2:
        bare = not scalars or scalars[0].binds != PRODUCT or not set(scalars[0].text) & set(" /")
        return None if not scalars else scalars[0] if bare else _bracketed(scalars[0], to)
    numbers = [] if number == 1 else [to.number(number)]
    parts = [*numbers, *(_operand(s, to, POSTFIX) for s in scalars)]
    return parts[0] if len(parts) == 1 else _row(parts, to, PRODUCT)


def _fraction(top: Written | None, bottom: Written | None, body: Written | None, to: Notation, between: str) -> Written:
    """top/bottom times the body: the fraction in front of it, or the denominator behind it."""
    if bottom and to.fraction:
        top, bottom = _stack(top or to.number(1), bottom, to), None
    top = top and _operand(top, to, PRODUCT)
    whole = _row([top, body], to, PRODUCT, between) if top and body else body or top or to.number(1)
    if bottom and to.over:
        divided = _bracketed(whole, to) if body and body.binds < POSTFIX else whole
        return _row([divided, _solid(_operand(bottom, to, POSTFIX), to)], to, PRODUCT, to.over)
    return whole


def _stacked(node: Node, memo: Memo, to: Notation) -> Written:
    """[A, B] and [A; B], in which no line ends."""
    operands = (f"{{{i}}}" for i in range(len(node.args)))
    template = to.stacked.replace("{0}", (to.beside if node.op is hstack_op else to.below).join(operands))
    return fill(Form(template, ATOM), {str(i): _solid(memo[a], to) for i, a in enumerate(node.args)}, to)


def _block(node: Node, memo: Memo, to: Notation) -> Written:
    """A(1:3, :), counted from 1."""
    rows, columns = (glyph(range_text(r, to.span), to) for r in bounds(node))
    return fill(Form(to.block, ATOM), {"0": _operand(memo[node.args[0]], to, ATOM), "1": rows, "2": columns}, to)


def _function(node: Node, memo: Memo, to: Notation) -> Written:
    if is_identity(node):
        return glyph(to.identity, to)
    written = to.function(function_of(node), node.value)
    whole = function_of(node).whole
    args = [_factor(a, memo, to) if whole and memo[a].constant else _entries(a, memo, to) for a in node.args]
    if node.op is reciprocal.op and written.tall and not _stacks(args[0], to):
        return _infix(to.number(1), to.divided, _operand(args[0], to, ATOM), to, QUOTIENT)
    operands = {str(i): _deeper(_operand(a, to, written.operand)) for i, a in enumerate(args)}
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
