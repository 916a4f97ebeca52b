"""The outside tools that some tests need: one record each, from which everything else is read.

`conftest.py` makes each a marker, `scripts/check` names those that are absent, and `.ci/run`
installs the packages that `python tests/tools.py` prints.
"""

import importlib.util
import shutil
from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """A tool is there when one of its commands, and every one of its modules, is found."""

    name: str
    use: str
    commands: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    package: str = ""  # Debian's; modules come from the extras of pyproject.toml instead

    def missing(self) -> str:
        """Return what is not found, in words, or nothing."""
        modules = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if modules:
            return " and ".join(modules)
        if self.commands and not any(map(shutil.which, self.commands)):
            return " or ".join(self.commands)
        return ""


TOOLS = (
    Tool("octave", "runs printed Octave", ("octave-cli", "octave"), package="octave"),
    Tool("tex", "typesets printed LaTeX", ("pdflatex",), package="texlive-latex-base texlive-latex-recommended"),
    Tool(
        "chromium",
        "lays out the page",
        ("chromium", "chromium-browser", "google-chrome"),
        package="chromium",
    ),
    Tool("gcc", "compiles printed C", ("gcc",), package="gcc"),
    Tool("oracle", "compares with PyTorch and JAX", modules=("torch", "jax")),
)


if __name__ == "__main__":
    print(*(tool.package for tool in TOOLS if tool.package and tool.missing()))
