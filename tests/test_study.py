"""The study file: every mistake is one sentence with where, what and what is allowed."""

import copy
import json
import re
from pathlib import Path

import pytest

from hsc_pipeline.catalogue import diseases, products, values_for
from hsc_pipeline.errors import UserError
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study import json_schema, load_study
from hsc_pipeline.yaml_files import read_yaml

REPOSITORY = Path(__file__).parents[1]

GOOD = {
    "kind": "study",
    "schema_version": 1,
    "name": "tiny",
    "seed": 7,
    "disease": "was",
    "patients": 3,
    "visits_months": [1, 6, 24],
    "arms": [{"name": "full"}, {"name": "half", "set": {"product.cd34_per_kg": 4.5e6}}],
}


def without(key):
    return lambda study: study.pop(key)


def setting(**values):
    return lambda study: study.update(values)


def arm(**values):
    return lambda study: study["arms"][1].update(values)


def sweep(**keys):
    dose = {"product.cd34_per_kg": {"least": 1e6, "most": 1e7}}
    return setting(sweep={"design": "grid", "over": dose, **keys})


def span(**keys):
    return sweep(over={"product.cd34_per_kg": keys})


# What a user might write, and what the sentence must hold.
BAD_STUDIES = {
    "sweep of nothing": (sweep(over={}), ["sweep.over", "at least 1"]),
    "sweep of no value": (
        sweep(over={"product.cd34": {"values": [1]}}),
        ["sweep.over", "no value 'product.cd34'", "did you mean 'product.cd34_"],
    ),
    "sweep of a choice": (
        sweep(over={"conditioning.agent": {"values": [1]}}),
        ["sweep.over: conditioning.agent is a choice"],
    ),
    "sweep of no arm": (sweep(arm="none"), ["sweep.arm = 'none'", "allowed: full, half"]),
    "sweep beyond what can be": (span(least=1e6, most=1e12), ["product.cd34_per_kg = 1e+12", "allowed"]),
    "sweep into what cannot be together": (
        sweep(over={"cohort.age_min": {"values": [1, 90]}}),
        ["sweep.over: cohort.age_min = 90", "allowed: increasing"],
    ),
    "span of nothing": (span(), ["product.cd34_per_kg", "give values, or least and most"]),
    "span of both": (span(values=[1e6], least=1e6, most=2e6), ["give values, or least and most"]),
    "span backwards": (span(least=2e6, most=1e6), ["least must be below most"]),
    "logarithm of nothing": (span(least=0, most=1e6, scale="log"), ["least must be above 0"]),
    "unknown key of a span": (span(low=1, most=2), ["unknown key 'low'"]),
    "grid with points": (sweep(points=9), ["sweep.points", "leave points out"]),
    "endless grid": (
        sweep(
            over={
                "product.cd34_per_kg": {"least": 1e6, "most": 1e7, "levels": 1000},
                "conditioning.busulfan_auc": {"least": 1, "most": 90, "levels": 1000},
            }
        ),
        ["a grid of 1,000,000 points", "up to 100,000"],
    ),
    "hypercube without points": (sweep(design="latin_hypercube"), ["sweep.points: is missing"]),
    "unbalanced sobol": (sweep(design="sobol", points=100), ["sweep.points = 100", "64 or 128"]),
    "uncertainty of nothing": (
        setting(uncertainty={"over": ["marow."]}),
        ["uncertainty.over", "no uncertain value begins with 'marow.'"],
    ),
    "trial without its arm": (setting(trial={"control": "none"}), ["trial.control", "none"]),
    "unknown key": (setting(sed=7), ["unknown key 'sed'", "did you mean 'seed'?"]),
    "unknown key of an arm": (arm(sets={}), ["arms[1]", "unknown key 'sets'", "did you mean 'set'?"]),
    "missing key": (without("seed"), ["seed", "is missing"]),
    "missing kind": (without("kind"), ["kind", "is missing", "write 'kind: study'"]),
    "other kind": (setting(kind="tracking"), ["kind = 'tracking'", "'study'"]),
    "later version": (setting(schema_version=2), ["schema_version = 2", "should be 1"]),
    "wrong type": (setting(patients="many"), ["patients = 'many'", "integer"]),
    "fraction of a patient": (setting(patients=2.5), ["patients = 2.5", "integer"]),
    "list for a number": (setting(seed=[1]), ["seed = list", "integer"]),
    "mapping for arms": (setting(arms={"a": {}}), ["arms = dict", "list"]),
    "empty cohort": (setting(patients=0), ["patients = 0", "greater than or equal to 1"]),
    "negative seed": (setting(seed=-1), ["seed = -1", "greater than or equal to 0"]),
    "no arms": (setting(arms=[]), ["arms", "at least 1"]),
    "no visits": (setting(visits_months=[]), ["visits_months", "at least 1"]),
    "visits out of order": (setting(visits_months=[6, 1]), ["visits_months", "1 follows 6", "must increase"]),
    "repeated visit": (setting(visits_months=[6, 6]), ["visits_months", "6 follows 6", "must increase"]),
    "visit before infusion": (setting(visits_months=[-1, 6]), ["visits_months[0] = -1", "greater than 0"]),
    "unknown disease": (setting(disease="wass"), ["disease", "'wass'", "did you mean 'was'?"]),
    "unknown product": (
        setting(product="was_lentiviralis"),
        ["product", "'was_lentiviralis' for was", "did you mean 'was_lentiviral'?"],
    ),
    "product of another disease": (arm(product="ada_lentiviral"), ["product", "'ada_lentiviral' for was"]),
    "value of another modification": (
        setting(set={"edit.intended": 0.5}),
        ["set: the catalogue has no value 'edit.intended'"],
    ),
    "edits beyond all alleles": (
        setting(disease="hiv", arms=[{"name": "a", "set": {"edit.indel": 0.9}}]),
        ["arm 'a'", "edit.intended", "at most 1"],
    ),
    "choice of none": (
        setting(set={"product.source": "spleen"}),
        ["product.source = 'spleen'", "cord_blood"],
    ),
    "text for a number": (
        setting(set={"product.cd34_per_kg": "much"}),
        ["product.cd34_per_kg = 'much'", "a number"],
    ),
    "dose of nothing": (setting(set={"product.cd34_per_kg": 0}), ["product.cd34_per_kg = 0", "above 0"]),
    "missing gene table": (setting(gene_table="no.csv"), ["gene_table: no.csv"]),
    "release data of another modification": (
        arm(product_data={"alleles": "a.txt"}),
        ["arms[1].product_data.alleles", "lentiviral product"],
    ),
    "missing release data": (
        arm(product_data={"colonies": "no.csv"}),
        ["arms[1].product_data.colonies", "no.csv: there is no such file"],
    ),
    "duplicate arm": (arm(name="full"), ["arms", "'full'", "2 times"]),
    "name that is a path": (setting(name="../other"), ["name = '../other'", "a-z, 0-9 and _"]),
    "unknown value": (
        arm(set={"conditioning.busulfan": 3}),
        ["arms[1].set", "'conditioning.busulfan'", "did you mean 'conditioning.busulfan_auc'?"],
    ),
    "value out of range": (
        arm(set={"product.transduced_fraction": 1.2}),
        ["arms[1].set", "product.transduced_fraction = 1.2", "0 to 1"],
    ),
    "value that is no number": (
        arm(set={"product.mean_copies": "two"}),
        ["product.mean_copies", "'two'", "number"],
    ),
    "value not finite": (arm(set={"product.mean_copies": float("nan")}), ["product.mean_copies", "finite"]),
    "dose of nothing in an arm": (
        arm(set={"product.cd34_per_kg": 0}),
        ["product.cd34_per_kg = 0", "above 0"],
    ),
    "impossible copies": (
        setting(set={"product.mean_copies": 1.0, "product.transduced_fraction": 0.9}),
        ["product.transduced_fraction = 0.9", "below 0.632", "Poisson limit"],
    ),
    "impossible ages": (setting(set={"cohort.age_min": 10}), ["cohort.age_min = 10", "increasing"]),
    "threshold no count reaches": (
        arm(set={"conditioning.neutrophil_threshold": 5000}),
        ["conditioning.neutrophil_threshold = 5000", "below 3800"],
    ),
    "marrow of half a cell": (
        arm(set={"marrow.capacity_birth": 0.5}),
        ["marrow.capacity_birth = 0.5", "from 1"],
    ),
    "centile of nothing": (arm(set={"score.full_centile": 0}), ["score.full_centile = 0", "above 0"]),
    "sample between visits": (
        setting(sampling={"months": [7]}),
        ["sampling.months", "7 is no visit", "6, 24"],
    ),
    "sample too early": (setting(sampling={"months": [0]}), ["sampling.months[0] = 0", "greater than 0"]),
    "unknown event": (
        setting(events=[{"kind": "infektion", "month": 3}]),
        ["events[0].kind = 'infektion'", "'infection'"],
    ),
    "unknown key of an event": (
        arm(events=[{"kind": "infection", "month": 3, "length": 1}]),
        ["arms[1].events[0]", "unknown key 'length'"],
    ),
    "event without a month": (setting(events=[{"kind": "boost"}]), ["events[0].month", "is missing"]),
    "event after the last visit": (
        arm(events=[{"kind": "infection", "month": 30}]),
        ["arm 'half'", "infection in month 30", "before the last visit, month 24"],
    ),
    "more killed than there are": (
        setting(events=[{"kind": "chemotherapy", "month": 3, "size": 1}]),
        ["arm 'full'", "chemotherapy in month 3 has size = 1", "below 1"],
    ),
    "more given than was made": (
        setting(
            events=[{"kind": "boost", "month": 3, "size": 0.6}, {"kind": "boost", "month": 9, "size": 0.6}]
        ),
        ["arm 'full'", "boosts of size 1.2 together", "at most 1"],
    ),
    "unknown lineage": (
        setting(sampling={"lineages": ["tcell"]}),
        ["sampling.lineages[0] = 'tcell'", "t_cell"],
    ),
}


