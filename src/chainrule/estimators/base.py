"""What both estimators share: scikit-learn's parameters, a training run of the derived equations, the network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from chainrule.arrays import as_targets, as_weights
from chainrule.estimators.plain import is_plain, texts_explained
from chainrule.functions import Function
from chainrule.layers import Dense
from chainrule.losses import Loss, find_loss
from chainrule.network import Network
from chainrule.penalties import l2
from chainrule.train.engines import ENGINES, blas_threads, outputs, step_program
from chainrule.train.hold_out import hold_out
from chainrule.train.loop import Epoch, Run, Schedule, Stopping, one_epoch, train
from chainrule.train.step import StepProgram, find_solver
from chainrule.train.targets import Array
from chainrule.updates import UPDATES, find_update

HIDDEN, ACTIVATION, ALPHA = (100,), "relu", 0.0001
MOST_THREADS = 1024
INITIALIZER = "glorot_uniform"  # scikit-learn's: on shallow networks its smaller weights test better than He's


class MLP(BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """Parameters, the training run, and the network; abstract: see `MLPClassifier` and `MLPRegressor`."""

    network_: Network
    params_: dict[str, Array]
    loss_curve_: list[float]

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [str, Function],
        "network": [str, Network, None],
        "loss": [str, Loss, None],
        "solver": [str],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "engine": [StrOptions(set(ENGINES))],
        "n_threads": [Interval(Integral, 1, MOST_THREADS, closed="both"), None],
        "callback": [callable, None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = HIDDEN,
        activation: Any = ACTIVATION,
        *,
        network: str | Network | None = None,
        loss: Any = None,
        solver: str = "adam",
        alpha: float = ALPHA,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        engine: str = "auto",
        n_threads: int | None = None,
        callback: Callable[[Epoch], None] | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.network = network
        self.loss = loss
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.engine = engine
        self.n_threads = n_threads
        self.callback = callback

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X and targets y.

        Ctrl-C ends training and keeps the last whole epoch; in the first epoch it is an interrupt as ever.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
        y : array-like of shape (n,) or (n, n_outputs)
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        self

        Raises
        ------
        DataError
            Data that cannot be used.
        FloatingPointError
            Training diverged. The last whole epoch is kept here too; without one, this is not fitted.
        """
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        data = self._prepare(X, y, sample_weight, reset=not goes_on)
        run, held = self._start(data, goes_on=goes_on, keep_states=False), None
        if self.early_stopping:
            data, held = hold_out(data, self.validation_fraction, self._strata(data["Y"]), self._seed)
        before, reason = len(run.losses), "ended by an error"
        try:
            with self._threads(run, len(data["X"])):
                reason = train(
                    run,
                    data,
                    **self._order(len(data["X"])),
                    epochs=self.max_iter,
                    stopping=Stopping(self.tol, self.n_iter_no_change),
                    score=None if held is None else lambda params: self._score_on(params, **held),
                    reports=[call for call in (self.callback, print if self.verbose else None) if call is not None],
                )
        finally:
            if len(run.losses) > before:
                self._finish(run, len(run.losses) - before, reason or f"all {self.max_iter} epochs done")
        self._say_how_it_ended(reason, interrupted=run.interrupted)
        return self

    def declare(self, X: Any, y: Any) -> Self:
        """Make `network_` for these data, so that it can be read and checked before it is trained."""
        self._validate_params()
        self._prepare(X, y, None, reset=True)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        """One pass over the data, going on from where the last one ended."""
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: hold out rows yourself")
        goes_on = self.__sklearn_is_fitted__()
        data = self._prepare(X, y, sample_weight, reset=not goes_on, classes=classes)
        run = self._start(data, goes_on=goes_on, keep_states=True)
        with self._threads(run, len(data["X"])):
            one_epoch(run, data, **self._order(len(data["X"])))
        self._finish(run, 1, "one pass over the rows")
        return self

    # ---- what a run needs

    def _prepare(self, X: Any, y: Any, w: Any, *, reset: bool, classes: Any = None) -> dict[str, Array]:
        """Checked data as the network takes them; with `reset` what was fitted is forgotten."""
        with texts_explained(X):
            X, y = validate_data(
                self,
                X,
                y,
                multi_output=True,
                y_numeric=is_regressor(self),
                dtype=(np.float64, np.float32),
                order="C",  # minibatches are gathered 6 times as fast from rows as from columns
                reset=reset,
            )
        if reset:
            for name in ("params_", "_states"):
                self.__dict__.pop(name, None)
            self._seed = check_random_state(self.random_state).randint(2**31 - 1)
            self._rng = np.random.default_rng(self._seed)
        Y = self._targets(X, y, reset=reset, classes=classes)
        Y = as_targets(Y, len(X), self.network_.outputs, self.network_.objective.targets)
        with np.errstate(over="ignore"):
            data = {"X": X, "Y": np.ascontiguousarray(Y, X.dtype)}
        if not np.isfinite(data["Y"]).all():
            raise ValueError(f"y has numbers too large for {X.dtype}, the type of X: give X as float64, or scale y")
        if w is not None:
            w = _check_sample_weight(w, X, dtype=X.dtype, ensure_non_negative=True)
            data["w"] = as_weights(w, len(X), X.dtype)
        return data

    def _start(self, data: dict[str, Array], *, goes_on: bool, keep_states: bool) -> Run:
        """A run from new parameters, or from those there are; the memory of the update rule is new unless kept."""
        program = step_program(
            self.network_,
            find_update(self._solver()),
            weighted="w" in data,
            engine=self.engine,
            threads=self.n_threads,
            say=print if self.verbose else None,
        )
        params = self.params_ if goes_on else self.network_.init(self._rng, dtype=data["X"].dtype)
        memory = program.initial_states(next(iter(params.values())).dtype)
        if goes_on and keep_states and self._states.keys() == memory.keys():  # else the solver is another
            memory = self._states
        run = Run(program, {**params, **memory}, self._hyper(), mean=self.network_.reduction == "mean")
        if goes_on:
            run.samples, run.losses = self.t_, list(self.loss_curve_)
        return run

    def _finish(self, run: Run, epochs: int, reason: str) -> None:
        run.program.settle(run.state)
        state = run.state if run.best_state is None else run.best_state
        self.params_ = {name: state[name] for name in run.program.parameters}
        self._states = {name: value for name, value in state.items() if name not in self.params_}
        self.t_, self.n_iter_, self.reason_ = run.samples, epochs, reason
        self.loss_curve_, self.loss_ = run.losses, run.losses[-1]
        self.best_loss_ = None if self.early_stopping else min(run.losses)
        self.validation_scores_ = run.scores if self.early_stopping else None
        self.best_validation_score_ = max(run.scores, default=None) if self.early_stopping else None

    def _say_how_it_ended(self, reason: str, *, interrupted: bool) -> None:
        if self.verbose:
            print(self.reason_)
        if interrupted:
            warnings.warn(f"training was {reason}: the last whole epoch is kept", UserWarning, stacklevel=4)
        elif not reason and self.tol > 0:
            warnings.warn(
                f"stochastic optimizer reached max_iter={self.max_iter} before the loss settled: raise max_iter",
                ConvergenceWarning,
                stacklevel=4,  # of who called fit, through scikit-learn's wrapper
            )

    def _solver(self) -> str:
        """The name of the update rule: scikit-learn's "sgd" has momentum, which is another rule here."""
        rule, _ = find_solver(self.solver)
        if self.momentum > 0 and rule is UPDATES["sgd"]:
            return "nesterov" if self.nesterovs_momentum else "momentum"
        return rule.name

    def _hyper(self) -> dict[str, float]:
        """The parameters of the rule: as the solver gives them, else scikit-learn's of that meaning, else its own."""
        own, (_, given) = find_update(self._solver()).hyper, find_solver(self.solver)
        usual = {"lr": self.learning_rate_init, "mu": self.momentum}
        if "beta1" in own:
            usual |= {"beta1": self.beta_1, "beta2": self.beta_2, "eps": self.epsilon}
        return {name: float(value) for name, value in {**own, **usual, **given}.items() if name in own}

    def _order(self, rows: int) -> dict[str, Any]:
        """How a pass goes through the rows, and at which rate; as in scikit-learn, Adam and its kin keep theirs."""
        hyper = self._hyper()
        kind = "constant" if "beta1" in hyper else self.learning_rate
        return {
            "batch_size": min(200 if self.batch_size == "auto" else int(self.batch_size), rows),
            "rng": self._rng,
            "shuffle": self.shuffle,
            "schedule": Schedule(kind, hyper["lr"], float(self.power_t)),
        }

    def _threads(self, run: Run, rows: int) -> Any:
        """The threads of BLAS, which the NumPy program uses and the engine does not."""
        if not isinstance(run.program, StepProgram):
            return nullcontext()
        weights = sum(W.size for W in run.params.values())
        return blas_threads(self.n_threads, 6 * weights * self._order(rows)["batch_size"])

    # ---- the network

    def _given(self) -> Network | None:
        """The network of `network=`."""
        if self.network is None:
            return None
        if self._hidden() != HIDDEN or self.activation != ACTIVATION:
            raise ValueError("network= declares the layers: leave out hidden_layer_sizes and activation")
        if not isinstance(self.network, Network):
            return Network(self.network, self.loss, penalty=l2(self.alpha, per_sample=True))
        if self.loss is not None or self.alpha != ALPHA:
            raise ValueError("a Network declares its own loss and penalty: leave out loss and alpha")
        return self.network

    def _hidden(self) -> tuple[int, ...]:
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=object)).tolist()
        if any(isinstance(size, bool) or not isinstance(size, Integral) or size < 1 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be whole numbers of at least 1, got {self.hidden_layer_sizes}")
        return tuple(map(int, sizes))

    def _declare(self, inputs: int, outputs: int, last: str, *, reset: bool) -> None:
        """Make `network_`: as declared, or from hidden_layer_sizes, activation, loss and alpha."""
        network = self._given()
        if network is None:
            objective = None if self.loss is None else find_loss(self.loss)
            last = last if objective is None else objective.partner
            layers = [Dense(size, self.activation, initializer=INITIALIZER) for size in self._hidden()] + [
                Dense(outputs, last)
            ]
            network = Network.of(inputs, *layers, loss=objective, penalty=l2(self.alpha, per_sample=True))
        if network.inputs != inputs:
            raise ValueError(
                f"the network takes {network.inputs} inputs and X has {inputs} columns: begin it with {inputs}"
            )
        if not reset and network.layers != self.network_.layers:
            raise ValueError(f"training cannot go on from {self.network_.spec} as {network.spec}: fit anew")
        if network != vars(self).get("network_"):  # which keeps what it derived and compiled
            self.network_ = network

    def _outputs(self, X: Any) -> Array:
        if not is_plain(X, vars(self)):
            check_is_fitted(self)
            with texts_explained(X):
                X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return self._outputs_of(self.params_, X)

    def _outputs_of(self, params: dict[str, Array], X: Array) -> Array:
        """The outputs at these parameters, by the engine where it can."""
        return outputs(self, self.network_, params, X, engine=self.engine, threads=self.n_threads)

    @property
    def coefs_(self) -> list[Array]:
        """The weight matrices, one for each layer, of shape (fan_in, fan_out)."""
        return [self.params_[f"W{i}"] for i in range(1, len(self.network_.layers) + 1)]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases, one for each layer, of shape (fan_out,); zeros where a layer has none."""
        layers = enumerate(self.network_.layers, 1)
        return [self.params_[f"b{i}"].ravel() if layer.bias else np.zeros(layer.width) for i, layer in layers]

    @property
    def n_layers_(self) -> int:
        """The number of layers, the inputs included."""
        return len(self.network_.layers) + 1

    @property
    def n_outputs_(self) -> int:
        """The number of outputs."""
        return self.network_.outputs

    @property
    def out_activation_(self) -> str:
        """The activation of the last layer."""
        return str(self.network_.layers[-1].function)

    def __sklearn_is_fitted__(self) -> bool:
        return "params_" in vars(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _targets(self, X: Array, y: Array, *, reset: bool, classes: Any = None) -> Array:
        """The targets Y (n x outputs) of the network, which is made first."""
        raise NotImplementedError

    def _strata(self, Y: Array) -> Array | None:
        """The classes that a split should keep the shares of."""
        raise NotImplementedError

    def _score_on(self, params: dict[str, Array], X: Array, Y: Array, w: Array | None = None) -> float:
        """Accuracy or R2 of these parameters on held-out rows."""
        raise NotImplementedError
