"""What a file is by its first bytes, for messages about files that are not what their name says."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ARCHIVE", "EMPTY", "NOT_UTF8", "PARQUET", "TEXT", "signature"]

ARCHIVE = "a ZIP archive"
EMPTY = "empty"
PARQUET = "a Parquet file"

TEXT = "text beginning with"
NOT_UTF8 = "text that is not UTF-8, or binary data"

_SIGNATURES = (
    (b"PAR1", PARQUET),
    (b"PK\x03\x04", ARCHIVE),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93NUMPY", "a single NumPy array (.npy)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (codecs.BOM_UTF16_LE, "text in UTF-16"),
    (codecs.BOM_UTF16_BE, "text in UTF-16"),
)


def signature(path: Path, length: int = 4096) -> str:
    """``a Parquet file``, ``empty``, ``text beginning with 'a,b'``, ..."""
    with path.open("rb") as file:
        start = file.read(length)
    if not start.strip():
        return EMPTY
    for magic, name in _SIGNATURES:
        if start.startswith(magic):
            return name
    if b"\0" in start:
        return "binary data"
    try:
        text = start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < length - 4:
            return NOT_UTF8
        text = start[: error.start].decode("utf-8-sig")  # a character was cut where the bytes end
    return f"{TEXT} {text.strip().splitlines()[0][:30]!r}"
