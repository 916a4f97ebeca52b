"""Lowered expressions as source text: a printer owns brackets, a `Language` the words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from string import Formatter

from chainrule.errors import DataError
from chainrule.expr import (
    Node,
    Op,
    add_op,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    scale_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import function_of, is_function
from chainrule.primitives import reciprocal
from chainrule.program.language import Language
from chainrule.program.lower import column_sums_op, repeat_op, row_sums_op, total_op
from chainrule.shapes import Shape
from chainrule.stack import block_op, bounds, hstack_op, vstack_op

LOOSE, SUM, PRODUCT, UNARY, POWER, ATOM = range(6)  # how tightly source text binds


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of source, how tightly its outermost operation binds, and the shape of the array that it gives.

    Broadcasting lets a matrix of equal rows be given by one of them; where all must be there, `_whole` fills them in.
    """

    text: str
    binds: int
    shape: Shape


Memo = Mapping[Node, Code]
Writer = Callable[[Node, Memo, Language], Code]


def code(root: Node, to: Language, names: Mapping[str, str] | None = None) -> str:
    """The source of a lowered expression of whole arrays; `names` says what to write for a name."""
    names = names or {}
    memo: dict[Node, Code] = {}
    for node in toposort_to_names(root):
        memo[node] = named(node, names) if is_atom(node) else written(node, memo, to)
    return memo[root].text if root.shape == (1, 1) else _whole(root, memo, to).text


def named(node: Node, names: Mapping[str, str]) -> Code:
    """What has a name of its own."""
    return Code(names.get(str(node.name), str(node.name)), ATOM, node.shape)


def written(node: Node, memo: Memo, to: Language) -> Code:
    """One operation on operands that are written."""
    return _WRITERS.get(node.op, _function)(node, memo, to)


def number(value: float | Fraction, to: Language) -> str:
    """A number as the shortest source that gives it back."""
    written = _decimal(value, to)
    return written if to.decimals or written == "-0.0" else written.removesuffix(".0")


def _decimal(value: float | Fraction, to: Language) -> str:
    written = repr(float(value))
    return to.constants.get(written, written)


# ---- operands


def at(piece: Code, level: int) -> str:
    """Source text as an operand that must bind at least so tightly."""
    return f"({piece.text})" if piece.binds < level else piece.text


def _whole(node: Node, memo: Memo, to: Language) -> Code:
    """An operand of which every row and column must be there; one of 1 x 1 may be a mere number."""
    piece = memo[node]
    if piece.shape == node.shape != (1, 1):
        return piece
    text = piece.text
    if piece.shape == (1, 1):  # an array of whole numbers would have no negative powers
        text = _decimal(node.value, to) if node.op is full_op else f"1.0 * {at(piece, UNARY)}"
    rows, columns = node.shape
    binds = ATOM if node.op is full_op and not text.startswith("-") else PRODUCT
    return filled(to.full, [Code(text, binds, piece.shape)], node.shape, rows=str(rows), columns=str(columns))


def broadcast(shape: Shape, pieces: list[Code]) -> Shape:
    """The shape of the array that comes of these operands, of a matrix of this shape."""
    rows, columns = (size if any(p.shape[i] == size for p in pieces) else 1 for i, size in enumerate(shape))
    return rows, columns


def core(node: Node) -> Node:
    """What is repeated, or the matrix itself: broadcasting needs no word."""
    return node.args[0] if node.op is repeat_op else node


# ---- writers


def _full(node: Node, memo: Memo, to: Language) -> Code:
    text = number(node.value, to)
    return Code(text, UNARY if text.startswith("-") else ATOM, (1, 1))


def _repeat(node: Node, memo: Memo, to: Language) -> Code:
    return memo[node.args[0]]


