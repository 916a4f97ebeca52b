"""For every test and every example in a docstring: what it enters in the rule book is taken out again."""

from importlib.util import find_spec

import pytest

from chainrule.activations import activations
from chainrule.expr import OPS
from chainrule.functions import FUNCTIONS
from chainrule.initializers import INITIALIZERS
from chainrule.losses import LOSSES
from chainrule.updates import UPDATES

# Its examples cannot even be looked for without PyTorch.
collect_ignore = [] if find_spec("torch") else ["tests/torch_networks.py"]

assert activations()  # its records are entered before any test


@pytest.fixture(autouse=True)
def _records_are_taken_out_again():
    books = (OPS, FUNCTIONS, LOSSES, UPDATES, INITIALIZERS)
    before = [dict(book) for book in books]
    yield
    for book, entries in zip(books, before, strict=True):
        for name in book.keys() - entries.keys():
            del book[name]
