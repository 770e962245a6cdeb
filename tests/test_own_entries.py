"""Diseases and products that a study file brings itself."""

import copy

import pytest
import yaml

from hsc_pipeline import chain
from hsc_pipeline.__main__ import main
from hsc_pipeline.catalogue import diseases, products, values_for
from hsc_pipeline.catalogue.listing import own_entry
from hsc_pipeline.errors import UserError
from hsc_pipeline.own_entries import NEEDED, Entries
from hsc_pipeline.study import load_study


def given(value: float | str, **keys: object) -> dict:
    return {"value": value, "evidence": "assumed", "source": "a guess", **keys}


@pytest.fixture
def content(study) -> dict:
    """A study of a disease like chronic granulomatous disease, with a product of its own."""
    return {
        **study,
        "disease": "lad_1",
        "patients": 3,
        "visits_months": [1, 6, 24],
        "arms": [{"name": "own"}, {"name": "near", "product": "x_cgd_lentiviral"}],
        "catalogue": {
            "diseases": {
                "lad_1": {
                    "title": "leukocyte adhesion deficiency",
                    "like": "x_cgd",
                    "product": "lad_vector",
                    "values": {"cohort.age_median": given(3, range=[2, 4], evidence="derived")},
                }
            },
            "products": {
                "lad_vector": {
                    "title": "ITGB2 vector",
                    "like": "x_cgd_lentiviral",
                    "values": {"product.mean_copies": given(1.25, range=[1, 2])},
                }
            },
        },
    }


def test_what_an_entry_gives_holds_and_the_rest_is_that_of_what_it_is_like(content):
    values = load_study(content).arms["own"].values
    near = values_for("x_cgd", "x_cgd_lentiviral")
    changed = {name for name, value in values.items() if value != near[name]}
    assert values.keys() == near.keys()
    assert changed == {"cohort.age_median", "product.mean_copies", "product.modification"}
    assert values["product.modification"].value == "lentiviral"
    assert "product.mean_copies" not in {
        name for name, value in load_study(content).arms["near"].values.items() if value != near[name]
    }


def test_evidence_source_and_range_are_kept_and_the_unit_is_the_catalogues(content):
    filled = load_study(content).as_dict()
    age = filled["values"]["cohort.age_median"]
    assert (age["value"], age["evidence"], age["source"], age["range"]) == (3, "derived", "a guess", [2, 4])
    assert age["unit"] == "years"
    assert filled["disease_title"] == "leukocyte adhesion deficiency"
    assert filled["arms"][0]["product_title"] == "ITGB2 vector"
    assert filled["catalogue"]["products"]["lad_vector"]["like"] == "x_cgd_lentiviral"


def test_a_range_of_an_entry_takes_part_in_what_is_uncertain(content):
    study = load_study(content)
    assert study.ensembles["uncertainty"].lay["own"]["ranges"]["product.mean_copies"][:2] == [1, 2]


def test_a_set_value_wins_over_an_entry(content):
    content["set"] = {"product.mean_copies": 1.5}
    value = load_study(content).arms["own"].values["product.mean_copies"]
    assert (value.value, value.evidence) == (1.5, "study file")


def test_without_entries_a_study_is_filled_as_before(study):
    filled = load_study(study).as_dict()
    assert "catalogue" not in filled
    assert load_study(study).arms["trial"].values == values_for("was")


def test_a_disease_like_none_with_a_product_like_none_is_simulated(study):
    mark = {
        "cohort.age_median": 10,
        "cohort.age_min": 5,
        "cohort.age_max": 20,
        "conditioning.busulfan_auc": 60,
        "benefit.readout": "chimerism",
        "benefit.lineage": "neutrophil",
        "benefit.corrected_fraction": 0.2,
        "benefit.function": 0.1,
    }
    assert set(mark) == set(NEEDED)
    content = {**study, "disease": "new", "patients": 2, "visits_months": [1, 12]}
    content["catalogue"] = {
        "diseases": {
            "new": {
                "title": "a new disease",
                "product": "vector",
                "values": {name: given(value) for name, value in mark.items()},
            }
        },
        "products": {"vector": {"title": "a vector", "modification": "lentiviral"}},
    }
    tables = chain.simulate_arm(load_study(content), "trial")
    ages = tables["patients"].column("age_years").to_pylist()
    assert all(5 <= age <= 20 for age in ages)
    assert tables["clones"].num_rows


def test_a_product_for_any_disease_is_for_an_own_one_too(content):
    content["arms"] = [{"name": "donor", "product": "allogeneic"}]
    assert load_study(content).arms["donor"].values["product.donor"].value == "allogeneic"


def test_a_product_of_one_disease_is_not_for_a_disease_like_none(content):
    entries = copy.deepcopy(content["catalogue"])
    entries["diseases"]["lad_1"]["like"] = None
    with pytest.raises(UserError, match="no 'was_lentiviral' for lad_1"):
        Entries.model_validate(entries).values_for("lad_1", "was_lentiviral")


