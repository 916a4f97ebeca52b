"""A network declared: its layers, loss and penalty; what it derives, and what it computes by what it derived."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.activations import activations
from chainrule.arrays import Arrays, as_data, as_targets, as_weights, check_parameters, common_dtype, draw_masks
from chainrule.calls import bind, format_call, parse_call, parse_sum
from chainrule.conventions import columns, reissue
from chainrule.derivation import Derivation
from chainrule.derive import Derived, Equation, derive_equations
from chainrule.errors import SpecError, UnknownNameError, nearest
from chainrule.expr import Node, define, define_op, matrix, size, toposort
from chainrule.initializers import INITIALIZERS
from chainrule.layers import ROWS, Dense, activation_of, build, check_widths
from chainrule.losses import FACTS, LOSSES, Loss, check_pair, total_weight
from chainrule.penalties import Penalty, elastic_net, penalty
from chainrule.program.code import NUMPY
from chainrule.program.execute import compile_function, needed
from chainrule.program.lower import lower
from chainrule.program.source import Listing
from chainrule.rules import ALGEBRA, STABLE
from chainrule.spec import LayerSpec, parse
from chainrule.updates import UPDATES, UpdateRule

LAYOUTS = ("rows", "columns")


class Network:
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
        parsed = parse(spec, activations=activations(), initializers=INITIALIZERS)
        layers = [_from_spec(layer, spec) for layer in parsed.layers]
        self._declare(parsed.inputs, layers, loss, penalty, reduction)

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
        if isinstance(inputs, bool) or not isinstance(inputs, int) or inputs < 1 or not layers:
            raise ValueError(f"Network.of(inputs, *layers) takes a number of inputs and layers, got {inputs!r}, {layers}")
        network = cls.__new__(cls)
        network._declare(inputs, list(layers), loss, penalty, reduction)
        return network

    def _declare(
        self, inputs: int, layers: list[Dense], loss: str | Loss | None, penalty: Penalty | str | None, reduction: str
    ) -> None:
        check_widths(inputs, layers)
        if reduction not in ("mean", "sum"):
            raise UnknownNameError(f"unknown reduction {reduction!r}{nearest(reduction, ('mean', 'sum'))}")
        self.inputs = inputs
        self.layers = tuple(layers)
        last = self.layers[-1]
        self.objective = find_loss(loss if loss is not None else last.function.partner)
        self.penalty = find_penalty(penalty)
        self.reduction = reduction
        note = check_pair(self.objective, last.function, last.width)
        self.notes = () if note is None else (note,)
        self._derived: dict[tuple[bool, bool, str | None], Graph] = {}
        self._compiled: dict[tuple[str, bool, bool], Callable[..., tuple[Any, ...]]] = {}

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return self.layers[-1].width

    @property
    def spec(self) -> str:
        """The specification, in its canonical form."""
        return " -> ".join([str(self.inputs), *map(str, self.layers)])

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
        return self.spec, str(self.objective), self.penalty, self.reduction

    def __getstate__(self) -> dict[str, Any]:
        """The declaration only: what is derived is derived again."""
        return self.__dict__ | {"_derived": {}, "_compiled": {}, "objective": str(self.objective), "layers": self.spec}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Network.__init__(
            self, state["layers"], state["objective"], penalty=state["penalty"], reduction=state["reduction"]
        )

    # ---- deriving

    def derive(
        self, layout: str = "rows", *, solver: str = "sgd", sample_weight: bool = False, dropout: bool = True
    ) -> Derivation:
        """Derive forward pass, loss, backward pass and update in matrix form.

        Parameters
        ----------
        layout : {"rows", "columns"}
            One example in a row (X is n x d), or in a column (X is d x n). It concerns what is shown and written;
            `params` and `net.gradient` are always in rows.
        solver : str
            The update rule, such as "sgd", "momentum" or "adam".
        sample_weight : bool
            With a weight w for every example.
        dropout : bool
            With the masks of training; without, the layers as they predict.

        Returns
        -------
        Derivation

        Examples
        --------
        >>> import chainrule as cr
        >>> d = cr.Network("2 -> 3 tanh -> 1 logistic").derive(layout="columns")
        >>> print(d["dZ1"])
        dZ1 = (W2' dZ2) ∘ (1 - A1 ∘ A1)
        """
        if layout not in LAYOUTS:
            raise UnknownNameError(f"unknown layout {layout!r}{nearest(layout, LAYOUTS)}")
        graph = self.graph(sample_weight, dropout, find_update(solver).name)
        derived, rows = graph.derived, ("X", 0)
        turn: Callable[[Node], Node] = lambda node: node
        if layout == "columns":
            derived, rows = reissue(derived, columns), ("X", 1)
            turned = {n.name: n for e in derived.equations for n in toposort(e.expression) if not n.args and n.name}
            turn = lambda node: turned.get(node.name, node)  # noqa: E731
        listing = Listing(
            title=str(self),
            equations=derived.equations,
            data=tuple(map(turn, graph.data)),
            randoms=tuple(map(turn, graph.randoms)),
            parameters=tuple(map(turn, graph.parameters)),
            states=tuple((turn(s), v) for s, v in graph.states),
            hyper=graph.hyper,
            rows=rows,
        )
        return Derivation(derived, listing, layout, self.notes)

    def graph(self, weighted: bool, training: bool, solver: str | None = None) -> Graph:
        """The derived graph in rows layout, made once for each kind of use."""
        key = (weighted, training, solver)
        if key not in self._derived:
            self._derived[key] = _derive(self, weighted, training, solver)
        return self._derived[key]

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
            Apply dropout, with masks drawn from `random_state`.
        random_state : int, Generator or None

        Returns
        -------
        dict of str to ndarray
            Z1, A1, ..., and P for the last activation where it is softmax.
        """
        training = training and self.drops
        values = self._inputs(params, X)
        masks = draw_masks(self.graph(False, training).randoms, len(values["X"]), random_state, values["X"].dtype)
        graph = self.graph(False, training)
        names = [e.name for e in graph.derived.equations if e.phase == "forward"]
        run = self._function("forward", False, training, names)
        out = dict(zip(names, run(**values, **masks), strict=True))
        if names[-1] == "P":
            out[f"A{len(self.layers)}"] = out["P"]
        return out

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
        return float(self._run("loss", ["loss"], params, X, Y, sample_weight, random_state)[0])

    def gradient(
        self, params: Mapping[str, Any], X: Any, Y: Any, *, sample_weight: Any = None, random_state: Any = None
    ) -> Arrays:
        """Compute the derivatives of the loss by every parameter, by the derived equations; arguments as `loss`.

        Returns
        -------
        dict of str to ndarray
            One for each parameter, of its shape.
        """
        names = [str(p.name) for p in self.graph(False, False).parameters]
        out = self._run("gradient", [f"d{name}" for name in names], params, X, Y, sample_weight, random_state)
        shapes = {str(p.name): p.shape for p in self.graph(False, False).parameters}
        return {name: np.broadcast_to(g, shapes[name]) for name, g in zip(names, out, strict=True)}

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
    ) -> tuple[Any, ...]:
        values = self._inputs(params, X)
        rows, dtype = len(values["X"]), values["X"].dtype
        values["Y"] = as_targets(Y, rows, self.outputs, self.objective.targets).astype(dtype, copy=False)
        if w is not None:
            values["w"] = as_weights(w, rows).astype(dtype, copy=False)
        training = self.drops and random_state is not None
        masks = draw_masks(self.graph(w is not None, training).randoms, rows, random_state, dtype)
        return self._function(what, w is not None, training, outputs)(**values, **masks)

    def _function(self, what: str, weighted: bool, training: bool, outputs: Sequence[str]) -> Callable[..., tuple[Any, ...]]:
        """The compiled NumPy program of one use, made once."""
        key = (what, weighted, training)
        if key not in self._compiled:
            graph = self.graph(weighted, training)
            statements = needed(lower(graph.derived.equations, NUMPY.words, whole=True), outputs)
            inputs = [str(n.name) for n in (*graph.data, *graph.randoms, *graph.parameters)]
            run = compile_function(what, ["n", *inputs], statements, outputs)
            self._compiled[key] = lambda **values: run(len(values["X"]), **{k: values.get(k) for k in inputs})
        return self._compiled[key]


