"""Update rules: five steps of each, printed and interpreted, against the papers' algorithms and PyTorch."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import UnknownNameError
from chainrule.updates import UPDATES, find_update, update

STEPS = 5


# The papers' algorithms, for one array: `rule(W, g, s, t, **hyper)` returns the new W and changes the state s.


def sgd(W, g, s, t, lr):
    return W - lr * g


def momentum(W, g, s, t, lr, mu):
    s["v"] = mu * s.get("v", 0) - lr * g
    return W + s["v"]


def nesterov(W, g, s, t, lr, mu):
    """Sutskever et al. 2013, eq. 3-4, in terms of the point where the gradient is taken."""
    before = s.get("v", 0)
    s["v"] = mu * before - lr * g
    return W - mu * before + (1 + mu) * s["v"]


def adagrad(W, g, s, t, lr, eps):
    s["s"] = s.get("s", 0) + g**2
    return W - lr * g / (np.sqrt(s["s"]) + eps)


def adadelta(W, g, s, t, lr, rho, eps):
    """Zeiler 2012, algorithm 1."""
    s["s"] = rho * s.get("s", 0) + (1 - rho) * g**2
    delta = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["s"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * delta**2
    return W - lr * delta


def rmsprop(W, g, s, t, lr, rho, eps):
    s["s"] = rho * s.get("s", 0) + (1 - rho) * g**2
    return W - lr * g / (np.sqrt(s["s"]) + eps)


def moments(g, s, t, beta1, beta2):
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g**2
    return s["m"] / (1 - beta1**t), s["v"] / (1 - beta2**t)


def adam(W, g, s, t, lr, beta1, beta2, eps):
    """Kingma and Ba 2015, algorithm 1."""
    m, v = moments(g, s, t, beta1, beta2)
    return W - lr * m / (np.sqrt(v) + eps)


def adamw(W, g, s, t, lr, beta1, beta2, eps, decay):
    """Loshchilov and Hutter 2019, algorithm 2, with a schedule of 1."""
    return adam(W, g, s, t, lr, beta1, beta2, eps) - lr * decay * W


def adamax(W, g, s, t, lr, beta1, beta2, eps):
    """Kingma and Ba 2015, algorithm 2, and eps in the denominator."""
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["u"] = np.maximum(beta2 * s.get("u", 0), np.abs(g))
    return W - lr / (1 - beta1**t) * s["m"] / (s["u"] + eps)


def nadam(W, g, s, t, lr, beta1, beta2, eps):
    """Ruder 2016, eq. 39."""
    m, v = moments(g, s, t, beta1, beta2)
    return W - lr / (np.sqrt(v) + eps) * (beta1 * m + (1 - beta1) * g / (1 - beta1**t))


def amsgrad(W, g, s, t, lr, beta1, beta2, eps):
    """Reddi et al. 2018, algorithm 2, with Adam's corrections as PyTorch has them."""
    m, _ = moments(g, s, t, beta1, beta2)
    s["w"] = np.maximum(s.get("w", 0), s["v"])
    return W - lr * m / (np.sqrt(s["w"] / (1 - beta2**t)) + eps)


ADAM = {"lr": 0.05, "beta1": 0.7, "beta2": 0.8, "eps": 0.1}  # an eps of 0.1 shows where it stands
REFERENCES = {
    sgd: {"lr": 0.5},
    momentum: {"lr": 0.3, "mu": 0.8},
    nesterov: {"lr": 0.3, "mu": 0.8},
    adagrad: {"lr": 0.3, "eps": 0.1},
    adadelta: {"lr": 0.9, "rho": 0.7, "eps": 0.1},
    rmsprop: {"lr": 0.05, "rho": 0.7, "eps": 0.1},
    adam: ADAM,
    adamw: ADAM | {"decay": 0.3},
    adamax: ADAM,
    nadam: ADAM,
    amsgrad: ADAM,
}
RUNS = [(rule, hyper) for rule, chosen in REFERENCES.items() for hyper in (chosen, UPDATES[rule.__name__].hyper)]

NET = cr.Network("3 -> 4 tanh -> 2", penalty=cr.l2(0.1))
PARAMS = NET.init(0)
X, Y = np.random.default_rng(1).standard_normal((6, 3)), np.random.default_rng(2).standard_normal((6, 2))


def by_hand(rule, hyper):
    """The parameters after every step, and the final state of each, by the reference."""
    params, states, path = dict(PARAMS), {name: {} for name in PARAMS}, []
    for t in range(1, STEPS + 1):
        gradient = NET.gradient(params, X, Y)
        params = {name: rule(params[name], gradient[name], states[name], t, **hyper) for name in params}
        path.append(params)
    return path, states


def initial(derivation):
    states = {s.name: np.full(s.shape, value) for s, value in derivation.listing.states}
    return {**PARAMS, **states}


