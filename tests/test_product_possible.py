"""Values possible alone and not together are refused in one sentence, and their neighbours are not."""

import pytest

from hsc_pipeline.errors import UserError
from hsc_pipeline.study import load_study

VECTOR, EDIT = {"disease": "was"}, {"disease": "sickle_cell", "product": "bcl11a_crispr"}


def of(study, like, values, **keys):
    return load_study({**study, **like, **keys, "set": values})


@pytest.mark.parametrize(
    ("like", "refused", "allowed", "said"),
    [
        (VECTOR, {"product.cd34_per_kg": 3e8}, {"product.cd34_per_kg": 1.5e8}, "up to 1.7e\\+07 stem cells"),
        (VECTOR, {"product.lt_hsc_per_cd34": 1}, {"product.lt_hsc_per_cd34": 6e-4}, "at most 1e\\+07"),
        (VECTOR, {"product.lt_hsc_log10_sd": 2}, {"product.lt_hsc_log10_sd": 1}, "2 standard deviations"),
        (VECTOR, {"product.lt_copies_ratio": 10}, {"product.lt_copies_ratio": 8}, "25 copies per stem cell"),
        (VECTOR, {"product.mean_copies_ln_sd": 1.1}, {"product.mean_copies_ln_sd": 1}, "at most 1"),
        (
            VECTOR,
            {"product.transduced_fraction": 0.92},
            {"product.transduced_fraction": 0.91},
            "below 0.918, the Poisson limit",
        ),
        (VECTOR, {"expression.most": 0}, {"expression.most": 0.1}, "expression.most = 0; allowed: above 0"),
        (
            VECTOR,
            {"genotoxicity.advantage_least": 2},
            {"genotoxicity.advantage_least": 1},
            "the most not below the least",
        ),
        (
            {**VECTOR, "product": "was_gammaretroviral"},
            {"vector.oncogene_ratio": 2000},
            {"vector.oncogene_ratio": 1000},
            "the named genes would take 1.43 of all insertions",
        ),
        (VECTOR, {"drivers.per_cell_year": 2}, {"drivers.per_cell_year": 0.9}, "at most 1e\\+07"),
        (VECTOR, {"drivers.shape": 100}, {"drivers.shape": 60}, "1.61 a year in the mean"),
        (VECTOR, {"drivers.least_advantage": 0.5}, {"drivers.least_advantage": 0.3}, "at most 0.323"),
        (
            VECTOR,
            {"manufacture.most_harvests": 1.5},
            {"manufacture.most_harvests": 3},
            "a whole number from 1 to 100",
        ),
        (EDIT, {"edit.intended": 0.95}, {"edit.intended": 0.94}, "at most 1 together"),
        (
            EDIT,
            {"edit.off_target_per_cell": 0.7, "edit.translocation_per_cell": 0.7},
            {"edit.off_target_per_cell": 0.7, "edit.translocation_per_cell": 0.3},
            "at most 1 together",
        ),
    ],
)
def test_values_that_are_impossible_together_are_one_sentence(study, like, refused, allowed, said):
    with pytest.raises(UserError, match=said) as error:
        of(study, like, refused)
    assert "\n" not in str(error.value)
    assert "arm 'trial'" in str(error.value)
    of(study, like, allowed)


def test_a_users_genes_may_not_take_more_than_all_insertions(tmp_path, study):
    path = tmp_path / "genes.csv"
    path.write_text("gene,class,frequency,chromosome,start,end\nMINE,oncogene,0.3,1,1000,2000\n")
    like = {**VECTOR, "product": "was_gammaretroviral"}
    of(study, like, {"vector.oncogene_ratio": 3}, gene_table=str(path))
    with pytest.raises(UserError, match=r"would take 1\.5 of all insertions"):
        of(study, like, {}, gene_table=str(path))
