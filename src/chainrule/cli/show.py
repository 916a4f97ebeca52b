"""`chainrule show`: what is in a model file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cyclopts import App

from chainrule.cli.output import WIDTH, say
from chainrule.cli.status import OK
from chainrule.shapes import show as shape_text

if TYPE_CHECKING:
    from chainrule.tables import Features, Target

EXAMPLES = """Examples:
  chainrule show m.safetensors"""
TIE = "\N{NO-BREAK SPACE}"
NAME = 12  # columns for what a line is about

app = App(name="show", version_flags=(), help_epilogue=EXAMPLES)


@app.default
def show(model: str, /) -> int:
    """Print what a model is, what it takes and gives, its parameters and its equations.

    Parameters
    ----------
    model
        A file that chainrule train --save, or cr.save, wrote.
    """
    from chainrule.persist import load
    from chainrule.pipeline import TableModel

    loaded = load(model)
    of_table = isinstance(loaded, TableModel)
    estimator: Any = loaded.estimator if of_table else loaded
    rows = [("file", model), *_trained(estimator)]
    if of_table:
        rows += [*_target(loaded.target), *_columns(loaded.features)]
    rows += _parameters(estimator.params_)
    say("\n".join(_filled(name, text) for name, text in rows))
    say(str(estimator.network_.derive(solver=estimator._solver())))
    return OK


def _filled(name: str, text: str) -> str:
    filled = textwrap.fill(text, WIDTH, initial_indent=f"{name:{NAME}}", subsequent_indent=" " * NAME)
    return filled.replace(TIE, " ")


def _trained(estimator: Any) -> Iterator[tuple[str, str]]:
    yield "estimator", type(estimator).__name__
    yield "network", str(estimator.network_)
    yield "trained", f"{estimator.n_iter_} epochs by {estimator.solver}, last loss {estimator.loss_:.6g}"


def _target(target: Target) -> Iterator[tuple[str, str]]:
    """The column that is predicted, and its classes or its unit."""
    if target.classes:
        yield "target", f"{target.name}: {len(target.classes)} classes, {_some(map(str, target.classes))}"
    else:
        yield "target", f"{target.name}: a number, of mean {target.mean:.6g} and standard deviation {target.scale:.6g}"


def _columns(features: Features) -> Iterator[tuple[str, str]]:
    """The columns that are read: numbers, then texts with their categories."""
    texts = [column for column in features.columns if column.name in features.text_columns]
    numbers = [column.name for column in features.columns if column not in texts]
    if numbers:
        yield "numbers", f"{len(numbers)} columns: {_some(numbers)}"
    for column in texts:
        yield "text", f"{column.name}: {len(column.outputs)} categories, {_some(column.outputs)}"


def _parameters(params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names, shapes, data type and how many numbers."""
    shapes = [f"{name} {shape_text(value.shape)}".replace(" ", TIE) for name, value in params.items()]
    count = sum(value.size for value in params.values())
    yield "parameters", f"{count} in {next(iter(params.values())).dtype}: {', '.join(shapes)}"


def _some(names: Any, most: int = 20) -> str:
    """The names, or the first of many."""
    every = list(names)
    return ", ".join(every[:most]) + (", ..." if len(every) > most else "")
