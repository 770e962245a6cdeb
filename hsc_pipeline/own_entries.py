"""Diseases and products that a study file brings itself, beside those of the catalogue.

They are written as in the catalogue, and say what they are like: all that they do not give is that
entry's, or where they name none, that of a healthy person and of a modification.
"""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from hsc_pipeline import catalogue
from hsc_pipeline.catalogue import Layer, Value
from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.strict import Name, Strict

LIKE_NONE = "healthy"  # takes the products that are for any disease
# What makes a disease: one that is like no other must say it.
NEEDED = (
    "cohort.age_median",
    "cohort.age_min",
    "cohort.age_max",
    "conditioning.busulfan_auc",
    "benefit.readout",
    "benefit.lineage",
    "benefit.corrected_fraction",
    "benefit.function",
)


class OwnValue(Strict):
    """A value with what is known of it; unit and meaning are the catalogue's."""

    value: float | str = Field(description="A number in the catalogue's unit, or one of its choices.")
    evidence: Literal["published", "computed", "derived", "assumed"] = Field(
        description="How it is known; see the catalogue."
    )
    source: str = Field(
        min_length=1, max_length=1000, description="Where it was read, or what it was derived from."
    )
    range: tuple[float, float] | None = Field(None, description="Plausible least and most, for sensitivity.")

    @field_validator("value", mode="before")
    @classmethod
    def _number(cls, given: object) -> object:
        """Take text such as 4.5e6, which YAML does not read as a number, as one."""
        if isinstance(given, str) and re.fullmatch(r"[-+]?\d+\.?\d*[eE][-+]?\d+", given):
            return float(given)
        return given


class OwnDisease(Strict):
    """A disease that the catalogue does not have."""

    title: str = Field(min_length=1, max_length=200, description="The disease in words, for the report.")
    like: str | None = Field(
        None, description="A disease of the catalogue that gives all values not named here; none by default."
    )
    product: str | None = Field(
        None, description="The product that its studies give by default; that of `like` if not named."
    )
    values: dict[str, OwnValue] = Field(
        default_factory=dict, description="What is known of it, by names of the catalogue."
    )


class OwnProduct(Strict):
    """A product that the catalogue does not have."""

    title: str = Field(min_length=1, max_length=200, description="The product in words, for the report.")
    like: str | None = Field(
        None, description="A product of the catalogue that gives all values not named here; none by default."
    )
    modification: str | None = Field(
        None, description="How its cells are modified, a word of the catalogue; as in `like` if not named."
    )
    values: dict[str, OwnValue] = Field(
        default_factory=dict, description="What is known of it, by names of the catalogue."
    )