def by_printed_step(name, hyper):
    """The same by the program that is printed."""
    derivation = NET.derive(solver=name)
    namespace = {}
    exec(derivation.source(part="step"), namespace)
    values, path = initial(derivation), []
    for _ in range(STEPS):
        loss, *after = namespace["step"](X=X, Y=Y, **values, **hyper)
        assert float(loss) == pytest.approx(NET.loss({k: values[k] for k in PARAMS}, X, Y), rel=1e-13)
        values = dict(zip(values, after, strict=True))
        path.append(values)
    return path


def by_interpreter(name, hyper):
    """The same by the equations, each evaluated from data, old parameters and old states alone."""
    derivation = NET.derive(solver=name)
    values, path = initial(derivation), []
    for _ in range(STEPS):
        given = {"X": X, "Y": Y, **values, **hyper}
        values = {name: cr.evaluate(derivation[f"{name}_next"].expression, given) for name in values}
        path.append(values)
    return path


def assert_same(path, expected):
    for values, wanted in zip(path, expected, strict=True):
        for name in PARAMS:
            np.testing.assert_allclose(values[name], wanted[name], rtol=1e-12)


def test_every_rule_is_tested():
    assert UPDATES.keys() == {rule.__name__ for rule in REFERENCES}


@pytest.mark.parametrize(("rule", "hyper"), RUNS)
def test_five_printed_steps_are_those_of_the_paper(rule, hyper):
    path, states = by_hand(rule, hyper)

    printed = by_printed_step(rule.__name__, hyper)

    assert_same(printed, path)
    for name, state in states.items():
        for letter, value in state.items():
            np.testing.assert_allclose(printed[-1][f"{letter}_{name}"], value, rtol=1e-12)


@pytest.mark.parametrize(("rule", "hyper"), REFERENCES.items())
def test_five_interpreted_steps_are_those_of_the_paper(rule, hyper):
    assert_same(by_interpreter(rule.__name__, hyper), by_hand(rule, hyper)[0])


@pytest.mark.parametrize(("rule", "hyper"), REFERENCES.items())
def test_every_hyper_parameter_matters(rule, hyper):
    for name, value in hyper.items():
        with pytest.raises(AssertionError):
            assert_same(by_hand(rule, {**hyper, name: value * 1.01})[0], by_hand(rule, hyper)[0])


