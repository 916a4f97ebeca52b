"""Lowered expressions as the source of a language of arrays: a printer owns brackets, a `Language` the words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from string import Formatter

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
from chainrule.functions import FUNCTIONS, function_of, is_function
from chainrule.primitives import reciprocal
from chainrule.program.lower import column_sums_op, repeat_op, row_sums_op, total_op
from chainrule.shapes import Shape
from chainrule.stack import block_op, bounds, hstack_op, vstack_op

LOOSE, SUM, PRODUCT, UNARY, POWER, ATOM = range(6)  # how tightly source text binds


@dataclass(frozen=True)
class Language:
    """The words of a language of arrays; each function's word is in its own record, under this name."""

    name: str
    transpose: str
    matmul: str
    hadamard: str
    divide: str
    row_sums: str
    column_sums: str
    total: str
    full: str  # {0} is a number, a row or a column, {rows} and {columns} the sizes of the matrix it fills
    hstack: str  # {0} is the list of what stands side by side
    vstack: str
    block: str  # {rows} and {columns} are ranges of {0}
    constants: Mapping[str, str]  # what is not a finite number
    libraries: tuple[str, ...]  # names that programs use themselves
    comment: str = "# "

    @property
    def words(self) -> frozenset[str]:
        """The functions that this language has a word for."""
        return frozenset(name for name, f in FUNCTIONS.items() if self.name in f.code)


NUMPY = Language(
    name="numpy",
    transpose="{0}.T",
    matmul="{0} @ {1}",
    hadamard="{0} * {1}",
    divide="{0} / {1}",
    row_sums="{0}.sum(axis=1, keepdims=True)",
    column_sums="{0}.sum(axis=0, keepdims=True)",
    total="{0}.sum()",
    full="np.full(({rows}, {columns}), {0})",
    hstack="np.hstack([{0}])",
    vstack="np.vstack([{0}])",
    block="{0}[{rows}, {columns}]",
    constants={"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"},
    libraries=("np", "scipy"),
)
LANGUAGES: dict[str, Language] = {"numpy": NUMPY}


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


def code(root: Node, language: Language = NUMPY, names: Mapping[str, str] | None = None) -> str:
    """The source of a lowered expression; `names` says what to write for a name."""
    names = names or {}
    memo: dict[Node, Code] = {}
    for node in toposort_to_names(root):
        if is_atom(node):
            memo[node] = Code(names.get(str(node.name), str(node.name)), ATOM, node.shape)
        else:
            memo[node] = _WRITERS.get(node.op, _function)(node, memo, language)
    return memo[root].text if root.shape == (1, 1) else _whole(root, memo, language).text


def number(value: float | Fraction, to: Language = NUMPY) -> str:
    """A number as the shortest source that gives it back."""
    written = _decimal(value, to)
    return written if written == "-0.0" else written.removesuffix(".0")


def _decimal(value: float | Fraction, to: Language) -> str:
    written = repr(float(value))
    return to.constants.get(written, written)


# ---- operands


def _at(piece: Code, level: int) -> str:
    return f"({piece.text})" if piece.binds < level else piece.text


def _whole(node: Node, memo: Memo, to: Language) -> Code:
    """An operand of which every row and column must be there; one of 1 x 1 may be a mere number."""
    piece = memo[node]
    if piece.shape == node.shape != (1, 1):
        return piece
    text = piece.text
    if piece.shape == (1, 1):  # an array of whole numbers would have no negative powers
        text = _decimal(node.value, to) if node.op is full_op else f"1.0 * {_at(piece, UNARY)}"
    return Code(to.full.format(text, rows=node.shape[0], columns=node.shape[1]), ATOM, node.shape)


def _broadcast(shape: Shape, pieces: list[Code]) -> Shape:
    """The shape of the array that comes of these operands, of a matrix of this shape."""
    rows, columns = (size if any(p.shape[i] == size for p in pieces) else 1 for i, size in enumerate(shape))
    return rows, columns


def _core(node: Node) -> Node:
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
    taken, sign = _core(b), "-"
    if taken.op is scale_op and taken.value[0] < 0:
        bare = taken.value == (-1, ())
        right = memo[taken.args[0]] if bare else _coefficient(taken, memo, to, -taken.value[0])
    elif taken.op is full_op and taken.value < 0:
        right = Code(number(-taken.value, to), ATOM, (1, 1))
    else:
        right, sign = memo[b], "+"
    return Code(f"{_at(memo[a], SUM)} {sign} {_at(right, PRODUCT)}", SUM, _broadcast(node.shape, [memo[a], memo[b]]))


