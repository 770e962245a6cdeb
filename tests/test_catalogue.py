"""The catalogue: every number with unit, evidence, source and meaning, in layers, in bounds of its own."""

import itertools
import math
import re
from pathlib import Path

import pytest

from hsc_pipeline.__main__ import main
from hsc_pipeline.catalogue import (
    CHOICE,
    EVIDENCE,
    FOLDER,
    UNITS,
    Value,
    default_product,
    diseases,
    layered_values,
    modification,
    modifications,
    products,
    tables,
    title,
    values_for,
)
from hsc_pipeline.catalogue.listing import describe, overview
from hsc_pipeline.chain import simulate_arm
from hsc_pipeline.errors import UserError
from hsc_pipeline.plan import plan_patients
from hsc_pipeline.prior import CHOSEN
from hsc_pipeline.product import EDITS, VECTORS, editing, make_products
from hsc_pipeline.product.vector import solve_dispersion
from hsc_pipeline.settings import Settings
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study import load_study

REPOSITORY = Path(__file__).parents[1]
GIVEN = [(disease, product) for disease in diseases() for product in products(disease)]
LAYERED = {
    (name, layer): value
    for disease, product in GIVEN
    for name, layers in layered_values(disease, product).items()
    for layer, value in layers.items()
}
LAYERS = sorted({layer for _, layer in LAYERED})
CHROMOSOMES = dict(tables()["chromosomes"]["rows"])

each_given = pytest.mark.parametrize(("disease", "product"), GIVEN, ids=map("-".join, GIVEN))


def of(kinds):
    """The products of some modifications, with the diseases that they are given for."""
    return [(d, p) for d, p in GIVEN if modification(p) in kinds]


def said_by(layer):
    """The values of a layer, by name."""
    return [(name, value) for (name, where), value in LAYERED.items() if where == layer]


def study(disease, product):
    content = {
        "kind": "study",
        "schema_version": 1,
        "name": "entry",
        "seed": 20261123,
        "disease": disease,
        "patients": 2,
        "visits_months": [1, 6, 24],
        "arms": [{"name": "arm", "product": product}],
    }
    return load_study(content)


# Values


@pytest.mark.parametrize("layer", LAYERS)
def test_every_value_has_unit_evidence_source_and_meaning(layer):
    for name, value in said_by(layer):
        assert value.unit in UNITS, name
        assert value.evidence in EVIDENCE, name
        assert value.evidence != "study file", name
        assert value.source.strip(), name
        assert value.meaning.strip(), name
        assert value.problem(value.value) is None, name
        # What is recalled has not been read.
        assert value.evidence not in ("published", "computed") or "recalled" not in value.source, name


@pytest.mark.parametrize("layer", LAYERS)
def test_a_plausible_range_holds_its_value_and_is_possible(layer):
    for name, value in said_by(layer):
        if value.range is None:
            continue
        least, most = value.range
        assert least <= value.value <= most, name
        assert least < most, name
        assert value.problem(most) is None, name
        # A range may begin at a limit that the unit itself leaves out.
        assert value.problem(least) is None or least == UNITS[value.unit][0], name


def test_a_neutral_value_is_not_uncertain():
    """Drawn from a range, the red cells of a disease that spares them would live ten days."""
    neutral = {(n, layer): v for (n, layer), v in LAYERED.items() if v.source.startswith("neutral")}
    assert len(neutral) > 40
    assert [key for key, v in neutral.items() if v.range and not key[0].startswith(CHOSEN)] == []


def test_every_value_is_read_by_a_stage():
    """A number that no stage reads would look like a choice and change nothing."""
    read = tuple(beginning for stage in STAGES.values() for beginning in stage.values)
    assert {name for name, _ in LAYERED if not name.startswith(read)} == set()


def test_every_layer_gives_a_value_in_the_same_unit_and_from_the_same_choices():
    for name in {name for name, _ in LAYERED}:
        said = [value for key, value in LAYERED.items() if key[0] == name]
        assert len({value.unit for value in said}) == 1, name
        assert len({value.allowed for value in said}) == 1, name
        assert (said[0].unit == CHOICE) == (said[0].allowed is not None), name


# Layers


