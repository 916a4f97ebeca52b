"""Steps lead to their equations, updates are those of their rule, and tangents and Hessians are derivatives."""

from dataclasses import replace

import pytest
from networks import derived

import chainrule as cr
from chainrule.check.proof import verify
from chainrule.derive import Derived, Equation
from chainrule.expr import apply, full, hadamard_op, matrix, ones, rebuild, scale, toposort
from chainrule.functions import FUNCTIONS
from chainrule.primitives import maximum, minimum, step
from chainrule.rewrite import MULTIPLE, Step
from chainrule.substitute import renamed
from chainrule.updates import UPDATES

NET = cr.Network("4 -> 3 relu -> 3 silu residual -> 2 softmax", penalty=cr.l2(0.1))
SMALL = cr.Network("4 -> 3 tanh -> 2 softmax", penalty=cr.l1(0.1))
READINGS = [
    {},
    {"layout": "columns"},
    {"bias": "ones"},
    {"layout": "columns", "bias": "ones", "sample_weight": True},
    {"reduction": "sum", "sign": "ascent"},
    {"convention": "nielsen"},
    {"convention": "ng"},
    {"convention": "pytorch", "sample_weight": True},
]


def rules(verification):
    return {f.rule for f in verification.failures}


def with_equation(d, name, change):
    """The derivation in which one equation says something else, and all that follows refers to that."""
    equations, new = [], {}
    for e in d.equations:
        body = renamed(e.expression, new)
        changed = replace(e, expression=change(body) if e.name == name else body)
        new[e.node] = changed.node
        equations.append(changed)
    steps = [
        replace(
            s,
            before=renamed(s.before, new),
            after=renamed(s.after, new),
            via=s.via and (rebuild(s.via[0], tuple(renamed(a, new) for a in s.via[0].args)), s.via[1]),
        )
        for s in d.steps
    ]
    return replace(d, equations=tuple(equations), steps=tuple(steps))


# ---- steps lead to the equations


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_a_step_of_the_chain_rule_that_is_left_out_or_taken_twice_is_caught(options):
    d = SMALL.derive(**options).derived
    steps = tuple(d.steps)

    assert verify(d)
    for i, s in enumerate(steps):
        if s.via is not None and s.rule != MULTIPLE:
            for wrong in ((*steps[:i], *steps[i + 1 :]), (*steps[:i], s, *steps[i:])):
                found = verify(replace(d, steps=wrong))
                assert s.equation in {f.equation for f in found.failures if f.rule == "chain rule"}, s


@pytest.mark.parametrize("place", ["delta", "gradient", "step"])
@pytest.mark.parametrize("sign", ["descent", "ascent"])
def test_a_sum_in_a_convention_of_means_replays(place, sign):
    """The loss is (A + B)/n of a sum A + B, whose terms the steps start from."""
    net = cr.Network("2 -> 5 tanh -> 3", penalty=cr.l2(0.3), reduction="sum")
    d = net.derive(convention=cr.Convention("rows", "XW", "mean", place, "row", sign))

    assert d.verify()
    assert not verify(replace(d.derived, steps=()))


def test_a_derivation_without_steps_is_not_one():
    found = verify(replace(SMALL.derive().derived, steps=()))

    assert rules(found) == {"chain rule"}


def test_steps_of_another_network_lead_nowhere():
    other = cr.Network("5 -> 2 relu -> 2 softmax").derive().derived

    found = verify(replace(SMALL.derive().derived, steps=tuple(other.steps)))

    assert {"chain rule", "names"} <= rules(found)


def test_steps_to_an_equation_that_is_not_there_are_caught():
    d = SMALL.derive().derived
    more = tuple(replace(s, equation="dW9") for s in d.steps if s.equation == "dW1")

    found = verify(replace(d, steps=(*d.steps, *more)))

    assert [(f.rule, f.equation) for f in found.failures] == [("chain rule", "dW9")]


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_every_equation_backward_that_says_something_else_is_caught(options):
    d = NET.derive(**options).derived
    wrong = {"a millionth more": "1.000001", "twice": 2, "minus": -1}

    assert verify(d)
    for name in (e.name for e in d.equations if e.phase == "backward"):
        for factor in wrong.values():
            found = verify(with_equation(d, name, lambda body, factor=factor: scale(body, factor)))
            assert name in {f.equation for f in found.failures if f.rule == "chain rule"}
        # the last one is far enough off for differences, too, which know nothing of steps
        assert "differences" in rules(found)


