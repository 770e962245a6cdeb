"""The product as a whole: its tables fit together, streams are shared as promised, every entry makes one."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hsc_pipeline.catalogue import diseases, modification, products, values_for
from hsc_pipeline.product import CLONES, DRIVERS, EDITS, PRODUCTS, SITES, VECTORS, make_products
from hsc_pipeline.product.editing import LABELS, OUTCOMES
from hsc_pipeline.streams import stream
from tests.edits import edited
from tests.statistics_of import LIMIT, z_of_mean, z_of_share

TABLES = {"products": PRODUCTS, "clones": CLONES, "sites": SITES, "drivers": DRIVERS}
FIXED = {
    "product.cd34_ln_sd": 0,
    "product.lt_hsc_log10_sd": 0,
    "product.mean_copies_ln_sd": 0,
    "manufacture.failure_probability": 0,
}
ENTRIES = [(disease, product) for disease in diseases() for product in products(disease)]


def product_of(patient, settings, **given):
    return next(make_products([{**patient, **given}], settings))


def frames(made):
    return {name: table.to_pandas() for name, table in made.items()}


def check(made, settings):
    """What holds of every product, whatever its settings."""
    row = made["products"].to_pylist()[0]
    tables = frames(made)
    clones, sites, drivers = tables["clones"], tables["sites"], tables["drivers"]
    for name, schema in TABLES.items():
        schema.check(made[name])
    assert made["products"].num_rows == 1
    assert row["infused"] == (row["cd34_cells"] > 0)
    assert row["infused"] or row["lt_hsc"] == 0
    assert (clones["clone"] == np.arange(len(clones))).all()
    assert row["lt_hsc_corrected"] == clones["corrected"].sum() <= row["lt_hsc"]
    assert len(clones) <= row["lt_hsc"]
    assert (clones["corrected"] | (clones["driver"] >= 0)).all()
    own = drivers[drivers["origin"] == ("donor" if settings["product.donor"] == "allogeneic" else "patient")]
    assert set(clones.loc[clones["driver"] >= 0, "driver"]) <= set(own["driver"])
    assert own["share"].sum() <= 1
    if settings["product.modification"] in VECTORS:
        per_clone = sites.groupby("clone")["site"].agg(["size", "max"]).reindex(clones["clone"])
        assert (per_clone["size"].fillna(0) == clones["copies"].to_numpy()).all()
        assert (per_clone["max"].fillna(-1) == clones["copies"].to_numpy() - 1).all()
        assert (clones["corrected"] == (clones["copies"] > 0)).all()
        assert not sites["deregulates"][sites["gene_class"] != "oncogene"].any()
    else:
        assert len(sites) == 0
        assert clones["copies"].max() <= 2 or not len(clones)
    assert row["mean_copies"] == pytest.approx(row["copies_per_corrected"] * row["corrected_fraction"]) or (
        settings["product.modification"] in EDITS  # cells with an edit that does not correct
    )


@pytest.mark.parametrize(("disease", "product"), ENTRIES)
def test_every_entry_of_the_catalogue_makes_products_that_fit_together(
    patient, settings_for, disease, product
):
    settings = settings_for("product", disease=disease, product=product)
    rows = [{**patient, "patient": n, "patient_seed": n} for n in range(3)]
    for made in make_products(rows, settings):
        check(made, settings)


@given(
    seed=st.integers(0, 2**63),
    weight=st.floats(2, 120),
    age=st.floats(0, 90),
    donor_age=st.floats(0, 90),
    mean=st.floats(0.1, 10),
    law=st.sampled_from(["negative_binomial", "poisson"]),
    donor=st.sampled_from(["autologous", "allogeneic"]),
    failure=st.sampled_from([0.0, 0.5, 1.0]),
    frequency=st.sampled_from([1e-9, 1e-7, 3e-6]),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_any_vector_product_fits_together(
    patient, settings_for, seed, weight, age, donor_age, mean, law, donor, failure, frequency
):
    settings = settings_for(
        "product",
        {
            "product.mean_copies": mean,
            "product.transduced_fraction": 0.9 * -np.expm1(-mean),
            "product.copies_law": law,
            "product.donor": donor,
            "product.lt_hsc_per_cd34": frequency,
            "manufacture.failure_probability": failure,
        },
    )
    given = {"patient_seed": seed, "weight_kg": weight, "age_years": age, "donor_age_years": donor_age}
    check(product_of(patient, settings, **given), settings)


@given(
    seed=st.integers(0, 2**63),
    parts=st.lists(st.floats(0, 0.25), min_size=4, max_size=4),
    editable=st.floats(0, 1),
    survival=st.floats(0, 1),
    ratio=st.floats(0, 1),
    goal=st.sampled_from(["repair", "knock_out"]),
    correction=st.sampled_from(["one_allele", "both_alleles", "per_allele"]),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_any_edited_product_fits_together(
    patient, settings_for, seed, parts, editable, survival, ratio, goal, correction
):
    like = settings_for("product", {"product.lt_hsc_per_cd34": 1e-6})
    settings = edited(
        like,
        **dict(zip(OUTCOMES[1:], parts, strict=True)),
        editable_fraction=editable,
        survival=survival,
        lt_intended_ratio=ratio,
        lt_loss_to_indel=0.5,
        logit_sd=0.5,
        goal=goal,
        correction=correction,
        off_target_per_cell=0.01,
    )
    made = product_of(patient, settings, patient_seed=seed)
    check(made, settings)
    assert set(made["clones"]["edit"].to_pylist()) <= set(LABELS)


def test_half_the_dose_holds_the_first_clones_of_the_full_dose(patient, settings_for):
    """Common random numbers: in one patient, less is a part of more, down to every insertion site."""
    full = product_of(patient, settings_for("product", FIXED))
    half = product_of(patient, settings_for("product", FIXED | {"product.cd34_per_kg": 4.5e6}))
    for table in ("clones", "sites"):
        rows = half[table].num_rows
        assert 0.4 < rows / full[table].num_rows < 0.6
        assert half[table].equals(full[table].slice(0, rows))


def test_thinning_the_dose_leaves_the_corrected_fraction(patient, settings_for):
    """A tenth of the cells over 60 patients: the same share of them corrected; fails if 4 % off."""
    shares = {}
    for dose in (4e6, 4e7):
        changes = {"product.cd34_per_kg": dose, "product.lt_hsc_per_cd34": 2e-6, "drivers.per_cell_year": 0}
        settings = settings_for("product", FIXED | changes)
        rows = [product_of(patient, settings, patient_seed=n)["products"].to_pylist()[0] for n in range(60)]
        shares[dose] = [sum(row[name] for row in rows) for name in ("lt_hsc_corrected", "lt_hsc")]
    (few, of_few), (many, of_many) = shares[4e6], shares[4e7]
    assert abs(z_of_share(np.arange(of_few) < few, many / of_many)) < LIMIT
    assert abs(z_of_share(np.arange(of_few) < few, 0.96 * many / of_many)) > LIMIT


def test_stem_cells_carry_fewer_copies_than_the_product(patient, settings_for):
    """m_LT = ratio times m of the product, at the same dispersion; fails if it were 5 % off."""
    made = product_of(patient, settings_for("product", FIXED | {"product.lt_copies_ratio": 0.6}))
    row = made["products"].to_pylist()[0]
    copies = np.zeros(row["lt_hsc"])
    copies[: made["clones"].num_rows] = made["clones"]["copies"].to_numpy()
    assert abs(z_of_mean(copies, 0.6 * row["mean_copies"])) < LIMIT
    assert abs(z_of_mean(copies, 1.05 * 0.6 * row["mean_copies"])) > LIMIT


def test_the_product_row_follows_the_law_of_copies(patient, settings_for):
    """Bulk shares are exact: 1 - P0, m/(1-P0), and the mean protein of a corrected cell."""
    settings = settings_for("product", FIXED)
    row = product_of(patient, settings)["products"].to_pylist()[0]
    assert row["mean_copies"] == settings["product.mean_copies"]
    assert row["corrected_fraction"] == pytest.approx(settings["product.transduced_fraction"])
    assert row["copies_per_corrected"] == pytest.approx(row["mean_copies"] / row["corrected_fraction"])
    assert 0 < row["function"] < settings["expression.most"]


def test_was_clones_make_about_as_much_protein_as_a_normal_cell(patient, settings_for):
    """0.6 of normal a copy at about two copies a corrected stem cell."""
    clones = product_of(patient, settings_for("product", FIXED))["clones"].to_pandas()
    assert 0.7 < clones.loc[clones["corrected"], "function"].mean() < 0.95


def test_another_patient_has_another_product(patient, settings_for):
    settings = settings_for("product")
    one, other = (product_of(patient, settings, patient_seed=seed)["sites"] for seed in (7, 8))
    assert not one.slice(0, 50).equals(other.slice(0, 50))


def test_the_same_patient_has_the_same_product_in_any_company(patient, settings_for):
    settings = settings_for("product", {"product.lt_hsc_per_cd34": 1e-6})
    rows = [{**patient, "patient": n, "patient_seed": n} for n in range(3)]
    together = list(make_products(rows, settings))
    for row, made in zip(rows, together, strict=True):
        alone = next(make_products([row], settings))
        assert all(alone[name].equals(made[name]) for name in TABLES)


def test_a_product_without_stem_cells_is_valid(patient, settings_for):
    """Graft failure: one row, no clone and no site, for a vector and for an edit."""
    few = settings_for("product", {"product.lt_hsc_per_cd34": 1e-12})
    for settings in (few, edited(few)):
        made = product_of(patient, settings)
        check(made, settings)
        assert made["products"]["infused"].to_pylist() == [True]
        assert made["products"]["lt_hsc"].to_pylist() == [0]
        assert made["clones"].num_rows == made["sites"].num_rows == 0


def test_streams_of_different_quantities_are_unrelated():
    """Copies and sites of a patient do not share numbers: correlation 0 within 4.5 / sqrt(n)."""
    one, other = (stream(7, name).standard_normal(100_000) for name in ("product.copies", "product.sites"))
    assert abs(np.corrcoef(one, other)[0, 1]) < LIMIT / np.sqrt(100_000)


def test_every_product_of_the_catalogue_is_of_a_kind_that_the_stage_makes():
    kinds = {modification(product) for product in products()}
    assert kinds <= {*VECTORS, *EDITS, "unmodified", "none"}
    for disease, product in ENTRIES:
        assert values_for(disease, product)["product.modification"].value == modification(product)