@pytest.mark.parametrize(("change", "parts"), BAD_STUDIES.values(), ids=BAD_STUDIES)
def test_a_mistake_is_one_sentence(change, parts):
    study = copy.deepcopy(GOOD)
    change(study)
    with pytest.raises(UserError) as caught:
        load_study(study, "my_study.yaml")
    message = str(caught.value)
    assert message.startswith("my_study.yaml: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("kind: study\nkind: study\n", ["line 2", "'kind' stands twice"]),
        ("arms:\n  - name: a\n    set: {x: 1, x: 2}\n", ["line 3", "'x' stands twice"]),
        ("kind: [study\n", ["not YAML"]),
        ("- kind\n", ["mapping"]),
        ("", ["mapping"]),
        ("a: !!python/object/apply:os.system ['true']\n", ["not YAML"]),
    ],
)
def test_a_file_that_is_no_study_is_refused_in_one_sentence(tmp_path, text, parts):
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_yaml(file)
    assert str(caught.value).count("\n") == 0
    for part in [file.name, *parts]:
        assert part in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"nowhere\.yaml: there is no such file"):
        read_yaml("nowhere.yaml")


def test_numbers_in_plain_scientific_notation_are_numbers():
    # YAML 1.1 reads 4.5e6, without a sign in the exponent, as text.
    study = load_study({**GOOD, "set": {"product.cd34_per_kg": "4.5e6"}})
    assert study.arms["full"].values["product.cd34_per_kg"].value == 4.5e6


