"""`chainrule derive`: a SPEC in, its forward and backward pass out: as text, LaTeX or a program."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from chainrule.activations import activations
from chainrule.cli.options import Flag, Output, listed
from chainrule.cli.output import complain, deliver, remark, say
from chainrule.cli.sample import numbers_for
from chainrule.cli.status import NO, OK
from chainrule.conventions import CONVENTIONS, find_convention
from chainrule.losses import LOSSES
from chainrule.network import LEARNING_RATES, Network
from chainrule.program.languages import LANGUAGES
from chainrule.program.source import PARTS
from chainrule.render.views import DEPTHS
from chainrule.updates import UPDATES
from chainrule.worked import check_digits

if TYPE_CHECKING:
    from chainrule.derivation import Derivation

NAMES: dict[str, Iterable[str]] = {
    "Activations": activations(),
    "Losses": LOSSES,
    "Solvers": UPDATES,
    "Languages": LANGUAGES,
    "Parts": PARTS,
    "Conventions": CONVENTIONS,
    "Views": DEPTHS,
}
EXAMPLES = """Examples:
  chainrule derive "784 -> 128 relu -> 10 softmax"
  chainrule derive "2 -> 3 tanh -> 1 logistic" --convention ng --verify
  chainrule derive "2 -> 3 tanh -> 1" --layout columns --bias ones --scale step
  chainrule derive "4 -> 8 elu(0.5) -> 1" --loss "huber(2)" --penalty "l2(0.1)"
  chainrule derive "4 -> 8 tanh dropout=0.2 -> 3 softmax" --latex -o net.tex
  chainrule derive "4 -> 8 tanh -> 3 softmax" --source numpy -o net.py
  chainrule derive "4 -> 8 tanh -> 3 softmax" --source c -o net.c
  chainrule derive "2 -> 2 tanh -> 1" --view steps
  chainrule derive "2 -> 2 tanh -> 1" --numbers
  chainrule derive "2 -> 2 tanh -> 1" --entry "dW2[1,0]" --values mine.json"""

WRITTEN: dict[str, tuple[str, ...]] = {
    "--entry": ("--values", "--digits", "--latex"),
    "--numbers": ("--values", "--digits", "--latex"),
    "--six-steps": ("--values", "--digits", "--latex"),
    "--source": ("--part",),
    "--view": ("--latex",),
}
"""What is written, one of these, and the options that go with it; the options of none go with all."""

app = App(name="derive", version_flags=(), help_epilogue=f"{listed(NAMES)}\n\n{EXAMPLES}")


@app.default
def derive(
    spec: str,
    /,
    *,
    loss: str | None = None,
    penalty: str | None = None,
    convention: str | None = None,
    layout: str | None = None,
    weights: str | None = None,
    reduction: str | None = None,
    scale: str | None = None,
    bias: str | None = None,
    sign: str | None = None,
    solver: str = "sgd",
    learning_rate: str = LEARNING_RATES[0],
    sample_weight: Flag = False,
    view: str | None = None,
    entry: str | None = None,
    numbers: Flag = False,
    six_steps: Flag = False,
    values: Path | None = None,
    digits: int | None = None,
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
    convention
        As a book writes; the six options below change it.
    layout
        rows: one example is one row of X; columns: one column.
    weights
        The product of a layer: XW, XWt, WX, WtX, where t is the transpose.
    reduction
        mean or sum over the examples.
    scale
        Where the 1/n of a mean stands: delta (in dZ), gradient (in dW and db) or step.
    bias
        row, column, none, or ones: the last row of W, with a one beside every input.
    sign
        descent, or ascent: derivatives have the other sign and are added.
    solver
        The update rule.
    learning_rate
        number: one for all; matrix: one for every weight.
    sample_weight
        Weigh every example.
    view
        equations alone, as LaTeX is by default; rules, as text is: with shapes and the rules that made them; steps:
        with the reason for each; algebra: with every algebraic step.
    entry
        Explain one entry by its indices, which count from 0: "dW2[1,0]".
    numbers
        Work out every equation: symbols, numbers, result.
    six_steps
        The same, in the six steps in which back-propagation is taught.
    values
        Numbers for --entry, --six-steps or, where neither is said, --numbers: a JSON or .npz file with X, Y, W1, b1,
        ..., in rows, and what the update rule takes, such as lr (or lr_W1 of --learning-rate matrix). What is not
        given is drawn.
    digits
        Significant digits of the numbers; 4 by default.
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
    if digits is not None:
        check_digits(digits)
    given: dict[str, Any] = {"--entry": entry, "--numbers": numbers, "--six-steps": six_steps, "--source": source}
    given |= {"--view": view, "--latex": latex, "--values": values, "--digits": digits, "--part": part}
    what = _what([option for option, value in given.items() if value is not None and value is not False])
    words: dict[str, Any] = {"layout": layout, "weights": weights, "reduction": reduction, "scale": scale}
    words |= {"bias": bias, "sign": sign}
    network = Network(
        spec, loss, penalty=penalty, reduction=find_convention(convention, reduction=reduction).reduction or "mean"
    )
    derivation = network.derive(
        convention=convention, **words, solver=solver, learning_rate=learning_rate, sample_weight=sample_weight
    )
    verification = derivation.verify() if verify else None
    if verification is not None and not verification.ok:
        complain(str(verification))
        return NO
    if what == "--source":
        written = derivation.source(str(source), "program" if part is None else part)
    elif what == "--view":
        written = _viewed(derivation, view, latex)
    else:
        written = _with_numbers(network, derivation, what, entry, values, 4 if digits is None else digits, latex)
    bare = latex or what == "--source"  # nothing but LaTeX or a program may stand there
    if bare or what != "--view" or view not in (None, "rules"):  # which do not say it themselves
        for note in derivation.notes:
            complain(note, kind="note")
    deliver(written, output)
    if verification is not None:
        (remark if bare and output is None else say)(str(verification))
    return OK


def _what(given: Collection[str]) -> str:
    """What is written, of what the options say; refuse those that do not go together."""
    chosen = [what for what in WRITTEN if what in given]
    if len(chosen) > 1:
        raise ValueError(f"{chosen[0]} and {chosen[1]} exclude each other: choose one")
    what = chosen[0] if chosen else "--numbers" if "--values" in given else "--view"
    for option in given:
        users = [each for each, options in WRITTEN.items() if option in options]
        if users and what not in users:
            clash = f"{option} and {what} exclude each other: {option}" if chosen else option
            raise ValueError(f"{clash} goes with {', '.join(users[:-1])}{' or ' if users[1:] else ''}{users[-1]}")
    return what


def _viewed(derivation: Derivation, view: str | None, latex: bool) -> str:
    if latex:
        return derivation.latex("equations" if view is None else view)
    return str(derivation) if view in (None, "rules") else derivation.view(str(view))


def _with_numbers(
    network: Network,
    derivation: Derivation,
    what: str,
    entry: str | None,
    values: Path | None,
    digits: int,
    latex: bool,
) -> str:
    params, X, Y, options = numbers_for(network, derivation, values)
    if entry is not None:
        match = re.fullmatch(r"\s*(\w+)\s*\[\s*(\d+)\s*,\s*(\d+)\s*\]\s*", entry)
        if match is None:
            raise ValueError(f'an entry is written as "dW2[1,0]", got {entry!r}')
        i, j = int(match[2]), int(match[3])
        return derivation.entry(match[1], i, j, params, X, Y, latex=latex, digits=digits, **options)
    worked = derivation.with_numbers(params, X, Y, digits=digits, **options)
    if what == "--six-steps":
        return worked.six_steps(latex=latex)
    return worked.latex() if latex else str(worked)
