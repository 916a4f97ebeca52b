"""An alphabet for formulas, a `Notation`, and the ways in which written parts are put together in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from string import Formatter

from chainrule.functions import Function
from chainrule.render.lines import Piece, Written

# How tightly the outermost operation of a written formula binds. Products are written without brackets only beside
# products of their own kind, so that A B and A ∘ B never mix.
SUM, QUOTIENT, PRODUCT, POSTFIX, ATOM = 1, 2, 3, 4, 5
STACKED = 24  # letters: a wider quotient is not written as a fraction, because no line can end inside one


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
    span: str  # from {0} to before {1}
    over: str | None = None  # the sign before a coefficient's denominator, where it stands behind the matrix
    fraction: str | None = None  # or: a coefficient is a fraction in front of it, and so are short quotients
    times: str = " "  # what stands between the numbers of a coefficient
    spelt: bool = False  # is a matrix full of one number always written with its ones, but beside others in a sum?


# ---- putting parts together


def glyph(text: str, to: Notation, binds: int = ATOM) -> Written:
    """A part without places to break."""
    return Written((Piece(text, to.measure(text)),), binds)


def fill(form: Form, operands: Mapping[str, Written], to: Notation) -> Written:
    """A template with its operands: a line may end inside one unless the template encloses it."""
    tall = any(o.tall for o in operands.values())
    width = sum(width_of(o, to) for o in operands.values())
    template = to.enlarged(form.template, width) if tall else form.template
    done: list[Piece] = []
    last, before = Piece("", 0), ""
    for literal, field, _, _ in Formatter().parse(template):
        before += literal
        last = beside(last, Piece(literal, to.measure(literal)))
        if not field:
            continue
        operand = operands[field]
        if to.encloses(before):
            operand = solid(operand, to)
        first, *rest = deeper(operand).pieces
        done.append(beside(last, first))
        done.extend(rest)
        last = done.pop()
    return Written((*done, last), form.binds, tall or form.tall)


def beside(a: Piece, b: Piece) -> Piece:
    """Two pieces as one."""
    return Piece(a.text + b.text, a.width + b.width, a.level, a.operator)


def width_of(written: Written, to: Notation) -> float:
    """In letters, on one line."""
    return sum(p.width for p in written.pieces) + to.space * (len(written.pieces) - 1)


def solid(written: Written, to: Notation) -> Written:
    """In one piece, inside which no line ends."""
    return replace(written, pieces=(Piece(written.text, width_of(written, to)),))


def deeper(written: Written) -> Written:
    """As a part of a formula around it."""
    pieces = tuple(Piece(p.text, p.width, p.level + 1, p.operator) for p in written.pieces)
    return Written(pieces, written.binds, written.tall, written.constant)


def bracketed(written: Written, to: Notation) -> Written:
    """In round brackets."""
    return fill(Form("({0})", ATOM), {"0": written}, to)


def operand(written: Written, to: Notation, level: int) -> Written:
    """An operand, in brackets where it binds less tightly than its place needs."""
    return bracketed(written, to) if written.binds < level else written


def infix(left: Written, sign: str, right: Written, to: Notation, binds: int) -> Written:
    """Two operands with a sign between them, before which a line may end."""
    first, *rest = right.pieces
    head = Piece(f"{sign} {first.text}", to.measure(sign) + to.space + first.width)
    return Written((*left.pieces, head, *rest), binds, left.tall or right.tall)


def side_by_side(parts: list[Written], to: Notation, binds: int, between: str = " ") -> Written:
    """Parts side by side; no line ends between them."""
    first, *rest = parts
    pieces = list(first.pieces)
    for part in rest:
        last = beside(pieces.pop(), Piece(between, to.space if between.isspace() else to.measure(between)))
        pieces += [beside(last, part.pieces[0]), *part.pieces[1:]]
    return Written(tuple(pieces), binds, any(p.tall for p in parts))
