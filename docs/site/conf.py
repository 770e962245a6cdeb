"""The documentation as a site: ``make docs``.

The source is the repository, so that links between pages are the same here and where Markdown is read
as it stands.  Nothing is fetched, neither when the site is built nor when it is read.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from hsc_pipeline import __version__

project = "hsc_pipeline"
version = release = __version__
author = copyright = "The hsc_pipeline developers"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "directives", "sources"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "config/README.md", "results/README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [".*", "build", "results/*/**", "benchmarks", "tests"]

# Headings, with pages and their short titles.  A page that is in no list fails the build.
NAVIGATION = {
    "Begin": {"docs/tutorial": "Tutorial", "docs/limits": "Limits"},
    "How to": {
        "docs/howto_own_disease": "One's own disease",
        "docs/howto_own_product": "One's own product",
        "docs/howto_own_tables": "One's own tables of clones",
        "docs/howto_sweep": "Sweep a design",
        "docs/howto_alarm_schedule": "Choose alarm and schedule",
        "docs/howto_calibrate": "Fit the model to patients",
        "docs/howto_cluster": "Use a cluster",
    },
    "The model": {
        "docs/chain": "How it hangs together",
        "docs/plan": "Plan",
        "docs/product": "Product",
        "docs/engraftment": "Engraftment",
        "docs/engine": "Engine",
        "docs/blood": "Blood",
        "docs/immunity": "Immunity",
        "docs/immunity_reconstitution": "Immunity: reconstitution",
        "docs/immunity_challenge": "Immunity: pathogens",
        "docs/immunity_repertoire": "Immunity: repertoire",
        "docs/immunity_vaccine": "Immunity: vaccines",
        "docs/immunity_tolerance": "Immunity: tolerance",
        "docs/immunity_infection": "Immunity: infections",
        "docs/immunity_score": "Immunity: score",
        "docs/outcomes": "Outcomes",
        "docs/points": "Points",
        "docs/models": "Models",
        "docs/models_early": "Models: early prediction",
        "docs/models_sensitivity": "Models: sensitivity",
        "docs/trials": "Trials",
        "docs/report": "Report",
    },
    "Measured clones": {
        "docs/tracking": "Tracking",
        "docs/tracking_example": "A tracking run",
        "docs/calibration": "Calibration",
        "docs/formats": "Formats",
    },
    "Trust": {
        "docs/validation": "Validation",
        "docs/reproducibility": "Reproducibility",
        "docs/reliability": "Reliability",
        "docs/decisions": "Decisions",
    },
    "Reference": {
        "config/README": "Study files",
        "docs/catalogue": "Catalogue",
        "docs/reference_values": "Values",
        "docs/reference_diseases": "Diseases",
        "docs/reference_products": "Products",
        "docs/reference_tables": "Tables",
        "docs/reference_commands": "Commands",
        "docs/reference_python": "Python",
        "results/README": "Results",
    },
    "Develop": {
        "docs/developing": "Developer guide",
        "CONTRIBUTING": "Contributing",
        "CHANGELOG": "Changes",
    },
}

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "source": None}
suppress_warnings = ["myst.header"]  # config/README.md has a title for each kind of file
highlight_language = "text"
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures stay readable; docstrings say the types
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"hsc_pipeline {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_additional_pages = {"index": "to_the_first_page.html"}
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
