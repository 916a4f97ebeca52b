"""Competitors at training a dense network, each in its strongest honest form: resident float32 data, minibatches
shuffled anew each epoch, softmax cross-entropy of integer labels, the same rows, initial weights and update.

Each is a function of a `Cell` that gives a session (see `workers`): `run(epochs)` trains from the initial weights,
`once()` trains one epoch in the order of the rows and gives the weights after it. Compilation and one epoch to warm up
come before the session begins.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.workers import Session

Array = np.ndarray[Any, Any]
RATE = {"sgd": 0.01, "momentum": 0.01, "adam": 0.001}
MU, BETA1, BETA2, EPS = 0.9, 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Cell:
    """One line of the table."""

    sizes: tuple[int, ...]
    batch: int
    rows: int
    update: str
    activation: str

    @property
    def network(self) -> str:
        return "-".join(map(str, self.sizes))

    @property
    def spec(self) -> str:
        """The network as chainrule takes it."""
        inner = "".join(f" -> {width} {self.activation}" for width in self.sizes[1:-1])
        return f"{self.sizes[0]}{inner} -> {self.sizes[-1]} softmax"

    @property
    def steps(self) -> int:
        """Minibatches in an epoch."""
        return self.rows // self.batch

    def __str__(self) -> str:
        return f"{self.network} batch {self.batch} {self.update} {self.activation}"

    def data(self) -> tuple[Array, Array]:
        """Standard normal rows, and labels that a linear rule gives, so that there is something to learn."""
        rng = np.random.default_rng(0)
        X = rng.standard_normal((self.rows, self.sizes[0]), dtype=np.float32)
        return X, (X @ rng.standard_normal((self.sizes[0], self.sizes[-1]), dtype=np.float32)).argmax(axis=1)

    def weights(self) -> list[tuple[Array, Array]]:
        """Initial W and b of each layer."""
        rng = np.random.default_rng(1)
        return [
            ((rng.standard_normal((i, o)) * np.sqrt(2 / (i + o))).astype(np.float32), np.zeros(o, np.float32))
            for i, o in pairwise(self.sizes)
        ]

    def loss(self, weights: list[tuple[Array, Array]]) -> float:
        """The mean cross-entropy over all rows, in float64; the referee's own formula."""
        X, y = self.data()
        A = X.astype(np.float64)
        for W, b in weights[:-1]:
            A = A @ W + b
            A = np.maximum(A, 0) if self.activation == "relu" else np.tanh(A)
        Z = A @ weights[-1][0] + weights[-1][1]
        Z -= Z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(len(Z)), y]))


def chainrule(cell: Cell, engine: str | None = None) -> Session:
    """The public estimator."""
    import chainrule as cr

    X, y = cell.data()
    make = partial(
        cr.MLPClassifier,
        network=cr.Network(cell.spec, loss="cross_entropy"),
        solver=cell.update,
        momentum=MU if cell.update == "momentum" else 0.0,
        learning_rate_init=RATE[cell.update],
        batch_size=cell.batch,
        tol=0,
        n_iter_no_change=10**9,
        random_state=0,
        **({} if engine is None else {"engine": engine}),
    )

    def once() -> list[tuple[Array, Array]]:
        model = make(max_iter=1, shuffle=False, warm_start=True).declare(X, y)
        model.params_ = {}
        for i, (W, b) in enumerate(cell.weights(), 1):
            model.params_ |= {f"W{i}": W, f"b{i}": b[None]}
        model.t_, model.loss_curve_ = 0, []
        model.fit(X, y)
        return list(zip(model.coefs_, model.intercepts_, strict=True))

    def run(epochs: int, **parameters: Any) -> None:
        make(max_iter=epochs, **parameters).fit(X, y)

    run(1)
    return {"run": run, "once": once}


