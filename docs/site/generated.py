"""Pages of the reference as Markdown: from the catalogue, the table schemas and the command line."""

import argparse
import importlib
import pkgutil
from collections.abc import Iterable

import hsc_pipeline
from hsc_pipeline.__main__ import build_parser
from hsc_pipeline.catalogue import (
    Value,
    default_product,
    diseases,
    modification,
    modifications,
    products,
    title,
)
from hsc_pipeline.catalogue.listing import everything
from hsc_pipeline.tables import Column, Table

OWN = ("diseases/", "products/")


def anchor(name: str) -> str:
    """Return the name by which a page links to a catalogue value."""
    return "value-" + name.replace(".", "-").replace("_", "-")


def values() -> str:
    """Return every value by subject, as the general layers and the modifications give it."""
    kept = {key: value for key, value in sorted(everything().items()) if not key[1].startswith(OWN)}
    subjects = dict.fromkeys(name.partition(".")[0] for name, _ in kept)
    parts = []
    for subject in subjects:
        own = {key: value for key, value in kept.items() if key[0].partition(".")[0] == subject}
        parts += [f"## {subject}", _value_table(own, anchored=True)]
    return "\n\n".join(parts)


def disease_values() -> str:
    """Return what each disease sets."""
    return "\n\n".join(
        f"## {name}\n\n{title('diseases', name)}; its own product is [{default_product(name)}]"
        f"(reference_products.md#{_slug(default_product(name))}).\n\n{_value_table(_of(f'diseases/{name}'))}"
        for name in diseases()
    )


def product_values() -> str:
    """Return what each modification and each product sets."""
    parts = ["## Modifications"]
    for name in modifications():
        parts += [
            f"### {name}",
            _sentence(title("modifications", name)),
            _value_table(_of(f"modifications/{name}")),
        ]
    parts.append("## Products")
    for name in products():
        given = [disease for disease in diseases() if name in products(disease)]
        to = "any disease" if given == diseases() else ", ".join(given)
        parts += [
            f"### {name}",
            f"{_sentence(title('products', name))} Modification: {modification(name)}. For: {to}.",
            _value_table(_of(f"products/{name}")),
        ]
    return "\n\n".join(parts)


def commands() -> str:
    """Return the help of every command, as the command line prints it."""
    parser = build_parser()
    subcommands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    return "\n\n".join(f"## {name}\n\n```\n{_help(command)}```" for name, command in subcommands.items())


def tables() -> str:
    """Return every column of every table that stages leave, in order of the package's modules."""
    return "\n\n".join(
        f"## {table.name}\n\nA row is one {' x '.join(table.key)}; defined in `{module}`.\n\n"
        + _rows(
            ("column", "type", "unit", "meaning"), (_column(name, c) for name, c in table.columns.items())
        )
        for module, table in found_tables()
    )


def found_tables() -> list[tuple[str, Table]]:
    """Return the tables of the package with the module that first holds each."""
    found: dict[int, tuple[str, Table]] = {}
    for info in pkgutil.walk_packages(hsc_pipeline.__path__, "hsc_pipeline."):
        if info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, Table):
                found.setdefault(id(value), (info.name, value))
    return sorted(found.values(), key=lambda pair: (pair[1].name, pair[0]))


def _help(command: argparse.ArgumentParser) -> str:
    formatter = argparse.HelpFormatter(command.prog, width=100)
    command.formatter_class = lambda prog: formatter
    return command.format_help()


def _of(layer: str) -> dict[tuple[str, str], Value]:
    return {key: value for key, value in sorted(everything().items()) if key[1] == layer}


def _value_table(given: dict[tuple[str, str], Value], anchored: bool = False) -> str:
    if not given:
        return "It sets no value."
    seen: set[str] = set()
    rows = []
    for (name, layer), value in given.items():
        label = f"[`{name}`]{{#{anchor(name)}}}" if anchored and name not in seen else f"`{name}`"
        place = f" *{layer.partition('/')[2]}*" if layer.startswith("modifications/") else ""
        rows.append(
            (f"{label}{place}<br>{_cell(value.meaning)}", _amount(value), value.evidence, _cell(value.source))
        )
        seen.add(name)
    return _rows(("value", "default", "evidence", "source"), rows)


def _amount(value: Value) -> str:
    if value.allowed:
        return f"{value.value}<br>of {', '.join(value.allowed)}"
    span = f"<br>{value.range[0]:g} to {value.range[1]:g}" if value.range else ""
    unit = "" if value.unit in ("ratio", "fraction", "exponent") else f" {value.unit}"
    return f"{value.value:g}{unit}{span}"


def _column(name: str, column: Column) -> tuple[str, ...]:
    ends = [f"{end:g}" for end in (column.least, column.most) if end is not None]
    limits = f"; from {' to '.join(ends)}" if ends else ""
    empty = "; may be empty" if column.nullable else ""
    return f"`{name}`", str(column.type), column.unit, f"{_cell(column.meaning)}{limits}{empty}"


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    for mark in "\\`*_<[|$":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _slug(name: str) -> str:
    return name.lower()
