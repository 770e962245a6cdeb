"""Edited alleles: correlated within a cell, weighed by survival, counted by the disease's rule."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hsc_pipeline.catalogue import values_for
from hsc_pipeline.product import make_products
from hsc_pipeline.product.editing import (
    OUTCOMES,
    PAIRS,
    bulk_alleles,
    counted_alleles,
    draw_pairs,
    draw_rearrangements,
    label,
    long_term_alleles,
    pair_alleles,
    pair_function,
    survival_of,
)
from hsc_pipeline.settings import Settings
from tests.edits import edited
from tests.statistics_of import LIMIT, z_of_mean, z_of_share, z_of_variance

CELLS = 100_000
UNEDITED, INTENDED, INDEL, DELETED, BYSTANDER = range(len(OUTCOMES))
FRACTIONS = st.floats(0, 1)


def drawn_alleles(alleles, cells=CELLS, seed=5):
    """Outcomes of both alleles of each cell, shape (cells, 2)."""
    return np.array(PAIRS)[draw_pairs(np.random.default_rng(seed), alleles, cells)]


def share_of(alleles, *pair):
    """Share of cells with these two alleles in either order."""
    return sum(alleles.share[PAIRS.index(p)] for p in {pair, pair[::-1]})


@pytest.mark.parametrize(("editable", "chance"), [(0.8, 0.5), (0.4, 0.9), (1.0, 0.3)])
def test_allele_mean_and_biallelic_share_are_a_e_and_a_e_squared(editable, chance):
    """In the formula and in cells drawn; fails if e were 5 % off, or alleles were independent at a < 1."""
    alleles = pair_alleles(editable, {"intended": chance})
    assert alleles.mean("intended") == pytest.approx(editable * chance)
    assert share_of(alleles, INTENDED, INTENDED) == pytest.approx(editable * chance**2)
    intended = (drawn_alleles(alleles) == INTENDED).sum(axis=1)
    assert abs(z_of_mean(intended / 2, editable * chance)) < LIMIT
    assert abs(z_of_mean(intended / 2, 1.05 * editable * chance)) > LIMIT
    assert abs(z_of_share(intended == 2, editable * chance**2)) < LIMIT
    if editable < 1:
        assert abs(z_of_share(intended == 2, (editable * chance) ** 2)) > LIMIT


def test_each_outcome_has_its_share_of_alleles():
    """Fails if any were 10 % off."""
    outcomes = {"intended": 0.4, "indel": 0.3, "large_deletion": 0.06, "bystander": 0.04}
    found = drawn_alleles(pair_alleles(0.9, outcomes))
    for place, name in enumerate(OUTCOMES[1:], 1):
        of_cell = (found == place).mean(axis=1)
        assert abs(z_of_mean(of_cell, 0.9 * outcomes[name])) < LIMIT
        assert abs(z_of_mean(of_cell, 0.99 * outcomes[name])) > LIMIT


def test_outcomes_beyond_certainty_are_refused():
    with pytest.raises(ValueError, match=r"add up to 1\.1, more than 1"):
        pair_alleles(1.0, {"intended": 0.6, "indel": 0.5})


@given(a=FRACTIONS, parts=st.lists(FRACTIONS, min_size=4, max_size=4))
def test_pairs_are_a_distribution_that_does_not_know_left_from_right(a, parts):
    assume(sum(parts) <= 1)
    alleles = pair_alleles(a, dict(zip(OUTCOMES[1:], parts, strict=True)))
    square = alleles.share.reshape(5, 5)
    assert alleles.share.min() >= 0
    assert alleles.share.sum() == pytest.approx(1)
    assert np.allclose(square, square.T)
    assert sum(alleles.mean(name) for name in OUTCOMES) == pytest.approx(1)


@given(survival=FRACTIONS, a=FRACTIONS, e=FRACTIONS)
def test_survival_weighs_and_renormalises(survival, a, e):
    """P(c | survives) = P(c) S_c / sum P S, whatever the shares; none survive only if all are lost."""
    before = pair_alleles(a, {"intended": e})
    after, lives = before.survive(survival)
    weight = before.share * np.where(np.arange(25) == 0, 1, survival)
    assert lives == pytest.approx(weight.sum())
    assert after.share.sum() == pytest.approx(1)
    if lives > 0:
        assert np.allclose(after.share, weight / weight.sum())


def test_a_product_loses_edited_cells_and_keeps_their_kind(patient, settings_for):
    """Half the edited cells die: n S remain, with the renormalised share; fails if either were 5 % off,
    or if the loss fell on unedited cells too."""
    like = settings_for("product", {"product.lt_hsc_log10_sd": 0, "drivers.per_cell_year": 0})
    whole, halved = (
        next(make_products([patient], edited(like, survival=survival)))["products"].to_pylist()[0]
        for survival in (1.0, 0.5)
    )
    edited_cells = 0.8 * (1 - 0.2**2)
    corrected = 0.8 * (1 - 0.5**2)
    lives = 1 - 0.5 * edited_cells
    n = whole["lt_hsc"]
    for factor, agrees in ((1.0, True), (0.95, False)):
        survived = np.arange(n) < halved["lt_hsc"]
        assert (abs(z_of_share(survived, factor * lives)) < LIMIT) == agrees
        is_corrected = np.arange(halved["lt_hsc"]) < halved["lt_hsc_corrected"]
        assert (abs(z_of_share(is_corrected, factor * 0.5 * corrected / lives)) < LIMIT) == agrees
    # The product itself is measured before the loss.
    assert whole["corrected_fraction"] == halved["corrected_fraction"] == pytest.approx(corrected)


def test_long_term_cells_lose_the_intended_edit_to_indels_and_to_nothing():
    """A fifth of e remains; of what is lost, a quarter becomes indels and the rest stays unedited."""
    settings = edited(lt_intended_ratio=0.2, lt_loss_to_indel=0.25)
    alleles, lives = long_term_alleles(bulk_alleles(1, settings), settings)
    assert lives == pytest.approx(1)
    assert alleles.mean("intended") == pytest.approx(0.8 * 0.5 * 0.2)
    assert alleles.mean("indel") == pytest.approx(0.8 * (0.2 + 0.25 * 0.4))
    assert alleles.mean("large_deletion") == pytest.approx(0.8 * 0.05)
    assert share_of(alleles, INTENDED, INTENDED) == pytest.approx(0.8 * 0.1**2)


def test_products_differ_in_efficiency_on_the_logit_scale():
    """2,000 products around logit 0.8 with sd 0.4: fails if the sd were 12 % off; the mix stays."""
    settings = edited(logit_sd=0.4)
    means = [bulk_alleles(seed, settings) for seed in range(2000)]
    total = np.array([1 - alleles.mean("unedited") for alleles in means]) / 0.8
    logit = np.log(total / (1 - total))
    assert abs(z_of_mean(logit, np.log(4))) < LIMIT
    assert abs(z_of_variance(logit, 0.4**2)) < LIMIT
    assert abs(z_of_variance(logit, (1.12 * 0.4) ** 2)) > LIMIT
    assert np.allclose([a.mean("intended") / a.mean("indel") for a in means], 2.5)


@pytest.mark.parametrize("edit", ["intended", "indel"])
def test_certain_and_impossible_edits_do_not_spread(edit):
    none = dict.fromkeys(("intended", "indel", "large_deletion", "bystander"), 0.0)
    for chance in (0.0, 1.0):
        settings = edited(**none | {edit: chance}, logit_sd=1.0, editable_fraction=1.0)
        assert bulk_alleles(3, settings).mean(edit) == chance


# Which pairs correct, and how much protein they make.
RULES = {
    ("repair", "one_allele"): lambda worth: max(worth),
    ("repair", "both_alleles"): lambda worth: min(worth),
    ("repair", "per_allele"): lambda worth: sum(worth) / 2,
    ("knock_out", "one_allele"): lambda worth: max(worth),
    ("knock_out", "both_alleles"): lambda worth: min(worth),
    ("knock_out", "per_allele"): lambda worth: sum(worth) / 2,
}


@pytest.mark.parametrize(("goal", "correction"), RULES)
@pytest.mark.parametrize("of_bystander", [0.0, 0.4])
def test_zygosity_decides_correction(goal, correction, of_bystander):
    """Recessive: one allele is enough; dominant, or a receptor: both; where the dose counts: half each."""
    corrects, function = pair_function(
        edited(goal=goal, correction=correction, bystander_function=of_bystander)
    )
    good = {INTENDED} | ({INDEL, DELETED} if goal == "knock_out" else set())
    for pair, is_corrected, protein in zip(PAIRS, corrects, function, strict=True):
        worth = [1.0 if x in good else of_bystander if x == BYSTANDER else 0.0 for x in pair]
        assert protein == pytest.approx(RULES[goal, correction](worth)), pair
        assert is_corrected == (protein > 0)


@pytest.mark.parametrize(
    ("goal", "counted"), [("repair", {INTENDED}), ("knock_out", {INTENDED, INDEL, DELETED})]
)
def test_alleles_count_towards_the_goal(goal, counted):
    found = counted_alleles(edited(goal=goal))
    assert found.tolist() == [sum(x in counted for x in pair) for pair in PAIRS]


@pytest.mark.parametrize(
    ("correction", "share"),
    [
        ("one_allele", 0.8 * (1 - 0.25**2)),
        ("both_alleles", 0.8 * 0.75**2),
        ("per_allele", 0.8 * (1 - 0.25**2)),
    ],
)
def test_a_knock_out_product_corrects_by_its_rule(patient, settings_for, correction, share):
    """Three in four alleles of an editable cell disrupted; fails if the share were 3 % off."""
    like = settings_for("product", {"product.lt_hsc_log10_sd": 0})
    settings = edited(like, goal="knock_out", correction=correction)
    row = next(make_products([patient], settings))["products"].to_pylist()[0]
    assert row["corrected_fraction"] == pytest.approx(share)
    assert row["mean_copies"] == pytest.approx(2 * 0.8 * 0.75)
    is_corrected = np.arange(row["lt_hsc"]) < row["lt_hsc_corrected"]
    assert abs(z_of_share(is_corrected, share)) < LIMIT
    assert abs(z_of_share(is_corrected, 0.97 * share)) > LIMIT


def test_function_counts_alleles_where_the_dose_counts(patient, settings_for):
    """Half for one allele: every clone's protein follows from its own alleles."""
    settings = edited(settings_for("product"), correction="per_allele")
    clones = next(make_products([patient], settings))["clones"].to_pandas()
    corrected = clones[clones["corrected"]]
    assert set(corrected["copies"]) == {1, 2}
    assert (corrected["function"] == corrected["copies"] / 2).all()
    assert (corrected["edit"].str.count("intended") == corrected["copies"]).all()