@dataclass(frozen=True)
class Graph:
    """One derivation of a network, in rows layout, and the symbols it is made of."""

    derived: Derived
    data: tuple[Node, ...]
    randoms: tuple[Node, ...]
    parameters: tuple[Node, ...]
    states: tuple[tuple[Node, float], ...]
    hyper: dict[str, float]
    output: str


def _derive(network: Network, weighted: bool, training: bool, solver: str | None) -> Graph:
    """Build the expressions, differentiate them, and add the update rule's equations."""
    X = matrix("X", ROWS, network.inputs)
    Y = matrix("Y", ROWS, network.outputs, role="target", facts=FACTS.get(network.objective.targets, ()))
    w = matrix("w", ROWS, 1, role="weight", facts=("nonnegative",)) if weighted else None
    forward: list[tuple[Node, str, Any]] = []
    parameters: list[Node] = []
    randoms: list[Node] = []
    keep: list[str] = []
    A = X
    for i, layer in enumerate(network.layers, 1):
        built = build(layer, i, A, last=i == len(network.layers), training=training)
        forward += [(d.node, d.rule, "forward") for d in built.definitions]
        parameters += built.parameters
        randoms += built.randoms
        keep.append(str(built.pre_activation.name))
        A = built.output
    if w is not None:
        forward.append((total_weight(w), "sum of weights", "forward"))
    total = define("loss", _loss(network, A, Y, w, parameters))
    derived = derive_equations([*forward, (total, str(network.objective), "loss")], parameters, keep=keep, rules=ALGEBRA, stable=STABLE)
    states: tuple[tuple[Node, float], ...] = ()
    hyper: dict[str, float] = {}
    if solver is not None:
        derived, states = _with_update(derived, parameters, UPDATES[solver])
        hyper = UPDATES[solver].hyper
    data = (X, Y) if w is None else (X, Y, w)
    return Graph(derived, data, tuple(randoms), tuple(parameters), states, hyper, str(A.name))


