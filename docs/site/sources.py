"""Sphinx: pages of the source files that the documents link to, since no code host is known."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.application import Sphinx
from sphinx.util.matching import patmatch

REPOSITORY = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(?:#[^)\s]*)?(?=\))")
OTHER_LEXERS = {".smk": "x.py", "Snakefile": "x.py", "Makefile": "Makefile"}


def point_to_sources(app: Sphinx, docname: str, text: list[str]) -> None:
    """Let links to files that are no pages lead to ``source:path``."""
    folder = Path(app.env.doc2path(docname)).parent
    pages = app.config.include_patterns

    def pointed(link: re.Match) -> str:
        path = os.path.relpath((folder / link[1]).resolve(), REPOSITORY)
        file = _file_of(path)
        if any(patmatch(path, pattern) for pattern in pages) or file is None or file.suffix == ".svg":
            return link[0]
        return f"source:{file}"

    text[0] = LINK.sub(pointed, text[0])


def _file_of(path: str) -> Path | None:
    """Return the file of a path, of a package its first module, of another folder None."""
    found = REPOSITORY / path
    if found.is_dir():
        found = found / "__init__.py"
    return found.relative_to(REPOSITORY) if found.is_file() else None


def resolve(app: Sphinx, tree: nodes.document, docname: str) -> None:
    """Turn ``source:path`` into the address of its page, and link quoted tests to where they stand."""
    for reference in tree.findall(nodes.reference):
        uri = reference.get("refuri", "")
        if uri.startswith("source:"):
            reference["refuri"] = _address(app, docname, uri.removeprefix("source:"))
            reference["internal"] = True
    for literal in list(tree.findall(nodes.literal)):
        place = _tests().get(literal.astext())
        if place and not isinstance(literal.parent, nodes.reference):
            path, line = place
            linked = nodes.reference(
                "", "", internal=True, refuri=f"{_address(app, docname, path)}#line-{line}"
            )
            literal.replace_self(linked)
            linked += literal


def _address(app: Sphinx, docname: str, path: str) -> str:
    _linked(app).add(path)
    return app.builder.get_relative_uri(docname, f"source/{path}")


def _linked(app: Sphinx) -> set[str]:
    if not hasattr(app, "linked_sources"):
        app.linked_sources = set()
    return app.linked_sources


_found: dict[str, tuple[str, int]] = {}


def _tests() -> dict[str, tuple[str, int]]:
    """Return file and line of every test, by name."""
    if not _found:
        for path in sorted(REPOSITORY.glob("tests/test_*.py")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if match := re.match(r"def (test_\w+)\(", line):
                    _found[match[1]] = (str(path.relative_to(REPOSITORY)), number)
    return _found


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """Give each linked source file a page."""
    formatter = HtmlFormatter(linenos="inline", lineanchors="line")
    for path in sorted(_linked(app)):
        file = REPOSITORY / path
        code = highlight(file.read_text(encoding="utf-8"), _lexer(file), formatter)
        body = f"<h1>{path}</h1>\n{code}"
        yield f"source/{path}", {"title": path, "body": body}, "page.html"


def _lexer(file: Path) -> object:
    name = OTHER_LEXERS.get(file.suffix) or OTHER_LEXERS.get(file.name) or file.name
    try:
        return get_lexer_for_filename(name)
    except ClassNotFound:
        return TextLexer()


def setup(app: Sphinx) -> dict:
    """Register with Sphinx."""
    app.connect("source-read", point_to_sources)
    app.connect("doctree-resolved", resolve)
    app.connect("html-collect-pages", source_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