def scikit_learn(cell: Cell, threads: int) -> Session:
    """`MLPClassifier`; with two classes it has one logistic output, so that its weights are others."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore", ConvergenceWarning)
    threadpool_limits(threads, "blas")
    X, y = cell.data()
    make = partial(
        MLPClassifier,
        cell.sizes[1:-1],
        activation=cell.activation,
        solver="adam" if cell.update == "adam" else "sgd",
        momentum=MU if cell.update == "momentum" else 0.0,
        nesterovs_momentum=False,
        alpha=0.0,
        learning_rate_init=RATE[cell.update],
        batch_size=cell.batch,
        tol=0.0,
        n_iter_no_change=10**9,
        random_state=0,
    )

    def once() -> list[tuple[Array, Array]] | None:
        if cell.sizes[-1] == 2:
            return None
        model = make(max_iter=1, shuffle=False, warm_start=True).fit(X, y)
        for i, (W, b) in enumerate(cell.weights()):
            model.coefs_[i][...], model.intercepts_[i][...] = W, b
        model.fit(X, y)  # with the memory of the update new
        return list(zip(model.coefs_, model.intercepts_, strict=True))

    def run(epochs: int) -> None:
        make(max_iter=epochs).fit(X, y)

    run(1)
    return {"run": run, "once": once}


def jax(cell: Cell) -> Session:
    """A jitted `lax.scan` over the epoch: data resident, gather inside, parameters and states donated."""
    import jax
    import jax.numpy as jnp

    X, y = map(jnp.asarray, cell.data())
    y = y.astype(jnp.int32)
    act = jax.nn.relu if cell.activation == "relu" else jnp.tanh
    lr, each = RATE[cell.update], jax.tree.map

    def loss(params: Any, x: Any, labels: Any) -> Any:
        for W, b in params[:-1]:
            x = act(x @ W + b)
        W, b = params[-1]
        logs = jax.nn.log_softmax(x @ W + b)
        return -jnp.mean(jnp.take_along_axis(logs, labels[:, None], axis=1))

    def updated(params: Any, state: Any, t: Any, G: Any) -> tuple[Any, Any]:
        if cell.update == "sgd":
            return each(lambda p, g: p - lr * g, params, G), state
        if cell.update == "momentum":
            state = each(lambda v, g: MU * v - lr * g, state, G)
            return each(jnp.add, params, state), state
        m = each(lambda m, g: BETA1 * m + (1 - BETA1) * g, state[0], G)
        v = each(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, state[1], G)
        a, c = lr / (1 - BETA1**t), 1 / (1 - BETA2**t)
        return each(lambda p, m, v: p - a * m / (jnp.sqrt(v * c) + EPS), params, m, v), (m, v)

    def epoch(params: Any, state: Any, t: Any, X: Any, y: Any, order: Any) -> Any:
        def step(carry: Any, index: Any) -> tuple[Any, None]:
            params, state, t = carry
            x, labels = (a.at[index].get(mode="promise_in_bounds", unique_indices=True) for a in (X, y))
            t = t + 1
            return (*updated(params, state, t, jax.grad(loss)(params, x, labels)), t), None

        return jax.lax.scan(step, (params, state, t), order)[0]

    compiled = jax.jit(epoch, donate_argnums=(0, 1))
    rng = np.random.default_rng(0)

    def run(epochs: int, *, shuffle: bool = True) -> Any:
        params = each(jnp.array, cell.weights())
        zeros = partial(each, jnp.zeros_like, params)
        state = {"sgd": tuple, "momentum": zeros, "adam": lambda: (zeros(), zeros())}[cell.update]()
        carry = (params, state, jnp.float32(0))
        for _ in range(epochs):
            order = (rng.permutation(cell.rows) if shuffle else np.arange(cell.rows)).astype(np.int32)
            carry = compiled(*carry, X, y, order.reshape(cell.steps, cell.batch))
        return jax.block_until_ready(carry)[0]

    run(1)
    return {"run": run, "once": lambda: [tuple(map(np.asarray, pair)) for pair in run(1, shuffle=False)]}


def pytorch(cell: Cell, threads: int) -> Session:
    """Eager, with the fused optimizers."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    X, y = map(torch.from_numpy, cell.data())
    act = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[cell.activation]

    def fresh() -> tuple[Any, Any]:
        layers: list[Any] = []
        for W, b in cell.weights():
            linear = torch.nn.Linear(*W.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W.T.copy()))
                linear.bias.copy_(torch.from_numpy(b))
            layers += [linear, act()]
        network = torch.nn.Sequential(*layers[:-1])
        if cell.update == "adam":
            return network, torch.optim.Adam(
                network.parameters(), RATE["adam"], betas=(BETA1, BETA2), eps=EPS, fused=True
            )
        mu = MU if cell.update == "momentum" else 0.0
        return network, torch.optim.SGD(network.parameters(), RATE[cell.update], momentum=mu, fused=True)

    def run(epochs: int, *, shuffle: bool = True) -> Any:
        network, optimizer = fresh()
        for _ in range(epochs):
            order = torch.randperm(cell.rows) if shuffle else torch.arange(cell.rows)
            for index in order.split(cell.batch):
                cross_entropy(network(X.index_select(0, index)), y.index_select(0, index)).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return network

    def once() -> list[tuple[Array, Array]]:
        linear = [layer for layer in run(1, shuffle=False) if isinstance(layer, torch.nn.Linear)]
        return [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in linear]

    run(1)
    return {"run": lambda epochs: run(epochs) and None, "once": once}


