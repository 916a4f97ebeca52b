"""The checker of derivations is small, and nothing that makes or evaluates a derivation has a part in its verdict."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.check.proof import verify
from chainrule.check.verification import Failure, Verification
from chainrule.expr import OPS, matrix
from chainrule.rewrite import Rewriter

ROOT = Path(cr.__file__).parent
LONGEST = 300
JUDGES = ("check.replay", "check.claims", "check.whole")  # of a step; of what steps lead to; of slopes and names
NUMBERS = ("check.world", "check.draws", "check.difference", "check.verification")  # values, and how far they are apart
LANGUAGE = {  # what declares an expression, shared by the checker and by what it checks
    "expr", "shapes", "python_form", "errors", "functions", "primitives", "stack", "updates", "calls",
}  # fmt: skip
UNUSED = {"adjoint"}  # imported by functions.py for the derivatives it makes, of which the checker asks for none
PRINTED = {"render.text"}  # imported when a failure is printed


def imported(text, here="chainrule.check.replay"):
    """The modules of chainrule that code imports when it runs, not for annotations only, whatever the form."""
    tree = ast.parse(text)
    typing = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    ignored = {id(inner) for outer in typing for each in outer.body for inner in ast.walk(each)}
    found = set()
    for n in ast.walk(tree):
        if id(n) in ignored:
            continue
        if isinstance(n, ast.Import):
            found |= {alias.name for alias in n.names}
        elif isinstance(n, ast.ImportFrom):
            base = ".".join([*here.split(".")[: -n.level], *([n.module] if n.module else [])]) if n.level else n.module
            found |= {base, *(f"{base}.{alias.name}" for alias in n.names)}
        elif isinstance(n, ast.Call) and ast.unparse(n.func).rpartition(".")[2] in ("import_module", "__import__"):
            assert isinstance(n.args[0], ast.Constant | ast.Name), ast.unparse(n)
            found |= {n.args[0].value} if isinstance(n.args[0], ast.Constant) else set()
    inside = (name.removeprefix("chainrule.") for name in found if name.startswith("chainrule."))
    return {name for name in inside if path(name)}


def path(name):
    """Where a module of chainrule stands, if it is one."""
    stem = ROOT.joinpath(*name.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.exists()), None)


def closure(names, beyond=()):
    """The modules, and what they import, and what that imports; of those `beyond` nothing further."""
    found, todo = set(), list(names)
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            if name not in beyond:
                todo += imported(path(name).read_text("utf-8"), f"chainrule.{name}")
    return found


def test_each_part_that_judges_has_at_most_300_lines_and_all_together_600():
    lines = [len(path(name).read_text("utf-8").splitlines()) for name in JUDGES]

    assert max(lines) <= LONGEST
    assert sum(lines) <= 2 * LONGEST


def test_nothing_else_is_behind_the_verdict():
    """Whatever is imported, however far away, is counted above, or declares expressions, or prints."""
    found = closure([*JUDGES, *NUMBERS], beyond=PRINTED)

    assert found == {*JUDGES, *NUMBERS, *LANGUAGE, *UNUSED, *PRINTED}


def test_only_a_failure_that_is_printed_reads_the_printer():
    printing = [name for name in (*JUDGES, *NUMBERS) if imported(path(name).read_text("utf-8")) & PRINTED]

    assert printing == ["check.verification"]


@pytest.mark.parametrize(
    "text",
    [
        "from chainrule.rules import A",
        "from chainrule import rules",
        "import chainrule.rules",
        "import chainrule.rules as r",
        "from .. import rules",
        "from ..rules import A",
        "def f():\n    from chainrule.rules import A",
        "import_module('chainrule.rules')",
        "importlib.import_module('chainrule.rules')",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import chainrule.rules",
    ],
)
def test_an_import_is_found_in_every_form(text):
    assert imported(text) == {"rules"}


def test_an_import_for_annotations_is_none():
    assert imported("if TYPE_CHECKING:\n    from chainrule.rules import A") == set()


def test_what_is_imported_far_away_is_found():
    assert {"rules", "rewrite", "derive"} <= closure(["render.text"])


def test_the_checker_works_where_nothing_else_does(monkeypatch):
    """A derivation that is there is replayed without the rewriter, the interpreter, and any stated derivative."""
    right = cr.Network("4 -> 3 relu6 -> 5 gelu -> 2 softmax", penalty=cr.l2(0.1)).derive(convention="ng").derived
    x, B = matrix("x", "n", 1), matrix("B", "n", "n")
    second = cr.differentiate(x.T @ B @ x, x, hessian=True).derived
    steps = tuple(right.steps)

    def broken(*args, **options):
        raise AssertionError("the checker asked what it checks")

    monkeypatch.setattr(Rewriter, "__call__", broken)
    for module, name in (("adjoint", "sweep"), ("functions", "sweep"), ("evaluate", "evaluate_all")):
        monkeypatch.setattr(import_module(f"chainrule.{module}"), name, broken)
    rules = {op: op.vjp for op in OPS.values()}
    try:
        for op in rules:
            object.__setattr__(op, "vjp", broken)
        found = [verify(right), verify(second)]
    finally:
        for op, vjp in rules.items():
            object.__setattr__(op, "vjp", vjp)

    assert all(found)
    assert found[0].steps == len(steps) > 20


def test_a_verdict_says_how_many_steps_were_exact():
    failure = Failure("tanh", "dZ1", "A", "B", float("inf"))

    assert str(Verification(True, 7, 1e-16, (), 5)) == (
        "7 steps replayed, 5 of them modulo 2^61 - 1, worst relative error 1.0e-16: ok"
    )
    assert "tanh, in dZ1: not equal" in str(Verification(False, 7, 0.5, (failure,), 5))


def test_both_sides_of_a_failure_are_printed_as_formulas():
    A = matrix("A", "n", "n")

    assert str(Failure("turned", "Q", A.T, A, 1.0)).splitlines()[1:] == ["    before: A'", "    after:  A"]
