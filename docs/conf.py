"""Sphinx builds the site from the pages in this folder: `make docs`."""

from flows import __version__

project = "Taxi Flows"
copyright = "the authors of Taxi Flows"
release = version = __version__

extensions = ["myst_parser"]
nitpicky = True

# Headings have the anchors that GitHub gives them, so that a link works in both.
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"Taxi Flows {version}"
html_copy_source = False
html_show_sphinx = False