def test_a_later_layer_replaces_an_earlier_one():
    """General, modification, disease, product: the last that speaks holds."""
    layers = layered_values("ada_scid", "ada_gammaretroviral")
    assert list(layers["product.source"]) == ["graft", "diseases/ada_scid"]
    assert list(layers["product.cd34_per_kg"]) == ["graft", "products/ada_gammaretroviral"]
    assert list(layers["product.mean_copies"]) == [
        "modifications/gammaretroviral",
        "products/ada_gammaretroviral",
    ]
    assert list(layers["disease.odds_ratio.cd4_t"]) == ["disease", "diseases/ada_scid"]
    conditioning = layered_values("x_scid", "x_scid_gammaretroviral")["conditioning.busulfan_auc"]
    assert list(conditioning) == ["conditioning", "diseases/x_scid", "products/x_scid_gammaretroviral"]
    values = values_for("x_scid", "x_scid_gammaretroviral")
    assert values["conditioning.busulfan_auc"].value == 0
    assert values_for("x_scid")["conditioning.busulfan_auc"].value == 22


@each_given
def test_values_of_a_modification_exist_in_its_own_arms_only(disease, product):
    """A disease that set a vector's value would give it to a transplant, too."""
    names = values_for(disease, product).keys()
    kind = modification(product)
    assert values_for(disease, product)["product.modification"].value == kind
    assert ("vector.promoter" in names) == ("product.mean_copies" in names) == (kind in VECTORS)
    assert ("edit.intended" in names) == ("expression.full" in names) == (kind in EDITS)


@pytest.mark.parametrize("family", [VECTORS, EDITS], ids=["vectors", "edits"])
def test_modifications_of_one_family_give_the_same_values(family):
    """The stage reads the same names whichever of them a product has."""
    names = {kind: {name for name, layer in LAYERED if layer == f"modifications/{kind}"} for kind in family}
    if "hdr" in names:  # nothing else copies a template in
        templates = {name for name in names["hdr"] if name.startswith("edit.template")}
        assert len(templates) == 7
        names["hdr"] -= templates
    first = names[family[0]]
    assert len(first) > 10
    assert all(other == first for other in names.values())


def test_modifications_are_those_that_the_product_stage_knows():
    assert set(modifications()) == {*VECTORS, *EDITS, "unmodified", "none"}
    assert {modification(product) for product in products()} == set(modifications())


# Diseases and products


@pytest.mark.parametrize("disease", diseases())
def test_every_disease_has_a_title_a_product_of_its_own_and_possible_patients(disease):
    assert title("diseases", disease)
    assert default_product(disease) in products(disease)
    values = values_for(disease)
    ages = [values[f"cohort.age_{name}"].value for name in ("min", "median", "max")]
    assert ages == sorted(ages)
    assert {"allogeneic", "autologous", "no_infusion"} <= set(products(disease))
    # The neutral defaults are a healthy person's: a disease that says nothing of its own would be none.
    own = {name for name, layer in LAYERED if layer == f"diseases/{disease}"}
    assert disease == "healthy" or len(own) > 8


@pytest.mark.parametrize("product", products())
def test_every_product_has_a_title_and_known_diseases(product):
    assert title("products", product)
    given = [disease for disease in diseases() if product in products(disease)]
    assert given
    text = (FOLDER / f"products/{product}.yaml").read_text()
    named = re.search(r"^diseases: \[(.*)\]$", text, re.MULTILINE)
    assert set(given) == (set(named[1].split(", ")) if named else set(diseases()))


@pytest.mark.parametrize(("disease", "product"), of(VECTORS))
def test_mean_copies_can_transduce_the_given_fraction(disease, product):
    values = values_for(disease, product)
    k = solve_dispersion(values["product.mean_copies"].value, values["product.transduced_fraction"].value)
    # Single colonies of six patients lie at 0.6-0.9; products of 90 % transduced cells need more.
    assert 0.3 < k < 20


# What the source of an editing product says of its alleles: in the product, and in the long-term graft.
ALLELES = {
    "bcl11a_crispr": (0.80, 0.95 * 0.80),
    "sickle_cell_base_edit": (0.80, 0.68),
    "sickle_cell_hdr": (0.45, 0.10),
    "ccr5_crispr": (0.178, 0.05),
}


