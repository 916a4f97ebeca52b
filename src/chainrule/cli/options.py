"""Kinds of options that several commands have, and the names that options take, for the help."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from chainrule.cli.output import WIDTH

Formula: TypeAlias = Annotated[str, Parameter(allow_leading_hyphen=True)]  # -sum(x) is no option
Flag: TypeAlias = Annotated[bool, Parameter(negative=(), show_default=False)]
Header: TypeAlias = Annotated[bool | None, Parameter(show_default=False)]
Names: TypeAlias = Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)]
Output: TypeAlias = Annotated[Path | None, Parameter(name=("--output", "-o"))]


def listed(names: Mapping[str, Iterable[str]]) -> str:
    """A paragraph for each kind of name."""
    paragraphs = (f"{kind}: {', '.join(each)}" for kind, each in names.items())
    return "\n".join(textwrap.fill(each, WIDTH, subsequent_indent="  ") for each in paragraphs)
