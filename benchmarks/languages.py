"""One training step of random networks in every language, against the interpreter.

    python -m benchmarks.languages [--count 10000] [--sample 200] [--seed 0] [--processes 2] [--quick]

Random networks as in benchmarks.random_networks, with a random update rule, in a random convention, with or without
sample weights; the step of the printed NumPy program for all of them, that of every other language for the first
`--sample`. Data, masks, parameters and states are random; the interpreter computes the same equations. A step passes
when every result differs by at most 1e-10 of the largest entry of its matrix, or of 1. The exit status is 1 if any
fails. Networks are numbered, and each is drawn from the seed and its number: --first 17 --count 1 --sample 1 draws
number 17 again.
"""

from __future__ import annotations

import os

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before SciPy: its erf takes the arrays of other libraries
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the matrices are small, and the processes share the machine
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # each step runs once: compiling is all

import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special

from benchmarks.common import arguments, print_machine
from benchmarks.random_networks import TOO_LARGE, Rng, draw_network
from chainrule.conventions import OPTIONS, SIDES
from chainrule.derivation import Derivation
from chainrule.evaluate import evaluate_all
from chainrule.expr import Node
from chainrule.network import LEARNING_RATES, Network
from chainrule.program.listing import step_inputs, step_outputs
from chainrule.updates import UPDATES

