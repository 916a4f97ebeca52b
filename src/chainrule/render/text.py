"""Formulas and derivations as plain text, for a terminal of 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import replace

from chainrule.asked import check_expression
from chainrule.derive import Equation
from chainrule.expr import Node, define_op
from chainrule.functions import Function
from chainrule.render.alphabet import ATOM, Form, Notation, form
from chainrule.render.lines import Piece, Written, broken, joined, price
from chainrule.render.notation import compose, write
from chainrule.render.numbers import number_text
from chainrule.shapes import show

WIDTH = 80
TIE = "\N{NO-BREAK SPACE}"
NARROWEST = 32  # a formula is not broken to fewer columns: its shape and rule then stand below it
TOO_DEAR = 8  # what breaks may cost that only leave room for the shape
RULE = 26  # columns kept for what made an equation; a rule longer than what is left goes on below


def _letters(text: str) -> Written:
    return Written((Piece(text, len(text)),), ATOM)


def _form(function: Function, values: tuple[float, ...]) -> Form:
    if values == tuple(function.parameters.values()) or "{p0}" in function.text:
        return form(function.text)
    name = function.text.partition("(")[0]
    return form(f"{name}({', '.join(number_text(v, exact=True) for v in values)})({{0}})")


TEXT = Notation(
    name=_letters,
    number=lambda value, exact=False: _letters(number_text(value, exact=exact)),
    function=_form,
    turned=lambda function: form(function.text_transposed) if function.text_transposed else None,
    measure=len,
    encloses=lambda start: False,
    enlarged=lambda template, width: template,
    space=1,
    one="1",
    identity="I",
    apart=" ",
    transposed="{0}'",
    power="{0}^{1}",
    hadamard="∘",
    divided="/",
    stacked="[{0}]",
    beside=", ",
    below="; ",
    block="{0}[{1}, {2}]",
    span="{0}:{1}",
    over="/",
)
SPELT = replace(TEXT, spelt=True)  # for steps, in which a matrix of ones would look like the number 1


def text(expression: Node) -> str:
    """Write an expression as plain text: `'` transposes, `∘` is the Hadamard product, 1 a column of ones.

    Parameters
    ----------
    expression : Node

    Returns
    -------
    str
        One line; a defined expression is written with its name.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, W, b = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("b", 1, "k")
    >>> cr.text(cr.tanh(X @ W + cr.ones("n") @ b))
    'tanh(X W + 1 b)'
    """
    check_expression("text", expression)
    if expression.op is define_op:
        return f"{expression.value} = {write(expression.args[0], TEXT)}"
    return write(expression, TEXT)


def formula(expression: Node, to: Notation = TEXT) -> str:
    """An expression on one line; what has a name is called by it, and not opened."""
    return str(expression.value) if expression.op is define_op else write(expression, to)


def spelt(expression: Node) -> str:
    """The same in a step, where a matrix full of ones is 1 1', that it is not taken for the number."""
    return formula(expression, SPELT)


def formula_lines(expression: Node, head: str = "", width: int = WIDTH, to: Notation = TEXT) -> list[str]:
    """An expression after what stands before it, on lines that are no wider."""
    pieces = TEXT.name(expression.value).pieces if expression.op is define_op else compose(expression, to).pieces
    line, *more = broken(pieces, width - len(head), width - len(head), _indent, TEXT.space)
    return [head + joined(line), *(" " * (len(head) + _indent(each[0])) + joined(each) for each in more)]


def sentence_lines(sentence: str, indent: int = 0, more: int | None = None) -> list[str]:
    """A sentence on lines of 80 columns, none of which ends beside a sign or inside a product of entries."""
    tied = re.sub(r" (=|->|[+-]|∘|o) |(?<=\]) (?=[^ ]+\[)", lambda m: m[0].replace(" ", TIE), sentence)
    further = " " * (indent if more is None else more)
    lines = textwrap.wrap(tied, WIDTH, initial_indent=" " * indent, subsequent_indent=further)
    return [line.replace(TIE, " ") for line in lines]