@pytest.mark.parametrize("multiple", [7, -1, "0.5"])  # 7 may be the number of examples
@pytest.mark.parametrize("name", ["dZ1", "dZ2", "dW2", "db1"])
def test_a_multiple_that_is_not_the_one_stated_is_caught(name, multiple):
    d = SMALL.derive(convention="ng").derived
    factors = {**d.factors, name: scale(full(1, (1, 1)), multiple)}

    found = verify(replace(d, factors=factors))

    assert "differences" in rules(found)


def test_a_step_that_names_a_value_of_another_derivation_is_caught():
    d = SMALL.derive().derived
    Z1 = cr.define("Z1", matrix("Q", "n", 3))

    found = verify(replace(d, steps=(*d.steps, Step("twice", Z1 + Z1, 2 * Z1, "dZ1"))))

    assert [(f.rule, f.equation) for f in found.failures] == [("names", "dZ1")]


# ---- updates


@pytest.mark.parametrize("options", READINGS, ids=str)
@pytest.mark.parametrize("solver", sorted(UPDATES))
def test_an_update_that_is_not_of_its_rule_is_caught(solver, options):
    d = cr.Network("4 -> 2").derive(solver=solver, **options).derived
    following = [e.name for e in d.equations if e.phase == "update" and e.name.endswith("_next")]

    assert verify(d)
    for name in following:
        found = verify(with_equation(d, name, lambda body: scale(body, "1.001")))
        assert name in {f.equation for f in found.failures if f.rule == f"the update rule {solver}"}


def test_an_update_with_another_rate_is_caught():
    d = SMALL.derive().derived

    found = verify(with_equation(d, "W1_next", lambda body: body.args[0] - 100 * body.args[1]))

    assert [(f.rule, f.equation) for f in found.failures] == [("the update rule sgd", "W1_next")]


def test_an_update_that_is_left_out_is_caught():
    d = SMALL.derive().derived

    found = verify(replace(d, equations=tuple(e for e in d.equations if e.name != "b1_next")))

    assert [f.equation for f in found.failures] == ["b1_next"]


def test_updates_of_a_rule_that_nobody_knows_are_caught():
    """All doubled, and said to be by a rule of one's own."""
    d = SMALL.derive().derived
    updates = [e.name for e in d.equations if e.phase == "update"]
    for name in updates:
        d = with_equation(d, name, lambda body: 2 * body)
    equations = tuple(replace(e, rule="mine") if e.phase == "update" else e for e in d.equations)

    found = verify(replace(d, equations=equations))

    assert [f.equation for f in found.failures] == updates
    assert f"no update rule gives {updates[0]}" in str(found)


@pytest.mark.parametrize("solver", sorted(UPDATES))
def test_an_update_beside_those_of_the_rule_is_caught(solver):
    d = cr.Network("4 -> 2").derive(solver=solver).derived
    one = next(e for e in d.equations if e.phase == "update")

    found = verify(replace(d, equations=(*d.equations, replace(one, name="zz_next"))))

    assert [f.equation for f in found.failures] == ["zz_next"]


# ---- what programs are printed from


@pytest.mark.parametrize("name", [e.name for e in SMALL.derive().equations])
def test_a_program_that_would_say_something_else_is_caught(name):
    d = SMALL.derive()
    wrong = with_equation(d.derived, name, lambda body: scale(body, "1.001")).equations

    found = replace(d, listing=replace(d.listing, equations=wrong)).verify()

    assert d.verify()
    assert ("listing", name) == (found.failures[0].rule, found.failures[0].equation)


@pytest.mark.parametrize(
    "change", [lambda all_: all_[1:], lambda all_: (all_[1], all_[0], *all_[2:])], ids=["one less", "turned round"]
)
def test_a_program_that_leaves_out_an_equation_or_puts_it_too_late_is_caught(change):
    d = SMALL.derive()

    found = replace(d, listing=replace(d.listing, equations=change(d.equations))).verify()

    assert {f.rule for f in found.failures} <= {"listing", "names"}
    assert not found


