"""Docstrings whose shared parts come from one table."""

from __future__ import annotations

import re
import textwrap

__all__ = ["fill_doc"]


def fill_doc(table):
    """Make a decorator that replaces lines ``%(name)s`` of a docstring by ``table[name]``."""

    def replace(match):
        text = textwrap.dedent(table[match[2]]).strip("\n")
        return textwrap.indent(text, match[1])

    def fill(thing):
        if thing.__doc__ is not None:  # python -OO has none
            thing.__doc__ = re.sub(r"^( *)%\((\w+)\)s$", replace, thing.__doc__, flags=re.M)
        return thing

    return fill
