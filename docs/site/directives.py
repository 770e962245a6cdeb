"""Sphinx: the generated parts of pages, the navigation, and a link behind each quoted value and test."""

import html
import re
from functools import cache

import generated
from conf import NAVIGATION
from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

GENERATED = {
    "catalogue-values": generated.values,
    "catalogue-diseases": generated.disease_values,
    "catalogue-products": generated.product_values,
    "table-schemas": generated.tables,
    "command-line": generated.commands,
}
VALUES_PAGE = "docs/reference_values"


class Generated(SphinxDirective):
    """A part of a page, written by the function of its name."""

    def run(self) -> list[nodes.Node]:
        """Parse what the function says."""
        return self.parse_text_to_nodes(GENERATED[self.name](), allow_section_headings=True)


def navigate(app: Sphinx, tree: nodes.document) -> None:
    """Put the navigation into the first page, whose Markdown lists the same pages for people."""
    if app.env.docname != app.config.root_doc:
        return
    for caption, pages in NAVIGATION.items():
        shown = toctree(
            caption=caption,
            rawcaption=caption,
            entries=[(title, page) for page, title in pages.items()],
            includefiles=list(pages),
            maxdepth=1,
            glob=False,
            hidden=True,
            includehidden=False,
            numbered=0,
            titlesonly=True,
            parent=app.env.docname,
        )
        tree[0] += nodes.compound("", shown, classes=["toctree-wrapper"])


@cache
def value_names() -> list[str]:
    """Return the names of all catalogue values."""
    return sorted({name for name, _ in generated.everything()})


def meant(text: str) -> str | None:
    """Return the catalogue value that a quoted name stands for; of a pattern, the first that fits."""
    if not re.fullmatch(r"[a-z_0-9]+(\.([a-z_0-9]|<[a-z]+>)+)+", text):
        return None
    pattern = re.compile(re.sub(r"<[a-z]+>", "[a-z_0-9]+", text.replace(".", r"\.")))
    return next((name for name in value_names() if pattern.fullmatch(name)), None)


def link_values(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Link each quoted catalogue value to its default, unit and source."""
    for literal in list(tree.findall(nodes.literal)):
        name = meant(literal.astext())
        linked = isinstance(literal.parent, nodes.reference) or literal.parent.get("ids")
        if name is None or linked:
            continue
        page = app.builder.get_relative_uri(docname, VALUES_PAGE)
        reference = nodes.reference(
            "", "", internal=True, refuri=f"{page}#{generated.anchor(name)}", classes=["value"]
        )
        literal.replace_self(reference)
        reference += literal


def link_equations(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Link the catalogue values that equations, plain text in blocks, read."""
    page = app.builder.get_relative_uri(docname, VALUES_PAGE)

    def linked(match: re.Match) -> str:
        name = meant(html.unescape(match[0]))
        if name is None:
            return match[0]
        return f'<a class="value" href="{page}#{generated.anchor(name)}">{match[0]}</a>'

    for block in list(tree.findall(nodes.literal_block)):
        if block.get("language", "text") not in ("text", "default"):
            continue
        text = re.sub(r"\b[a-z_]+(?:\.(?:[a-z_0-9]|&lt;[a-z]+&gt;)+)+", linked, html.escape(block.astext()))
        body = f'<div class="highlight-text notranslate"><div class="highlight"><pre>{text}</pre></div></div>'
        block.replace_self(nodes.raw("", body, format="html"))


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    for name in GENERATED:
        app.add_directive(name, Generated)
    app.connect("doctree-read", navigate, priority=100)  # before toctrees are collected
    app.connect("doctree-resolved", link_values)
    app.connect("doctree-resolved", link_equations)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
