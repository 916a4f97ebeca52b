"""Markers for outside tools: a test whose tool is absent is skipped, or fails if told to."""

import pytest
from hypothesis import HealthCheck, settings
from tools import TOOLS

from chainrule.engine.team import compile_kernels

# No test asserts a wall-clock time. `scripts/check --all` asks for `thorough`.
settings.register_profile("thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("thorough"), max_examples=30)
settings.load_profile("fast")


def pytest_addoption(parser):
    parser.addoption(
        "--require-tools",
        action="store_true",
        help="fail a test whose outside tool is absent, instead of skipping it",
    )


def pytest_configure(config):
    for tool in TOOLS:
        config.addinivalue_line("markers", f"{tool.name}: {tool.use}; needs the tool itself")
    config.addinivalue_line("markers", "row(*numbers): shows capabilities of scripts/capabilities.toml by number")


def pytest_sessionstart(session):
    """Compile the engine's kernels once, before each worker would."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        for dtype in ("float32", "float64"):
            compile_kernels(dtype)


def pytest_report_header():
    absent = [f"{tool.name} ({tool.missing()})" for tool in TOOLS if tool.missing()]
    return f"tools absent: {', '.join(absent) or 'none'}"


def pytest_runtest_setup(item):
    for tool in TOOLS:
        if item.get_closest_marker(tool.name) and tool.missing():
            required = item.config.getoption("require_tools")
            (pytest.fail if required else pytest.skip)(f"{tool.missing()} not found")