def test_defaults_come_from_the_catalogue_with_unit_evidence_and_source():
    filled = load_study(GOOD).as_dict()
    assert {"value", "unit", "evidence", "source", "meaning"} <= filled["values"][
        "marrow.division_per_year"
    ].keys()
    assert filled["arms"][1]["set"] == {"product.cd34_per_kg": 4.5e6}
    assert load_study(GOOD).arms["half"].values["product.cd34_per_kg"].evidence == "study file"


def test_default_samples_are_taken_at_visits_only():
    assert load_study(GOOD).file.sampling.months == [6, 24]


def test_each_stage_receives_only_what_it_declares():
    study = load_study(GOOD)
    for stage, reads in STAGES.items():
        given = study.settings(stage, "full")
        assert given["values"]
        assert all(name.startswith(reads.values) for name in given["values"])
        assert given["tables"].keys() == set(reads.tables)
        assert given["study"].keys() == set(reads.study)
        assert "patients" not in given["study"], "the size of the run would rerun what exists"


def test_every_declared_beginning_meets_a_value():
    """Over all products of the catalogue: each beginning is a value's, and each value is read."""
    names = {name for d in diseases() for product in products(d) for name in values_for(d, product)}
    for stage, reads in STAGES.items():
        for start in reads.values:
            assert any(name.startswith(start) for name in names), f"{stage} declares {start!r}"
    for name in names:
        assert any(name.startswith(reads.values) for reads in STAGES.values()), f"no stage reads {name}"


@pytest.mark.parametrize("minutes", [1e-4, 0.01, 0.03, 0.25, 0.5, 60])
def test_batches_cover_every_patient_once(minutes):
    study = load_study({**GOOD, "patients": 60, "minutes_per_job": minutes})
    bounds = [tuple(map(int, batch.split("-"))) for batch in study.batches()]
    assert [patient for first, last in bounds for patient in range(first, last + 1)] == list(range(60))


def test_ten_times_longer_jobs_are_ten_times_fewer():
    short, long = (
        len(load_study({**GOOD, "patients": 10_000, "minutes_per_job": minutes}).batches())
        for minutes in (0.1, 1)
    )
    assert short == pytest.approx(10 * long, rel=0.1)


def test_the_length_of_a_job_is_no_part_of_the_study():
    short = load_study({**GOOD, "minutes_per_job": 0.01})
    assert short.as_dict() == load_study(GOOD).as_dict()


def test_the_schema_file_is_current():
    stored = (REPOSITORY / "workflow/schemas/study.schema.json").read_text()
    assert stored == json_schema(), "run: python -m hsc_pipeline schema > workflow/schemas/study.schema.json"
    assert json.loads(stored)["additionalProperties"] is False


STUDIES = [
    path for path in sorted(REPOSITORY.glob("config/**/*.yaml")) if read_yaml(path).get("kind") == "study"
]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_studies_that_come_with_the_project_are_good(path):
    study = load_study(read_yaml(path), str(path))
    assert re.fullmatch("[a-z0-9_]+", study.name)
