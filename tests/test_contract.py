"""The public contract: names, calls and results that others depend on. Extend it; do not rename.

`NOT_BUILT` lists what is declared and not there yet. It cannot lie: a name on it that works fails
here, and so does a name that is not on it and does not work.
"""

import ast
import inspect
import pkgutil
import subprocess
import sys
import types
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
import chainrule.errors

NAMES = {
    "expr": "matrix scalar ones full define sum",
    "derive": "gradient gradients differentiate jvp vjp hessian hessian_vector_product gauss_newton_product parse",
    "matrix functions": "inv det logdet trace norm diag diagonal eye vec unvec kron frobenius matrix_power",
    "show": "text latex source",
    "evaluate": "evaluate",
    "network": "Network Dense",
    "check": "check_gradient diagnose",
    "estimators": "MLPClassifier MLPRegressor save load",
    "errors": "ShapeError SpecError",
    "activations": """identity logistic sigmoid tanh relu leaky_relu elu selu celu gelu gelu_tanh
        silu swish mish softplus softsign hard_sigmoid hard_tanh hard_swish relu6 softmax
        log_softmax""",
    "functions": """exp log log1p expm1 erf erfc sqrt abs sign step maximum minimum reciprocal power
        sin cos logsumexp row_maximum""",
    "losses": """cross_entropy binary_cross_entropy half_squared_error squared_error
        mean_squared_error mean_absolute_error huber log_cosh poisson quantile hinge squared_hinge
        kl_divergence""",
    "penalties": "l1 l2 elastic_net",
}
ALL_NAMES = sorted(name for names in NAMES.values() for name in names.split())
LANGUAGES = ["numpy", "numpy-inplace", "array-api", "octave", "torch", "jax", "python", "c"]
# Public names, and parts of what they do: a method.
NOT_BUILT = frozenset(["diagnose", "Network.init_state", "Derivation.html"])

HEAVY = {"sklearn", "numba", "pandas", "rich", "cyclopts", "pyarrow", "torch", "jax"}


def when_built(*names):
    """Expect the failure of a test, and only by absence, while one of `names` is not built."""
    missing = sorted(NOT_BUILT.intersection(names))
    reason = f"not built yet: {', '.join(missing)}"
    absence = (NotImplementedError, AttributeError, cr.errors.UnknownNameError)
    return pytest.mark.xfail(bool(missing), reason=reason, raises=absence)


in_every_language = pytest.mark.parametrize(
    "language", [pytest.param(name, marks=when_built(name)) for name in LANGUAGES]
)


def found(name):
    """Return the public object called `name` (dots allowed), or None."""
    value = cr
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


# Names


@pytest.mark.parametrize("name", sorted(set(ALL_NAMES) - NOT_BUILT))
def test_a_public_name_is_there_and_is_listed(name):
    value = found(name)

    assert name in dir(cr)
    assert value is not None
    assert not isinstance(value, types.ModuleType)
    assert getattr(value, "__module__", None) != "chainrule", "a placeholder: see NOT_BUILT"


@pytest.mark.parametrize("name", sorted(NOT_BUILT))
def test_a_name_said_not_to_be_built_is_not(name):
    value = found(name)

    if value is not None:
        with pytest.raises(NotImplementedError, match=f"chainrule.{name} is declared but not"):
            value()


def test_star_import_gives_what_dir_lists():
    namespace = {}
    exec("from chainrule import *", namespace)

    assert set(dir(cr)) <= namespace.keys()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'chainrule' has no attribute 'relo'"):
        cr.relo  # noqa: B018 - the access is what is tested


def test_no_submodule_hides_a_public_name():
    for module in pkgutil.walk_packages(cr.__path__, "chainrule."):
        if not module.name.endswith(".__main__"):  # which is a program
            import_module(module.name)

    hidden = [name for name in dir(cr) if isinstance(found(name), types.ModuleType)]
    assert not hidden


