"""The catalogue in words, for ``python -m hsc_pipeline catalogue``."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from hsc_pipeline.catalogue import (
    Value,
    default_product,
    diseases,
    layered_values,
    modification,
    modifications,
    products,
    title,
)
from hsc_pipeline.errors import UserError, suggest

HEAD = ("value", "is", "unit", "plausible", "evidence", "layer", "source")
GAP = "  "


def overview() -> str:
    """Return the diseases, products and modifications of the catalogue."""
    parts = [
        "Diseases",
        _table(
            ("name", "product", "title"),
            [(name, default_product(name), title("diseases", name)) for name in diseases()],
        ),
        "Products",
        _table(
            ("name", "modification", "for", "title"),
            [(name, modification(name), _given_for(name), title("products", name)) for name in products()],
        ),
        "Modifications",
        _table(("name", "title"), [(name, title("modifications", name)) for name in modifications()]),
    ]
    return "\n\n".join(parts)


def names() -> list[str]:
    """Return every name that `describe` takes as it stands."""
    return [*diseases(), *products(), *modifications(), *sorted({name for name, _ in everything()})]


def describe(name: str) -> str:
    """Return the values of a disease, product or modification, or the layers of a value.

    Parameters
    ----------
    name : str
        Also the beginning of values' names up to a dot, such as ``edit``.

    Raises
    ------
    UserError
        If the catalogue has nothing of this name.
    """
    kinds: tuple[tuple[list[str], Callable[[str], str]], ...] = (
        (diseases(), _disease),
        (products(), _product),
        (modifications(), _modification),
    )
    for of_kind, tell in kinds:
        if name in of_kind:
            return tell(name)
    chosen = {key: value for key, value in everything().items() if f"{key[0]}.".startswith(f"{name}.")}
    if not chosen:
        raise UserError(f"catalogue: there is no {name!r}; {suggest(name, names())}")
    return _values(chosen)


def own_entry(name: str) -> str:
    """Return what a disease or product sets itself, as an entry for the ``catalogue`` of a study file.

    Raises
    ------
    UserError
        If the catalogue has no disease or product of this name.
    """
    kinds = {"diseases": diseases(), "products": products()}
    kind = next((kind for kind, of_kind in kinds.items() if name in of_kind), None)
    if kind is None:
        known = [*kinds["diseases"], *kinds["products"]]
        raise UserError(f"catalogue --own: no disease or product is {name!r}; {suggest(name, known)}")
    import yaml

    given = {key[0]: value for key, value in sorted(everything().items()) if key[1] == f"{kind}/{name}"}
    head = {"title": title(kind, name), "like": name}
    if kind == "diseases":
        head["product"] = default_product(name)
    values = [
        f"        {key}: {_flow({'value': v.value, 'evidence': v.evidence, **_range(v), 'source': v.source})}"
        f"  # {v.unit}"
        for key, v in given.items()
    ]
    text = yaml.safe_dump({kind: {f"my_{name}": head}}, sort_keys=False, allow_unicode=True, width=1000)
    entry = "".join(f"  {line}\n" for line in text.splitlines())
    return f"catalogue:\n{entry}      values:\n" + "\n".join(values)


def _range(value: Value) -> dict:
    return {"range": list(value.range)} if value.range else {}


def _flow(entry: dict) -> str:
    import yaml

    return yaml.safe_dump(
        entry, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    ).strip()


def _disease(name: str) -> str:
    own = default_product(name)
    given = ", ".join(products(name))
    head = f"{name}: {title('diseases', name)}\nproducts: {given}; these are the values with {own}"
    return f"{head}\n\n{_listed(_holding(name, own))}"


def _product(name: str) -> str:
    layers = f"modifications/{modification(name)}", f"products/{name}"
    # What these two layers say does not depend on the disease, and none replaces the product's word.
    disease = next(d for d, found in _by_disease().items() if name in found)
    own = {key: value for key, value in _holding(disease, name).items() if key[1] in layers}
    head = f"{name}: {title('products', name)}\nmodification: {modification(name)}; for {_given_for(name)}"
    return f"{head}\n\n{_listed(own)}"


def _modification(name: str) -> str:
    given = [product for product in products() if modification(product) == name]
    head = f"{name}: {title('modifications', name)}\nproducts: {', '.join(given)}"
    own = {key: value for key, value in everything().items() if key[1] == f"modifications/{name}"}
    return f"{head}\n\n{_listed(own)}"


def _values(chosen: dict[tuple[str, str], Value]) -> str:
    meanings = {name: value.meaning for (name, _), value in chosen.items()}
    choices = {name: value.allowed for (name, _), value in chosen.items() if value.allowed}
    said = [
        f"{name}: {meaning}" + (f"; one of {', '.join(choices[name])}" if name in choices else "")
        for name, meaning in meanings.items()
    ]
    return "\n".join(said) + f"\n\n{_listed(chosen)}"


@cache
def everything() -> dict[tuple[str, str], Value]:
    """Return every value by its name and layer."""
    return {
        (name, layer): value
        for disease, found in _by_disease().items()
        for product in found
        for name, given in layered_values(disease, product).items()
        for layer, value in given.items()
    }


def _holding(disease: str, product: str) -> dict[tuple[str, str], Value]:
    """Return the values of a product given for a disease, by name and the layer that holds."""
    return {
        (name, list(given)[-1]): list(given.values())[-1]
        for name, given in layered_values(disease, product).items()
    }


def _listed(values: dict[tuple[str, str], Value]) -> str:
    if not values:
        return "It sets no value."
    counts = Counter(value.evidence for value in values.values())
    said = ", ".join(f"{n} {evidence}" for evidence, n in counts.most_common())
    rows = [_row(name, layer, value) for (name, layer), value in sorted(values.items())]
    return f"{_table(HEAD, rows)}\n\n{len(values)} values: {said}"


def _row(name: str, layer: str, value: Value) -> tuple[str, ...]:
    least, most = value.range or (None, None)
    span = "" if least is None else f"{least:g} to {most:g}"
    return name, _number(value.value), value.unit, span, value.evidence, layer, value.source


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _given_for(product: str) -> str:
    given = [disease for disease, found in _by_disease().items() if product in found]
    return "any disease" if given == diseases() else ", ".join(given)


@cache
def _by_disease() -> dict[str, list[str]]:
    return {disease: products(disease) for disease in diseases()}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows in columns as wide as they need; the last one is free."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head) - 1)]
    return "\n".join(
        GAP.join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )
