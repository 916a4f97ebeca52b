"""A test whose tool is absent is skipped with a reason, and fails where every tool is required."""

from pathlib import Path

import pytest
from hypothesis import settings
from tools import TOOLS, Tool

pytest_plugins = "pytester"


@pytest.fixture
def marked_test(pytester, monkeypatch):
    """Make a directory with one test that needs gcc, where no command is found."""
    here = Path(__file__).parent
    pytester.makeconftest(here.joinpath("conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(
        tools=here.joinpath("tools.py").read_text(encoding="utf-8"),
        test_marked="import pytest\n@pytest.mark.gcc\ndef test_it(): pass",
    )
    monkeypatch.setenv("PATH", "")
    profile = settings()
    yield pytester
    settings.register_profile("that of this run", profile)  # the conftest has loaded its own
    settings.load_profile("that of this run")


def test_it_is_skipped_with_the_reason(marked_test):
    result = marked_test.runpytest_inprocess("-rs", "-p", "no:cacheprovider")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["tools absent:*gcc (gcc)*", "SKIPPED*gcc not found"])


def test_it_fails_where_tools_are_required(marked_test):
    result = marked_test.runpytest_inprocess("--require-tools", "-p", "no:cacheprovider")

    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_tool_that_is_there_is_not_missing():
    assert not Tool("python", "runs", modules=("json", "ast")).missing()
    assert Tool("none", "runs", modules=("json", "no_such_module")).missing() == "no_such_module"


def test_every_tool_can_be_found_somehow():
    assert all(tool.commands or tool.modules for tool in TOOLS)
    assert all(bool(tool.commands) == bool(tool.package) for tool in TOOLS)
