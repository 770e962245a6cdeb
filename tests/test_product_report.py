"""The report's section on the product: expected as drawn, and no law beside release data."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hsc_pipeline.chain import join
from hsc_pipeline.plan import plan_patients
from hsc_pipeline.product import make_products
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections.assumptions import assumed
from hsc_pipeline.report.sections.product import MOST_COPIES, _expected_copies, _expected_pairs, product
from hsc_pipeline.settings import Settings
from hsc_pipeline.study import load_study
from tests.statistics_of import LEAST_P

LAW = {"copies": _expected_copies, "edit": _expected_pairs}


def results_of(study, product_name, disease, **keys):
    """Results of one arm of six patients, as far as the section reads them."""
    content = load_study({**study, "disease": disease, "product": product_name, "patients": 6, **keys})
    rows = plan_patients(range(6), Settings(**content.settings("plan", "trial")), "trial").to_pylist()
    made = join(make_products(rows, Settings(**content.settings("product", "trial"))))
    tables = {name: table.to_pandas().assign(arm="trial") for name, table in made.items()}
    marrow = tables["products"][["arm", "patient"]].assign(month=0, live_clones=1)
    by = ["chromosome", "gene", "gene_class"]
    sites = (
        tables["sites"].groupby(by)["deregulates"].agg(insertions="count", deregulating="sum").reset_index()
    )
    return Results(
        study=content.as_dict(),
        all_arms=["trial"],
        arms=["trial"],
        outcomes=pd.DataFrame(),
        tables={**tables, "marrow": marrow},
        sites=sites.assign(arm="trial"),
        clone_sizes=pd.DataFrame(),
        followed={},
        checksums={},
        answers={},
    )


def p_of_drawn(results, expected, kind):
    """Return the p of the drawn classes of corrected clones under their expected shares."""
    clones = results.tables["clones"].query("corrected")
    classes = clones["copies"].clip(upper=MOST_COPIES) if kind == "copies" else clones["edit"]
    found = classes.value_counts().reindex(expected["class"], fill_value=0).to_numpy()
    assert found.sum() == len(clones)
    law = expected["expected"].to_numpy() * len(clones)
    rare = law < 5
    found, law = np.append(found[~rare], found[rare].sum()), np.append(law[~rare], law[rare].sum())
    return stats.chisquare(found[law > 0], law[law > 0]).pvalue


@pytest.mark.parametrize(
    ("kind", "disease", "name", "off"),
    [
        ("copies", "was", "was_lentiviral", 1.05),
        ("copies", "x_cgd", "x_cgd_gammaretroviral", 1.5),
        ("edit", "sickle_cell", "bcl11a_crispr", 1.05),
        ("edit", "sickle_cell", "sickle_cell_hdr", 1.05),
        ("edit", "x_cgd", "x_cgd_prime_edit", 1.05),
    ],
)
def test_the_expected_shares_are_the_law_of_those_drawn(study, kind, disease, name, off):
    """Chi-square over six patients; fails for a law that takes each product for `off` times as good."""
    results = results_of(study, name, disease)
    assert p_of_drawn(results, LAW[kind](results, "trial"), kind) > LEAST_P
    products = results.tables["products"]
    better = products.assign(mean_copies=products["mean_copies"] * off)
    wrong = replace(results, tables={**results.tables, "products": better})
    assert p_of_drawn(results, LAW[kind](wrong, "trial"), kind) < LEAST_P


def measured(tmp_path, name, text):
    path = tmp_path / f"{name}.csv"
    path.write_text(text)
    return {"name": "trial", "product_data": {name: str(path)}}


def test_no_law_stands_beside_release_data(study, tmp_path):
    """The catalogue's law would be of another product; the section is made all the same."""
    colonies = measured(tmp_path, "colonies", "copies\n0\n3\n")
    alleles = measured(
        tmp_path, "alleles", "n_deleted,n_inserted,n_mutated,#Reads,%Reads\n0,0,0,1,50\n2,0,0,1,50\n"
    )
    sites = measured(tmp_path, "sites", "chr,position,strand\n1,5,+\n")
    for kind, arm, disease, name in (
        ("copies", colonies, "was", "was_lentiviral"),
        ("edit", alleles, "sickle_cell", "bcl11a_crispr"),
    ):
        results = results_of(study, name, disease, arms=[arm])
        assert LAW[kind](results, "trial").empty
        assert product(results).blocks
    shown = product(results_of(study, "was_lentiviral", "was", arms=[sites]))
    assert not any("MECOM" in getattr(block, "caption", "") for block in shown.blocks)


@pytest.mark.parametrize("name", ["allogeneic", "autologous", "no_infusion"])
def test_arms_without_modified_cells_have_a_section(study, name):
    results = results_of(study, name, "was")
    assert any("No arm has modified" in getattr(block, "text", "") for block in product(results).blocks)


def test_products_without_stem_cells_have_a_section(study):
    results = results_of(study, "was_lentiviral", "was", set={"product.lt_hsc_per_cd34": 1e-12})
    assert any("No arm has modified" in getattr(block, "text", "") for block in product(results).blocks)


def test_every_assumed_value_of_every_arm_is_listed(study):
    """Also where a later arm's product has another value, or the first arm's is no assumed one."""
    arms = [
        {"name": "shmir", "product": "sickle_cell_shmir"},
        {"name": "crispr", "product": "bcl11a_crispr"},
        {"name": "repair", "product": "sickle_cell_hdr", "set": {"edit.survival": 0.5}},
    ]
    content = load_study({**study, "disease": "sickle_cell", "arms": arms})
    results = replace(results_of(study, "bcl11a_crispr", "sickle_cell"), study=content.as_dict())
    table = assumed(results).blocks[-1]
    listed = {
        (row[table.head.index("name")], row[table.head.index("value")], row[table.head.index("source")])
        for row in table.rows
    }
    used = {
        (name, value.value if isinstance(value.value, str) else f"{value.value:g}", value.source)
        for arm in content.arms.values()
        for name, value in arm.values.items()
        if value.evidence == "assumed"
    }
    assert listed == used
    doses = [row for row in table.rows if row[0] == "product.cd34_per_kg"]
    assert [row[1] for row in doses] == ["crispr", "repair"]
    assert ["edit.survival", "repair", "0.5"] in [list(row[:3]) for row in assumed(results).blocks[-2].rows]
