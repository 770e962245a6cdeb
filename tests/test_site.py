"""The documents as a site: built without a warning, and read without a network."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(
    not all(find_spec(name) for name in ("sphinx", "furo", "myst_parser")),
    reason="needs the tools of requirements-docs.lock: make docs",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"),
            *("--doctree-dir", folder / "trees", "--conf-dir", "docs/site", ".", folder / "site"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "site"


def pages(site: Path) -> list[Path]:
    found = sorted(site.rglob("*.html"))
    assert len(found) > 50
    return found


def test_no_page_fetches_anything_from_elsewhere(site):
    loads = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
    away = re.compile(r"(?:https?:)?//")
    assert not [
        (page.name, address)
        for page in pages(site)
        for address in loads.findall(page.read_text(encoding="utf-8"))
        if away.match(address)
    ]
    assert not [
        style
        for style in site.rglob("*.css")
        if re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text(encoding="utf-8"))
    ]


def test_every_link_within_the_site_arrives(site):
    """Links to pages, to values and to lines of source, which the builder itself does not check."""
    names: dict[Path, set[str]] = {}
    lost = []
    for page in pages(site):
        if page.relative_to(site).parts[0] in ("source", "genindex.html", "search.html"):
            continue
        for address in re.findall(r"<a\b[^>]*?\bhref=\"([^\"]+)\"", page.read_text(encoding="utf-8")):
            if re.match(r"https?:", address):
                continue
            path, _, name = address.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.is_file():
                lost.append((page.name, address))
            elif name and target.suffix == ".html":
                if target not in names:
                    text = target.read_text(encoding="utf-8")
                    names[target] = set(re.findall(r"\b(?:id|name)=\"([^\"]+)\"", text))
                if name not in names[target]:
                    lost.append((page.name, address))
    assert not lost


def test_a_quoted_value_leads_to_its_default_and_source(site):
    blood = (site / "docs/blood.html").read_text(encoding="utf-8")
    link = 'href="reference_values.html#value-blood-half-output-share"'
    assert blood.count(link) >= 2  # in an equation, and in a sentence or table
    values = (site / "docs/reference_values.html").read_text(encoding="utf-8")
    row = values.partition('id="value-blood-half-output-share"')[2].partition("</tr>")[0]
    assert "assumed" in row or "derived" in row or "published" in row


def test_the_first_address_leads_to_the_first_page(site):
    assert 'url=docs/index.html"' in (site / "index.html").read_text()
    assert (site / "docs/index.html").is_file()