TORCH = {
    # PyTorch keeps v = mu v + g and steps by lr v: at a constant rate its v is ours divided by -lr.
    "momentum": lambda optim, p, h: optim.SGD(p, lr=h["lr"], momentum=h["mu"]),
    "nesterov": lambda optim, p, h: optim.SGD(p, lr=h["lr"], momentum=h["mu"], nesterov=True),
    "sgd": lambda optim, p, h: optim.SGD(p, lr=h["lr"]),
    "adagrad": lambda optim, p, h: optim.Adagrad(p, lr=h["lr"], eps=h["eps"]),
    "adadelta": lambda optim, p, h: optim.Adadelta(p, lr=h["lr"], rho=h["rho"], eps=h["eps"]),
    "rmsprop": lambda optim, p, h: optim.RMSprop(p, lr=h["lr"], alpha=h["rho"], eps=h["eps"]),
    "adam": lambda optim, p, h: optim.Adam(p, lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"]),
    "adamw": lambda optim, p, h: optim.AdamW(
        p, lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"], weight_decay=h["decay"]
    ),
    # PyTorch adds eps to |g| inside the maximum, we to the denominator: the same at the paper's eps of 0.
    "adamax": lambda optim, p, h: optim.Adamax(p, lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"]),
    "amsgrad": lambda optim, p, h: optim.Adam(
        p, lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"], amsgrad=True
    ),
    # PyTorch's NAdam has a schedule for beta1 that cannot be turned off.
}


@pytest.mark.oracle
@pytest.mark.parametrize("name", TORCH)
def test_five_steps_are_those_of_pytorch(name):
    import torch

    hyper = next(h for rule, h in REFERENCES.items() if rule.__name__ == name)
    hyper = hyper | ({"eps": 0.0} if name == "adamax" else {})
    tensors = {key: torch.tensor(value, requires_grad=True) for key, value in PARAMS.items()}
    optimizer = TORCH[name](torch.optim, list(tensors.values()), hyper)
    path = []
    for _ in range(STEPS):
        gradient = NET.gradient({key: t.detach().numpy() for key, t in tensors.items()}, X, Y)
        for key, tensor in tensors.items():
            tensor.grad = torch.tensor(gradient[key])
        optimizer.step()
        path.append({key: t.detach().numpy().copy() for key, t in tensors.items()})

    assert_same(by_printed_step(name, hyper), path)


# Properties that the papers state


@pytest.mark.parametrize("name", ["adam", "adamax", "amsgrad"])
def test_the_first_corrected_step_has_length_lr(name):
    gradient = NET.gradient(PARAMS, X, Y)

    after = by_printed_step(name, {"lr": 0.25, "eps": 0.0})[0]

    for key in PARAMS:
        np.testing.assert_allclose(after[key], PARAMS[key] - 0.25 * np.sign(gradient[key]), rtol=1e-13)


def test_adadelta_begins_with_the_root_of_eps():
    g = NET.gradient(PARAMS, X, Y)["W1"]

    after = by_printed_step("adadelta", {"lr": 1.0, "rho": 0.95, "eps": 1e-6})[0]

    np.testing.assert_allclose(after["W1"], PARAMS["W1"] - 1e-3 / np.sqrt(0.05 * g**2 + 1e-6) * g, rtol=1e-13)


def test_without_momentum_two_rules_are_plain_descent():
    plain = by_printed_step("sgd", {"lr": 0.3})

    for name in ("momentum", "nesterov"):
        assert_same(by_printed_step(name, {"lr": 0.3, "mu": 0.0}), plain)


# The equations


@pytest.mark.parametrize("name", UPDATES)
def test_every_state_and_parameter_has_one_next_value(name):
    derivation = NET.derive(solver=name)
    written = [e.name for e in derivation.equations if e.phase == "update"]
    wanted = {f"{p}_next" for p in initial(derivation)}

    assert wanted <= set(written)
    assert len(set(written)) == len(written)
    assert all(e.rule == name for e in derivation.equations if e.phase == "update")


def test_powers_of_the_decay_rates_are_kept_once():
    states = {s.name: value for s, value in NET.derive(solver="adam").listing.states}

    assert {"beta1_t": 1.0, "beta2_t": 1.0}.items() <= states.items()
    assert len(states) == 2 + 2 * len(PARAMS)


def test_the_equations_read_as_in_the_paper():
    d = NET.derive(solver="adam")

    assert cr.text(d["m_W1_next"].expression) == "beta1 m_W1 + (1 - beta1) dW1"
    assert cr.text(NET.derive(solver="sgd")["W1_next"].expression) == "W1 - lr dW1"
    assert cr.text(NET.derive(solver="momentum")["v_b1_next"].expression) == "mu v_b1 - lr db1"


def test_the_update_waits_for_every_gradient():
    """Mazur's page updates the output weights before the hidden deltas: no order of ours can do that."""
    d = NET.derive(solver="sgd")
    position = {e.name: i for i, e in enumerate(d.equations)}

    after = by_printed_step("sgd", {"lr": 0.5})[0]
    gradient = NET.gradient(PARAMS, X, Y)

    np.testing.assert_allclose(after["W1"], PARAMS["W1"] - 0.5 * gradient["W1"], rtol=1e-14)
    assert max(position[f"d{p}"] for p in PARAMS) < min(position[f"{p}_next"] for p in PARAMS)


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_derivations_with_an_update_replay(name, layout):
    assert NET.derive(layout, solver=name).verify().ok


@pytest.mark.parametrize("name", UPDATES)
def test_the_printed_update_needs_gradients_states_and_hyper_parameters_only(name):
    derivation = NET.derive(solver=name)
    hyper = UPDATES[name].hyper
    gradient = {f"d{key}": value for key, value in NET.gradient(PARAMS, X, Y).items()}

    namespace = {"np": np, **initial(derivation), **gradient, **hyper}
    exec(derivation.source(part="update"), namespace)

    for key, expected in by_printed_step(name, hyper)[0].items():
        np.testing.assert_allclose(namespace[key], expected, rtol=1e-13)


# The record


@pytest.mark.parametrize("name", UPDATES)
def test_every_rule_names_its_source(name):
    assert any(str(year) in UPDATES[name].source for year in range(1951, 2026))


def test_an_unknown_rule_gets_the_nearest_name():
    with pytest.raises(UnknownNameError, match="unknown solver 'adm'; did you mean 'adam'"):
        find_update("adm")


def test_a_duplicate_rule_is_an_error():
    def adam(p, lr=0.1):
        """Another."""

    with pytest.raises(ValueError, match="there is already an update rule named 'adam'"):
        update(adam)


def test_a_rule_of_ones_own_is_one_function():
    @update
    def sign_descent(p, lr=0.01):
        """W - lr sign(dW) (a test of 2026)."""
        p.next(p.parameter, p.parameter - lr * cr.sign(p.gradient))

    try:
        after = by_printed_step("sign_descent", {"lr": 0.5})[0]
        np.testing.assert_array_equal(after["W1"], PARAMS["W1"] - 0.5 * np.sign(NET.gradient(PARAMS, X, Y)["W1"]))
    finally:
        del UPDATES["sign_descent"]


@pytest.mark.parametrize("hyper", ["eta", "n"])
def test_a_rule_needs_a_learning_rate_and_leaves_the_names_of_a_step(hyper):
    def rule(p, lr=0.1, n=1.0):
        raise AssertionError("it is refused before it is used")

    def without(p, eta=0.1):
        raise AssertionError("it is refused before it is used")

    with pytest.raises(ValueError, match="needs a learning rate lr, and none of"):
        update({"eta": without, "n": rule}[hyper])