def _loss(network: Network, A: Node, Y: Node, w: Node | None, parameters: Sequence[Node]) -> Node:
    """The data term and, for every weight matrix, the penalty."""
    loss: Node = network.objective(A, Y, weights=w, reduction=network.reduction)
    rows = total_weight(w) if w is not None else size(ROWS)
    for W in parameters:
        if str(W.name).startswith("W") and (term := network.penalty(W, rows)) is not None:
            loss = loss + term
    return loss


def _with_update(
    derived: Derived, parameters: Sequence[Node], rule: UpdateRule
) -> tuple[Derived, tuple[tuple[Node, float], ...]]:
    """The derivation with the update rule's equations, intermediate names included."""
    gradients = {e.name: e.node for e in derived.equations}
    nexts = rule.equations([(p, gradients[f"d{p.name}"]) for p in parameters])
    known = {e.node for e in derived.equations}
    equations: list[Equation] = []
    for item in nexts:
        for node in toposort(item.node):
            if node.op is define_op and node not in known:
                known.add(node)
                equations.append(Equation(node.value, node.args[0], node.shape, rule.name, "update"))
    states = tuple((item.old, item.initial) for item in nexts if item.old.value.role == "state")
    return Derived((*derived.equations, *equations), derived.steps), states


# ---- what may be said in words


def find_loss(wanted: str | Loss) -> Loss:
    """The loss of a name such as "huber(0.5)"."""
    if isinstance(wanted, Loss):
        return wanted
    call = parse_call(wanted)
    if call.name not in LOSSES:
        raise UnknownNameError(f"unknown loss {call.name!r}{nearest(call.name, LOSSES)}")
    found = LOSSES[call.name]
    values = bind(call, found.parameters.items(), wanted)
    return found if values == found.values else found(*values)


def find_penalty(wanted: Penalty | str | None) -> Penalty:
    """The penalty of a text such as "l2(0.01) + l1(0.001)"; none for None."""
    if wanted is None:
        return Penalty(())
    if isinstance(wanted, Penalty):
        return wanted
    total = Penalty(())
    for call in parse_sum(wanted):
        values = bind(call, [("strength", None), *([("l1_ratio", 0.5)] if call.name == "elastic_net" else [])], wanted)
        total = total + (elastic_net(*values) if call.name == "elastic_net" else penalty(call.name, *values))
    return total


def find_update(name: str) -> UpdateRule:
    """The update rule of a name."""
    if name not in UPDATES:
        raise UnknownNameError(f"unknown solver {name!r}{nearest(name, UPDATES)}")
    return UPDATES[name]


def _from_spec(layer: LayerSpec, text: str) -> Dense:
    if layer.batchnorm:
        raise SpecError("batchnorm is not built yet: leave it out", text, layer.position)
    return Dense(
        layer.width,
        activation_of(layer.activation, text),
        bias=layer.bias,
        dropout=layer.dropout,
        residual=layer.residual,
        initializer=format_call(layer.initializer) if layer.initializer else None,
    )


