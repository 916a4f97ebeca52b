"""Formulas and derivations as plain text, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.derive import Equation
from chainrule.expr import Node, define_op
from chainrule.functions import Function
from chainrule.render.notation import Notation, number_text, write
from chainrule.shapes import show

WIDTH = 80


def _template(function: Function, values: tuple[float, ...]) -> str:
    if values == tuple(function.parameters.values()) or "{p0}" in function.text:
        return function.text
    return f"{function.name.removesuffix('.twin')}({', '.join(map(number_text, values))})({{0}})"


TEXT = Notation(
    name=lambda name: name,
    one="1",
    transposed="{0}'",
    hadamard="{0} ∘ {1}",
    matmul="{0} {1}",
    quotient="{0} / {1}",
    over=lambda above, below: f"{above}/{below}",
    brackets=("(", ")"),
    function=_template,
)


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
    if expression.op is define_op:
        return f"{expression.value} = {write(expression.args[0], TEXT)}"
    return write(expression, TEXT)


def equations_text(equations: Iterable[Equation]) -> str:
    """The equations by phase, with shapes and rules, within 80 columns."""
    equations = list(equations)
    names = max((len(e.name) for e in equations), default=0)
    shapes = max((len(show(e.shape)) for e in equations), default=0)
    notes = [f"{show(e.shape):<{shapes}}  {e.rule}".rstrip() for e in equations]
    bodies = [_equation_lines(e, names) for e in equations]
    room = WIDTH - max(map(len, notes), default=0)
    column = max((len(b[-1]) + 2 for b in bodies if len(b[-1]) + 2 <= room), default=room)
    lines: list[str] = []
    for i, (e, note, body) in enumerate(zip(equations, notes, bodies, strict=True)):
        if i == 0 or e.phase != equations[i - 1].phase:
            lines.append(e.phase)
        *above, last = body if len(body[-1]) + 2 <= column else [*body, ""]
        lines.extend([*above, f"{last:<{column}}{note}"])
    return "\n".join(lines)


def _equation_lines(e: Equation, names: int) -> list[str]:
    head = f"  {e.name:>{names}} = "
    first, *more = _broken(write(e.expression, TEXT), WIDTH - len(head))
    return [head + first, *(" " * len(head) + line for line in more)]


def _broken(formula: str, width: int) -> list[str]:
    """Lines of at most `width`, broken before the operator of the outermost bracket that still fits."""
    lines = []
    while len(formula) > width:
        depth, best, best_depth = 0, 0, 1_000
        for i, c in enumerate(formula[:width]):
            depth += (c in "([") - (c in ")]")
            if (
                c == " "
                and i > width // 3
                and depth <= best_depth
                and formula[i + 1 : i + 3] in ("+ ", "- ", "∘ ", "/ ")
            ):
                best, best_depth = i, depth
        if not best:
            best = formula.rfind(" ", 1, width)
        if best <= 0:
            break
        lines.append(formula[:best])
        formula = "  " + formula[best + 1 :]
    return [*lines, formula]
