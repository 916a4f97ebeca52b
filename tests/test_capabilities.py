"""The table of what is shown is what the markers of the tests say, and every equation promised has a test."""

import importlib.machinery
import importlib.util
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def load():
    loader = importlib.machinery.SourceFileLoader("capabilities_script", str(ROOT / "scripts" / "capabilities"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    module.shown = cache(module.shown)  # every test is read for it
    return module


SCRIPT = load()


def test_the_table_is_fresh():
    assert (ROOT / "docs" / "capabilities.md").read_text("utf-8") == SCRIPT.table(), "run scripts/capabilities"


def test_every_promise_is_shown():
    listed = {number: text for _, part in SCRIPT.capabilities() for number, text in part.items()}
    shown = SCRIPT.shown()

    assert [n for n, text in listed.items() if n not in shown and "nothing to test" not in text] == []
    assert set(shown) <= set(listed), "a marker names a number that nothing promises"


def test_a_marker_is_read_and_only_that():
    import ast

    tree = ast.parse("@pytest.mark.row(5, 22)\n@pytest.mark.slow\n@other.row(7)\ndef test_it(): pass")

    assert [SCRIPT.rows(d) for d in tree.body[0].decorator_list] == [[5, 22], [], []]


@pytest.mark.parametrize("change", ["", "| 1 | another | `x` |\n"])
def test_a_stale_table_is_found(change, tmp_path, monkeypatch):
    monkeypatch.setattr(SCRIPT, "TABLE", tmp_path / "capabilities.md")
    monkeypatch.setattr(SCRIPT.sys, "argv", ["capabilities", "--check"])
    SCRIPT.TABLE.write_text(SCRIPT.table() + change, "utf-8")

    assert SCRIPT.main() == bool(change)
