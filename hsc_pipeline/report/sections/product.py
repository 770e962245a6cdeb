"""The product: copies or alleles, insertion sites, and stem cells given."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from hsc_pipeline.product import EDITS, VECTORS, editing, genome_of, vector
from hsc_pipeline.report.figures.marrow import patient_strips
from hsc_pipeline.report.figures.product import against_law, allele_pairs
from hsc_pipeline.report.page import Figure, Section, Text, TextTable
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections.design import strips
from hsc_pipeline.report.wording import counted, listed, number
from hsc_pipeline.settings import Settings

MOST_COPIES = 10  # and more
ALMOST_SURE = 3.0  # hits in the mean, so that 19 of 20 patients have one


def product(results: Results) -> Section:
    """Return the section on the product."""
    vectors, edits = arms_with(results, VECTORS), arms_with(results, EDITS)
    blocks: list = []
    if vectors:
        blocks += [_copies_figure(results, vectors), *_sites(results, vectors)]
    if edits:
        blocks.append(_alleles_figure(results, edits))
    if not vectors and not edits:
        blocks.append(Text("No arm has modified stem cells."))
    return Section(
        "product", "Product", "Product: what was given", [*blocks, _stem_cells(results), _made(results)]
    )


def arms_with(results: Results, modifications: Iterable[str]) -> list[str]:
    """Return the arms whose product is modified in one of some ways and holds a corrected clone."""
    clones = results.tables["clones"]
    having = set(clones.loc[clones["corrected"], "arm"])
    return [
        arm for arm in results.arms if arm in having and results.arm(arm)["modification"] in modifications
    ]


def _copies_figure(results: Results, arms: list[str]) -> Figure:
    clones = _corrected(results, arms)
    drawn = _shares(clones.assign(**{"class": clones["copies"].clip(upper=MOST_COPIES)}))
    expected = pd.concat([_expected_copies(results, arm) for arm in arms], ignore_index=True)
    caption = (
        "Bars: vector copies of the corrected stem-cell clones drawn. Circles: the law they are drawn "
        "from, around each patient's mean (VCN), cut at one copy, because a cell without is not corrected; "
        f"none where release data stand in its place. {_clones_counted(results, clones, arms)}"
    )
    return Figure(
        "copies",
        "Vector copies per corrected stem cell",
        caption,
        "Bars of the share of clones by vector copies, with the expected share as points.",
        against_law(drawn, expected, arms, "copies per cell (10: ten and more)", "share of corrected clones"),
    )


def _expected_copies(results: Results, arm: str) -> pd.DataFrame:
    values = results.values(arm)
    products = results.tables["products"]
    rows = products[(products["arm"] == arm) & (products["patient"] < results.drawn_by_clone)]
    if results.arm(arm)["product_data"].get("colonies") or not rows["lt_hsc"].sum():
        return pd.DataFrame({"arm": [], "class": [], "expected": []})
    k = vector.dispersion(Settings(values))
    mean = rows["mean_copies"] * values["product.lt_copies_ratio"]
    law = np.array([vector.copies_law(m, k, MOST_COPIES) for m in mean])
    share = np.average(law, axis=0, weights=rows["lt_hsc"])
    return pd.DataFrame(
        {"arm": arm, "class": np.arange(1, MOST_COPIES + 1), "expected": share[1:] / share[1:].sum()}
    )


def _sites(results: Results, arms: list[str]) -> list:
    counts = results.sites[results.sites["arm"].isin(arms)]
    total = counts.groupby("arm")["insertions"].sum()
    by_chromosome = counts.groupby(["arm", "chromosome"], sort=False)["insertions"].sum().reset_index()
    drawn = by_chromosome.rename(columns={"chromosome": "class", "insertions": "count"})
    drawn["drawn"] = drawn["count"] / drawn["arm"].map(total)
    expected, named = [], []
    for arm in arms:
        if results.arm(arm)["product_data"].get("sites"):
            continue
        genome = genome_of(Settings(results.values(arm), results.catalogue_tables))
        shares = genome.shares()
        expected.append(shares.groupby("chromosome", sort=False)["share"].sum().reset_index().assign(arm=arm))
        named.append(shares[shares["gene"] != ""].assign(arm=arm))
    law = pd.concat(expected, ignore_index=True) if expected else None
    if law is None:
        law = pd.DataFrame({"arm": [], "class": [], "expected": []})
    law = law.rename(columns={"chromosome": "class", "share": "expected"})
    order = {str(name): place for place, (name, *_) in enumerate(results.catalogue_tables["chromosomes"])}
    drawn = drawn.sort_values("class", key=lambda names: names.map(order))
    law = law.sort_values("class", key=lambda names: names.map(order), kind="stable")
    caption = (
        "Bars: insertions of the corrected clones by chromosome. Circles: the site model, which follows the "
        "chromosomes' genes as far as the vector prefers genes, and their length for the rest; none where "
        "release data stand in its place. "
        + listed([f"{total[arm]:,} insertions in {arm}" for arm in arms])
        + "."
    )
    blocks: list = [
        Figure(
            "sites",
            "Insertions along the genome",
            caption,
            "Bars of the share of insertions by chromosome, with the expected share as points.",
            against_law(drawn, law, arms, "chromosome", "share of insertions"),
        )
    ]
    if named:
        blocks.append(_genes_table(results, counts, total, pd.concat(named, ignore_index=True)))
    return blocks


def _genes_table(results: Results, counts: pd.DataFrame, total: pd.Series, named: pd.DataFrame) -> TextTable:
    found = counts.groupby(["arm", "gene"])[["insertions", "deregulating"]].sum()
    n, rows = results.drawn_by_clone, []
    for row in named.itertuples():
        insertions, deregulating = (
            found.loc[(row.arm, row.gene)] if (row.arm, row.gene) in found.index else (0, 0)
        )
        expected = total[row.arm] * row.share
        rows.append(
            [
                row.arm,
                row.gene,
                row.gene_class.replace("_", " "),
                f"{expected / n:.3g}",
                f"{insertions / n:.3g}",
                f"{int(deregulating)}",
            ]
        )
    head = ["arm", "gene", "class", "expected per patient", "drawn per patient", "deregulated, all patients"]
    caption = f"Insertions in or nearest to the named genes; {counted(n, 'patient')} an arm."
    mecom = named[named["gene"] == "MECOM"]
    if len(mecom) and (mecom["arm"].map(total) * mecom["share"] / n).min() > ALMOST_SURE:
        caption += (
            " Almost every patient carries hits of MECOM: what one of them does depends on the promoter."
        )
    return TextTable(caption, head, rows, numbers=(3, 4, 5), tall=len(rows) > 12)


def _alleles_figure(results: Results, arms: list[str]) -> Figure:
    clones = _corrected(results, arms)
    drawn = _shares(clones.assign(**{"class": clones["edit"]}))
    expected = pd.concat([_expected_pairs(results, arm) for arm in arms], ignore_index=True)
    caption = (
        "Bars: the two alleles of the corrected stem-cell clones drawn. Circles: the law they are drawn from "
        "at each patient's efficiency, after the loss of edited cells; none where release data stand in its "
        f"place. {_clones_counted(results, clones, arms)}"
    )
    return Figure(
        "alleles",
        "Alleles of the corrected stem cells",
        caption,
        "Bars of the share of clones by their two alleles, with the expected share as points.",
        allele_pairs(drawn, expected, arms),
    )


def _expected_pairs(results: Results, arm: str) -> pd.DataFrame:
    """Return the law of the alleles of corrected clones: each patient's at their own product's efficiency."""
    products = results.tables["products"]
    rows = products[(products["arm"] == arm) & (products["patient"] < results.drawn_by_clone)]
    if results.arm(arm)["product_data"].get("alleles") or not rows["lt_hsc"].sum():
        return pd.DataFrame({"class": [], "expected": [], "arm": []})
    settings = Settings(results.values(arm))
    corrects, _ = editing.pair_function(settings)
    median = editing.scaled_alleles(1.0, settings).share @ editing.counted_alleles(settings)
    share = np.zeros(len(corrects))
    for row in rows.itertuples():
        # Edited alleles are in proportion to the efficiency.
        bulk = editing.scaled_alleles(row.mean_copies / median if median else 1.0, settings)
        share += row.lt_hsc * editing.long_term_alleles(bulk, settings)[0].share * corrects
    pairs = pd.DataFrame({"class": editing.LABELS, "expected": share / share.sum()})
    pairs = pairs.groupby("class", sort=False)["expected"].sum().reset_index()
    return pairs[pairs["expected"] > 0].assign(arm=arm)


def _corrected(results: Results, arms: list[str]) -> pd.DataFrame:
    clones = results.tables["clones"]
    return clones[clones["corrected"] & clones["arm"].isin(arms)]


def _shares(clones: pd.DataFrame) -> pd.DataFrame:
    counts = clones.groupby(["arm", "class"], sort=False).size().rename("count").reset_index()
    return counts.assign(drawn=counts["count"] / counts.groupby("arm")["count"].transform("sum"))


def _clones_counted(results: Results, clones: pd.DataFrame, arms: list[str]) -> str:
    sizes = clones.groupby("arm").size()
    n = listed([f"{sizes[arm]:,} in {arm}" for arm in arms])
    return f"Clones of the first {counted(results.drawn_by_clone, 'patient')}: {n}."


def _stem_cells(results: Results) -> Figure:
    taken = results.tables["marrow"].query("month == 0").set_index(["arm", "patient"])["live_clones"]
    frame = results.tables["products"].join(taken, on=["arm", "patient"])
    values = strips(
        frame,
        (
            ("lt_hsc_corrected", "corrected stem cells in the product", "cells", "log", 1),
            ("live_clones", "corrected clones that took", "clones", "log", 1),
            ("mean_copies", "VCN, or edited alleles, of the product", "per cell", "linear", 1),
        ),
    )
    caption = (
        "One tick is one patient, the dark tick the median; cells and clones on logarithmic axes, none "
        "drawn at their left end. A clone takes where conditioning has freed a niche; every clone begins "
        f"with one long-term stem cell. n = {min(results.patients, 200):,} in each arm."
    )
    return Figure(
        "stem-cells",
        "Stem cells infused, and those that took",
        caption,
        "Strips of corrected stem cells, engrafted clones and copies of each patient by arm.",
        patient_strips(values, results.arms),
    )


def _made(results: Results) -> TextTable:
    products, rows = results.tables["products"], []
    for arm in results.arms:
        own = products[products["arm"] == arm]
        given = own[own["infused"]]
        rows.append(
            [
                arm,
                results.arm(arm)["product_title"],
                f"{number(100 * own['infused'].mean())} %",
                f"{number(100 * (own['harvests'] > 1).mean())} %",
                number(given["months_to_infusion"].median()) if len(given) else "none",
                number(100 * given["corrected_fraction"].median()) + " %" if len(given) else "none",
                _long_term(given),
                number(given["function"].median()) if len(given) else "none",
            ]
        )
    head = [
        "arm",
        "product",
        "infused",
        "harvested again",
        "months",
        "corrected",
        "of stem cells",
        "function",
    ]
    caption = (
        "Making the product; everyone enrolled counts, infused or not. Then medians of those infused: months "
        "from enrolment to infusion, corrected cells of all in the product and of its long-term stem cells, "
        "and the protein or effect of a corrected cell of the product against a normal one."
    )
    return TextTable(caption, head, rows, numbers=(2, 3, 4, 5, 6, 7))


def _long_term(given: pd.DataFrame) -> str:
    cells = given[given["lt_hsc"] > 0]
    return (
        f"{number(100 * (cells['lt_hsc_corrected'] / cells['lt_hsc']).median())} %" if len(cells) else "none"
    )