ALLOWED = 1e-10
LOT = 40  # networks that one process works on at a time: one run of Octave and of the C compiler
Values = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A derivation, and values for what it is made of."""

    derivation: Derivation
    declared: str  # the network and how it was derived, as Python
    values: Values  # matrices by name, hyper-parameters as numbers

    @property
    def inputs(self) -> list[str]:
        return step_inputs(self.derivation.listing)

    @property
    def hyper(self) -> dict[str, float]:
        return {name: self.values[name] for name in self.derivation.listing.hyper}

    @property
    def rows(self) -> int:
        matrix, axis = self.derivation.listing.rows
        return int(self.values[matrix].shape[axis])

    def text(self, language: str) -> str:
        return self.derivation.source(language, part="step")

    def expected(self) -> list[np.ndarray]:
        """The loss, then parameters and states after a step, by the interpreter."""
        names = step_outputs(self.derivation.listing)
        nodes = [self.derivation[name if name == "loss" else f"{name}_next"].node for name in names]
        with np.errstate(all="ignore"):
            return evaluate_all(nodes, self.values)


# ---- drawing


def draw_convention(network: Network, rng: Rng) -> dict[str, Any]:
    """Keywords of `derive`: a convention that does not contradict itself or the network."""
    weights = str(rng.choice(OPTIONS["weights"]))
    bias = "none" if not any(layer.bias for layer in network.layers) else str(rng.choice(["row", "column", "ones"]))
    options = {"layout": SIDES[weights], "weights": weights, "bias": bias, "sign": str(rng.choice(OPTIONS["sign"]))}
    if rng.random() < 0.5:
        options["reduction"] = str(rng.choice(OPTIONS["reduction"]))
    if options.get("reduction", network.reduction) == "mean":
        options["scale"] = str(rng.choice(OPTIONS["scale"]))
    return {**options, "learning_rate": str(rng.choice(LEARNING_RATES))}


def draw(rng: Rng) -> Case:
    """A random case; its loss may be anything."""
    network = draw_network(rng)
    options = draw_convention(network, rng)
    options |= {"solver": str(rng.choice(list(UPDATES))), "sample_weight": bool(rng.random() < 0.3)}
    derivation = network.derive(**options)
    declared = f"{network!r}.derive({', '.join(f'{name}={value!r}' for name, value in options.items())})"
    return Case(derivation, declared, draw_values(derivation, rng))


def draw_values(derivation: Derivation, rng: Rng) -> Values:
    """Matrices of the declared shapes, of which the declared facts hold."""
    listing, n = derivation.listing, int(rng.integers(1, 13))
    values: Values = {name: value * float(rng.uniform(0.5, 1)) for name, value in listing.hyper.items()}
    values |= {"lr": 0.7} if "lr" in listing.hyper else {}  # not small: an error of the gradient shall be seen
    for symbol in listing.supplied:
        shape = tuple(n if size == "n" else int(size) for size in symbol.shape)
        values[str(symbol.name)] = draw_matrix(symbol, shape, rng)
    return values


def draw_matrix(symbol: Node, shape: tuple[int, int], rng: Rng) -> np.ndarray:
    facts, role = symbol.value.facts, symbol.value.role
    if role == "random":
        keep = symbol.value.distribution[1]
        return (rng.random(shape) < keep) / keep
    if role in ("state", "hyper"):
        return rng.uniform(0.1, 0.9, shape)
    if role == "weight":
        return rng.choice([0.5, 1.0, 3.0], shape)
    if role == "parameter":
        return rng.standard_normal(shape) * np.sqrt(2 / sum(shape))
    if "rows_sum_to_one" in facts:
        return rng.dirichlet(np.ones(shape[1]), shape[0])
    if "columns_sum_to_one" in facts:
        return rng.dirichlet(np.ones(shape[0]), shape[1]).T
    draws = {"signs": lambda: rng.choice([-1.0, 1.0], shape), "unit": lambda: rng.integers(0, 2, shape) * 1.0}
    draws["nonnegative"] = lambda: rng.poisson(1.5, shape) * 1.0
    held = [make for fact, make in draws.items() if fact in facts]
    return held[0]() if held else rng.standard_normal(shape)


def cases(count: int, rng: Rng) -> Iterator[Case]:
    """Cases whose results are numbers of ordinary size."""
    while count:
        case = draw(rng)
        expected = case.expected()
        if all(np.isfinite(a).all() for a in expected) and max(float(np.abs(a).max()) for a in expected) <= TOO_LARGE:
            count -= 1
            yield case


# ---- running a step


def executed(text: str) -> Values:
    """What a Python program defines."""
    namespace: Values = {"scipy": scipy}
    exec(compile(text, "<printed>", "exec"), namespace)
    return namespace


def in_python(language: str, there: Callable[[np.ndarray], Any], back: Callable[[Any], Any], *module: Any) -> Runner:
    """Steps of a language that runs here, on its own kind of matrix."""

    def run(cases: Sequence[Case]) -> list[list[np.ndarray]]:
        found = []
        for case in cases:
            step = executed(case.text(language))["step"]
            results = step(*module, *(there(case.values[name]) for name in case.inputs), **case.hyper)
            found.append([np.asarray(back(r), float) for r in results])
        return found

    return run


def in_place(cases: Sequence[Case]) -> list[list[np.ndarray]]:
    """Steps that change their arguments."""
    found = []
    for case in cases:
        step = executed(case.text("numpy-inplace"))["make_step"](case.rows)
        given = {name: case.values[name].copy() for name in case.inputs}
        loss = step(*given.values(), **case.hyper)
        found.append([np.asarray(loss), *(given[name] for name in step_outputs(case.derivation.listing)[1:])])
    return found


def with_array_api_strict(cases: Sequence[Case]) -> list[list[np.ndarray]]:
    import array_api_strict as xp

    return in_python("array-api", xp.asarray, lambda r: np.asarray(r), xp)(cases)


def with_torch_as_array_api(cases: Sequence[Case]) -> list[list[np.ndarray]]:
    import torch
    from sklearn.externals.array_api_compat import torch as xp

    return in_python("array-api", torch.asarray, lambda r: r.numpy(), xp)(cases)


def in_torch(cases: Sequence[Case]) -> list[list[np.ndarray]]:
    import torch

    return in_python("torch", torch.asarray, lambda r: r.numpy())(cases)


def in_jax(cases: Sequence[Case]) -> list[list[np.ndarray]]:
    import jax

    with jax.enable_x64(True):
        return in_python("jax", jax.numpy.asarray, np.asarray)(cases)


def in_octave(cases: Sequence[Case]) -> list[list[np.ndarray]]:
    """All steps in one process."""
    lines = ["1;"]
    for i, case in enumerate(cases):
        lines.append(case.text("octave").replace("step(", f"step_{i}(", 1))
        outputs = step_outputs(case.derivation.listing)
        given = [octave_matrix(case.values[name]) for name in case.inputs] + [repr(v) for v in case.hyper.values()]
        lines.append(f"[{', '.join(outputs)}] = step_{i}({', '.join(given)});")
        lines += [f'printf("%.17g ", {name}\'); printf("\\n");' for name in outputs]
    return parsed(run_octave("\n".join(lines)), cases)


def octave_matrix(a: np.ndarray) -> str:
    return "[" + "; ".join(" ".join(map(repr, row)) for row in a.tolist()) + "]"


def run_octave(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.m"
        path.write_text(text, encoding="utf-8")
        return called(["octave-cli", "--no-init-file", "--no-history", "-q", str(path)])


def in_c(cases: Sequence[Case]) -> list[list[np.ndarray]]:
    """All steps in one program."""
    functions, body = [], []
    for i, case in enumerate(cases):
        includes, text = case.text("c").split("\n\n", 1)
        functions.append(f"#define step step_{i}\n{text}\n#undef step")
        listing, names = case.derivation.listing, case.inputs
        lines = [c_matrix(name, case.values[name]) for name in names]
        given = [str(case.rows), *names, *(repr(v) for v in case.hyper.values())]
        lines.append(f'printf("%.17g\\n", step_{i}({", ".join(given)}));')
        for node in listing.kept:
            size = case.values[str(node.name)].size
            lines.append(f'for (int i = 0; i < {size}; i++) printf("%.17g ", (&{node.name}[0][0])[i]);')
            lines.append('puts("");')
        body.append("{\n" + "\n".join(lines) + "\n}")
    program = "\n".join([includes, *functions, "int main(void)\n{", *body, "return 0;\n}\n"])
    return parsed(run_c(program), cases)


def c_matrix(name: str, a: np.ndarray) -> str:
    rows = ", ".join("{" + ", ".join(map(repr, row)) + "}" for row in a.tolist())
    return f"static double {name}[{a.shape[0]}][{a.shape[1]}] = {{{rows}}};"


def run_c(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "steps.c", Path(folder) / "steps"
        source.write_text(text, encoding="utf-8")
        flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O0"]
        called(["gcc", *flags, "-o", str(program), str(source), "-lm"])
        return called([str(program)])


def called(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr[:4000]}")
    return done.stdout


def parsed(text: str, cases: Sequence[Case]) -> list[list[np.ndarray]]:
    """Numbers of one line for each result, row by row."""
    lines = iter(text.splitlines())
    found = []
    for case in cases:
        shapes = [(1, 1), *(case.values[str(node.name)].shape for node in case.derivation.listing.kept)]
        found.append([np.array(next(lines).split(), float).reshape(shape) for shape in shapes])
    return found


Runner = Callable[[Sequence[Case]], list[list[np.ndarray]]]
RUNNERS: dict[str, Runner] = {
    "numpy": in_python("numpy", lambda a: a, lambda r: r),
    "numpy-inplace": in_place,
    "array-api, array-api-strict": with_array_api_strict,
    "array-api, PyTorch": with_torch_as_array_api,
    "octave": in_octave,
    "torch": in_torch,
    "jax": in_jax,
    "python": in_python("python", lambda a: a.tolist(), lambda r: r),
    "c": in_c,
}


def error(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference, as a part of what is allowed; NaN and another shape are errors too."""
    if [a.size for a in found] != [a.size for a in expected]:
        return np.inf
    pairs = zip(found, expected, strict=True)
    return float(np.max([np.abs(a.reshape(b.shape) - b).max() / max(1.0, np.abs(b).max()) for a, b in pairs]) / ALLOWED)


