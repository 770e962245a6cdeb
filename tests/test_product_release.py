"""Release data in place of the model's draw: clones like the colonies, alleles and sites as measured."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from hsc_pipeline.errors import UserError
from hsc_pipeline.product import make_products
from hsc_pipeline.product.editing import long_term_alleles
from hsc_pipeline.product.measured import Measured
from hsc_pipeline.product.release import read_release
from hsc_pipeline.product.vector import draw_copies
from hsc_pipeline.settings import Settings
from tests.edits import edited
from tests.statistics_of import LEAST_P, LIMIT, z_of_mean, z_of_share, z_of_variance

COLONIES = [[0, 60], [1, 20], [3, 15], [7, 5]]  # copies, colonies
SITES = [
    ["1", 1000, "+", "MECOM", 1],
    ["X", 2000, "-", "", 3],
    ["22", 3000, "+", "KDM2A", 6],
]
FIXED = {"product.cd34_ln_sd": 0, "product.lt_hsc_log10_sd": 0, "drivers.per_cell_year": 0}


def measured(settings, **data):
    return Settings(settings.values, settings.tables, {"product_data": data})


def product_of(patient, settings):
    return next(make_products([patient], settings))


def test_clones_are_like_the_colonies(patient, settings_for):
    """Each class of copies with its share, the product's row with its means; fails if 13 % off in a class."""
    settings = measured(settings_for("product", FIXED | {"product.lt_copies_ratio": 1}), copies=COLONIES)
    made = product_of(patient, settings)
    row = made["products"].to_pylist()[0]
    copies = np.zeros(row["lt_hsc"], int)
    copies[: made["clones"].num_rows] = made["clones"]["copies"].to_numpy()
    assert set(copies) == {0, 1, 3, 7}
    for number, colonies in COLONIES:
        assert abs(z_of_share(copies == number, colonies / 100)) < LIMIT
        assert abs(z_of_share(copies == number, 1.13 * colonies / 100)) > LIMIT
    mean = sum(c * n for c, n in COLONIES) / 100
    assert row["mean_copies"] == pytest.approx(mean)
    assert row["corrected_fraction"] == pytest.approx(0.4)
    assert row["copies_per_corrected"] == pytest.approx(mean / 0.4)


def test_long_term_cells_have_fewer_copies_than_the_colonies(patient, settings_for):
    """Each copy kept with the ratio: the mean times it; fails if the drop were left out, or 7 % off."""
    settings = measured(settings_for("product", FIXED | {"product.lt_copies_ratio": 0.5}), copies=COLONIES)
    made = product_of(patient, settings)
    row = made["products"].to_pylist()[0]
    copies = np.zeros(row["lt_hsc"])
    copies[: made["clones"].num_rows] = made["clones"]["copies"].to_numpy()
    assert abs(z_of_mean(copies, 0.5 * 1.0)) < LIMIT
    assert abs(z_of_mean(copies, 0.5 * 1.07)) > LIMIT
    assert row["mean_copies"] == pytest.approx(1.0)


def test_thinned_copies_keep_their_dispersion():
    """A negative binomial thinned by r has mean r m and the same k: variance/mean 1 + r m / k; so measured
    and modelled products lose copies alike.  Fails if the variance were 10 % off."""
    copies = draw_copies(np.random.default_rng(2), 2.0, 1.2, 200_000)
    number, colonies = np.unique(copies, return_counts=True)
    data = Measured(Settings({}, {}, {"product_data": {"copies": list(zip(number, colonies, strict=True))}}))
    thinned = data.draw_copies(3, 200_000, 0.5)
    variance = 1.0 * (1 + 1.0 / 1.2)
    assert abs(z_of_mean(thinned, 1.0)) < LIMIT
    assert abs(z_of_variance(thinned, variance)) < LIMIT
    assert abs(z_of_variance(thinned, 1.1 * variance)) > LIMIT