def _add(node: Node, memo: Memo, to: Language) -> Code:
    a, b = node.args
    taken, sign = core(b), "-"
    if taken.op is scale_op and taken.value[0] < 0:
        bare = taken.value == (-1, ())
        right = memo[taken.args[0]] if bare else _coefficient(taken, memo, to, -taken.value[0])
    elif taken.op is full_op and taken.value < 0:
        right = Code(number(-taken.value, to), ATOM, (1, 1))
    else:
        right, sign = memo[b], "+"
    return Code(f"{at(memo[a], SUM)} {sign} {at(right, PRODUCT)}", SUM, broadcast(node.shape, [memo[a], memo[b]]))


def _hadamard(node: Node, memo: Memo, to: Language) -> Code:
    a, b = node.args
    shape = broadcast(node.shape, [memo[a], memo[b]])
    if core(b).op is reciprocal.op:
        return Code(to.divide.format(_factor(a, memo, PRODUCT), _factor(core(b).args[0], memo, UNARY)), PRODUCT, shape)
    if _boolean(a, to) and not _boolean(b, to):
        a, b = b, a
    boolean = _boolean(b, to) if memo[a].shape != (1, 1) else None
    right = boolean.format(memo[b.args[0]].text) if boolean else _factor(b, memo, UNARY)
    return Code(to.hadamard.format(_factor(a, memo, PRODUCT), right), PRODUCT, shape)


def _boolean(node: Node, to: Language) -> str | None:
    """Words for True and False: on the right of an array of numbers, they are cheaper than 1.0 and 0.0."""
    return function_of(node).boolean if is_function(node) and to.booleans else None


def _factor(node: Node, memo: Memo, level: int) -> str:
    easily_misread = node.op in (matmul_op, scale_op, reciprocal.op)
    return at(memo[node], UNARY if easily_misread else level)


def _matmul(node: Node, memo: Memo, to: Language) -> Code:
    left, right = (_whole(a, memo, to) for a in node.args)
    chained = PRODUCT if node.args[0].op is matmul_op else UNARY
    return Code(to.matmul.format(at(left, chained), at(right, UNARY)), PRODUCT, node.shape)


def _scale(node: Node, memo: Memo, to: Language) -> Code:
    return _coefficient(node, memo, to, node.value[0])


def _coefficient(node: Node, memo: Memo, to: Language, k: Fraction) -> Code:
    """k s1 A / (s2 ...): what multiplies in front, what divides behind, a number's reciprocal too."""
    powers = list(zip(node.args[1:], node.value[1], strict=True))
    above = [at(memo[s], UNARY) for s, e in powers for _ in range(e)]
    below = [at(memo[s], UNARY) for s, e in powers for _ in range(-e)]
    size, inner = abs(k), node.args[0]
    if size.numerator == 1 and 1 < size.denominator < 10:
        below.insert(0, number(size.denominator, to))
    elif size != 1:
        above.insert(0, number(size, to))
    level = UNARY if inner.op is matmul_op else PRODUCT
    binds = ATOM
    if above and inner.op is reciprocal.op and inner.shape == (1, 1):
        below.append(at(memo[inner.args[0]], UNARY))
    elif not (above and inner.op is full_op and inner.value == 1):
        binds = memo[inner].binds if memo[inner].binds >= level else ATOM
        above.append(at(memo[inner], level))
    if below or len(above) > 1:
        binds = PRODUCT
    text = " * ".join(above)
    if below:
        text = f"{text} / {below[0] if len(below) == 1 else '(' + ' * '.join(below) + ')'}"
    if k < 0:
        text, binds = f"-{text}", UNARY if binds > PRODUCT else SUM
    return Code(text, binds, memo[inner].shape)


def _transpose(node: Node, memo: Memo, to: Language) -> Code:
    piece = memo[node.args[0]]
    if piece.shape == (1, 1):
        return piece  # a number, whatever it fills
    return Code(to.transpose.format(at(piece, ATOM)), ATOM, piece.shape[::-1])


def stacked(node: Node, to: Language, texts: Sequence[str]) -> str:
    """The template of a stack of so many parts, or the stack itself."""
    beside = node.op is hstack_op
    return (to.hstack if beside else to.vstack).replace("{0}", (", " if beside else to.below).join(texts))