@pytest.mark.parametrize("product", ALLELES)
def test_edited_alleles_are_what_the_sources_say(product):
    disease = next(d for d in diseases() if product in products(d))
    values = {name: value.value for name, value in values_for(disease, product).items()}
    settings = Settings(values | {"edit.logit_sd": 0.0})
    bulk = editing.bulk_alleles(1, settings)
    long_term, _ = editing.long_term_alleles(bulk, settings)
    counted = editing.counted_alleles(settings)
    alleles = [float(alleles.share @ counted) / 2 for alleles in (bulk, long_term)]
    assert alleles == pytest.approx(ALLELES[product], rel=0.02)


@each_given
def test_the_product_stage_takes_every_entry(disease, product):
    checked = study(disease, product)
    plan = plan_patients(range(2), Settings(**checked.settings("plan", "arm")), "arm").to_pylist()
    for tables_of_one in make_products(plan, Settings(**checked.settings("product", "arm"))):
        row = tables_of_one["products"].to_pylist()[0]
        assert row["infused"] == (product != "no_infusion")
        assert (row["corrected_fraction"] > 0) == (product not in ("no_infusion", "autologous"))
        assert (row["lt_hsc_corrected"] > 0) == (row["corrected_fraction"] > 0)


@pytest.mark.slow
@each_given
def test_the_chain_takes_every_entry(disease, product):
    made = simulate_arm(study(disease, product), "arm")
    assert made["marrow"].num_rows == 2 * 4  # patients and visits, that after homing too
    assert all(made[name].num_rows >= 2 * 3 for name in ("counts", "reconstitution", "scores"))


# Tables


@pytest.mark.parametrize("name", tables())
def test_every_table_has_evidence_source_unit_and_full_rows(name):
    table = tables()[name]
    assert table["evidence"] in EVIDENCE
    assert table["source"].strip()
    assert table["unit"].strip()
    assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_chromosomes_are_the_human_ones():
    assert list(CHROMOSOMES) == [*map(str, range(1, 23)), "X", "Y"]
    assert all(length > 4e7 for length in CHROMOSOMES.values())
    assert sum(CHROMOSOMES.values()) == pytest.approx(3.088e9, rel=1e-3)  # GRCh38 without unplaced parts


@pytest.mark.parametrize("row", tables()["genes"]["rows"], ids=lambda row: row[0])
def test_genes_lie_inside_their_chromosome(row):
    _, kind, frequency, chromosome, start, end = row
    assert kind in ("oncogene", "hot_spot")
    assert 0 < frequency < 0.1
    assert 1 <= start < end <= CHROMOSOMES[chromosome]


def test_gene_frequencies_leave_room_for_the_rest():
    """Also where a vector prefers oncogenes."""
    rows = tables()["genes"]["rows"]
    ratio = max(value.value for (name, _), value in LAYERED.items() if name == "vector.oncogene_ratio")
    assert sum(row[2] * (ratio if row[1] == "oncogene" else 1) for row in rows) < 0.1
    assert len({row[0] for row in rows}) == len(rows)


def test_norms_are_ordered_and_cover_every_age():
    rows = tables()["cell_norms"]["rows"]
    for cell in {row[0] for row in rows}:
        bands = [row[1:3] for row in rows if row[0] == cell]
        assert bands[0][0] == 0
        assert bands[-1][1] == 100
        assert all(before[1] == after[0] for before, after in itertools.pairwise(bands)), cell
    assert all(p10 < median < p90 for *_, median, p10, p90 in rows)


def test_weights_rise_with_age():
    ages, weights = zip(*tables()["weight_for_age"]["rows"], strict=True)
    assert list(ages) == sorted(set(ages))
    assert list(weights) == sorted(weights)


# Mistakes, and units


def test_an_unknown_disease_names_the_known_ones():
    with pytest.raises(UserError, match=r"the catalogue has no 'waz'; did you mean 'was'\?"):
        values_for("waz")


def test_a_product_of_another_disease_is_refused():
    with pytest.raises(UserError, match=r"no 'ada_lentiviral' for was; did you mean 'was_lentiviral'\?"):
        values_for("was", "ada_lentiviral")


