"""`chainrule derive`: a SPEC in, its forward and backward pass out: as text, LaTeX or a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cyclopts import App

from chainrule.activations import activations
from chainrule.cli.options import Flag, Output, listed
from chainrule.cli.output import complain, deliver, remark, say
from chainrule.cli.status import NO, OK
from chainrule.losses import LOSSES
from chainrule.network import LAYOUTS, Network
from chainrule.program.languages import LANGUAGES
from chainrule.program.source import PARTS
from chainrule.updates import UPDATES

if TYPE_CHECKING:
    from chainrule.derivation import Derivation

NAMES: dict[str, Iterable[str]] = {
    "Activations": activations(),
    "Losses": LOSSES,
    "Solvers": UPDATES,
    "Languages": LANGUAGES,
    "Parts": PARTS,
    "Layouts": LAYOUTS,
}
EXAMPLES = """Examples:
  chainrule derive "784 -> 128 relu -> 10 softmax"
  chainrule derive "2 -> 3 tanh -> 1 logistic" --layout columns --verify
  chainrule derive "4 -> 8 elu(0.5) -> 1" --loss "huber(2)" --penalty "l2(0.1)"
  chainrule derive "4 -> 8 tanh dropout=0.2 -> 3 softmax" --latex -o net.tex
  chainrule derive "4 -> 8 tanh -> 3 softmax" --source numpy -o net.py
  chainrule derive "4 -> 8 tanh -> 3 softmax" --source c -o net.c"""

app = App(name="derive", version_flags=(), help_epilogue=f"{listed(NAMES)}\n\n{EXAMPLES}")


@app.default
def derive(
    spec: str,
    /,
    *,
    loss: str | None = None,
    penalty: str | None = None,
    reduction: str = "mean",
    layout: str = "rows",
    solver: str = "sgd",
    sample_weight: Flag = False,
    latex: Flag = False,
    source: str | None = None,
    part: str | None = None,
    verify: Flag = False,
    output: Output = None,
) -> int:
    """Print or write a derivation, whole or as a part of a program.

    Parameters
    ----------
    spec
        The network, in quotes.
    loss
        A loss by name, with parameters in brackets; by default the usual partner of the last activation.
    penalty
        A sum of l1(strength), l2(strength), elastic_net(strength, ratio), on all weights.
    reduction
        mean or sum over the rows.
    layout
        rows: one example is one row of X; columns: one column.
    solver
        The update rule.
    sample_weight
        Weigh every example.
    latex
        Write LaTeX, which needs amsmath.
    source
        Write a program in this language, complete and trained on made-up data.
    part
        Of the program: the whole, one step, or its assignments of one phase.
    verify
        Replay every step on random numbers, and say the worst error in one line; status 1 if one is wrong.
    output
        Write to this file.
    """
    if latex and source:
        raise ValueError("--latex and --source exclude each other: choose one")
    if part and not source:
        raise ValueError("--part chooses a part of a program: add --source numpy")
    network = Network(spec, loss, penalty=penalty, reduction=reduction)
    derivation = network.derive(layout, solver=solver, sample_weight=sample_weight)
    verification = derivation.verify() if verify else None
    if verification is not None and not verification.ok:
        complain(str(verification))
        return NO
    deliver(_written(derivation, latex, source, part), output)
    bare = latex or source is not None  # nothing but LaTeX or a program may stand there
    if bare:
        for note in derivation.notes:
            complain(note, kind="note")
    if verification is not None:
        (remark if bare and output is None else say)(str(verification))
    return OK


def _written(derivation: Derivation, latex: bool, source: str | None, part: str | None) -> str:
    if latex:
        return derivation.latex()
    return str(derivation) if source is None else derivation.source(source, part or "program")
