"""Tables of the reference that fit a phone: no signatures, and no footnotes."""

from __future__ import annotations

import re

from sphinx.ext.autosummary import Autosummary

_CITATION = re.compile(r"\s*:footcite(:\w+)?:`[^`]*`")


class PlainAutosummary(Autosummary):
    """``autosummary`` that leaves out signatures, and citations of summary lines."""

    def run(self):
        """As if ``:nosignatures:`` were given."""
        self.options["nosignatures"] = None
        return super().run()

    def get_items(self, names):
        """Clean the summaries."""
        rows = super().get_items(names)
        return [(name, sig, _CITATION.sub("", summary), real) for name, sig, summary, real in rows]


def setup(app):
    """Replace the directive."""
    app.setup_extension("sphinx.ext.autosummary")
    app.add_directive("autosummary", PlainAutosummary, override=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
