"""Tables: columns read from files, and their fitted transformation to numbers and back.

What a network needs to know about a table (`Features`, `Target`) is JSON-able data. Nothing here
knows networks, estimators or the command line.
"""

from chainrule.tables.features import Features, NumberColumn, TextColumn, fit_features
from chainrule.tables.read import BUILT_IN, read_table
from chainrule.tables.table import Table
from chainrule.tables.target import Target, fit_target

__all__ = [
    "BUILT_IN",
    "Features",
    "NumberColumn",
    "Table",
    "Target",
    "TextColumn",
    "fit_features",
    "fit_target",
    "read_table",
]