DISEASE = ("catalogue", "diseases", "lad_1")
PRODUCT = ("catalogue", "products", "lad_vector")
MISTAKES = [
    (
        (*DISEASE, "like"),
        "x_cdg",
        "lad_1.like: the catalogue has no 'x_cdg'; did you mean",
    ),
    ((*DISEASE, "like"), None, "catalogue.diseases.lad_1: is like no other and lacks cohort.age_min"),
    ((*DISEASE, "liek"), "x_cgd", "catalogue.diseases.lad_1: unknown key 'liek'; did you mean 'like'?"),
    (
        (*DISEASE, "product"),
        "lad_vektor",
        "no 'lad_vektor' for lad_1; did you mean 'lad_vector'?",
    ),
    ((*DISEASE, "product"), "was_lentiviral", "product: the catalogue has no 'was_lentiviral' for lad_1"),
    ((*PRODUCT, "like"), None, "catalogue.products.lad_vector: has neither modification nor like"),
    ((*PRODUCT, "modification"), "lentiviral_", "did you mean 'lentiviral'?"),
    ((*PRODUCT, "values", "product.mean_copies", "value"), "many", "allowed: a number (copies)"),
    ((*PRODUCT, "values", "product.mean_copies", "value"), -1, "product.mean_copies = -1; allowed: above 0"),
    (
        (*PRODUCT, "values", "product.mean_copies", "value"),
        9,
        "mean_copies = 9 lies outside its range",
    ),
    ((*PRODUCT, "values", "product.mean_copies", "evidence"), "seen", "evidence = 'seen'"),
    ((*PRODUCT, "values", "product.mean_copies", "source"), "", "source = ''"),
    ((*PRODUCT, "values", "product.mean_copys"), given(1), "no value 'product.mean_copys'; did you mean"),
    ((*DISEASE, "values", "product.mean_copies"), given(1), "give it to a product that has it"),
    (("disease",), "lad_2", "disease: the catalogue has no 'lad_2'; did you mean 'lad_1'?"),
]


@pytest.mark.parametrize(("place", "wrong", "said"), MISTAKES, ids=lambda part: str(part)[:40])
def test_a_mistake_in_an_entry_is_one_sentence(content, place, wrong, said):
    content = copy.deepcopy(content)
    part = content
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = wrong
    with pytest.raises(UserError) as told:
        load_study(yaml.safe_load(yaml.safe_dump(content)), "file.yaml")
    assert str(told.value).startswith("file.yaml: ")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", [*diseases(), "x_cgd_lentiviral", "bcl11a_crispr"])
def test_an_entry_as_printed_gives_what_it_is_of(name, study):
    """What a user pastes and edits; before any edit it is its model."""
    content = {**study, **yaml.safe_load(own_entry(name))}
    disease = name if name in diseases() else next(d for d in diseases() if name in products(d))
    product = None if name in diseases() else f"my_{name}"
    content |= {"disease": f"my_{name}" if product is None else disease, "product": product}
    entries = Entries.model_validate(content["catalogue"])
    entries.check()
    near = values_for(disease, None if product is None else name)
    filled = entries.values_for(content["disease"], product)
    assert {key: value.as_dict() for key, value in filled.items() if key != "product.modification"} == {
        key: value.as_dict() for key, value in near.items() if key != "product.modification"
    }


def test_check_says_what_is_given_and_what_is_not_used(content, tmp_path, capsys):
    content["arms"] = content["arms"][1:]
    file = tmp_path / "lad.yaml"
    file.write_text(yaml.safe_dump(content))
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "disease: lad_1, leukocyte adhesion deficiency" in said
    assert any(line.startswith("product of near: x_cgd_lentiviral, ") for line in said)
    assert "note: lad_vector of the study's own catalogue is used by no arm" in said


def test_more_patients_and_points_take_more_time(content):
    base = load_study(content).core_minutes()
    assert load_study({**content, "patients": 1000}).core_minutes() > 2 * base
    assert load_study({**content, "uncertainty": {"draws": 0}}).core_minutes() < base


def test_a_text_with_a_comma_and_without_quotes_is_told(content, tmp_path):
    content["catalogue"]["products"]["lad_vector"]["values"]["product.mean_copies"]["recalled"] = None
    with pytest.raises(UserError, match=r"unknown key 'recalled'.*a text with a comma wants quotes"):
        load_study(content)


def test_a_number_that_yaml_reads_as_text_is_a_number(content):
    content["catalogue"]["products"]["lad_vector"]["values"]["product.cd34_per_kg"] = given("4.5e6")
    assert load_study(content).arms["own"].values["product.cd34_per_kg"].value == 4.5e6


def test_a_name_of_the_catalogue_cannot_be_taken(content):
    content["catalogue"]["diseases"]["was"] = content["catalogue"]["diseases"]["lad_1"]
    with pytest.raises(UserError, match=r"catalogue.diseases.was: the catalogue has one of this name"):
        load_study(content)


def test_every_product_of_the_near_disease_may_be_given(content):
    entries = Entries.model_validate(content["catalogue"])
    for product in products("x_cgd"):
        assert entries.values_for("lad_1", product)
