"""Settings of the documentation site; see CONTRIBUTING for how to build it."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# Two examples at a time, each with kernels on all cores, would fight for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gallery

import skfau

project = "skfau"
version = release = skfau.__version__
extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "api_pages",
]
# `Faces` in a text or a docstring is a link to its page.
default_role = "obj"
exclude_patterns = ["_build", "_ext"]
autodoc_default_options = {
    "members": True,
    "inherited-members": "tuple,BaseException",
}
# The docstrings say types, with shape and unit.
autodoc_typehints = "none"
numpydoc_show_class_members = False
# Without -t full, networks are trained for seconds, and their pictures show it.
sphinx_gallery_conf = gallery.settings(full=tags.has("full"))  # noqa: F821

smartquotes = False
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "skfau"
# Pages beside the folders have no section to navigate.
html_sidebars = {"*": []}
html_show_sourcelink = False
html_use_index = False
html_static_path = ["_static"]
html_css_files = ["skfau.css"]
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "show_toc_level": 2,
}
