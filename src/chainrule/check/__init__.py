"""Judging backward passes: is a gradient right, and where it is not, what is wrong with it.

`gradient` compares anybody's gradient with differences of its loss. Nothing here derives or runs.
"""
