"""Sphinx reads this in build/site-source, where `make site` has put the pages and the chapters beside it."""

import re
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import commands

project = "Cost Optimization & Scaling"
author = copyright = "The Unit 5.4 authors"
release = metadata.version("course-utils")

extensions = ["myst_nb", "sphinx.ext.autodoc"]
templates_path = ["_templates"]
exclude_patterns = ["_templates"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the chapters bring their outputs
nb_merge_streams = True
highlight_language = "none"  # shells and tables, where a page doesn't say python

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True  # as the source has them, not as an object at an address
autodoc_inherit_docstrings = False
add_module_names = False
suppress_warnings = ["ref.python"]  # a type's short name that two packages use


html_theme = "sphinx_book_theme"
html_title = "Cost Optimization & Scaling"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": True,
    "search_bar_text": "Search the course",
}
html_context = {"default_mode": "light"}  # the figures are drawn on white
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_copy_source = False
# Two pages of names alone, the heaviest of the site; the search finds them.
html_use_index = False
html_domain_indices = False


_CODE = re.compile(r"(`[^`]+`)")
_NAMED = re.compile(r"^[a-z][\w\\, …]*: ", re.MULTILINE)


def plain(app, what, name, thing, options, lines):
    """Docstrings are written to be read as they stand: code in `single` ticks, all other signs mean themselves."""
    paragraphs = "\n".join(lines).strip().split("\n\n")
    lines[:] = "\n\n".join(map(_paragraph, paragraphs)).split("\n")


def _paragraph(text):
    if re.search(
        r"^(\s|- |\d+\. )|\s{3,}\S", text, re.MULTILINE
    ):  # laid out by its writer: a list, a table, code
        return "::\n\n" + "\n".join("    " + line for line in text.splitlines())
    parts = _CODE.split(text)
    text = "".join(f"`{part}`" if part[:1] == "`" else re.sub(r"([*|_\\`])", r"\\\1", part) for part in parts)
    if len(_NAMED.findall(text)) > 1:  # "name: what it is", line by line
        text = "\n".join(f"| {line}" for line in text.splitlines())
    return text


def command_line(app, name, text):
    if name == "commands":
        text[0] = text[0].replace("{{commands}}", commands.page())


def setup(app):
    app.connect("autodoc-process-docstring", plain)
    app.connect("source-read", command_line)
