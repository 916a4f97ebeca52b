"""Saving and loading: an estimator as numbers and a JSON configuration. Loading runs no code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from chainrule.arrays import check_parameters
from chainrule.errors import DataError, nearest
from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.functions import Function
from chainrule.losses import Loss
from chainrule.model_file import read_model, write_model
from chainrule.network import Network
from chainrule.pipeline import TableModel
from chainrule.tables import Features, Target
from chainrule.train.targets import Kind, encoding_for

Estimator = MLPClassifier | MLPRegressor
KINDS: dict[str, type[Estimator]] = {kind.__name__: kind for kind in (MLPClassifier, MLPRegressor)}
PLAIN = (str, int, float, bool, type(None))
FITTED: dict[str, Callable[[Any], Any]] = {
    "t_": int,
    "n_iter_": int,
    "reason_": str,
    "loss_": float,
    "best_loss_": float,
    "loss_curve_": lambda values: list(map(float, values)),
    "validation_scores_": lambda values: list(map(float, values)),
    "best_validation_score_": float,
}


def save(path: str | Path, model: Any) -> None:
    """Write a fitted estimator to a safetensors file.

    Parameters
    ----------
    path : str or Path
        Written under a temporary name and moved, so that a file of this name is whole or as it was.
    model : MLPClassifier, MLPRegressor or TableModel

    Examples
    --------
    >>> import chainrule as cr, tempfile, os
    >>> net = cr.Network("2 -> 3 tanh -> 1")
    >>> reg = net.fit([[0.0, 1.0], [1.0, 0.0]], [1.0, 2.0], max_iter=1, tol=0, random_state=0)
    >>> path = os.path.join(tempfile.mkdtemp(), "m.safetensors")
    >>> cr.save(path, reg)
    >>> bool((cr.load(path).predict([[0.5, 0.5]]) == reg.predict([[0.5, 0.5]])).all())
    True
    """
    estimator = model.estimator if isinstance(model, TableModel) else model
    kind = type(estimator)
    if kind not in KINDS.values():
        raise DataError(f"save takes chainrule's MLPClassifier or MLPRegressor, got {kind.__module__}.{kind.__name__}")
    if not estimator.__sklearn_is_fitted__():
        raise DataError(f"save takes a fitted {kind.__name__}: call fit first")
    state = {**estimator.params_, **estimator._states}
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    config = _config(estimator) | {"numbers": {k: float(v) for k, v in state.items() if k not in arrays}}
    if isinstance(model, TableModel):
        config |= {"features": model.features.to_config(), "target": model.target.to_config()}
    write_model(path, config, arrays)


def load(path: str | Path) -> Any:
    """Read what `save` wrote: an estimator, or a `TableModel` where the file knows a table's columns.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    MLPClassifier, MLPRegressor or TableModel
        Fitted; `partial_fit` goes on where it ended.

    Raises
    ------
    DataError
        A file that is damaged, or not a chainrule model.
    """
    config, arrays = read_model(path)
    try:
        estimator = _estimator(config, arrays)
        return estimator if "features" not in config else _table_model(estimator, config)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        found = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{str(path)!r} is a chainrule model that cannot be rebuilt: {found}") from error


def _config(estimator: Estimator) -> dict[str, Any]:
    names = getattr(estimator, "feature_names_in_", None)
    return {
        "estimator": type(estimator).__name__,
        "parameters": _parameters(estimator),
        "declared": isinstance(estimator.network, Network),
        "network": _network_config(estimator.network_),
        "fitted": {name: getattr(estimator, name) for name in FITTED},
        "names": None if names is None else list(map(str, names)),
        "targets": _targets_config(estimator),
        "seed": int(estimator._seed),
        "random": estimator._rng.bit_generator.state,
    }


def _parameters(estimator: Estimator) -> dict[str, Any]:
    """The parameters as plain data; what is none, such as a callback, is left at its default."""
    plain = {name: _plain(value) for name, value in estimator.get_params(deep=False).items()}
    sizes = {"hidden_layer_sizes": list(estimator._hidden())}
    return {name: value for name, value in plain.items() if isinstance(value, PLAIN)} | sizes


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Function | Loss) else value


def _network_config(network: Network) -> dict[str, Any]:
    return {
        "spec": network.spec,
        "loss": str(network.objective),
        "penalty": str(network.penalty),
        "reduction": network.reduction,
    }


def network_from(config: Mapping[str, Any]) -> Network:
    """The network of a configuration."""
    return Network(config["spec"], config["loss"], penalty=config["penalty"] or None, reduction=config["reduction"])


def _targets_config(estimator: Estimator) -> dict[str, Any]:
    if isinstance(estimator, MLPRegressor):
        return {"flat": estimator._flat}
    classes = estimator.classes_
    labels = classes.tolist()
    if not all(isinstance(label, PLAIN) for label in labels):
        raise DataError(f"labels are saved as text or numbers, got {type(labels[0]).__name__}")
    return {"kind": estimator._encoding.kind, "labels": labels, "dtype": classes.dtype.str.replace("|O", "O")}


def _estimator(config: Mapping[str, Any], arrays: Mapping[str, Any]) -> Estimator:
    if config["estimator"] not in KINDS:
        raise DataError(f"there is no estimator {config['estimator']!r}{nearest(str(config['estimator']), KINDS)}")
    network = network_from(config["network"])
    parameters = config["parameters"] | ({"network": network} if config["declared"] else {})
    estimator = KINDS[config["estimator"]](**parameters)
    estimator._validate_params()
    estimator.hidden_layer_sizes = estimator._hidden()
    estimator.network_ = network
    declared = network.graph(False, False).parameters
    names = [str(p.name) for p in declared]
    estimator.params_ = check_parameters({name: arrays[name] for name in names}, declared)
    estimator._states = {k: v for k, v in arrays.items() if k not in names} | _numbers(config["numbers"])
    for name, kind in FITTED.items():
        value = config["fitted"][name]
        setattr(estimator, name, None if value is None else kind(value))
    estimator.n_features_in_ = network.inputs
    if config["names"] is not None:
        estimator.feature_names_in_ = np.array(config["names"], dtype=object)
        if estimator.feature_names_in_.shape != (network.inputs,):
            raise DataError(f"{estimator.feature_names_in_.size} names of columns for {network.inputs} inputs")
    estimator._seed = int(config["seed"])
    bits = np.random.PCG64()
    bits.state = config["random"]
    estimator._rng = np.random.Generator(bits)
    _restore_targets(estimator, config["targets"])
    return estimator


def _numbers(numbers: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items()}


def _restore_targets(estimator: Estimator, targets: Mapping[str, Any]) -> None:
    if isinstance(estimator, MLPRegressor):
        estimator._flat = bool(targets["flat"])
        return
    if targets["kind"] not in get_args(Kind):
        raise DataError(f"there is no kind of labels {targets['kind']!r}")
    estimator.classes_ = np.array(targets["labels"], dtype=targets["dtype"])
    estimator._encoding = encoding_for(estimator.network_, targets["kind"], estimator.classes_)


def _table_model(estimator: Estimator, config: Mapping[str, Any]) -> TableModel:
    """The estimator with the columns of its table, which it must fit."""
    model = TableModel(estimator, Features.from_config(config["features"]), Target.from_config(config["target"]))
    inputs, classes = len(model.features.outputs), len(model.target.classes)
    if inputs != model.network.inputs or classes != len(getattr(estimator, "classes_", ())):
        raise DataError(f"a table of {inputs} inputs and {classes} classes does not fit {model.network.spec}")
    return model
