"""Lowered expressions as the source of a language of arrays: a printer owns brackets, a `Language` the words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from chainrule.expr import (
    Node,
    Op,
    add_op,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    ones_op,
    scale_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.functions import FUNCTIONS, function_of
from chainrule.primitives import power, reciprocal
from chainrule.program.lower import column_sums_op, repeat_op, row_sums_op, total_op

SUM, PRODUCT, UNARY, POWER, ATOM = 1, 2, 3, 4, 5  # how tightly source text binds


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
    full: str  # {0} is the value, {rows} and {columns} the sizes
    power: str
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
    power="{0}**{1}",
)
LANGUAGES: dict[str, Language] = {"numpy": NUMPY}


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of source and how tightly its outermost operation binds."""

    text: str
    binds: int


Memo = Mapping[Node, Code]


def code(root: Node, language: Language = NUMPY, names: Mapping[str, str] | None = None) -> str:
    """The source of a lowered expression; `names` says what to write for a name."""
    names = names or {}
    memo: dict[Node, Code] = {}
    for node in toposort_to_names(root):
        if is_atom(node):
            memo[node] = Code(names.get(str(node.name), str(node.name)), ATOM)
        else:
            memo[node] = _write(node, memo, language)
    return _filled(root, language) if root.op is full_op else memo[root].text


def number(value: float | Fraction) -> str:
    """A number as the shortest source that gives it back."""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def _at(node: Node, memo: Memo, level: int) -> str:
    piece = memo[node]
    return f"({piece.text})" if piece.binds < level else piece.text


def _write(node: Node, memo: Memo, to: Language) -> Code:
    writer = _WRITERS.get(node.op)
    return writer(node, memo, to) if writer else _function(node, memo, to)


def _full(node: Node, memo: Memo, to: Language) -> Code:
    return Code(number(node.value), ATOM if node.value >= 0 else UNARY)


def _filled(node: Node, to: Language) -> str:
    return to.full.format(number(node.value), rows=node.shape[0], columns=node.shape[1])


def _add(node: Node, memo: Memo, to: Language) -> Code:
    a, b = node.args
    left = _at(a, memo, SUM)
    if b.op is scale_op and b.value[0] < 0:
        taken = _coefficient(b, memo, to, -b.value[0])
        return Code(f"{left} - {taken.text if taken.binds > SUM else f'({taken.text})'}", SUM)
    if b.op is full_op and b.value < 0:
        return Code(f"{left} - {number(-b.value)}", SUM)
    return Code(f"{left} + {_at(b, memo, PRODUCT)}", SUM)


def _hadamard(node: Node, memo: Memo, to: Language) -> Code:
    a, b = node.args
    if b.op is reciprocal.op:
        return Code(to.divide.format(_factor(a, memo, to, b), _at(b.args[0], memo, UNARY)), PRODUCT)
    right = _factor(b, memo, to, a) if not memo[b].binds == PRODUCT else f"({memo[b].text})"
    return Code(to.hadamard.format(_factor(a, memo, to, b), right), PRODUCT)


def _factor(node: Node, memo: Memo, to: Language, other: Node) -> str:
    """A factor; True and False are cheaper than 1.0 and 0.0 beside numbers."""
    if not is_atom(node) and node.op.name in FUNCTIONS and to is NUMPY:
        boolean = function_of(node).boolean
        if boolean and not (other.op.name in FUNCTIONS and function_of(other).boolean):
            return boolean.format(_at(node.args[0], memo, SUM))
    level = UNARY if node.op is matmul_op or node.op is scale_op else PRODUCT
    return _at(node, memo, level if node.op is not reciprocal.op else UNARY)


def _matmul(node: Node, memo: Memo, to: Language) -> Code:
    a, b = (_filled(x, to) if x.op is full_op else _at(x, memo, UNARY) for x in node.args)
    if node.args[0].op is matmul_op:
        a = memo[node.args[0]].text
    return Code(to.matmul.format(a, b), PRODUCT)


def _scale(node: Node, memo: Memo, to: Language) -> Code:
    return _coefficient(node, memo, to, node.value[0])


def _coefficient(node: Node, memo: Memo, to: Language, k: Fraction) -> Code:
    """k s1 A / (s2 ...): what multiplies in front, what divides behind."""
    above = [_at(s, memo, UNARY) for s, e in zip(node.args[1:], node.value[1], strict=True) for _ in range(e)]
    below = [_at(s, memo, UNARY) for s, e in zip(node.args[1:], node.value[1], strict=True) for _ in range(-e)]
    size, inner = abs(k), node.args[0]
    if size.numerator == 1 and size.denominator != 1 and float(size) * size.denominator == 1 and size.denominator < 10:
        below.insert(0, str(size.denominator))
    elif size != 1:
        above.insert(0, number(size))
    if not (inner.op is full_op and inner.value == 1 and above):
        above.append(_at(inner, memo, UNARY if inner.op is matmul_op or above else PRODUCT))
    text = " * ".join(above)
    if below:
        text = f"{text} / {below[0] if len(below) == 1 else '(' + ' * '.join(below) + ')'}"
    binds = PRODUCT if len(above) > 1 or below else ATOM
    return Code(f"-{text}", UNARY if binds == ATOM else SUM) if k < 0 else Code(text, binds)


def _word(template: str) -> Callable[[Node, Memo, Language], Code]:
    def write(node: Node, memo: Memo, to: Language) -> Code:
        return _applied(getattr(to, template), node.args, memo)

    return write


def _applied(words: str, args: tuple[Node, ...], memo: Memo, **parameters: str) -> Code:
    """A template filled in; an operand that stands alone between brackets and commas needs no brackets of its own."""
    texts = [_at(a, memo, SUM if _encloses(words, i) else ATOM) for i, a in enumerate(args)]
    return Code(words.format(*texts, **parameters), ATOM if _is_one_call(words) else PRODUCT)


@cache
def _encloses(words: str, operand: int) -> bool:
    places = re.findall(rf"(.)?\{{{operand}\}}(.)?", words)
    return all(before in ("(", " ") and after in (")", ",") for before, after in places) and "/ {" not in words


@cache
def _is_one_call(words: str) -> bool:
    """True for f(...) and {0}.f(...): brackets that close at the very end, or a method of the operand."""
    depth = 0
    for i, c in enumerate(words):
        depth += (c in "([") - (c in ")]")
        if not depth and c in " */":
            return False
        if not depth and c in ")]" and i + 1 < len(words) and words[i + 1] not in ".[":
            return False
    return True


def _repeat(node: Node, memo: Memo, to: Language) -> Code:
    return memo[node.args[0]]  # broadcasting does it


def _function(node: Node, memo: Memo, to: Language) -> Code:
    if node.op is power.op:
        return Code(to.power.format(_at(node.args[0], memo, ATOM), number(node.value[0])), POWER)
    parameters = {f"p{i}": number(p) for i, p in enumerate(node.value)}
    return _applied(function_of(node).code[to.name], node.args, memo, **parameters)


_WRITERS: dict[Op, Callable[[Node, Memo, Language], Code]] = {
    full_op: _full,
    ones_op: lambda node, memo, to: Code(to.full.format("1", rows=node.shape[0], columns=1), ATOM),
    add_op: _add,
    hadamard_op: _hadamard,
    matmul_op: _matmul,
    scale_op: _scale,
    transpose_op: _word("transpose"),
    row_sums_op: _word("row_sums"),
    column_sums_op: _word("column_sums"),
    total_op: _word("total"),
    repeat_op: _repeat,
}
