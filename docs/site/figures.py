"""Drawings of the default study for the documents, cut from its report.

``python docs/site/figures.py results/was_lentiviral/report.html`` writes them to docs/images.
"""

import re
import sys
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[1] / "images"
FIGURES = {
    "marking": "vcn_by_lineage",
    "benefit": "benefit",
}


def drawing(page: str, name: str) -> str:
    """Return the still drawing of a figure of a report."""
    figure = page.partition(f'<figure data-name="{name}"')[2].partition("</figure>")[0]
    found = re.search(r"<svg.*</svg>", figure, re.DOTALL)
    if found is None:
        raise SystemExit(f"the report has no figure {name!r}")
    return found.group() + "\n"


def main(report: str) -> None:
    """Write every drawing that the documents show."""
    page = Path(report).read_text(encoding="utf-8")
    for name, file in FIGURES.items():
        (IMAGES / f"{file}.svg").write_text(drawing(page, name), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