def equations_text(equations: Iterable[Equation], *, rules: bool = True) -> str:
    """The equations by phase, with shapes and rules, within 80 columns.

    A long formula goes on in lines that start with an operator: under the equals sign if it is the outermost,
    further right the deeper it stands. The update equations of a rule with a memory are shown for one parameter, as
    they say the same of every other.
    """
    equations, likewise = without_repeats(list(equations))
    names = max((len(e.name) for e in equations), default=0)
    notes = _notes(equations) if rules else [[] for _ in equations]
    room = WIDTH - max((len(line) + 2 for note in notes for line in note), default=0)
    if room - names < NARROWEST:
        room = 0  # shapes and rules do not fit beside the formulas
    bodies = [_body(e, names, room or WIDTH) for e in equations]
    column = max((len(body[0]) for body in bodies if len(body[0]) <= room), default=0)
    if room and equations and rules:
        notes = _notes(equations, WIDTH - column - 2)
    lines: list[str] = []
    for i, (e, body, note) in enumerate(zip(equations, bodies, notes, strict=True)):
        if i == 0 or e.phase != equations[i - 1].phase:
            lines.append(e.phase)
        lines += _beside(body, note, column) if room else [*body, *(f"{'':8}{line}" for line in note)]
    if likewise:
        lines += sentence_lines(f"likewise for {', '.join(likewise)}", 2)
    return "\n".join(lines)


def without_repeats(equations: list[Equation]) -> tuple[list[Equation], list[str]]:
    """The equations to show, and the parameters of which the update equations left out would say the same."""
    updates = [e for e in equations if e.phase == "update"]
    names = {e.name for e in equations}
    parameters = [p for e in updates if f"d{(p := e.name.removesuffix('_next'))}" in names]
    if len(updates) <= len(parameters):
        return equations, []  # one line each
    said: set[str] = set()
    shown, likewise = [e for e in equations if e.phase != "update"], []
    for e in updates:
        owner = next((p for p in parameters if _about(p).search(e.name)), None)
        line = f"{e.name} = {write(e.expression, TEXT)}"
        pattern = line if owner is None else _about(owner).sub("*", line)
        if pattern not in said:
            said.add(pattern)
            shown.append(e)
        elif owner is not None and owner not in likewise:
            likewise.append(owner)
    return shown, likewise


def _about(parameter: str) -> re.Pattern[str]:
    """Where a name speaks of a parameter: W1, dW1, m_W1, W1_next, and not W11."""
    return re.compile(rf"(?<![A-Za-ce-z0-9]){parameter}(?![0-9])")


def _notes(equations: list[Equation], width: int | None = None) -> list[list[str]]:
    """The shape and the rule of each equation in two columns, of so wide together, a long rule on several lines."""
    shapes = max((len(show(e.shape)) for e in equations), default=0)
    rule = RULE if width is None else width - shapes - 2
    notes = []
    for e in equations:
        first, *more = textwrap.wrap(e.rule, rule, break_long_words=False) or [""]
        notes.append([f"{show(e.shape):<{shapes}}  {first}".rstrip(), *(f"{'':{shapes}}  {line}" for line in more)])
    return notes


def _body(e: Equation, names: int, first: int) -> list[str]:
    """`name = formula`, on lines of which the first is the shortest, because its shape stands there."""
    head = f"  {e.name:>{names}} = "
    pieces = compose(e.expression, TEXT).pieces
    beside, alone = (
        broken(pieces, room - len(head), WIDTH - len(head), _indent, TEXT.space) for room in (first, WIDTH)
    )
    line, *more = beside if price(beside) < price(alone) + TOO_DEAR else alone
    return [head + joined(line), *(" " * (len(head) + _indent(line[0])) + joined(line) for line in more)]


def _indent(piece: Piece) -> int:
    """From the start of the formula to that of a further line: the outermost operator stands under the sign `=`."""
    return -2 if piece.operator and not piece.level else 2 * min(piece.level, 5)


def _beside(body: list[str], note: list[str], column: int) -> list[str]:
    """The lines of a note to the right of those of a formula, each where there is room."""
    left = list(note)
    lines = [f"{line:<{column}}  {left.pop(0)}" if left and len(line) <= column else line for line in body]
    return lines + [f"{'':{column}}  {line}" for line in left]
