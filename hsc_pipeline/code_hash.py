"""A hash of the code that a stage runs, so that what must rerun reruns and nothing else does.

Snakemake sees changes of rules and scripts, not of the package they import.  The hash covers the
syntax trees of a module and of all it imports from this package; comments, docstrings and
layout do not count.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def code_hash(*modules: str) -> str:
    """Return a short hash of modules (``"product"``, ``"blood.lineages"``) and what they import."""
    found: set[str] = set()
    todo = [f"{PACKAGE.name}.{module}" for module in modules]
    while todo:
        module = todo.pop()
        if module not in found and _file(module):
            found.add(module)
            todo.extend(_imports(module))
    digest = hashlib.sha256()
    for module in sorted(found):
        digest.update(f"{module}\n{_tree(module)}\n".encode())
    return digest.hexdigest()[:16]


@cache
def _file(module: str) -> Path | None:
    """Return the source file of a module, or None where the name is not a module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _parsed(module: str) -> ast.Module:
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
    return tree


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@cache
def _tree(module: str) -> str:
    return ast.dump(_parsed(module))


@cache
def _imports(module: str) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(_parsed(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.split(".")[0] == PACKAGE.name)
