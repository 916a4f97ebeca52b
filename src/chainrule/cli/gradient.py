"""`chainrule gradient`: a typed formula in, its derivatives out: as text, LaTeX or a program, checked."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cyclopts import App

from chainrule.cli.options import Flag, Formula, Names, Output, listed
from chainrule.cli.output import WIDTH, complain, deliver, remark, say
from chainrule.cli.status import NO, OK
from chainrule.derivatives import Derivatives, differentiate
from chainrule.errors import DerivationError, SpecError, nearest
from chainrule.expr import FACTS
from chainrule.operators import CALLS
from chainrule.points import never_finite
from chainrule.program.languages import LANGUAGES
from chainrule.shapes import show
from chainrule.typed import Typed, parse

if TYPE_CHECKING:
    from chainrule.check.report import GradientReport

NAMES: dict[str, Iterable[str]] = {"Functions": sorted(CALLS), "Facts": FACTS, "Languages": LANGUAGES}
EXAMPLES = """Examples:
  chainrule gradient "sum((X w - y)^2)" --wrt w
  chainrule gradient "x'A x + b'x" --wrt x --size "A: n x n symmetric" --hessian
  chainrule gradient "log(det(X'X))" --size X=n,d --steps
  chainrule gradient "cross_entropy(softmax(X W), Y)" --wrt W --source numpy"""

app = App(name="gradient", version_flags=(), help_epilogue=f"{listed(NAMES)}\n\n{EXAMPLES}")


@app.default
def gradient(
    expression: Formula,
    /,
    *,
    wrt: Names = (),
    size: Names = (),
    hessian: Flag = False,
    steps: Flag = False,
    latex: Flag = False,
    source: str | None = None,
    verify: Flag = False,
    output: Output = None,
) -> int:
    """Print or write the derivatives of a formula.

    Parameters
    ----------
    expression
        The formula, in quotes.
    wrt
        Differentiate by this name; may be repeated, or given as w,b. By default by every name.
    size
        The shape of a name and facts, such as X=n,d or "X: n x d symmetric", or a fact alone, "Y: rows_sum_to_one"; may
        be repeated. Others are inferred.
    hessian
        The matrix of second derivatives too, or, where none is found, its product with a direction.
    steps
        Every step, with its shapes and a sentence why.
    latex
        Write LaTeX, which needs amsmath.
    source
        Write assignments in this language.
    verify
        Replay every step on random numbers, and say the worst error in one line; status 1 if one is wrong.
    output
        Write to this file.
    """
    if sum((latex, source is not None, steps)) > 1:
        raise ValueError("--latex, --source and --steps exclude each other: choose one")
    if expression.startswith("--"):  # a formula begins with one minus at most
        raise ValueError(f"unknown option {expression!r}; see chainrule gradient --help")
    formula = parse(expression, size)
    names = _names(wrt, formula) or list(formula.symbols)
    wanted = [formula[name] for name in dict.fromkeys(names)]
    try:
        derived = differentiate(formula.expression, *wanted, hessian=hessian)
        report = derived.check()
    except DerivationError as error:
        if error.where not in formula.places:
            error.where = never_finite([formula.expression]) or error.where
        raise formula.pointed(error) from error
    verification = derived.verify() if verify else None
    if verification is not None and not verification.ok:
        complain(str(verification))
        return NO
    heading = _heading(formula)
    bare = latex or source is not None  # nothing but LaTeX or a program may stand there
    written = derived.latex() if latex else derived.source(source) if source is not None else _text(derived, steps)
    deliver(written if bare else f"{heading}\n{written}", output)
    if bare:
        remark(heading)
        for note in derived.notes:
            complain(note, kind="note")
    aloud = not bare or output is not None
    if verification is not None:
        (say if aloud else remark)(str(verification))
    return _judged(report, aloud=aloud)


def _names(wrt: Iterable[str], formula: Typed) -> list[str]:
    """What is differentiated by; a name that is not in the formula is shown where it was typed."""
    found = []
    for each in wrt:
        for match in re.finditer(r"[^\s,]+", each):
            if match[0] not in formula.symbols:
                message = f"no matrix {match[0]!r} in the formula{nearest(match[0], formula.symbols)}"
                raise SpecError(message, f"--wrt {each}", len("--wrt ") + match.start(), len(match[0]))
            found.append(match[0])
    return found


def _heading(formula: Typed) -> str:
    """The formula as it was typed, its matrices with their shapes, and what was decided."""
    shapes = {name: f"{name} {show(node.shape)}" for name, node in formula.symbols.items()}
    declared = [shapes[name] for name in shapes if name not in formula.inferred]
    lines = [formula.text]
    if declared:
        lines.append(f"declared: {', '.join(declared)}")
    if formula.inferred:
        lines.append(f"inferred: {', '.join(shapes[name] for name in formula.inferred)}")
    lines += [f"note: {note}" for note in formula.notes]
    return "\n".join(part for line in lines for part in textwrap.wrap(line, WIDTH, subsequent_indent="  "))


def _text(derived: Derivatives, steps: bool) -> str:
    """The equations, and below them how each came about."""
    return f"{derived}\n\n{derived.view('algebra')}" if steps else str(derived)


def _judged(report: GradientReport, *, aloud: bool) -> int:
    """One line that the derivatives were checked, or the whole report where one is wrong."""
    if not report.ok:
        complain(str(report))
        return NO
    tell = say if aloud else remark
    tell(f"checked against finite differences: worst relative error {report.worst:.1e}")
    return OK
