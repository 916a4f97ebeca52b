"""The commands and their descriptions. A command's module is imported by cyclopts when it is asked for."""

from __future__ import annotations

from importlib.metadata import version

from cyclopts import App

from chainrule.cli.output import PROGRAM, say

SUMMARY = "Dense networks as matrix equations: derive them, check them, train with them."
EXAMPLES = """Examples:
  chainrule derive "784 -> 128 relu -> 10 softmax"
  chainrule gradient "sum((X w - y)^2)" --wrt w
  chainrule train digits --save m.safetensors
  chainrule predict m.safetensors new.csv
  chainrule COMMAND --help"""

COMMANDS = {
    "derive": """Derive the forward and backward pass of a network in matrix form.

SPEC is "inputs -> width words -> width words ...". The words of a layer stand
in any order: an activation (identity where there is none), dropout=p, nobias,
residual, init=name. What takes a parameter takes it in brackets: elu(0.5).""",
    "gradient": """Derive the gradient of a typed formula, with shapes, and check it.

Side by side or @ is the matrix product, .* goes entry by entry, ' transposes,
^ is a power (of a square matrix the matrix power, .^ entry by entry), ^-1 the
inverse, ||x|| the norm. Names in lower case are columns unless declared.""",
    "train": """Train a network on a table with the equations that are shown.

DATA is a CSV, Parquet or .npz file, or a built-in set: digits, iris, wine,
breast_cancer, diabetes. A part of its rows is held out to test the network.""",
    "predict": """Predict the target of new rows with a trained network.

The output is CSV with a header: the prediction, then, for classes, the
probability of each. Columns of DATA are matched by name where it has names,
else by position.""",
    "show": "Show what is in a model file, with its equations.",
    "warmup": """Compile the engine's kernels ahead of the first training.

They are compiled once for an installation and a data type, and kept in
NUMBA_CACHE_DIR or in a folder of the user.""",
}


def build() -> App:
    """The command line."""
    app = App(
        name=PROGRAM,
        help=SUMMARY,
        help_format="plaintext",
        help_epilogue=EXAMPLES,
        version_flags=(),
    )
    app.command(show_version, name="--version")
    for name, description in COMMANDS.items():
        app.command(f"chainrule.cli.{name}:app", name=name, help=description)
    return app


def show_version() -> None:
    """Print the version."""  # cyclopts' own would load rich for it
    say(f"{PROGRAM} {version(PROGRAM)}")