def test_a_program_may_be_printed_from_equal_equations_written_in_another_way():
    d = SMALL.derive()
    same = with_equation(d.derived, "dZ2", lambda body: scale(body, 2) - body).equations

    assert replace(d, listing=replace(d.listing, equations=same)).verify()


# ---- tangents and Hessians


def test_every_wrong_tangent_is_caught():
    d = SMALL.derive().hessian_vector_product().derived
    names = [e.name for e in d.equations if e.phase in ("tangent", "hessian")]

    assert verify(d)
    assert {"Z1_dot", "dW1_dot"} <= set(names)
    for name in names:
        for factor in (2, -1, "1.00001"):
            found = verify(with_equation(d, name, lambda body, factor=factor: scale(body, factor)))
            assert ("differences", name) in {(f.rule, f.equation) for f in found.failures}


def test_tangents_of_a_derivation_with_updates_of_several_equations_replay():
    assert SMALL.derive(solver="adadelta").hessian_vector_product().verify()


def test_a_wrong_hessian_is_caught():
    x, B = matrix("x", "n", 1), matrix("B", "n", "n")
    d = cr.differentiate(x.T @ B @ x, x, hessian=True).derived

    found = verify(with_equation(d, "H_x", lambda body: body.args[0]))

    assert verify(d)
    assert [(f.rule, f.equation) for f in found.failures] == [("differences", "H_x")]


FORMULAS = ["sum(exp(A W).^2)", "logdet(W'W)", "||A W||_F^2", "trace(W'A'A W)", "sum(abs(A W))"]
DELICATE = [
    "||w + n + lam .* (det(A)).^3||^2",
    "mean(||lam A||)",
    "||(W)^0.5||^2",
    "binary_cross_entropy(d, W)",
    "logdet(celu(d, 1e-3) + w s)",
]


@pytest.mark.parametrize("formula", DELICATE)
def test_what_is_finite_or_certain_at_few_numbers_is_no_false_alarm(formula):
    f = cr.parse(formula)
    d = cr.differentiate(f.expression, *f.symbols.values(), hessian=True)

    assert all(d.verify(seed) for seed in range(4))


@pytest.mark.parametrize("formula", FORMULAS)
def test_hessians_by_a_matrix_replay_and_wrong_ones_are_caught(formula):
    f = cr.parse(formula)
    d = cr.differentiate(f.expression, f["W"], hessian=True).derived
    second = [e for e in d.equations if e.phase == "hessian"]

    assert second
    assert verify(d), verify(d)
    for e in second:
        wrong = with_equation(d, e.name, lambda body: scale(body, "1.001") if body.args else body + 1)
        assert "differences" in rules(verify(wrong))


def test_a_tangent_of_what_has_no_equation_is_caught():
    d = SMALL.derive().hessian_vector_product().derived
    alien = Equation("Q_dot", matrix("Q", 2, 2), (2, 2), "tangent", "tangent")

    found = verify(replace(d, equations=(*d.equations, alien)))

    assert [f.equation for f in found.failures] == ["Q_dot"]


# ---- kinks, however far


def always(node):
    """1 for [z > 0]: a bound that is forgotten."""
    return ones(node.shape[0]) @ ones(node.shape[1]).T


def bounds_forgotten(d):
    """The derivation without one of the bounds of its derivatives, in equations and steps, for each of them."""
    backward = [e.expression for e in d.equations if e.phase == "backward"]
    for site in dict.fromkeys(n for n in toposort(*backward) if n.op is step.op):

        def forgotten(root, site=site):
            new = {}
            for n in toposort(root):
                new[n] = always(n) if n is site else rebuild(n, tuple(new[a] for a in n.args))
            return new[root]

        steps = tuple(replace(s, before=forgotten(s.before), after=forgotten(s.after)) for s in d.steps)
        yield replace(
            d, equations=tuple(replace(e, expression=forgotten(e.expression)) for e in d.equations), steps=steps
        )