@pytest.mark.parametrize(
    ("unit", "value", "allowed"),
    [
        ("fraction", 1.0, True),
        ("fraction", 1.0001, False),
        ("fraction", -0.1, False),
        ("fraction", "half", False),
        ("months", 0, False),
        ("cells", 0, True),
        ("ratio", math.inf, False),
        ("ratio", math.nan, False),
    ],
)
def test_a_unit_sets_limits_of_its_own(unit, value, allowed):
    quantity = Value(0.5, unit, "assumed", "source", "meaning")
    assert (quantity.problem(value) is None) == allowed


def test_a_choice_is_one_of_those_allowed():
    choice = values_for("was")["vector.promoter"]
    assert choice.problem("cellular") is None
    assert choice.problem("cell") == "allowed: cellular, strong_internal, viral_ltr"


def test_a_replaced_value_says_that_it_came_from_the_study_file():
    value = values_for("was")["product.mean_copies"].replaced(1.5)
    assert (value.value, value.evidence) == (1.5, "study file")
    assert "range" in value.as_dict()


# The command, and the page


def run(capsys, *arguments):
    code = main(["catalogue", *arguments])
    return code, capsys.readouterr()


def test_the_command_lists_every_entry(capsys):
    code, printed = run(capsys)
    assert code == 0
    named = re.findall(r"^(\w+)  ", printed.out, re.MULTILINE)
    assert {*diseases(), *products(), *modifications()} <= set(named)


@pytest.mark.parametrize("name", [*diseases(), *products(), *modifications()])
def test_every_entry_prints_its_values_with_layer_unit_evidence_and_source(name):
    text = describe(name)
    assert text.startswith(f"{name}: ")
    if "It sets no value." in text:
        assert name in ("no_infusion", "none", "unmodified")
        return
    head, *rows, _, total = text.partition("\n\n")[2].splitlines()
    starts = [
        head.index(word) for word in ("value", "is", "unit", "plausible", "evidence", "layer", "source")
    ]
    assert total.startswith(f"{len(rows)} values: ")
    for row in rows:
        value, _, unit, _, evidence, layer, source = (
            row[a:b].strip() for a, b in itertools.pairwise([*starts, None])
        )
        assert unit in UNITS
        assert evidence in EVIDENCE
        assert LAYERED[value, layer].source == source


def test_a_disease_prints_the_values_that_hold(capsys):
    code, printed = run(capsys, "x_scid")
    assert code == 0
    line = next(row for row in printed.out.splitlines() if row.startswith("conditioning.busulfan_auc"))
    assert line.split()[1:3] == ["22", "mg_h_per_l"]
    assert "diseases/x_scid" in line
    assert len(values_for("x_scid")) - 1 == printed.out.count("\n") - 6  # all but product.modification


def test_a_value_prints_its_meaning_and_every_layer():
    text = describe("conditioning.busulfan_auc")
    assert text.startswith("conditioning.busulfan_auc: target cumulative exposure")
    layers = {layer for name, layer in LAYERED if name == "conditioning.busulfan_auc"}
    assert all(layer in text for layer in layers)
    assert {"conditioning", "diseases/was", "products/allogeneic"} <= layers


def test_the_beginning_of_a_name_prints_all_its_values():
    text = describe("disease.odds_ratio")
    assert all(f"disease.odds_ratio.{cell}" in text for cell in ("neutrophil", "b_cell", "cd4_t"))
    assert "untreated_count" not in text


def test_an_unknown_entry_is_one_sentence(capsys):
    code, printed = run(capsys, "beta_thalassemia")
    assert code == 2
    assert printed.out == ""
    assert printed.err == "catalogue: there is no 'beta_thalassemia'; did you mean 'beta_thalassaemia'?\n"


def test_the_page_lists_every_disease_and_product():
    page = (REPOSITORY / "docs/catalogue.md").read_text()
    for disease in diseases():
        row = re.search(rf"^\| `{disease}` \|.*$", page, re.MULTILINE)
        assert row, disease
        assert f"| `{default_product(disease)}` |" in row[0], disease
    for product in products():
        row = re.search(rf"^\| `{product}` \|.*$", page, re.MULTILINE)
        assert row, product
        assert f"| {modification(product)} |" in row[0], product


def test_the_overview_says_what_a_product_is_for():
    line = next(row for row in overview().splitlines() if row.startswith("bcl11a_crispr"))
    assert "beta_thalassaemia, sickle_cell" in line