def test_an_edited_product_has_no_insertions(patient, settings_for):
    made = next(make_products([patient], edited(settings_for("product"))))
    assert made["sites"].num_rows == 0
    assert not made["clones"]["insertional"].to_numpy().any()


def test_rearrangements_are_rare_and_of_edited_cells_only():
    """4 % and 2 %; fails if either were 20 % off."""
    pair = draw_pairs(np.random.default_rng(1), pair_alleles(0.8, {"intended": 0.7}), CELLS)
    settings = edited(off_target_per_cell=0.04, translocation_per_cell=0.02)
    found = np.array(draw_rearrangements(np.random.default_rng(2), pair, settings).to_pylist())
    assert set(found[pair == 0]) == {""}
    for name, chance in (("off_target", 0.04), ("translocation", 0.02)):
        assert abs(z_of_share(found[pair > 0] == name, chance)) < LIMIT
        assert abs(z_of_share(found[pair > 0] == name, 1.2 * chance)) > LIMIT


def test_a_pair_reads_the_same_from_either_side():
    names = {label(PAIRS.index(pair)) for pair in product((UNEDITED, INTENDED), repeat=2)}
    assert names == {"unedited/unedited", "intended/unedited", "intended/intended"}
    assert all(label(PAIRS.index(p)) == label(PAIRS.index(p[::-1])) for p in PAIRS)


