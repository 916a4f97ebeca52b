"""Writing a file so that it is there whole or not at all, and an earlier one stays until then."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from chainrule.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["atomic_write", "atomic_write_text"]

# What a disk answers to a write. Other OSErrors of the caller's block are not about this file.
_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "the file would be too large",
    errno.EIO: "the disk reports an error",
}
if hasattr(errno, "EDQUOT"):  # not on Windows
    _DISK[errno.EDQUOT] = "the disk quota is used up"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place only when everything is written.

    The bytes go to a temporary file in the same directory, which is flushed to the disk and moved
    to `path` when the block ends. If the block fails, the temporary file is removed and an earlier
    file is as it was. A link is followed; a device or a pipe is written to directly.

    Parameters
    ----------
    path : str or Path
        The file to write.

    Yields
    ------
    binary file
        To be written to, not closed.

    Raises
    ------
    DataError
        If the file cannot be written: no such directory, no permission, a full disk, ...

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder) / "answer") as file:
    ...         _ = file.write(b"42")
    ...     (Path(folder) / "answer").read_bytes()
    b'42'
    """
    _check_writable(Path(path))
    theirs: OSError | None = None
    temporary: Path | None = None
    try:
        if not _is_device(Path(path)):
            temporary = Path(os.path.realpath(path)).with_name(f".{secrets.token_hex(8)}.tmp")
        with temporary.open("xb") if temporary else Path(path).open("wb") as file:
            try:
                yield file
            except OSError as error:
                theirs = None if error.errno in _DISK else error
                raise
            file.flush()
            if temporary:
                os.fsync(file.fileno())
        if temporary:
            _move(temporary, Path(os.path.realpath(path)))
    except OSError as error:
        if error is theirs:
            raise
        reason = _DISK.get(error.errno or 0, error.strerror or str(error))
        raise DataError(f"cannot write {str(path)!r}: {reason}") from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_write_text(path: str | Path) -> Iterator[TextIO]:
    r"""Open a UTF-8 text file as `atomic_write` does; line ends are written as they are given.

    Parameters
    ----------
    path : str or Path
        The file to write.

    Yields
    ------
    text file
        To be written to, not closed.

    Raises
    ------
    DataError
        As `atomic_write`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_write_text(Path(folder) / "table.csv") as file:
    ...         print("prediction", file=file)
    ...     (Path(folder) / "table.csv").read_text()
    'prediction\n'
    """
    with atomic_write(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"cannot write {str(path)!r}: it is a directory")
    if not path.parent.is_dir():
        raise DataError(f"cannot write {str(path)!r}: there is no directory {str(path.parent)!r}")
    # A move would replace a file that its owner protected.
    if path.exists() and not os.access(path, os.W_OK):
        raise DataError(f"cannot write {str(path)!r}: it is write-protected")


def _is_device(path: Path) -> bool:
    """Whether the path is there and no regular file, such as /dev/stdout: never to be replaced."""
    return path.exists() and not path.is_file()


def _move(temporary: Path, goal: Path) -> None:
    """Put the temporary file in its place, with the permissions of the earlier file."""
    if goal.exists():
        temporary.chmod(stat.S_IMODE(goal.stat().st_mode))
    temporary.replace(goal)
    # The move itself survives a crash only when the directory is flushed; not every system can.
    with contextlib.suppress(OSError):
        directory = os.open(goal.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