def test_type_checkers_see_what_is_built():
    tree = ast.parse(Path(cr.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name != "*"
    }
    built = {name: f"chainrule.{home}" for name, home in cr._HOME.items() if name not in NOT_BUILT}

    assert imported == built


@pytest.mark.parametrize("statement", ["import chainrule", "import chainrule; dir(chainrule)"])
def test_importing_chainrule_imports_nothing_heavy(statement):
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not HEAVY.intersection(done.stdout.split())


# Calls


def call(*args, **kwargs):
    return args, kwargs


ACCEPTED = [
    ("matrix", call("X", "n", "d")),
    ("matrix", call("X", 3, 4)),
    ("gradient", call("L", "W1", "W2")),
    ("gradients", call("L")),
    ("text", call("dW1")),
    ("latex", call("dW1")),
    ("source", call({"dW1": "dW1"}, language="numpy")),
    ("evaluate", call("dW1", {"X": 0})),
    ("sum", call("M")),
    ("define", call("Z1", "expression")),
    ("half_squared_error", call("A", "Y")),
    ("Network", call("spec", "loss", penalty=None, reduction="mean")),
    ("Network", call(spec="spec", loss=None)),
    ("Network.of", call("layer", "layer", "layer")),
    ("Network.init", call("self", random_state=0)),
    ("Network.init", call("self", random_state=0, dtype="float32")),
    ("Network.init_state", call("self")),
    ("Network.forward", call("self", "params", "X", training=False, random_state=None)),
    ("Network.loss", call("self", "params", "X", "Y", sample_weight=None, random_state=None)),
    ("Network.gradient", call("self", "params", "X", "Y", sample_weight=None, random_state=None)),
    ("Network.derive", call("self")),
    ("Network.derive", call("self", layout="rows")),
    ("Network.derive", call("self", layout="columns", solver="adam", sample_weight=True, dropout=False)),
    ("Network.fit", call("self", "X", "y", max_iter=20)),
    ("check_gradient", call("loss", "gradient", "params")),
    ("diagnose", call("net", "params", "X", "Y", gradient="g", step="s")),
    ("MLPClassifier", call(network="net")),
    ("MLPRegressor", call(network="net")),
    ("save", call("m.safetensors", "est")),
    ("load", call("m.safetensors")),
]
REFUSED = [
    ("Network", call("spec", "loss", "penalty")),
    ("Network.forward", call("self", "params", "X", True)),
    ("Network.loss", call("self", "params", "X", "Y", "sample_weight")),
    ("Network.gradient", call("self", "params", "X", "Y", "sample_weight")),
    ("diagnose", call("net", "params", "X", "Y", "gradient")),
]
DEFAULTS = {
    "Network": {"loss": None, "penalty": None, "reduction": "mean"},
    "Network.forward": {"training": False, "random_state": None},
    "Network.loss": {"sample_weight": None, "random_state": None},
    "Network.gradient": {"sample_weight": None, "random_state": None},
}


def built_part_of(calls):
    return [(name, example) for name, example in calls if name not in NOT_BUILT]


def identify(value):
    return value if isinstance(value, str) else repr(value)


@pytest.mark.parametrize(("name", "example"), built_part_of(ACCEPTED), ids=identify)
def test_a_call_of_the_contract_is_accepted(name, example):
    args, kwargs = example

    inspect.signature(found(name)).bind(*args, **kwargs)


@pytest.mark.parametrize(("name", "example"), built_part_of(REFUSED), ids=identify)
def test_an_option_is_given_by_keyword_only(name, example):
    args, kwargs = example

    with pytest.raises(TypeError, match="too many positional arguments"):
        inspect.signature(found(name)).bind(*args, **kwargs)


def test_derive_takes_conventions():
    inspect.signature(cr.Network.derive).bind("self", weights=0, reduction=0, scale=0, bias=0)

    assert cr.Network("2 -> 1").derive().layout == "rows"


@pytest.mark.parametrize(("name", "defaults"), built_part_of(DEFAULTS.items()), ids=identify)
def test_an_option_has_the_default_the_contract_states(name, defaults):
    parameters = inspect.signature(found(name)).parameters

    assert {option: parameters[option].default for option in defaults} == defaults


# Results


def numbers(**shapes):
    rng = np.random.default_rng(7)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def two_layers():
    """Return the contract's example: the loss, its parameters, numbers, and dW1 by hand."""
    X, W1 = cr.matrix("X", "n", "d"), cr.matrix("W1", "d", "h")
    W2, Y = cr.matrix("W2", "h", "k"), cr.matrix("Y", "n", "k")
    loss = cr.half_squared_error(cr.tanh(X @ W1) @ W2, Y)
    values = numbers(X=(5, 4), W1=(4, 3), W2=(3, 2), Y=(5, 2))
    A1 = np.tanh(values["X"] @ values["W1"])
    dZ2 = (A1 @ values["W2"] - values["Y"]) / 5
    dW1 = values["X"].T @ (dZ2 @ values["W2"].T * (1 - A1**2))
    return loss, (W1, W2), values, dW1


def test_a_gradient_is_a_tuple_of_expressions_with_numbers():
    loss, (W1, W2), values, expected = two_layers()

    dW1, dW2 = cr.gradient(loss, W1, W2)
    (alone,) = cr.gradient(loss, W1)

    np.testing.assert_allclose(cr.evaluate(dW1, values), expected, rtol=1e-12)
    np.testing.assert_allclose(cr.evaluate(alone, values), expected, rtol=1e-12)
    assert cr.evaluate(dW2, values).shape == (3, 2)


def test_gradients_reach_every_node():
    loss, (W1, _), values, expected = two_layers()

    derivatives = cr.gradients(loss)

    np.testing.assert_allclose(cr.evaluate(derivatives[W1], values), expected, rtol=1e-12)


def test_sum_is_one_by_one():
    M = cr.matrix("M", "n", "d")
    values = numbers(M=(3, 4))

    total = cr.evaluate(cr.sum(M * M.T.T), values)

    assert total.shape == (1, 1)
    np.testing.assert_allclose(total, np.sum(values["M"] ** 2), rtol=1e-13)


def test_an_expression_prints_as_text_and_latex():
    loss, (W1, _), _, _ = two_layers()
    (dW1,) = cr.gradient(loss, W1)

    assert "X'" in cr.text(dW1)
    assert "W2'" in cr.text(dW1)
    assert r"\circ" in cr.latex(dW1) or r"\odot" in cr.latex(dW1)


def test_printed_numpy_computes_the_gradient():
    loss, (W1, _), values, expected = two_layers()
    (dW1,) = cr.gradient(loss, W1)

    namespace = {**values, "np": np, "numpy": np, "n": 5}
    exec(cr.source({"dW1": dW1}, language="numpy"), namespace)

    np.testing.assert_allclose(namespace["dW1"], expected, rtol=1e-12)


@in_every_language
def test_source_is_printed_in_every_language(language):
    loss, (W1, _), _, _ = two_layers()
    (dW1,) = cr.gradient(loss, W1)

    assert "dW1 = " in cr.source({"dW1": dW1}, language=language)


SPEC = "4 -> 3 tanh -> 2 softmax"
SHAPES = {"W1": (4, 3), "b1": (1, 3), "W2": (3, 2), "b2": (1, 2)}


def network():
    net = cr.Network(SPEC, loss="cross_entropy")
    rng = np.random.default_rng(7)
    X, Y = rng.standard_normal((5, 4)), np.eye(2)[rng.integers(2, size=5)]
    return net, net.init(random_state=0), X, Y


def test_parameters_are_named_matrices():
    net, params, _, _ = network()

    assert {name: value.shape for name, value in params.items()} == SHAPES
    assert {value.dtype for value in params.values()} == {np.dtype(np.float64)}
    single = net.init(random_state=0, dtype=np.float32)
    assert {value.dtype for value in single.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(single["W1"], params["W1"].astype(np.float32))


def test_forward_gives_named_values():
    net, params, X, _ = network()

    values = net.forward(params, X)

    assert values.keys() >= {"Z1", "A1", "Z2", "A2", "P"}
    np.testing.assert_allclose(values["A1"], np.tanh(X @ params["W1"] + params["b1"]), rtol=1e-13)
    np.testing.assert_array_equal(values["P"], values["A2"])


def test_loss_is_a_float_and_gradient_is_shaped_like_the_parameters():
    net, params, X, Y = network()

    P = net.forward(params, X)["P"]
    loss, gradient = net.loss(params, X, Y), net.gradient(params, X, Y)

    assert isinstance(loss, float)
    assert loss == pytest.approx(-np.mean(np.log(P[Y == 1])), rel=1e-12)
    assert {name: value.shape for name, value in gradient.items()} == SHAPES
    np.testing.assert_allclose(gradient["b2"][0], (P - Y).mean(axis=0), rtol=1e-11)


def test_a_derivation_is_its_named_equations_and_steps():
    net, _, _, _ = network()

    d = net.derive()

    assert {e.phase for e in d.equations} == {"forward", "loss", "backward", "update"}
    backward = sorted(e.name for e in d.equations if e.phase == "backward")
    assert backward == ["dW1", "dW2", "dZ1", "dZ2", "db1", "db2"]
    assert d["dW1"] in d.equations
    assert all(step.rule and step.before is not step.after for step in d.steps)
    assert {step.equation for step in d.steps} <= {e.name for e in d.equations}
    assert "dZ1" in str(d)
    assert isinstance(d.latex(), str)


def test_an_equation_evaluates_from_inputs_and_parameters_alone():
    net, params, X, Y = network()
    gradient = net.gradient(params, X, Y)

    d = net.derive(layout="rows")

    for name, expected in gradient.items():
        value = cr.evaluate(d[f"d{name}"].expression, {"X": X, "Y": Y, **params})
        np.testing.assert_allclose(value, expected, rtol=1e-11)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_a_derivation_replays(layout):
    net, _, _, _ = network()

    verification = net.derive(layout=layout).verify()

    assert verification.ok
    assert verification.steps > 0
    assert verification.worst < 1e-9
    assert not verification.failures


def test_printed_assignments_run_bare():
    net, params, X, Y = network()
    d = net.derive()

    namespace = {"np": np, "numpy": np, "X": X, "Y": Y, "n": 5, **params}
    exec(d.source("numpy", part="forward"), namespace)
    exec(d.source("numpy", part="backward"), namespace)

    for name, expected in net.gradient(params, X, Y).items():
        np.testing.assert_allclose(namespace[f"d{name}"], expected, rtol=1e-11)


@pytest.mark.parametrize("part", ["forward", "backward", "update", "step", "program"])
@in_every_language
def test_every_part_prints_in_every_language(language, part):
    net, _, _, _ = network()

    assert net.derive().source(language, part=part).strip()


@when_built("Derivation.html")
def test_the_page_is_a_string():
    net, params, X, Y = network()

    assert "<" in net.derive().html(params, X, Y)


def test_check_gradient_judges_each_block():
    net, params, X, Y = network()

    right = cr.check_gradient(lambda p: net.loss(p, X, Y), lambda p: net.gradient(p, X, Y), params)
    wrong = cr.check_gradient(
        lambda p: net.loss(p, X, Y),
        lambda p: {**net.gradient(p, X, Y), "b1": 1.0 + p["b1"]},
        params,
    )

    assert right.ok
    assert right.blocks.keys() == SHAPES.keys()
    assert not wrong.ok
    assert "b1" in str(wrong)


@when_built("diagnose")
def test_diagnose_names_what_is_wrong():
    net, params, X, Y = network()
    gradient = net.gradient(params, X, Y)

    right = cr.diagnose(net, params, X, Y, gradient=gradient)
    wrong = cr.diagnose(net, params, X, Y, gradient={**gradient, "W1": 2 * gradient["W1"]})

    assert right.ok
    assert not wrong.ok
    finding = wrong.findings[0]
    assert finding.layer == 1
    assert all(isinstance(text, str) for text in (finding.kind, finding.term, finding.fix))


@pytest.mark.filterwarnings("ignore:.*max_iter:UserWarning")  # five epochs are few
def test_a_declared_network_trains_saves_and_loads(tmp_path):
    net, _, X, Y = network()

    est = net.fit(X, Y.argmax(axis=1), max_iter=5)
    cr.save(tmp_path / "m.safetensors", est)
    again = cr.load(tmp_path / "m.safetensors")

    assert isinstance(est, cr.MLPClassifier)
    np.testing.assert_array_equal(again.predict_proba(X), est.predict_proba(X))


def test_a_network_and_its_widths_are_not_given_twice():
    _, _, X, Y = network()

    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        cr.MLPClassifier(network=SPEC, hidden_layer_sizes=(3,)).fit(X, Y.argmax(axis=1))


def test_a_wrong_product_is_a_shape_error_in_words():
    X, W1 = cr.matrix("X", "n", "d"), cr.matrix("W1", "h", "k")
    message = r"cannot multiply \(n x d\) by \(h x k\): d columns meet h rows"

    with pytest.raises(cr.ShapeError, match=message) as caught:
        X @ W1
    assert isinstance(caught.value, ValueError)


def test_a_mistake_in_a_spec_has_a_caret_under_it():
    with pytest.raises(cr.SpecError, match=r"\^") as caught:
        cr.Network("4 -> 3 tanhh -> 2 softmax")
    assert isinstance(caught.value, ValueError)