def test_sites_are_those_measured_by_their_weight(patient, settings_for):
    """Place, strand and gene together; the class from the gene table; fails if a weight were 10 % off."""
    settings = measured(settings_for("product", FIXED), sites=SITES)
    sites = product_of(patient, settings)["sites"].to_pandas()
    found = sites.groupby(["chromosome", "position", "strand", "gene", "gene_class"]).size()
    expected = {
        ("1", 1000, "+", "MECOM", "oncogene"): 1,
        ("X", 2000, "-", "", ""): 3,
        ("22", 3000, "+", "KDM2A", "hot_spot"): 6,
    }
    assert set(found.index) == set(expected)
    law = np.array([expected[place] for place in found.index]) / 10
    assert stats.chisquare(found, law * len(sites)).pvalue > LEAST_P
    off = law * np.where(found.index.get_level_values("chromosome") == "X", 1.1, 1)
    assert stats.chisquare(found, off / off.sum() * len(sites)).pvalue < LEAST_P


def test_measured_sites_change_no_copies(patient, settings_for):
    settings = settings_for("product", FIXED)
    drawn, given_ = (
        product_of(patient, s)["clones"]["copies"] for s in (settings, measured(settings, sites=SITES))
    )
    assert drawn.equals(given_)


@given(
    parts=st.lists(st.floats(0, 1), min_size=3, max_size=3),
    editable=st.floats(0.05, 1),
    deleted=st.floats(0, 0.3),
)
def test_alleles_show_the_measured_shares_beside_deletions_that_no_amplicon_shows(parts, editable, deleted):
    """Of the alleles that an amplicon sees, each outcome has its measured share, whatever is editable."""
    visible = dict(zip(("intended", "indel", "bystander"), parts, strict=True))
    assume(0 < sum(parts) <= 1)
    settings = edited(editable_fraction=editable, large_deletion=deleted)
    data = Measured(Settings(settings.values, {}, {"product_data": {"alleles": visible}}))
    alleles = data.bulk_alleles(settings)
    seen = 1 - alleles.mean("large_deletion")
    assert alleles.mean("large_deletion") == pytest.approx(editable * deleted)
    for name, share in visible.items():
        assert alleles.mean(name) / seen == pytest.approx(share, abs=1e-9)
    # Without loss, long-term cells have the same alleles, even if more are edited than the catalogue thinks.
    kept, lives = long_term_alleles(alleles, settings)
    assert lives == pytest.approx(1)
    assert np.allclose(kept.share, alleles.share)


def test_an_unedited_product_has_no_hidden_deletions():
    data = Measured(Settings({}, {}, {"product_data": {"alleles": {"unedited": 1.0}}}))
    assert data.bulk_alleles(edited()).mean("unedited") == 1


def test_a_measured_editing_product_takes_its_alleles(patient, settings_for):
    """Two in five alleles intended, all else unedited: a e is 0.4 in bulk, whatever the catalogue's e."""
    like = settings_for("product", FIXED)
    settings = edited(like, large_deletion=0.0)
    alleles = {"intended": 0.4, "indel": 0.0, "bystander": 0.0}
    row = product_of(patient, measured(settings, alleles=alleles))["products"].to_pylist()[0]
    assert row["mean_copies"] == pytest.approx(0.8)
    assert row["corrected_fraction"] == pytest.approx(0.8 * (1 - 0.5**2))
    is_corrected = np.arange(row["lt_hsc"]) < row["lt_hsc_corrected"]
    assert abs(z_of_share(is_corrected, 0.6)) < LIMIT
    assert abs(z_of_share(is_corrected, 0.95 * 0.6)) > LIMIT


@pytest.mark.parametrize(
    ("kind", "modification"),
    [
        ("alleles", "lentiviral"),
        ("colonies", "nhej"),
        ("sites", "hdr"),
        ("alleles", "unmodified"),
        ("sites", "none"),
    ],
)
def test_release_data_must_fit_the_product(tmp_path, kind, modification):
    path = tmp_path / "data.csv"
    path.write_text("x\n")
    with pytest.raises(UserError, match=f"product_data.{kind}: a {modification} product has no {kind}"):
        read_release({kind: str(path)}, modification)


def test_release_data_that_are_not_there_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_release({"colonies": str(tmp_path / "none.csv")}, "lentiviral")
