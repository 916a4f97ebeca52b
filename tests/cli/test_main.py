"""The border: exit statuses, and the one message for what a user can mend."""

import errno
import os
import shlex
import subprocess
import sys
import warnings

import pytest

from chainrule.cli import main
from chainrule.cli.commands import COMMANDS

NET = "4 -> 8 tanh -> 3 softmax"
PYTHON_M = [sys.executable, "-m", "chainrule"]


def run(*arguments, **options):
    return subprocess.run([*PYTHON_M, *arguments], capture_output=True, text=True, check=False, timeout=60, **options)


def test_alone_it_prints_the_help(capsys):
    status = main([])

    printed = capsys.readouterr()
    assert status == 0
    assert printed.out.startswith("Usage: chainrule COMMAND")
    assert not printed.err


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_every_help_has_an_example_and_fits_80_columns(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    status = main([*arguments, "--help"])

    out = capsys.readouterr().out
    assert status == 0
    assert f"Usage: {' '.join(['chainrule', *arguments])}" in out
    assert out.partition("\nExamples:\n")[2].startswith(f"  {' '.join(['chainrule', *arguments])} ")
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_lists_every_command_with_its_summary(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    main(["--help"])

    summary = COMMANDS[name].partition("\n\n")[0]
    assert f" {name} " in (line := next(each for each in capsys.readouterr().out.splitlines() if summary in each)), line


def test_the_version_is_that_of_the_package(capsys):
    import chainrule

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"chainrule {chainrule.__version__}\n"


WRONG_LINES = {
    "deriv": "unknown command 'deriv'; did you mean 'derive'?",
    "swirl": "unknown command 'swirl'; see chainrule --help",
    "--versoin": "unknown option '--versoin'; did you mean '--version'?",
    "derive": "SPEC is missing; see chainrule derive --help",
    "derive '4 -> 3' --laout rows": "unknown option '--laout'; did you mean '--layout'?",
    "derive '4 -> 3' --foo=1": "unknown option '--foo'; see chainrule derive --help",
    "derive '4 -> 3' -z": "unknown option '-z'; see chainrule derive --help",
    "derive '4 -> 3' --loss": "--loss needs a value; see chainrule derive --help",
    "derive '4 -> 3' --loss huber --loss huber": "--loss is given twice",
    "derive '4 -> 3' --latex=3": "--latex takes no value, got '3'",
    "derive 4 softmax": "unexpected 'softmax': an argument with spaces or > in it needs quotes around it; "
    "see chainrule derive --help",
    "derive 4 - softmax": "unexpected '-': an argument with spaces or > in it needs quotes around it; "
    "see chainrule derive --help",
}


@pytest.mark.parametrize("line", WRONG_LINES)
def test_a_wrong_command_line_is_one_line_and_status_2(line, capsys):
    status = main(shlex.split(line))

    assert status == 2
    assert capsys.readouterr() == ("", f"chainrule: error: {WRONG_LINES[line]}\n")


def raising(error):
    def run(argv):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("n is 3, not 4"), "n is 3, not 4"),
        (ValueError(), "ValueError"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "m"), "'m': No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (MemoryError(), "not enough memory"),
        (MemoryError("Unable to allocate 8 TiB"), "not enough memory: Unable to allocate 8 TiB"),
        (FloatingPointError("the loss is inf in epoch 2"), "the loss is inf in epoch 2"),
    ],
    ids=repr,
)
def test_what_a_user_can_mend_is_one_message_and_status_2(error, message, capsys, monkeypatch):
    monkeypatch.setattr("chainrule.cli._run", raising(error))

    status = main([])

    assert status == 2
    assert capsys.readouterr() == ("", f"chainrule: error: {message}\n")


def test_a_mistake_of_chainrule_itself_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("chainrule.cli._run", raising(KeyError("x")))

    with pytest.raises(KeyError):
        main([])


def test_a_warning_is_one_line(capsys, monkeypatch):
    def run(argv):
        warnings.simplefilter("always")
        warnings.warn("raise max_iter", UserWarning, stacklevel=2)
        return 0

    monkeypatch.setattr("chainrule.cli._run", run)

    assert main([]) == 0
    assert capsys.readouterr() == ("", "chainrule: warning: raise max_iter\n")


def test_an_interruption_is_one_line_and_status_130(capsys, monkeypatch):
    monkeypatch.setattr("chainrule.cli._run", raising(KeyboardInterrupt()))

    status = main([])

    assert status == 130
    assert capsys.readouterr() == ("", "chainrule: error: interrupted\n")


def test_a_library_error_has_no_traceback_in_a_process_of_its_own():
    done = run("derive", "4 -> 8 tnh")

    assert done.returncode == 2
    assert not done.stdout
    assert done.stderr == (
        "chainrule: error: unknown word 'tnh' in layer 1; did you mean 'tanh'?\n  4 -> 8 tnh\n         ^^^\n"
    )


def test_developers_see_the_traceback():
    done = subprocess.run(
        [sys.executable, "-X", "dev", *PYTHON_M[1:], "derive", "4"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_letters_that_a_terminal_lacks_are_shown_by_number():
    done = run("derive", NET, env={**os.environ, "PYTHONIOENCODING": "ascii"})

    assert done.returncode == 0
    assert r"dZ1 = (dZ2 W2') \u2218 (1 - A1 \u2218 A1)" in done.stdout


posix = pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")


@posix
@pytest.mark.parametrize("arguments", [["derive", NET], ["--help"]])
def test_a_closed_pipe_is_silent(arguments):
    """Its status is that of SIGPIPE; rich, which prints the help, has its own."""
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run([*PYTHON_M, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)

    os.close(writer)
    assert done.returncode in (141, 1)
    assert not done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PYTHON_M, "derive", NET], stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == "chainrule: error: cannot write to standard output: No space left on device\n"


def test_the_entry_point_of_the_package_is_main():
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="chainrule")

    assert script.load() is main


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["derive", NET, "--verify"], {"rich", "sklearn", "pandas", "pyarrow", "numba"}),
        (["train", "--help"], {"sklearn", "pyarrow", "numba"}),
        (["--version"], {"rich", "sklearn", "chainrule.network"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_imports_only_what_it_needs(arguments, absent):
    code = f"import sys; from chainrule.cli import main; main({arguments!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not absent.intersection(done.stdout.split())
