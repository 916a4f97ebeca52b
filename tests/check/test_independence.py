"""The checker of derivations is small, and shares nothing with what it checks."""

import ast
from pathlib import Path

import chainrule.check
from chainrule.check.verification import Failure, Verification

CHECK = Path(chainrule.check.__file__).parent
LONGEST = 300
ENGINE = {"rewrite", "rules", "algebra", "evaluate", "derive", "adjoint", "conventions", "program"}


def runtime_imports(text):
    """The modules that are imported when the code runs, not for annotations only."""
    tree = ast.parse(text)
    typing = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    ignored = {id(inner) for outer in typing for inner in ast.walk(outer)}
    found = []
    for n in (n for n in ast.walk(tree) if id(n) not in ignored):
        if isinstance(n, ast.ImportFrom):
            found += [n.module, *(f"{n.module}.{each.name}" for each in n.names if n.module == "chainrule")]
        elif isinstance(n, ast.Import):
            found += [each.name for each in n.names]
    return {m.removeprefix("chainrule.") for m in found if m.startswith("chainrule.")}


def test_the_checker_fits_on_300_lines():
    assert len((CHECK / "replay.py").read_text("utf-8").splitlines()) <= LONGEST


def test_the_checker_imports_nothing_of_the_engine():
    for name in ("replay", "draws", "whole", "difference", "verification"):
        modules = runtime_imports((CHECK / f"{name}.py").read_text("utf-8"))
        assert not {m for m in modules if m.split(".")[0] in ENGINE}, name


def test_an_import_of_the_engine_is_found():
    text = "if TYPE_CHECKING:\n    from chainrule.derive import A\ndef f():\n    from chainrule.rules import B"

    assert runtime_imports(text) == {"rules"}
    assert runtime_imports("import chainrule.algebra\nfrom chainrule import rules as r") == {"algebra", "rules"}


def test_a_verdict_says_how_many_steps_were_exact():
    failure = Failure("tanh", "dZ1", "A", "B", float("inf"))

    assert str(Verification(True, 7, 1e-16, (), 5)) == (
        "7 steps replayed, 5 of them modulo 2^61 - 1, worst relative error 1.0e-16: ok"
    )
    assert "tanh, in dZ1: not equal" in str(Verification(False, 7, 0.5, (failure,), 5))