def _stack(node: Node, memo: Memo, to: Language) -> Code:
    return Code(stacked(node, to, [_whole(a, memo, to).text for a in node.args]), ATOM, node.shape)


def _block(node: Node, memo: Memo, to: Language) -> Code:
    rows, columns = (
        ":" if r is None else to.range.format(first=r[0] or "", start=r[0] + 1, stop=r[1]) for r in bounds(node)
    )
    text = to.block.format(at(_whole(node.args[0], memo, to), ATOM), rows=rows, columns=columns)
    return Code(text, ATOM, node.shape)


def _row_sums(node: Node, memo: Memo, to: Language) -> Code:
    return filled(to.row_sums, [_whole(node.args[0], memo, to)], node.shape)


def _column_sums(node: Node, memo: Memo, to: Language) -> Code:
    return filled(to.column_sums, [_whole(node.args[0], memo, to)], node.shape)


def _total(node: Node, memo: Memo, to: Language) -> Code:
    return filled(to.total, [_whole(node.args[0], memo, to)], node.shape)


def _function(node: Node, memo: Memo, to: Language) -> Code:
    """A function's own template, filled in."""
    function = function_of(node)
    if function.elementwise:
        pieces = [memo[a] for a in node.args]
        shape = broadcast(node.shape, pieces)
    else:
        pieces, shape = [_whole(a, memo, to) for a in node.args], node.shape
    return filled(word(node, to), pieces, shape, **parameters(node, to))


def word(node: Node, to: Language) -> str:
    """The template of the function that a node applies; there is none for some primitives in some languages."""
    function = function_of(node)
    template = to.word(function)
    if template is None:
        others = [name for name in function.code if name != to.name]
        known = f"; {', '.join(others)} has one" if others else ""
        raise DataError(f"{to.name} has no word for {function.name}, which no other function defines{known}")
    return template


def parameters(node: Node, to: Language) -> dict[str, str]:
    """The parameters of a function, by the names they have in templates."""
    own = {f"p{i}": number(p, to) for i, p in enumerate(node.value)}
    return own | {"rows": str(node.shape[0]), "columns": str(node.shape[1])}


def filled(template: str, pieces: Sequence[Code], shape: Shape, **others: str) -> Code:
    """A template with its operands, in brackets where they need them."""
    enclosed = _enclosed_operands(template)
    texts = [at(piece, LOOSE if str(i) in enclosed else ATOM) for i, piece in enumerate(pieces)]
    return Code(template.format(*texts, **others), _tightness(template), shape)


@cache
def _enclosed_operands(template: str) -> frozenset[str]:
    """The operands that stand alone between a call's brackets and commas, wherever they stand."""
    parts = [*Formatter().parse(template), ("", None, None, None)]
    alone: dict[str, bool] = {}
    for (before, field, _, _), (after, *_) in pairwise(parts):
        if field is not None:
            alone[field] = alone.get(field, True) and before.endswith(("(", ", ")) and after.startswith((")", ","))
    return frozenset(field for field, enclosed in alone.items() if enclosed)


@cache
def _tightness(template: str) -> int:
    """How tightly a filled template binds: what stands outside all brackets decides."""
    depth, outside = 0, ""
    for c in template:
        depth -= c in ")]}"
        outside += "" if depth else c
        depth += c in "([{"
    operators = {"": ATOM, "**": POWER, ".^": POWER} | dict.fromkeys((" * ", " / ", " .* ", " ./ "), PRODUCT)
    for operator, level in operators.items():
        outside = outside.replace(operator, "")
        if all(c.isalnum() or c in "_.()[]{}" for c in outside):
            return level
    return LOOSE


_WRITERS: dict[Op, Writer] = {
    full_op: _full,
    repeat_op: _repeat,
    add_op: _add,
    hadamard_op: _hadamard,
    matmul_op: _matmul,
    scale_op: _scale,
    transpose_op: _transpose,
    row_sums_op: _row_sums,
    column_sums_op: _column_sums,
    total_op: _total,
    hstack_op: _stack,
    vstack_op: _stack,
    block_op: _block,
}
