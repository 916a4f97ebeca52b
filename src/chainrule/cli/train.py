"""`chainrule train`: a table in, a trained network out, by the equations that are shown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cyclopts import App

from chainrule.activations import activations
from chainrule.atomic import _check_writable
from chainrule.cli.options import Flag, Header, Names, listed
from chainrule.cli.output import complain, keep_input, remark, say
from chainrule.cli.progress import progress
from chainrule.cli.status import INTERRUPTED, OK
from chainrule.errors import DataError
from chainrule.losses import LOSSES, find_loss
from chainrule.network import Network
from chainrule.penalties import l2
from chainrule.train.step import find_solver
from chainrule.updates import UPDATES

if TYPE_CHECKING:
    from chainrule.check.report import GradientReport
    from chainrule.pipeline import Prepared

ALPHA = 0.0001  # scikit-learn's
NAMES: dict[str, Iterable[str]] = {"Activations": activations(), "Losses": LOSSES, "Solvers": UPDATES}
EXAMPLES = """Examples:
  chainrule train digits --save m.safetensors
  chainrule train iris --net "4 -> 8 tanh -> 3 softmax" --max-iter 200
  chainrule train houses.csv --target price --loss "huber(0.5)" --solver adamw"""

app = App(name="train", version_flags=(), help_epilogue=f"{listed(NAMES)}\n\n{EXAMPLES}")


@app.default
def train(
    data: str,
    /,
    *,
    target: str | None = None,
    net: str | None = None,
    loss: str | None = None,
    save: Path | None = None,
    max_iter: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    solver: str = "adam",
    alpha: float | None = None,
    penalty: str | None = None,
    early_stopping: Flag = False,
    random_state: int = 0,
    test_fraction: float = 0.25,
    task: str = "auto",
    text: Names = (),
    header: Header = None,
    quiet: Flag = False,
) -> int:
    """Train, check and test a network on a table.

    Parameters
    ----------
    data
        A file, or the name of a built-in set.
    target
        The column to predict; built-in sets and .npz files know theirs.
    net
        The whole network as a SPEC, see chainrule derive --help; one hidden layer of 100 relu without it.
    loss
        A loss by name; by default the usual partner of the last activation.
    save
        Write the trained model to this file, a .safetensors.
    max_iter
        The most passes over the rows. [default: 100]
    batch_size
        Rows of a minibatch. [default: 32]
    learning_rate
        By default the solver's own.
    solver
        The update rule.
    alpha
        Strength of the L2 penalty, as scikit-learn counts it. [default: 0.0001]
    penalty
        Instead of alpha, with --net: a sum of l1(strength), l2(strength), elastic_net(strength, ratio).
    early_stopping
        Hold out a tenth of the training rows, and stop when their score no longer rises.
    random_state
        Seed of the split, the initial weights and the order of the rows.
    test_fraction
        Of the rows, held out for the test.
    task
        classification or regression; auto decides by the target's values.
    text
        A column that is text though its cells are numbers, such as a postal code; may be repeated.
    header
        Whether a CSV file starts with one; by default that is found out.
    quiet
        No progress.
    """
    parameters = _given(max_iter=max_iter, batch_size=batch_size, early_stopping=early_stopping or None)
    parameters |= _solver(solver, learning_rate) | {"random_state": random_state}
    declared = _declared(net, loss, alpha, penalty)
    if save is not None:
        _check_writable(save)
        keep_input(save, data)

    from chainrule import persist, pipeline  # and scikit-learn: not before all that is quick to check is right
    from chainrule.tables import read_table

    table = read_table(data, header=header, text=text)
    for name in text:
        table.column(name)  # a name that is not there is an error
    prepared = pipeline.prepare(
        table,
        target,
        task=cast(Any, task),
        test_fraction=test_fraction,
        random_state=random_state,
        standardize=_any_number(declared),
    )
    for note in prepared.features.notes:
        complain(note, kind="note")
    _check_inputs(declared, prepared, data)
    with progress(quiet=quiet) as report:
        estimator = pipeline.estimator_for(prepared, **pipeline.DEFAULTS | parameters | declared, callback=report)
        trained = pipeline.train_on(prepared, estimator, announce=lambda *found: _announce(solver, *found))
    if save is not None:
        persist.save(save, trained.model)
    if not quiet:
        remark(f"{trained.train_rows} rows to train on, {trained.test_rows} to test on; {trained.reason}")
    say(f"test {trained.metric} {trained.score:.4f}   baseline {trained.baseline:.4f}")
    return INTERRUPTED if trained.reason.startswith("interrupted") else OK


def _given(**options: Any) -> dict[str, Any]:
    """What was set; the library has the other defaults."""
    return {name: value for name, value in options.items() if value is not None}


def _solver(solver: str, learning_rate: float | None) -> dict[str, Any]:
    """The update rule of that name and no other, with its own learning rate unless another is given."""
    rule, given = find_solver(solver)
    if "lr" in given and learning_rate is not None:
        raise ValueError(f"--learning-rate and the lr of --solver {solver!r} exclude each other: choose one")
    rate = rule.hyper["lr"] if learning_rate is None else learning_rate
    # scikit-learn's own momentum would make "sgd" another rule.
    return {"solver": solver, "learning_rate_init": rate, "momentum": rule.hyper.get("mu", 0.0)}


def _declared(net: str | None, loss: str | None, alpha: float | None, penalty: str | None) -> dict[str, Any]:
    """The network of a SPEC, or what the estimator builds one from."""
    if penalty is not None and alpha is not None:
        raise ValueError("--penalty and --alpha exclude each other: choose one")
    if net is None:
        if penalty is not None:
            raise ValueError("--penalty belongs to a declared network: add --net, or use --alpha")
        return _given(loss=loss, alpha=alpha)
    total = l2(ALPHA if alpha is None else alpha, per_sample=True) if penalty is None else penalty
    return {"network": Network(net, loss, penalty=total)}


def _any_number(declared: dict[str, Any]) -> bool:
    """May targets be any number, as standardized ones are? Those of the poisson loss may not."""
    objective = (
        declared["network"].objective if "network" in declared else find_loss(declared.get("loss", "squared_error"))
    )
    return bool(objective.targets == "real")


def _check_inputs(declared: dict[str, Any], prepared: Prepared, data: str) -> None:
    """Say how many inputs the columns make, before the estimator compares matrices."""
    network, inputs = declared.get("network"), prepared.X.shape[1]
    if network is not None and network.inputs != inputs:
        raise DataError(
            f"--net takes {network.inputs} inputs, and the columns of {data!r} make {inputs}: begin it with {inputs}"
        )


def _announce(solver: str, network: Network, check: GradientReport) -> None:
    """The network, its equations, and that its backward pass is right."""
    say(str(network.derive(solver=find_solver(solver)[0].name)))
    say(f"backward pass checked: worst relative error {check.worst:.1e}")
    if not check.ok:
        complain(str(check), kind="warning")