def test_pairs_of_fewer_cells_are_the_first_of_more():
    alleles = pair_alleles(0.8, {"intended": 0.5, "indel": 0.3})
    assert (drawn_alleles(alleles, 50) == drawn_alleles(alleles, 500)[:50]).all()


def test_a_product_whose_every_cell_dies_is_valid(patient, settings_for):
    """All edited, none survives: a graft without stem cells, carried on."""
    certain = {"editable_fraction": 1.0, "intended": 1.0, "indel": 0.0, "large_deletion": 0.0}
    settings = edited(settings_for("product"), **certain, bystander=0.0, survival=0.0)
    made = next(make_products([patient], settings))
    assert made["products"]["lt_hsc"].to_pylist() == [0]
    assert made["clones"].num_rows == 0


@pytest.mark.parametrize(
    ("template", "survival", "deletions"), [("aav", 0.35, 0.2), ("idlv", 0.525, 0.2), ("ssodn", 0.63, 0.5)]
)
def test_a_template_costs_cells_and_saves_deletions(template, survival, deletions):
    """Against the break alone: survival times the template's, large deletions times its part."""
    values = catalogue_values("sickle_cell", "sickle_cell_hdr")
    settings = Settings({**values, "edit.template": template, "edit.logit_sd": 0.0})
    cut = Settings({name: value for name, value in settings.values.items() if name != "edit.template"})
    assert survival_of(settings) == pytest.approx(survival)
    assert survival_of(cut) == 0.7
    deleted = [bulk_alleles(1, s).mean("large_deletion") for s in (settings, cut)]
    assert deleted[0] == pytest.approx(deletions * deleted[1])
    # Of cells that are edited, the template's share lives.
    bulk = bulk_alleles(1, settings)
    edited_share = 1 - long_term_alleles(bulk, replaced_survival(settings))[0].share[0]
    _, lives = long_term_alleles(bulk, settings)
    assert lives == pytest.approx(1 - edited_share * (1 - survival))


def catalogue_values(disease, product):
    return {name: value.value for name, value in values_for(disease, product).items()}


def replaced_survival(settings):
    """Settings under which all edited cells live."""
    values = {name: value for name, value in settings.values.items() if name != "edit.template"}
    return Settings({**values, "edit.survival": 1.0})