def pytorch_compiled(cell: Cell, threads: int) -> Session:
    """The whole step, gather and update included, as one compiled function without autograd's graph at run time.

    Three times as fast on small networks as compiling forward pass and loss alone; autotuned, called through C++.
    """
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    X, y = map(torch.from_numpy, cell.data())
    act, lr = getattr(torch, cell.activation), RATE[cell.update]

    def loss(params: Any, x: Any, labels: Any) -> Any:
        for W, b in params[:-1]:
            x = act(x @ W + b)
        return cross_entropy(x @ params[-1][0] + params[-1][1], labels)

    def step(params: Any, m: Any, v: Any, t: Any, index: Any) -> None:
        gradient = torch.func.grad(loss)(params, X.index_select(0, index), y.index_select(0, index))
        t.add_(1)
        a, c = lr / (1 - BETA1**t), 1 / (1 - BETA2**t)
        for layer in zip(params, gradient, m, v, strict=True):
            for W, dW, M, V in zip(*layer, strict=True):
                if cell.update == "sgd":
                    W.sub_(lr * dW)
                elif cell.update == "momentum":
                    W.add_(M.mul_(MU).sub_(lr * dW))
                else:
                    M.mul_(BETA1).add_((1 - BETA1) * dW)
                    V.mul_(BETA2).add_((1 - BETA2) * dW * dW)
                    W.sub_(a * M / ((V * c).sqrt() + EPS))

    torch.compiler.reset()
    options = {"cpp_wrapper": True, "max_autotune": True}
    compiled = torch.compile(step, dynamic=False, fullgraph=True, options=options)

    def run(epochs: int, *, shuffle: bool = True) -> Any:
        params = [tuple(map(torch.from_numpy, pair)) for pair in cell.weights()]
        m, v = ([tuple(map(torch.zeros_like, pair)) for pair in params] for _ in range(2))
        t = torch.zeros(())
        with torch.no_grad():
            for _ in range(epochs):
                order = torch.randperm(cell.rows) if shuffle else torch.arange(cell.rows)
                for index in order.split(cell.batch):
                    compiled(params, m, v, t, index)
        return params

    run(1)
    once = lambda: [tuple(each.numpy() for each in pair) for pair in run(1, shuffle=False)]
    return {"run": lambda epochs: run(epochs) and None, "once": once}


def products(cell: Cell, threads: int) -> Session:
    """No competitor: the matrix products of the steps alone, each into an array that is there."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads, "blas")
    X, _ = cell.data()
    W = [W for W, _ in cell.weights()]
    dW = [np.empty_like(each) for each in W]
    A = [np.ones((cell.batch, width), np.float32) for width in cell.sizes]
    D = [np.ones_like(each) for each in A]

    def run(epochs: int) -> None:
        for _ in range(epochs):
            for start in range(0, cell.rows, cell.batch):
                A[0] = X[start : start + cell.batch]
                for i in range(len(W)):
                    np.matmul(A[i], W[i], out=A[i + 1])
                for i in reversed(range(len(W))):
                    np.matmul(A[i].T, D[i + 1], out=dW[i])
                    if i:
                        np.matmul(D[i + 1], W[i].T, out=D[i])

    run(1)
    return {"run": run, "once": lambda: None}