@pytest.mark.parametrize("activation", ["relu6", "hard_swish", "hard_sigmoid", "hard_tanh"])
def test_a_bound_that_is_forgotten_in_a_derivative_is_caught_at_every_seed(activation):
    d = cr.Network(f"4 -> 3 {activation} -> 1").derive().derived
    wrong = list(bounds_forgotten(d))

    assert verify(d)
    assert len(wrong) == 2
    for each in wrong:
        assert not any(verify(each, random_state=seed) for seed in range(4))


FAR = {
    "the clip of huber": (
        lambda x: next(f for f in FUNCTIONS.values() if f.op.rule == "huber")(10.0)(x),
        lambda G, x: G * x,
        lambda G, x: G * minimum(maximum(x, -10), 10),
    ),
    "the upper bound": (lambda x: minimum(x, 40), lambda G, x: G, lambda G, x: G * step(40 - x)),
    "the lower bound": (lambda x: maximum(-70, x), lambda G, x: G, lambda G, x: G * step(x + 70)),
}


@pytest.mark.parametrize("case", FAR)
def test_a_derivative_that_is_wrong_far_away_only_is_caught(case):
    f, wrong, right = FAR[case]
    x, G = matrix("x", "n", 3), matrix("G", "n", 3)
    y = f(x)
    place = y.args.index(x)

    def passed_on(share):
        return verify(Derived((), (Step(y.op.rule, G, share(G, x), via=(y, place)),)))

    assert passed_on(right)
    assert not passed_on(wrong)


@pytest.mark.parametrize("bound", [3, 6, 9])
def test_a_rewriting_that_is_wrong_far_away_only_is_caught(bound):
    x = matrix("x", "n", 3)
    wrong = Step("bounded", step(x - bound) * x, full(0, x.shape) * x)
    right = Step("bounded", step(x - bound) * step(x - bound), step(x - bound))

    assert not verify(Derived((), (wrong,)))
    assert verify(Derived((), (right,)))


# ---- draws that are not finite


def test_what_has_no_inverse_at_some_numbers_is_drawn_again():
    A, lam = matrix("A", "n", "n"), cr.scalar("lam")
    singular = apply(hadamard_op, A, A) - apply(hadamard_op, A, A)

    found = verify(Derived((), (Step("nonsense", cr.inv(singular), cr.inv(singular) * 2),)))

    assert "never finite" in str(found) or "not equal" in str(found)
    assert verify(Derived((), (Step("fine", lam * cr.inv(A), cr.inv(A) * lam),)))


def test_derivations_by_hand_need_no_loss():
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy")

    assert verify(Derived((), tuple(d.steps)))


def test_an_equation_that_is_off_by_a_millionth_is_caught_where_only_numbers_can_judge_it():
    d = cr.Network("3 -> 2 tanh -> 1 logistic", loss="binary_cross_entropy").derive()

    for off, right in ((1, True), (1 + 1e-6, False), (1 - 1e-6, False)):
        equations = [replace(e, expression=off * e.expression) if e.name == "dZ1" else e for e in d.equations]
        assert bool(verify(replace(d.derived, equations=tuple(equations)))) is right


def test_an_equation_of_another_shape_and_a_step_of_another_name_are_caught():
    d = SMALL.derive().derived
    equations = [replace(e, shape=(7, 7)) if e.name == "dW1" else e for e in d.equations]
    steps = [replace(s, rule="softplus") if s.rule == "tanh" else s for s in d.steps]

    assert [f.rule for f in verify(replace(d, equations=tuple(equations))).failures] == ["shapes"]
    assert {f.before for f in verify(replace(d, steps=tuple(steps))).failures} == {"a step called softplus"}


@pytest.mark.parametrize("seed", [0, 2, 3, 5, 11, 13])
@pytest.mark.parametrize("text", ["sum(tanh(A tanh(B x)))", "sum(tanh(A tanh(B tanh(C x))))"])
def test_a_right_hessian_of_what_saturates_is_no_false_alarm(text, seed):
    f = cr.parse(text)

    assert cr.differentiate(f.expression, f["x"], hessian=True).verify(random_state=seed)
