"""A network declared: its layers, loss and penalty; what it derives, and what it computes by what it derived."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.activations import activations
from chainrule.arrays import (
    Arrays,
    as_data,
    as_targets,
    as_weights,
    check_parameters,
    check_rows,
    common_dtype,
    draw_masks,
    filled,
)
from chainrule.asked import check_word
from chainrule.calls import check_text
from chainrule.conventions import Convention, check_convention, find_convention
from chainrule.derivation import Derivation
from chainrule.graph import Graph, build_graph
from chainrule.initializers import INITIALIZERS
from chainrule.issue import issue
from chainrule.layers import Dense, check_widths, declared, remarks, whole, written
from chainrule.losses import Loss, check_pair, check_reduction, find_loss
from chainrule.penalties import Penalty, find_penalty
from chainrule.program.execute import compile_function, needed
from chainrule.program.languages import NUMPY
from chainrule.program.lower import lower
from chainrule.spec import NetworkSpec, format_spec, parse
from chainrule.updates import find_update
from chainrule.uses import Uses

LEARNING_RATES = ("number", "matrix")


class Network(Uses):
    """A dense network: declared once, derived, checked and run by the same equations.

    Parameters
    ----------
    spec : str
        `inputs -> width activation [dropout=p] [nobias] [residual] [init=name] -> ...`; the activation defaults to
        identity, and a parameter goes in brackets: `leaky_relu(0.1)`.
    loss : str or Loss, optional
        Such as "cross_entropy" or "huber(0.5)"; the usual partner of the last activation where it is not given.
    penalty : Penalty or str, optional
        Such as `cr.l2(0.01) + cr.l1(0.001)`, or the same as text.
    reduction : {"mean", "sum"}
        Mean or sum over the rows.

    Raises
    ------
    SpecError
        A malformed specification, with a caret under the mistake.
    PairError
        A loss that has no meaning on the last activation.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network("4 -> 8 tanh -> 3 softmax")
    >>> params = net.init(random_state=0)
    >>> {name: array.shape for name, array in params.items()}
    {'W1': (4, 8), 'b1': (1, 8), 'W2': (8, 3), 'b2': (1, 3)}
    """

    def __init__(
        self,
        spec: str,
        loss: str | Loss | None = None,
        *,
        penalty: Penalty | str | None = None,
        reduction: str = "mean",
    ) -> None:
        check_text("a network", spec, "4 -> 8 tanh -> 3 softmax")
        parsed = parse(spec, activations=activations(), initializers=INITIALIZERS)
        self._declare(parsed.inputs, [declared(layer, spec) for layer in parsed.layers], loss, penalty, reduction)

    @classmethod
    def of(
        cls,
        inputs: int,
        *layers: Dense,
        loss: str | Loss | None = None,
        penalty: Penalty | str | None = None,
        reduction: str = "mean",
    ) -> Network:
        """Declare a network by its number of inputs and its layers.

        Examples
        --------
        >>> import chainrule as cr
        >>> print(cr.Network.of(4, cr.Dense(8, "tanh", dropout=0.1), cr.Dense(3, "softmax")))
        4 -> 8 tanh dropout=0.1 -> 3 softmax, cross_entropy
        """
        if not whole(inputs) or not layers or not all(isinstance(layer, Dense) for layer in layers):
            got = ", ".join(map(repr, (inputs, *layers)))
            raise ValueError(f"Network.of(inputs, *layers) takes a number of inputs, then Dense layers, got {got}")
        network = cls.__new__(cls)
        network._declare(whole(inputs), layers, loss, penalty, reduction)
        return network

    def _declare(
        self,
        inputs: int,
        layers: Sequence[Dense],
        loss: str | Loss | None,
        penalty: Penalty | str | None,
        reduction: str,
    ) -> None:
        check_widths(inputs, layers)
        check_reduction(reduction)
        self.inputs = inputs
        self.layers = tuple(layers)
        last = self.layers[-1]
        self.objective = find_loss(last.ending.partner if loss is None else loss)
        self.penalty = find_penalty(penalty)
        self.reduction = reduction
        note = check_pair(self.objective, last.ending, last.width, f"{last.function.name}{' residual' * last.residual}")
        self.notes = (*remarks(self.layers), *([] if note is None else [note]))
        self._graphs: dict[tuple[bool, bool, bool], Graph] = {}
        self._derivations: dict[tuple[bool, bool, Convention, str, bool], Derivation] = {}
        self._compiled: dict[tuple[str, bool, bool], Callable[..., tuple[Any, ...]]] = {}

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return self.layers[-1].width

    @property
    def spec(self) -> str:
        """The specification, in its canonical form."""
        return format_spec(NetworkSpec(self.inputs, tuple(map(written, self.layers))))

    def __str__(self) -> str:
        penalty = f", {self.penalty}" if self.penalty.terms else ""
        return f"{self.spec}, {self.objective}{penalty}{', sum' if self.reduction == 'sum' else ''}"

    def __repr__(self) -> str:
        extra = f", penalty={str(self.penalty)!r}" if self.penalty.terms else ""
        extra += ", reduction='sum'" if self.reduction == "sum" else ""
        return f"Network({self.spec!r}, loss={str(self.objective)!r}{extra})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        return self.inputs, self.layers, str(self.objective), self.penalty, self.reduction

    def __getstate__(self) -> dict[str, Any]:
        """The declaration only: what is derived and compiled is made again."""
        return {name: getattr(self, name) for name in ("inputs", "layers", "objective", "penalty", "reduction")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._declare(*state.values())

    # ---- deriving

    def derive(
        self,
        layout: str | None = None,
        *,
        convention: str | Convention | None = None,
        weights: str | None = None,
        reduction: str | None = None,
        scale: str | None = None,
        bias: str | None = None,
        sign: str | None = None,
        solver: str = "sgd",
        learning_rate: str = "number",
        sample_weight: bool = False,
        dropout: bool = True,
    ) -> Derivation:
        """Derive forward pass, loss, backward pass and update in matrix form.

        The convention concerns what is shown and written; `params` and `net.gradient` are always in rows. Where its
        loss or its derivatives are multiples of those, the derivation says so.

        Parameters
        ----------
        layout : {"rows", "columns"}
            One example in a row (X is n x d), or in a column (X is d x n).
        convention : {"nielsen", "ng", "raja", "cs231n", "hse", "pytorch"} or Convention
            How a book writes; the other options change it.
        weights : {"XW", "XWt", "WX", "WtX"}
            The product of a layer.
        reduction : {"mean", "sum"}
            Of the loss over the examples.
        scale : {"delta", "gradient", "step"}
            Where the 1/n of a mean stands: in dZ, in dW and db, or in the step.
        bias : {"row", "column", "ones", "none"}
            "ones" is the last row of W, with a one beside every input.
        sign : {"descent", "ascent"}
            With "ascent", derivatives have the other sign and are added.
        solver : str
            The update rule, such as "sgd", "momentum" or "adam".
        learning_rate : {"number", "matrix"}
            One for all, or one for every weight.
        sample_weight : bool
            With a weight w for every example.
        dropout : bool
            With the masks of training; without, the layers as they predict.

        Returns
        -------
        Derivation

        Raises
        ------
        ConventionError
            A convention that contradicts itself or the network.

        Examples
        --------
        >>> import chainrule as cr
        >>> d = cr.Network("2 -> 3 tanh -> 1 logistic").derive(convention="ng")
        >>> print(d["dW1"])
        dW1 = (dZ1 X')/n
        """
        options = {"weights": weights, "reduction": reduction, "scale": scale, "bias": bias, "sign": sign}
        chosen = find_convention(convention, self.layers, layout=layout, **options)
        asked = (
            f"convention {convention!r}" if isinstance(convention, str) and bias is None else f"bias={chosen.bias!r}"
        )
        check_convention(chosen, self.layers, self.reduction, asked)
        check_word("unknown learning_rate", learning_rate, LEARNING_RATES)
        rule, matrix = find_update(solver), learning_rate == "matrix"
        key = (sample_weight, dropout and self.drops, chosen, rule.name, matrix)
        if key not in self._derivations:
            graph = self.graph(sample_weight, dropout, chosen.bias == "ones")
            self._derivations[key] = issue(
                graph, chosen, self.reduction, rule, matrix_rates=matrix, title=str(self), notes=self.notes
            )
        return self._derivations[key]

    def graph(self, weighted: bool, training: bool, stacked: bool = False) -> Graph:
        """The derived graph in rows layout, made once for each kind of use."""
        key = (weighted, training and self.drops, stacked)
        if key not in self._graphs:
            declared = (self.inputs, self.layers, self.objective, self.penalty, self.reduction)
            self._graphs[key] = build_graph(*declared, weighted=key[0], training=key[1], stacked=stacked)
        return self._graphs[key]

    # ---- numbers

    def init(self, random_state: Any = None, *, dtype: Any = np.float64) -> Arrays:
        """Draw initial parameters: weights by each layer's initializer, biases 0.

        Parameters
        ----------
        random_state : int, Generator or None
        dtype : data type
            Drawn in float64, then cast.

        Returns
        -------
        dict of str to ndarray
            W1 (inputs x width), b1 (1 x width), W2, ...
        """
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"parameters are floating-point numbers, got dtype {np.dtype(dtype)}")
        rng = np.random.default_rng(random_state)
        params: Arrays = {}
        fan_in = self.inputs
        for i, layer in enumerate(self.layers, 1):
            name, values = layer.initial()
            params[f"W{i}"] = INITIALIZERS[name].draw(rng, (fan_in, layer.width), values).astype(dtype)
            if layer.bias:
                params[f"b{i}"] = np.zeros((1, layer.width), dtype)
            fan_in = layer.width
        return params

    def forward(self, params: Mapping[str, Any], X: Any, *, training: bool = False, random_state: Any = None) -> Arrays:
        """Compute every named value of the forward pass.

        Parameters
        ----------
        params : mapping of str to array
            As `init` gives them.
        X : array of shape (n, inputs)
        training : bool
            As in training, that is with dropout.
        random_state : int, Generator or None
            Draws the dropout masks of training; without it dropout is off.

        Returns
        -------
        dict of str to ndarray
            Z1, A1, ..., Z_L, A_L, in that order, and A_L as P too where the last activation is softmax. A residual
            layer has F1 = f(Z1) and A1 = F1 + A0; with dropout there are the masks M1, and D1 = A1 o M1.
        """
        training = training and self.drops and random_state is not None
        values = self._inputs(params, X)
        graph = self.graph(False, training)
        masks = draw_masks(graph.randoms, len(values["X"]), random_state, values["X"].dtype)
        names = [e.name for e in graph.derived.equations if e.phase == "forward"]
        run = self._function("forward", False, training, names)
        out = dict(zip(names, run(**values, **masks), strict=True))
        return out | {f"A{len(self.layers)}": out[graph.output]} | masks

    def predict(self, params: Mapping[str, Any], X: Any) -> np.ndarray[Any, Any]:
        """Compute the outputs A_L for rows X, of shape (n, outputs)."""
        last = self.graph(False, False).output
        result: np.ndarray[Any, Any] = self._function("predict", False, False, [last])(**self._inputs(params, X))[0]
        return result

    def loss(
        self, params: Mapping[str, Any], X: Any, Y: Any, *, sample_weight: Any = None, random_state: Any = None
    ) -> float:
        """Compute the loss, penalties included.

        Parameters
        ----------
        params : mapping of str to array
        X : array of shape (n, inputs)
        Y : array of shape (n, outputs), or (n,) for labels 0 to k-1 or a single output
        sample_weight : array of shape (n,), optional
        random_state : int, Generator or None
            Draws dropout masks; without it dropout is off.

        Returns
        -------
        float
        """
        (value,), _ = self._run("loss", ["loss"], params, X, Y, sample_weight, random_state)
        return float(np.asarray(value).item())  # a number, or a 1 x 1 matrix

    def gradient(
        self, params: Mapping[str, Any], X: Any, Y: Any, *, sample_weight: Any = None, random_state: Any = None
    ) -> Arrays:
        """Compute the derivatives of the loss by every parameter, by the derived equations; arguments as `loss`.

        Returns
        -------
        dict of str to ndarray
            One for each parameter, of its shape.
        """
        shapes = {str(p.name): (int(p.shape[0]), int(p.shape[1])) for p in self.graph(False, False).parameters}
        out, dtype = self._run("gradient", [f"d{name}" for name in shapes], params, X, Y, sample_weight, random_state)
        return {name: filled(g, shape, dtype) for (name, shape), g in zip(shapes.items(), out, strict=True)}

    @property
    def drops(self) -> bool:
        """Does any layer drop outputs while training?"""
        return any(layer.dropout for layer in self.layers)

    def _inputs(self, params: Mapping[str, Any], X: Any) -> Arrays:
        data = as_data(X, self.inputs)
        found = check_parameters(params, self.graph(False, False).parameters)
        dtype = common_dtype([data, *found.values()])
        return {"X": data.astype(dtype, copy=False), **{k: v.astype(dtype, copy=False) for k, v in found.items()}}

    def _run(
        self, what: str, outputs: Sequence[str], params: Mapping[str, Any], X: Any, Y: Any, w: Any, random_state: Any
    ) -> tuple[tuple[Any, ...], np.dtype[Any]]:
        """The values of these equations, and the data type they are computed in."""
        values = self._inputs(params, X)
        rows, dtype = len(values["X"]), values["X"].dtype
        if self.reduction == "mean":
            check_rows("a mean loss needs", rows)
        values["Y"] = as_targets(Y, rows, self.outputs, self.objective.targets).astype(dtype, copy=False)
        if w is not None:
            values["w"] = as_weights(w, rows, dtype)
        training = self.drops and random_state is not None
        masks = draw_masks(self.graph(w is not None, training).randoms, rows, random_state, dtype)
        return self._function(what, w is not None, training, outputs)(**values, **masks), dtype

    def _function(
        self, what: str, weighted: bool, training: bool, outputs: Sequence[str]
    ) -> Callable[..., tuple[Any, ...]]:
        """The compiled NumPy program of one use, made once."""
        key = (what, weighted, training)
        if key not in self._compiled:
            graph = self.graph(weighted, training)
            statements = needed(lower(graph.derived.equations, NUMPY.words, whole=True), outputs)
            inputs = [str(n.name) for n in (*graph.data, *graph.randoms, *graph.parameters)]
            run = compile_function(what, ["n", *inputs], statements, outputs)
            self._compiled[key] = lambda **values: run(len(values["X"]), **{k: values.get(k) for k in inputs})
        return self._compiled[key]
