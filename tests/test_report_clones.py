"""What the figures of clones draw is what the tables hold."""

import numpy as np
import pandas as pd
import pytest

from hsc_pipeline.report import clone_measures as clones
from hsc_pipeline.report.results import followed
from hsc_pipeline.visits import shannon

SITES = pd.DataFrame(
    [
        ("neutrophil", 6.0, "1", 100, "A", 8),
        ("neutrophil", 6.0, "2", 200, "B", 2),
        ("t_cell", 6.0, "1", 100, "A", 1),
        ("t_cell", 6.0, "3", 300, "C", 3),
    ],
    columns=["lineage", "month", "chromosome", "position", "gene", "fragments"],
).assign(arm="a", patient=0, strand="+")


def test_diversity_agrees_with_the_outcomes_and_counts_empty_samples():
    sites = pd.DataFrame(
        {
            "arm": "a",
            "patient": [0, 0, 0, 1],
            "month": 6.0,
            "lineage": "neutrophil",
            "fragments": [5, 3, 2, 9],
        }
    )
    sampling = {"months": [6.0, 12.0], "lineages": ["neutrophil"]}
    found = clones.diversity(sites, ["a"], range(3), sampling).set_index(["patient", "month"])
    assert len(found) == 6
    assert found.loc[(0, 6.0), "shannon"] == pytest.approx(shannon(np.array([5, 3, 2])))
    assert list(found["richness"]) == [3, 0, 1, 0, 0, 0]


def test_shares_of_the_largest_clones_add_up():
    rng = np.random.default_rng(4)
    sizes = pd.DataFrame(
        {
            "arm": "a",
            "patient": 0,
            "month": np.repeat([6.0, 12.0], 30),
            "clone": np.tile(np.arange(30), 2),
            "cells": rng.integers(1, 99, 60),
        }
    )
    top = clones.top_clones(sizes)
    assert top.groupby("month")["share"].sum().to_numpy() == pytest.approx([100, 100])
    assert top.groupby("month").size().tolist() == [clones.TOP_CLONES + 1] * 2
    shares = sizes["cells"] / sizes.groupby("month")["cells"].transform("sum")
    largest = shares.groupby(sizes["clone"]).mean().idxmax()
    assert f"clone {largest}" in top.loc[top["rank"] == 1, "clone"].iloc[0]


def test_largest_sites_are_those_of_the_largest_mean_share():
    found = clones.largest_sites(SITES)
    ranks = found.drop_duplicates("clone").set_index("clone")["rank"]
    # Mean shares over two samples: A (0.8 + 0.25) / 2, C 0.75 / 2, B 0.2 / 2.
    assert ranks.to_dict() == {"A 1+100": 1, "B 2+200": 3, "C 3+300": 2}
    assert found.groupby("lineage")["share"].sum().to_numpy() == pytest.approx([1, 1])


def test_shared_sites_are_counted_both_ways():
    found = clones.shared_sites(SITES).set_index(["a", "b"])
    assert found.loc[("neutrophils 6", "T cells 6"), "jaccard"] == pytest.approx(1 / 3)
    assert found.loc[("T cells 6", "neutrophils 6"), "shared"] == 1
    assert found.loc[("T cells 6", "T cells 6"), "jaccard"] == 1


def test_ranks_fall_and_the_first_is_the_largest():
    found = clones.rank_abundance(SITES)
    own = found[found["lineage"] == "neutrophil"]
    assert own["share"].tolist() == [0.8, 0.2]
    assert own["rank"].tolist() == [1, 2]


def test_patients_are_followed_by_centile_and_only_those_with_clones():
    outcomes = pd.DataFrame(
        {
            "patient": range(12),
            "live_clones": [0] + [5] * 11,
            "stem_cell_chimerism": [0.99, *np.linspace(0, 1, 11)],
        }
    )
    assert followed(outcomes) == {6: "median", 2: "10th centile", 10: "90th centile"}
    assert followed(outcomes.head(1)) == {}
    assert followed(outcomes.iloc[[3]]) == {3: "median"}
