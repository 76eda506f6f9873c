"""Docstrings whose shared parts come from one table."""

from __future__ import annotations

import inspect
import re
import textwrap

__all__ = ["fill_doc"]


def fill_doc(table):
    """Make a decorator that replaces lines ``%(name)s`` of docstrings by ``table[name]``."""

    def replace(match):
        text = textwrap.dedent(table[match[2]]).strip("\n")
        return textwrap.indent(text, match[1])

    def fill(thing):
        methods = filter(
            inspect.isfunction, vars(thing).values() if inspect.isclass(thing) else ()
        )
        for one in (thing, *methods):
            if one.__doc__ is not None:  # python -OO has none
                one.__doc__ = re.sub(r"^( *)%\((\w+)\)s$", replace, one.__doc__, flags=re.M)
        return thing

    return fill
