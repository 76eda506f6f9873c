"""``.. command-help:: brainof decode``: what ``brainof decode --help`` prints, as it is today."""

from __future__ import annotations

import argparse

from docutils import nodes
from docutils.parsers.rst import Directive


class CommandHelp(Directive):
    """The help of a command or of one of its sub-commands, as a literal block."""

    required_arguments = 1
    optional_arguments = 9

    def run(self):
        """Format the help at 80 columns, wherever the build runs."""
        from brainof_toolbox.cli import make_parser

        parser = make_parser()
        for word in self.arguments[1:]:
            parser = _subparsers(parser)[word]
        text = _format(parser)
        block = nodes.literal_block(text, text)
        block["language"] = "text"
        return [block]


def _subparsers(parser):
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return actions[0].choices


def _format(parser):
    kind = parser.formatter_class
    parser.formatter_class = lambda prog: kind(prog, width=80)
    return parser.format_help()


def setup(app):
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
