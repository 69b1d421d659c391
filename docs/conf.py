"""The settings of the site: `sphinx-build -W --keep-going -c docs . build/site` builds it.

The pages are Markdown, so that a code host shows them as well, and they stand where they belong in
the repository. So the root of the sources is the repository's root. CONTRIBUTING.md says how to add
a page. docs/check_site.py looks at what was built.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

import nncore

project = "nncore"
author = "nncore developers"
copyright = author
release = nncore.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    # In docs/extensions/:
    "code_blocks",
    "command_line",
    "front_page",
    "interactive",
    "languages",
    "public_names",
    "source_files",
]

# What is read, and in which folders Sphinx need not look for it.
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "README.ko.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "examples/**.md",
    "benchmarks/*.md",
    "benchmarks/results/*.md",
    "nncore/pretrained/README.md",
]
exclude_patterns = [".*", "build", "dist", "ext", "tests", "tools", "**/__pycache__"]

# Texts stay as they are written: "--data" is no dash.
smartquotes = False

# A link to a heading must name one: MyST then warns of all others, and -W makes that an error.
nitpicky = True
myst_heading_anchors = 4

# Types stand in the docstrings, in words; a signature has names and defaults.
default_role = "public-name"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_attributes_as_param_list = True

html_theme = "furo"
html_title = "nncore"
pygments_dark_style = "monokai"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sphinx = False
html_copy_source = False
