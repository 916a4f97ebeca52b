"""How a formula is written, whatever the alphabet: where brackets go, how coefficients and quotients read.

text.py and latex.py supply the alphabet, a `Notation`; the rule book supplies each function's own vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

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
from chainrule.functions import Function, function_of
from chainrule.primitives import reciprocal

SUM, PRODUCT, POSTFIX, ATOM = 1, 2, 3, 4  # how tightly a written operation binds


@dataclass(frozen=True)
class Notation:
    """An alphabet for formulas."""

    name: Callable[[str], str]
    one: str  # the column of ones
    transposed: str  # "{0}'"
    hadamard: str
    matmul: str
    quotient: str  # of two matrices, entry by entry
    over: Callable[[str, str], str]  # numerator and denominator of a coefficient
    brackets: tuple[str, str]
    function: Callable[[Function, tuple[float, ...]], str]  # the template of a function


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of a formula and how tightly its outermost operation binds."""

    text: str
    binds: int


def write(root: Node, notation: Notation) -> str:
    """A formula; a defined name in it is not opened."""
    memo: dict[Node, Written] = {}
    for node in toposort_to_names(root):
        if is_atom(node):
            memo[node] = Written(notation.name(str(node.name)), ATOM)
        else:
            memo[node] = _WRITERS.get(node.op, _function)(node, memo, notation)
    return memo[root].text


Memo = dict[Node, Written]


def _operand(node: Node, memo: Memo, to: Notation, level: int) -> str:
    """An operand, in brackets where it binds less tightly than its place needs."""
    written = memo[node]
    return f"{to.brackets[0]}{written.text}{to.brackets[1]}" if written.binds < level else written.text


def _full(node: Node, memo: Memo, to: Notation) -> Written:
    return Written(number_text(node.value), ATOM if node.value >= 0 else SUM)


def _transpose(node: Node, memo: Memo, to: Notation) -> Written:
    return Written(to.transposed.format(_operand(node.args[0], memo, to, ATOM)), POSTFIX)


def _add(node: Node, memo: Memo, to: Notation) -> Written:
    a, b = node.args
    left = _operand(a, memo, to, SUM)
    if b.op is full_op and b.value < 0:
        return Written(f"{left} - {number_text(-b.value)}", SUM)
    if b.op is scale_op and b.value[0] < 0:
        return Written(f"{left} - {_bracketed(_coefficient(b, memo, to, negate=True), to, PRODUCT)}", SUM)
    right = memo[b]
    return Written(f"{left} + {_operand(b, memo, to, SUM if right.binds != SUM else PRODUCT)}", SUM)


def _hadamard(node: Node, memo: Memo, to: Notation) -> Written:
    a, b = node.args
    left = _operand(a, memo, to, POSTFIX if a.op is matmul_op or (a.op is scale_op) else PRODUCT)
    if b.op is reciprocal.op:
        below = _operand(b.args[0], memo, to, ATOM)
        return Written(to.quotient.format(left, below), PRODUCT)
    return Written(to.hadamard.format(left, _operand(b, memo, to, POSTFIX)), PRODUCT)


def _matmul(node: Node, memo: Memo, to: Notation) -> Written:
    a, b = (_factor(x, memo, to, i) for i, x in enumerate(node.args))
    return Written(to.matmul.format(a, b), PRODUCT)


def _factor(node: Node, memo: Memo, to: Notation, place: int) -> str:
    if node.op is full_op:  # a number alone would not say its shape
        column, row = to.one, to.transposed.format(to.one)
        matrix = column if node.shape[1] == 1 else row if node.shape[0] == 1 else to.matmul.format(column, row)
        return matrix if node.value == 1 else f"{to.brackets[0]}{number_text(node.value)} {matrix}{to.brackets[1]}"
    return _operand(node, memo, to, PRODUCT if node.op is matmul_op and place == 0 else POSTFIX)


def _scale(node: Node, memo: Memo, to: Notation) -> Written:
    return _coefficient(node, memo, to, negate=False)


def _coefficient(node: Node, memo: Memo, to: Notation, *, negate: bool) -> Written:
    """c A, with what divides in a denominator: -(A)/(2 n)."""
    number, exponents = node.value
    number = -number if negate else number
    above, below = ratio(abs(number))
    top = [above] if above != "1" else []
    bottom = [below] if below != "1" else []
    for s, e in zip(node.args[1:], exponents, strict=True):
        (top if e > 0 else bottom).extend([_operand(s, memo, to, POSTFIX)] * abs(e))
    inner = node.args[0]
    if inner.op is full_op and inner.value == 1 and (top or bottom):
        body = " ".join(top) or "1"
        top = []
    else:
        body = _operand(inner, memo, to, PRODUCT if not bottom else POSTFIX if not top else PRODUCT)
    body = " ".join([*top, body])
    if bottom:
        if len(top) and inner.op is not full_op and memo[inner].binds < POSTFIX:
            body = f"{to.brackets[0]}{body}{to.brackets[1]}"
        denominator = " ".join(bottom)
        body = to.over(body, denominator if len(bottom) == 1 else f"({denominator})")
    return Written(f"-{body}", SUM) if number < 0 else Written(body, PRODUCT)


def _bracketed(written: Written, to: Notation, level: int) -> str:
    return f"{to.brackets[0]}{written.text}{to.brackets[1]}" if written.binds < level else written.text


def _function(node: Node, memo: Memo, to: Notation) -> Written:
    template = to.function(function_of(node), node.value)
    opens = template.startswith("{0}") or template.endswith("{0}")  # then nothing encloses the operand
    args = [_operand(a, memo, to, ATOM if opens else 0) for a in node.args]
    numbers = {f"p{i}": number_text(p) for i, p in enumerate(node.value)}
    binds = (PRODUCT if template.endswith("{0}") else POSTFIX) if opens else ATOM
    return Written(template.format(*args, **numbers), binds)


_WRITERS: dict[Op, Callable[[Node, Memo, Notation], Written]] = {
    full_op: _full,
    ones_op: lambda node, memo, to: Written(to.one, ATOM),
    transpose_op: _transpose,
    add_op: _add,
    hadamard_op: _hadamard,
    matmul_op: _matmul,
    scale_op: _scale,
}


def number_text(value: float) -> str:
    """A number to six digits, for reading: 2, 0.1, 1e-08."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{float(value):.6g}"


def ratio(number: Fraction) -> tuple[str, str]:
    """A coefficient as numerator and denominator: (1, 2) for a half, (0.01, 1) for a decimal."""
    small = number.denominator in (2, 3, 4, 6, 7, 8, 9) and number.numerator < 100
    if number.denominator == 1 or small:
        return number_text(number.numerator), str(number.denominator)
    return number_text(float(number)), "1"
