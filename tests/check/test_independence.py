"""The checker of derivations is small, and nothing that makes or evaluates a derivation has a part in its verdict."""

import ast
import subprocess
import sys
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
LANGUAGE = {  # what declares an expression and the meaning of its functions: checked by nobody here, shared by all
    "expr", "shapes", "python_form", "errors", "calls", "functions", "primitives", "stack",
}  # fmt: skip
DEFINED = {"updates", "asked"}  # the definitions of update rules, which updates are compared with
WHOLE = {"check.proof", "check.claims", "check.whole", "check.difference", "check.verification"}  # beside the steps
MAKERS = {"adjoint", "derive", "rewrite", "rules", "algebra", "products", "identities", "evaluate", "substitute"}


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


def loaded(name):
    """The modules of chainrule that Python has loaded after it was asked for one, in a process of its own.

    The package is an empty one there: its own __init__ imports everything.
    """
    code = f"""
import importlib, sys, types
for package, where in (("chainrule", {str(ROOT)!r}), ("chainrule.check", {str(ROOT / "check")!r})):
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = [where]
importlib.import_module("chainrule.{name}")
print(*(each.removeprefix("chainrule.") for each in sys.modules if each.startswith("chainrule.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split()) - {"check"}


def test_what_replays_steps_is_one_file_of_at_most_300_lines():
    assert len(path("check.replay").read_text("utf-8").splitlines()) <= LONGEST


def test_what_replays_steps_needs_the_language_of_expressions_and_nothing_else():
    """Whatever is imported, however far away."""
    assert loaded("check.replay") == {"check.replay", *LANGUAGE}


def test_what_proves_a_derivation_needs_update_rules_and_differences_besides():
    assert loaded("check.proof") == {"check.replay", *LANGUAGE, *DEFINED, *WHOLE}


@pytest.mark.parametrize("name", ["check.replay", *sorted(WHOLE)])
def test_nothing_that_judges_imports_later_what_it_checks(name):
    late = {"render.text"} if name == "check.verification" else set()  # a failure that is printed

    assert imported(path(name).read_text("utf-8")) <= {"check.replay", *LANGUAGE, *DEFINED, *WHOLE, *late}


def test_what_is_imported_far_away_is_found():
    assert loaded("render.text") >= {"rules", "rewrite", "derive", "adjoint"}
    assert not MAKERS & loaded("check.proof")


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


def test_the_checker_works_where_nothing_else_does(monkeypatch):
    """A derivation that is there is replayed without the rewriter, the interpreter, and any stated derivative."""
    right = cr.Network("4 -> 3 relu6 -> 5 gelu -> 2 softmax", penalty=cr.l2(0.1)).derive(convention="ng").derived
    x, B = matrix("x", "n", 1), matrix("B", "n", "n")
    second = cr.differentiate(x.T @ B @ x, x, hessian=True).derived
    steps = tuple(right.steps)

    def broken(*args, **options):
        raise AssertionError("the checker asked what it checks")

    monkeypatch.setattr(Rewriter, "__call__", broken)
    for module, name in (("adjoint", "sweep"), ("evaluate", "evaluate_all")):
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
