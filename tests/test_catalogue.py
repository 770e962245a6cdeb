"""The catalogue: every number with unit, evidence, source and meaning, in bounds of its own."""

import itertools
import math

import pytest

from hsc_pipeline.catalogue import EVIDENCE, UNITS, Value, disease_title, diseases, tables, values_for
from hsc_pipeline.errors import UserError
from hsc_pipeline.product import solve_dispersion
from hsc_pipeline.stages import STAGES

VALUES = [(disease, name) for disease in diseases() for name in values_for(disease)]
CHROMOSOMES = dict(tables()["chromosomes"]["rows"])


@pytest.mark.parametrize("disease", diseases())
def test_every_value_has_unit_evidence_source_and_meaning(disease):
    for name, value in values_for(disease).items():
        assert value.unit in UNITS, name
        assert value.evidence in EVIDENCE, name
        assert value.evidence != "study file", name
        assert value.source.strip(), name
        assert value.meaning.strip(), name
        assert value.problem(value.value) is None, name


@pytest.mark.parametrize(
    ("disease", "name"), [(d, n) for d, n in VALUES if values_for(d)[n].range is not None]
)
def test_a_plausible_range_holds_its_value_and_is_possible(disease, name):
    value = values_for(disease)[name]
    least, most = value.range
    assert least <= value.value <= most
    assert least < most
    assert value.problem(most) is None
    # A range may begin at a limit that the unit itself leaves out.
    assert value.problem(least) is None or least == UNITS[value.unit][0]


@pytest.mark.parametrize("disease", diseases())
def test_every_disease_has_a_title_and_a_possible_product(disease):
    values = values_for(disease)
    assert disease_title(disease)
    assert (
        solve_dispersion(values["product.mean_copies"].value, values["product.transduced_fraction"].value) > 0
    )
    ages = [values[f"cohort.age_{name}"].value for name in ("min", "median", "max")]
    assert ages == sorted(ages)


@pytest.mark.parametrize("disease", diseases())
def test_every_value_is_read_by_a_stage(disease):
    """A number that no stage reads would look like a choice and change nothing."""
    read = tuple(beginning for stage in STAGES.values() for beginning in stage.values)
    assert [name for name in values_for(disease) if not name.startswith(read)] == []


def test_diseases_replace_values_with_the_same_unit():
    """An override of a general value keeps its unit in every disease."""
    for name in {name for _, name in VALUES}:
        units = {values_for(disease)[name].unit for disease in diseases() if name in values_for(disease)}
        assert len(units) == 1, name


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
    _, _, frequency, chromosome, start, end = row
    assert 0 < frequency < 0.1
    assert 1 <= start < end <= CHROMOSOMES[chromosome]


def test_gene_frequencies_leave_room_for_the_rest():
    assert sum(row[2] for row in tables()["genes"]["rows"]) < 1


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


def test_an_unknown_disease_names_the_known_ones():
    with pytest.raises(UserError, match=r"the catalogue has no 'waz'; did you mean 'was'\?"):
        values_for("waz")


@pytest.mark.parametrize(
    ("unit", "value", "allowed"),
    [
        ("fraction", 1.0, True),
        ("fraction", 1.0001, False),
        ("fraction", -0.1, False),
        ("months", 0, False),
        ("cells", 0, True),
        ("ratio", math.inf, False),
        ("ratio", math.nan, False),
    ],
)
def test_a_unit_sets_limits_of_its_own(unit, value, allowed):
    quantity = Value(0.5, unit, "assumed", "source", "meaning")
    assert (quantity.problem(value) is None) == allowed


def test_a_replaced_value_says_that_it_came_from_the_study_file():
    value = values_for("was")["product.mean_copies"].replaced(1.5)
    assert (value.value, value.evidence) == (1.5, "study file")
    assert "range" in value.as_dict()
