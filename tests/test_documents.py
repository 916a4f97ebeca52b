"""Every document runs: its Python, its `$ chainrule` commands, and the output that it shows.

The blocks of one file share a namespace and a directory, in order. A `text` block right after a
`python` block is what that prints; `...` stands for anything. Commands in `sh` blocks are not run.
"""

import doctest
import os
import re
import shlex
import subprocess
import sysconfig
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ENVIRONMENT = {"COLUMNS": "80", "NO_COLOR": "1"}  # documents show a plain terminal


def run_document(text, name="document"):
    """Run the blocks of a document in the current directory; assert what each is said to print."""
    namespace, printed, end = {"__name__": name}, None, 0
    for block in BLOCK.finditer(text):
        language, body, line = block["language"], block["body"], line_of(text, block)
        if language == "text" and printed is not None and not text[end : block.start()].strip():
            assert_matches(printed, body, f"the block above line {line}")
        printed, end = None, block.end()
        if language == "python":
            printed = run_python(body, name, line, namespace)
        elif body.startswith("$ chainrule"):
            run_console(body)


def line_of(text, block):
    return text[: block.start()].count("\n") + 1


def run_python(body, name, line, namespace):
    """Run a block so that a traceback shows the document's own lines; return what it prints."""
    output = StringIO()
    with redirect_stdout(output):
        exec(compile("\n" * line + body, name, "exec"), namespace)
    return output.getvalue()


def run_console(body):
    """Run each `$ chainrule ...` of a block; compare with the lines up to the next, if any."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    for session in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = session.partition("\n")
        done = subprocess.run(
            shlex.split(command),
            env={**os.environ, **ENVIRONMENT, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        if expected.strip():
            assert_matches(done.stdout, expected, f"$ {command}")


def assert_matches(got, expected, what):
    """Compare as doctest does: `...` stands for anything, spacing at the ends of lines for none."""
    got, expected = (
        "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines()) for text in (got, expected)
    )
    matches = doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS)
    assert matches, f"{what} prints\n\n{got}\nand the document says\n\n{expected}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    run_document(document.read_text(encoding="utf-8"), str(document))


def fenced(*blocks):
    return "\n".join(f"```{language}\n{body}\n```\n" for language, body in blocks)


def test_blocks_share_a_namespace_and_may_elide():
    run_document(fenced(("python", "x = 3"), ("python", "print(x, id(x))"), ("text", "3 ...")))


@pytest.mark.parametrize(
    "text",
    [
        fenced(("python", "print(1)"), ("text", "2")),
        fenced(("python", "print(1); print(2)"), ("text", "1")),
        fenced(("text", "$ chainrule no-such-command")),
    ],
    ids=["wrong output", "more output", "a failing command"],
)
def test_a_document_that_is_wrong_fails(text):
    with pytest.raises(AssertionError):
        run_document(text)


def test_python_that_raises_names_the_document_and_line():
    with pytest.raises(NameError) as caught:
        run_document("# Title\n\n" + fenced(("python", "undefined")), "README.md")

    last = caught.traceback[-1]
    assert (str(last.path).endswith("README.md"), last.lineno + 1) == (True, 4)