# ---- all of it, in lots, by several processes


@dataclass(frozen=True)
class Lot:
    """Networks that one process draws and runs: numbers from `first`, and those of them that every language runs."""

    seed: int
    first: int
    count: int
    sampled: int


@dataclass
class Tally:
    """What one language did with some networks."""

    count: int = 0
    seconds: float = 0.0
    worst: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.count += other.count
        self.seconds += other.seconds
        self.worst = max(self.worst, other.worst)
        self.failures += other.failures


def drawn(seed: int, number: int) -> Case:
    """The network of a number: the same whatever is drawn before."""
    return next(cases(1, np.random.default_rng([seed, number])))


def work(lot: Lot) -> dict[str, Tally]:
    """Draw a lot, and run it in every language."""
    given = [drawn(lot.seed, lot.first + i) for i in range(lot.count)]
    expected = [case.expected() for case in given]
    out = {}
    for name in RUNNERS:
        some = given if name == "numpy" else given[: lot.sampled]
        start = time.perf_counter()
        results = run_each(RUNNERS[name], some) if some else []
        tally = out[name] = Tally(len(some), time.perf_counter() - start)
        for i, (found, case) in enumerate(zip(results, some, strict=True)):
            ratio = np.inf if isinstance(found, Exception) else error(found, expected[i])
            tally.worst = max(tally.worst, ratio)
            if not ratio <= 1:
                what = str(found) if isinstance(found, Exception) else f"{ratio:.2g} of what is allowed"
                again = f"--seed {lot.seed} --first {lot.first + i} --count 1 --sample 1"
                tally.failures.append(f"{name}, {again}: {case.declared}: {what}")
    return out


def run_each(run: Runner, given: Sequence[Case]) -> list[list[np.ndarray] | Exception]:
    """The results of all cases at once; if that fails, of each by itself, to find those that do."""
    try:
        return list(run(given))
    except Exception as failure:
        if len(given) == 1:
            return [failure]
        return [found for case in given for found in run_each(run, [case])]


def main() -> int:
    options = arguments(__doc__, count=10_000, sample=200, seed=0, first=0, processes=2)
    count, sample, size = (30, 10, 15) if options.quick else (options.count, options.sample, LOT)
    print_machine("torch", "jax", "array-api-strict")
    lots = [
        Lot(options.seed, options.first + at, min(size, count - at), max(0, min(size, count - at, sample - at)))
        for at in range(0, count, size)
    ]
    total = {name: Tally() for name in RUNNERS}
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")  # JAX has threads, which a fork would not take along
    with context.Pool(options.processes, maxtasksperchild=20) as pool:
        for done in pool.imap_unordered(work, lots):
            for name, tally in done.items():
                total[name].add(tally)
                for line in tally.failures:
                    print(f"FAILED {line}", flush=True)
            so_far = total["numpy"].count
            print(f"{so_far} of {count} networks, {time.perf_counter() - start:.0f} s", flush=True)
    print()
    for name, tally in total.items():
        agree = f"{tally.count - len(tally.failures):6} of {tally.count} agree"
        print(f"{name:28} {agree}, the worst at {tally.worst:.1e} of what is allowed, {tally.seconds:.0f} s")
    failed = sum(len(tally.failures) for tally in total.values())
    print(
        f"seed {options.seed}, {failed} failures, {time.perf_counter() - start:.0f} s on {options.processes} processes"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