def _hadamard(node: Node, memo: Memo, to: Language) -> Code:
    a, b = node.args
    shape = _broadcast(node.shape, [memo[a], memo[b]])
    if _core(b).op is reciprocal.op:
        return Code(to.divide.format(_factor(a, memo, PRODUCT), _factor(_core(b).args[0], memo, UNARY)), PRODUCT, shape)
    if _boolean(a, to) and not _boolean(b, to):
        a, b = b, a
    boolean = _boolean(b, to) if memo[a].shape != (1, 1) else None
    right = boolean.format(memo[b.args[0]].text) if boolean else _factor(b, memo, UNARY)
    return Code(to.hadamard.format(_factor(a, memo, PRODUCT), right), PRODUCT, shape)


def _boolean(node: Node, to: Language) -> str | None:
    """Words for True and False: on the right of an array of numbers, they are cheaper than 1.0 and 0.0."""
    return function_of(node).boolean if is_function(node) and to is NUMPY else None


def _factor(node: Node, memo: Memo, level: int) -> str:
    easily_misread = node.op in (matmul_op, scale_op, reciprocal.op)
    return _at(memo[node], UNARY if easily_misread else level)


def _matmul(node: Node, memo: Memo, to: Language) -> Code:
    left, right = (_whole(a, memo, to) for a in node.args)
    chained = PRODUCT if node.args[0].op is matmul_op else UNARY
    return Code(to.matmul.format(_at(left, chained), _at(right, UNARY)), PRODUCT, node.shape)


def _scale(node: Node, memo: Memo, to: Language) -> Code:
    return _coefficient(node, memo, to, node.value[0])


def _coefficient(node: Node, memo: Memo, to: Language, k: Fraction) -> Code:
    """k s1 A / (s2 ...): what multiplies in front, what divides behind."""
    powers = list(zip(node.args[1:], node.value[1], strict=True))
    above = [_at(memo[s], UNARY) for s, e in powers for _ in range(e)]
    below = [_at(memo[s], UNARY) for s, e in powers for _ in range(-e)]
    size, inner = abs(k), node.args[0]
    if size.numerator == 1 and 1 < size.denominator < 10:
        below.insert(0, str(size.denominator))
    elif size != 1:
        above.insert(0, number(size, to))
    level = UNARY if inner.op is matmul_op else PRODUCT
    binds = ATOM
    if not (above and inner.op is full_op and inner.value == 1):
        binds = memo[inner].binds if memo[inner].binds >= level else ATOM
        above.append(_at(memo[inner], level))
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
    return Code(to.transpose.format(_at(piece, ATOM)), ATOM, piece.shape[::-1])


def _stack(node: Node, memo: Memo, to: Language) -> Code:
    template = to.hstack if node.op is hstack_op else to.vstack
    return Code(template.format(", ".join(_whole(a, memo, to).text for a in node.args)), ATOM, node.shape)


def _block(node: Node, memo: Memo, to: Language) -> Code:
    rows, columns = (":" if r is None else f"{r[0] or ''}:{r[1]}" for r in bounds(node))
    text = to.block.format(_at(_whole(node.args[0], memo, to), ATOM), rows=rows, columns=columns)
    return Code(text, ATOM, node.shape)


def _row_sums(node: Node, memo: Memo, to: Language) -> Code:
    return Code(to.row_sums.format(_at(_whole(node.args[0], memo, to), ATOM)), ATOM, node.shape)


def _column_sums(node: Node, memo: Memo, to: Language) -> Code:
    return Code(to.column_sums.format(_at(_whole(node.args[0], memo, to), ATOM)), ATOM, node.shape)


def _total(node: Node, memo: Memo, to: Language) -> Code:
    return Code(to.total.format(_at(_whole(node.args[0], memo, to), ATOM)), ATOM, node.shape)


def _function(node: Node, memo: Memo, to: Language) -> Code:
    """A function's own template, filled in."""
    function = function_of(node)
    if function.elementwise:
        pieces = [memo[a] for a in node.args]
        shape = _broadcast(node.shape, pieces)
    else:
        pieces, shape = [_whole(a, memo, to) for a in node.args], node.shape
    template = function.code[to.name]
    enclosed = _enclosed_operands(template)
    texts = [_at(piece, LOOSE if str(i) in enclosed else ATOM) for i, piece in enumerate(pieces)]
    parameters = {f"p{i}": number(p, to) for i, p in enumerate(node.value)}
    parameters |= {"rows": str(node.shape[0]), "columns": str(node.shape[1])}
    return Code(template.format(*texts, **parameters), _tightness(template), shape)


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
    for level, operator in ((ATOM, ""), (POWER, "**"), (PRODUCT, " * "), (PRODUCT, " / ")):
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
