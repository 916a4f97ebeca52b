"""Files are written whole or not at all, whatever fails and whenever."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from chainrule.atomic import atomic_write, atomic_write_text
from chainrule.errors import DataError


@pytest.fixture
def path(tmp_path):
    """A file that is there already."""
    (tmp_path / "answer").write_text("before")
    return tmp_path / "answer"


def content(path):
    """What the directory holds: no temporary file may be left."""
    assert os.listdir(path.parent) == [path.name]
    return path.read_text()


def fails_with(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_new_file_is_written(tmp_path):
    with atomic_write(tmp_path / "new") as file:
        file.write(b"42")

    assert content(tmp_path / "new") == "42"


def test_the_earlier_file_stays_until_everything_is_written(path):
    with atomic_write(path) as file:
        file.write(b"42")
        file.flush()
        assert path.read_text() == "before"

    assert content(path) == "42"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_a_failing_block_leaves_the_earlier_file(path, error):
    def write_and_fail():
        with atomic_write(path) as file:
            file.write(b"42")
            raise error

    with pytest.raises(error):
        write_and_fail()

    assert content(path) == "before"


def test_a_failing_block_leaves_no_new_file(tmp_path):
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "new"):
        raise RuntimeError

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EFBIG, "the file would be too large"),
        (errno.EIO, "the disk reports an error"),
    ],
)
def test_a_disk_that_fails_is_explained(path, monkeypatch, number, reason):
    message = rf"^cannot write '.*answer': {reason}$"

    with pytest.raises(DataError, match=message), atomic_write(path):
        fails_with(number)()
    assert content(path) == "before"

    monkeypatch.setattr(os, "fsync", fails_with(number))
    with pytest.raises(DataError, match=message), atomic_write(path) as file:
        file.write(b"42")
    assert content(path) == "before"


def test_a_file_that_can_not_be_moved_is_explained(path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.replace", fails_with(errno.EACCES))

    with pytest.raises(DataError, match=r"^cannot write '.*answer': Permission denied$"), atomic_write(path) as file:
        file.write(b"42")

    assert content(path) == "before"


def test_a_limit_met_in_the_middle_is_explained(path):
    program = """
import resource, sys
from chainrule.atomic import atomic_write
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
with atomic_write(sys.argv[1]) as file:
    for _ in range(100):
        file.write(b"x" * 10_000)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.endswith("DataError: cannot write '" + str(path) + "': the file would be too large\n")
    assert content(path) == "before"


def test_an_error_of_the_block_that_is_not_about_the_disk_is_the_callers(path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(path):
        open("elsewhere")  # noqa: SIM115 - it does not open

    assert content(path) == "before"


def test_a_link_is_followed(path):
    link = path.parent.parent / f"{path.parent.name}-link"
    link.symlink_to(path)

    with atomic_write(link) as file:
        file.write(b"42")
        assert len(os.listdir(path.parent)) == 2  # beside the file: a move between disks may be cut

    assert link.is_symlink()
    assert content(path) == "42"


def test_the_permissions_of_the_earlier_file_are_kept(path):
    path.chmod(0o640)

    with atomic_write(path):
        pass

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    with atomic_write(tmp_path / "new"):
        pass
    (tmp_path / "other").touch()

    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.fixture
def pipe(tmp_path):
    """A pipe, and the open end to read from: the test cannot wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    end = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    yield tmp_path / "pipe", end
    os.close(end)


def test_a_pipe_is_written_to_not_replaced(pipe):
    path, end = pipe

    with atomic_write(path) as file:
        file.write(b"42")

    assert os.read(end, 9) == b"42"
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_pipe_that_fails_is_explained(pipe):
    path, _ = pipe

    with pytest.raises(DataError, match=r"^cannot write '.*pipe': the disk is full$"), atomic_write(path):
        fails_with(errno.ENOSPC)()

    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_directory_is_explained(tmp_path):
    with pytest.raises(DataError, match=r"^cannot write '.*': it is a directory$"), atomic_write(tmp_path):
        pass


def test_a_missing_directory_is_explained(tmp_path):
    message = r"^cannot write '.*nowhere/new': there is no directory '.*nowhere'$"

    with pytest.raises(DataError, match=message), atomic_write(tmp_path / "nowhere" / "new"):
        pass


def test_a_protected_file_is_explained(path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(DataError, match=r"^cannot write '.*answer': it is write-protected$"), atomic_write(path):
        pass

    assert content(path) == "before"


def test_a_system_that_cannot_flush_directories_is_no_error(path, monkeypatch):
    monkeypatch.setattr(os, "open", fails_with(errno.EACCES))

    with atomic_write(path) as file:
        file.write(b"42")

    assert content(path) == "42"


def test_text_is_utf8_with_its_own_line_ends(path):
    with atomic_write_text(path) as file:
        file.write("é\r\n\n")

    assert path.read_bytes() == "é\r\n\n".encode()


def test_failing_text_leaves_the_earlier_file(path):
    with pytest.raises(UnicodeEncodeError), atomic_write_text(path) as file:
        file.write("42\ud800")

    assert content(path) == "before"


def test_a_disk_full_of_text_is_explained(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", fails_with(errno.ENOSPC))

    with (
        pytest.raises(DataError, match=r"^cannot write '.*answer': the disk is full$"),
        atomic_write_text(path) as file,
    ):
        file.write("42")

    assert content(path) == "before"