class Entries(Strict):
    """The catalogue with the entries of a study file beside its own."""

    diseases: dict[Name, OwnDisease] = Field(
        default_factory=dict, description="Diseases by name, for `disease`."
    )
    products: dict[Name, OwnProduct] = Field(
        default_factory=dict,
        description="Products by name, for `product`; they may be given for any disease.",
    )

    def title(self, kind: str, name: str) -> str:
        """Return in words what a disease or product is; `kind` is ``diseases`` or ``products``."""
        own = getattr(self, kind).get(name)
        return own.title if own else catalogue.title(kind, name)

    def default_product(self, disease: str) -> str:
        """Return the product that a study of `disease` gives unless it names another.

        Raises
        ------
        UserError
            If there is no such disease, or an own one leads to no product.
        """
        own = self.diseases.get(disease)
        if own is None:
            return catalogue.default_product(self._known("diseases", disease))
        if own.product is None and own.like is None:
            raise UserError(
                f"catalogue.diseases.{disease}: has neither product nor like; name the product of its studies"
            )
        return own.product or catalogue.default_product(own.like)

    def modification(self, product: str) -> str:
        """Return how the cells of a product are modified.

        Raises
        ------
        UserError
            If there is no such product, or an own one does not tell.
        """
        own = self.products.get(product)
        if own is None:
            return catalogue.modification(self._known("products", product))
        if own.modification is None and own.like is None:
            raise UserError(
                f"catalogue.products.{product}: has neither modification nor like; "
                f"allowed as modification: {', '.join(catalogue.modifications())}"
            )
        return own.modification or catalogue.modification(own.like)

    def values_for(self, disease: str, product: str | None = None) -> dict[str, Value]:
        """Return every value of a product given for a disease, by dotted name.

        Raises
        ------
        UserError
            If there is no such product for the disease, or an own entry has a value that cannot be.
        """
        default = self.default_product(disease)  # also whether there is such a disease
        product = product or default
        self._check_given(disease, product)
        way = self.modification(product)
        layers = [
            *catalogue.general_layers(),
            catalogue.layer("modifications", way),
            *self._layers("diseases", disease),
            *self._layers("products", product),
        ]
        return catalogue.last_values(layers, product, way)

    def check(self) -> None:
        """Refuse names that the catalogue has already, and entries like none that it has.

        Raises
        ------
        UserError
        """
        for kind in ("diseases", "products"):
            for name, own in getattr(self, kind).items():
                self._check_names(f"catalogue.{kind}.{name}", kind, name)
                layers = catalogue.general_layers()
                if kind == "products":
                    layers.append(catalogue.layer("modifications", self.modification(name)))
                known = catalogue.last_values([*layers, *self._near(kind, name)])
                _check_values(f"catalogue.{kind}.{name}.values", own.values, known)

    def _check_names(self, where: str, kind: str, name: str) -> None:
        own, names = getattr(self, kind)[name], getattr(catalogue, kind)()
        if name in names:
            raise UserError(f"{where}: the catalogue has one of this name; choose another")
        if own.like is not None and own.like not in names:
            raise UserError(f"{where}.like: the catalogue has no {own.like!r}; {suggest(own.like, names)}")
        if kind == "products":
            ways = catalogue.modifications()
            if own.modification not in (None, *ways):
                raise UserError(
                    f"{where}.modification: the catalogue has no {own.modification!r}; "
                    f"{suggest(own.modification, ways)}"
                )
        elif own.like is None and (missing := [name for name in NEEDED if name not in own.values]):
            raise UserError(f"{where}: is like no other and lacks {', '.join(missing)}")

    def _known(self, kind: str, name: str) -> str:
        """Return a name that the catalogue has."""
        names = getattr(catalogue, kind)()
        if name not in names:
            # As in the catalogue, with the study's own names among those suggested.
            raise UserError(
                f"{kind[:-1]}: the catalogue has no {name!r}; {suggest(name, [*names, *getattr(self, kind)])}"
            )
        return name

    def _check_given(self, disease: str, product: str) -> None:
        """Refuse a product of the catalogue that is not for this disease, nor for the one that it is like."""
        if product in self.products:
            return
        own = self.diseases.get(disease)
        given = catalogue.products((own.like or LIKE_NONE) if own else disease)
        if product not in given:
            names = [*given, *self.products]
            raise UserError(
                f"product: the catalogue has no {product!r} for {disease}; {suggest(product, names)}"
            )

    def _layers(self, kind: str, name: str) -> list[Layer]:
        """Return the layers of a disease or product: what it is like, then its own."""
        own = getattr(self, kind).get(name)
        if own is None:
            return [catalogue.layer(kind, name)]
        entries = {key: value.model_dump(exclude_none=True) for key, value in own.values.items()}
        return [*self._near(kind, name), (f"{kind}/{name}", entries)]

    def _near(self, kind: str, name: str) -> list[Layer]:
        own = getattr(self, kind)[name]
        return [catalogue.layer(kind, own.like)] if own.like else []


def _check_values(where: str, values: Mapping[str, OwnValue], known: Mapping[str, Value]) -> None:
    for name, given in values.items():
        if name not in known and any(
            name in catalogue.layer("modifications", way)[1] for way in catalogue.modifications()
        ):
            raise UserError(
                f"{where}: {name} comes with how cells are modified; give it to a product that has it"
            )
        if name not in known:
            raise UserError(f"{where}: the catalogue has no value {name!r}; {suggest(name, list(known))}")
        for number in (given.value, *(given.range or ())):
            if problem := known[name].problem(number):
                shown = repr(number) if isinstance(number, str) else f"{number:g}"
                raise UserError(f"{where}: {name} = {shown}; {problem}")
        if given.range and not given.range[0] <= float(given.value) <= given.range[1]:
            raise UserError(f"{where}: {name} = {given.value:g} lies outside its range {list(given.range)}")
