"""How the book is built: ``make doc`` (all examples run) or ``make doc-fast`` (none do).

Nothing is downloaded, so that a build needs no network. Links into the documentation of MNE,
nilearn, scikit-learn, torch, numpy and pandas need their inventories: set
``BRAINOF_DOC_INTERSPHINX=1`` where these can be reached.
"""

import os
import sys
from functools import cached_property
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ["MPLBACKEND"] = "Agg"

import brainof_toolbox  # noqa: E402

# Minigalleries find a name's examples by the modules that are loaded.
for _room in ("datasets", "evaluation", "inspection", "io", "models", "pretraining", "signals"):
    import_module(f"brainof_toolbox.{_room}")

# What was made from scripts and names that are gone would be pages without a place.
for _made in (*HERE.glob("auto_*/**/plot_*.rst"), *HERE.glob("generated/*.rst")):
    _script = HERE.parent / str(_made.relative_to(HERE).with_suffix(".py")).removeprefix("auto_")
    if not _script.is_file():
        _made.unlink()
for _made in HERE.glob("**/sg_execution_times.rst"):
    _made.unlink()

# ---------------------------------------------------------------- the project

project = "brainof_toolbox"
author = "brainof_toolbox developers"
copyright = author
version = release = brainof_toolbox.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "aliases",
    "command_help",
    "plain_summaries",
]
exclude_patterns = [
    "_build",
    "_templates",
    "data",
    "generated/backreferences",
    "**/GALLERY_HEADER.rst",
]
templates_path = ["_templates"]
root_doc = "index"
default_role = "code"

# References to names of this package must resolve; those of others are links where they can be.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!brainof_toolbox\.).*")]

intersphinx_mapping = {}
if os.environ.get("BRAINOF_DOC_INTERSPHINX"):
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "mne": ("https://mne.tools/stable", None),
        "mne_bids": ("https://mne.tools/mne-bids/stable", None),
        "nilearn": ("https://nilearn.github.io/stable", None),
        "nibabel": ("https://nipy.org/nibabel", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "pandas": ("https://pandas.pydata.org/docs", None),
        "joblib": ("https://joblib.readthedocs.io/en/stable", None),
    }

# ---------------------------------------------------------------- reference

autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template of classes does so
numpydoc_validation_checks = set()  # tests/test_architecture.py validates
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"


def _skip_inherited(app, what, name, member, skip, options):
    """Leave out what scikit-learn's base classes bring, and attributes that are only values."""
    if what != "class":
        return None
    is_named = callable(member) or isinstance(member, (property, classmethod, cached_property))
    inner = getattr(member, "fget", None) or getattr(member, "func", member)
    home = getattr(inner, "__module__", None) or ""
    return None if is_named and home.startswith("brainof_toolbox") else True


# ---------------------------------------------------------------- gallery

_THEMES = ("eeg_meg", "fmri", "modalities", "inside", "pretraining", "interoperability")
sphinx_gallery_conf = {
    "examples_dirs": ["../tutorials", "../examples"],
    "gallery_dirs": ["auto_tutorials", "auto_examples"],
    "filename_pattern": r"[\\/]plot_",
    "subsection_order": [f"../examples/{theme}" for theme in _THEMES],
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("brainof_toolbox",),
    "reference_url": {"brainof_toolbox": None},
    "parallel": int(os.environ.get("BRAINOF_DOC_JOBS", "1")),
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "ignore_repr_types": r"matplotlib|'list'|'tuple'",
    "show_memory": False,
    "write_computation_times": False,  # its page loads scripts from elsewhere
    "show_signature": False,
    "remove_config_comments": True,
    "reset_modules": ("matplotlib", "gallery_reset.reset"),
    "image_srcset": ["2x"],
    "default_thumb_file": str(HERE / "_static" / "thumbnail.png"),
    "copyfile_regex": r".*\.rst",
}

# ---------------------------------------------------------------- html

html_theme = "pydata_sphinx_theme"
html_title = f"brainof_toolbox {release}"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = False
_ALONE = "index install user_guide which_decoder reporting model command_line faq glossary citing"
_ALONE += " deploying contributing changes assumptions robustness braindecode released_weights"
html_sidebars = {page: [] for page in _ALONE.split()}  # nothing below them to list
html_theme_options = {
    "logo": {"text": "brainof_toolbox"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_nav_level": 1,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def setup(app):
    """Connect the functions above."""
    app.connect("autodoc-skip-member", _skip_inherited)
