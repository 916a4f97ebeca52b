"""`chainrule predict`: a model file and a table in, CSV out."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from cyclopts import App

from chainrule.cli.options import Header, Output
from chainrule.cli.output import complain, deliver, keep_input
from chainrule.cli.status import OK
from chainrule.errors import DataError

if TYPE_CHECKING:
    from chainrule.pipeline import TableModel
    from chainrule.tables import Table

EXAMPLES = """Examples:
  chainrule predict m.safetensors new.csv
  chainrule predict m.safetensors new.parquet --output predictions.csv"""

app = App(name="predict", version_flags=(), help_epilogue=EXAMPLES)


@app.default
def predict(model: str, data: str, /, *, header: Header = None, output: Output = None) -> int:
    """Predict the target of every row.

    Parameters
    ----------
    model
        A file that chainrule train --save wrote.
    data
        A CSV, Parquet or .npz file, or a built-in set.
    header
        Whether a CSV file starts with one; by default that is found out.
    output
        Write to this file.
    """
    keep_input(output, model, data)
    from chainrule.persist import load
    from chainrule.pipeline import TableModel
    from chainrule.tables import read_table

    loaded = load(model)
    if not isinstance(loaded, TableModel):
        raise DataError(f"{model!r} knows no columns of a table: it was saved from Python, and is used by cr.load")
    text = (*loaded.features.text_columns, *loaded.target.text_columns)
    table = read_table(data, header=header, text=text)
    for note in loaded.features.notes_on(table):
        complain(note, kind="note")
    deliver(_csv(loaded, table), output)
    return OK


def _csv(model: TableModel, table: Table) -> str:
    """A header, then for each row its prediction and, where there are any, its probabilities."""
    columns = [model.predict(table).tolist()]
    header = ["prediction"]
    if hasattr(model.estimator, "predict_proba"):
        columns += model.predict_proba(table).T.tolist()
        header += [f"probability {label}" for label in model.target.classes]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()
