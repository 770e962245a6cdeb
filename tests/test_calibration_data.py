"""Statistics of samples, and how a patient's tables become them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsc_pipeline import formats
from hsc_pipeline.calibration.data import read_patients, take
from hsc_pipeline.calibration.run import observe
from hsc_pipeline.calibration.settings import load_calibration
from hsc_pipeline.calibration.statistics import (
    LEAST_VCN,
    Measured,
    Sample,
    alike,
    in_time,
    of_sample,
    statistics,
)
from hsc_pipeline.errors import UserError
from tests.test_calibration_file import changed, example


def sample(month, **counts):
    clones = np.array([int(name[1:]) for name in counts])
    order = np.argsort(clones)
    return Sample(month, clones[order], np.array(list(counts.values()), float)[order])


ONE, SAME = sample(12, c1=4, c2=3, c3=1), sample(24, c1=4, c2=3, c3=1)
OTHER, NONE = sample(24, c1=8, c4=2, c5=2), sample(24)


def test_a_sample_with_itself_is_alike_in_all():
    found = alike(ONE, SAME)
    assert found["morisita"] == pytest.approx(1)
    assert found["correlation"] == pytest.approx(1)
    assert found["shared"] == pytest.approx(np.log(7 / 1))  # (2 * 3 + 1) / (6 + 2) against the rest


def test_samples_without_a_common_clone_have_nothing_in_common():
    found = alike(ONE, sample(24, c7=1, c8=5))
    assert found["morisita"] == 0
    assert found["correlation"] < 0
    assert found["shared"] == pytest.approx(np.log(1 / 6))  # 1 / (5 + 2)


def test_what_two_samples_say_of_clones_in_time():
    found = in_time(ONE, OTHER)
    assert found["lincoln"] == pytest.approx(np.log(4 * 4 / 2))  # three and three clones, one in both
    assert found["volatility"] == 0  # one clone that is deep enough has no spread
    pair = sample(1, c1=10, c2=10), sample(2, c1=20, c2=5)
    assert in_time(*pair)["volatility"] == pytest.approx(np.log(2))


def test_measures_of_a_sample_are_those_of_tracking():
    found = of_sample(np.array([4.0, 3, 1]), "fragments")
    assert found["richness"] == pytest.approx(np.log(4))
    assert found["total"] == pytest.approx(np.log(9))
    assert found["top1"] == pytest.approx(np.log(0.5))
    assert found["singletons"] == pytest.approx(1 / 3)


def test_of_reads_nothing_is_used_that_is_the_depth_of_the_run():
    """Twice the reads of every clone change no statistic."""
    for name in ("total", "chao1", "singletons"):
        assert name not in of_sample(np.array([4.0, 3, 1]), "reads")
    deeper = Sample(12, ONE.clones, 2 * ONE.counts)
    once, twice = (statistics(Measured({"reads": {"T": [one, SAME]}}), 9) for one in (ONE, deeper))
    assert once == pytest.approx(twice)


@given(st.lists(st.lists(st.integers(0, 30), max_size=6), min_size=1, max_size=4))
def test_every_statistic_is_finite_whatever_was_found(rows):
    """Samples of up to six clones, empty ones too: a simulation that dies out is not lost."""
    found = {}
    for lineage in ("B", "T"):
        found[lineage] = []
        for number, counts in enumerate(rows):
            counts = np.array(counts, float)
            at = np.flatnonzero(counts)
            found[lineage].append(Sample(3.0 + 6 * number, at, counts[at]))
    values = statistics(Measured({"fragments": found}), 9)
    assert np.isfinite(list(values.values())).all()


def test_the_names_of_statistics_do_not_depend_on_what_was_found():
    """So that a simulation has a number for whatever the patient has."""
    full, empty = (
        statistics(Measured({"fragments": {"B": [a, b], "T": [b]}}), 9)
        for a, b in ((ONE, OTHER), (NONE, NONE))
    )
    assert full.keys() == empty.keys()


def test_what_clones_are_called_changes_nothing():
    def renamed(one):
        clones = (one.clones * 7) % 11
        order = np.argsort(clones)
        return Sample(one.month, clones[order], one.counts[order])

    before, after = (
        statistics(Measured({"fragments": {"T": of}}), 9)
        for of in ([ONE, OTHER], [renamed(ONE), renamed(OTHER)])
    )
    assert before == pytest.approx(after)


def test_a_lineage_that_was_not_sampled_has_no_statistic():
    values = statistics(Measured({"fragments": {"T": [ONE, SAME]}}), 9)
    assert values
    assert not any("Myeloid" in name or "early" in name for name in values)


def test_the_clinic_is_averaged_on_the_scale_of_the_measure_before_and_after_the_stable_month():
    series = {("vcn", "T"): [(1, 0.0), (3, 1.0), (12, 2.0), (24, 8.0)], ("chimerism", "B"): [(12, 0.5)]}
    values = statistics(Measured({}, series), 9)
    assert values["clinic.vcn.T.early"] == pytest.approx((np.log(LEAST_VCN) + np.log(1)) / 2)
    assert values["clinic.vcn.T.stable"] == pytest.approx(np.log(4))
    assert values["clinic.chimerism.B.stable"] == pytest.approx(0)


# Tables


@pytest.fixture(scope="module")
def patients():
    return read_patients(load_calibration(example()))


def test_the_design_is_that_of_the_tables(patients):
    design = patients[0].design
    tubes = design.tubes["fragments"]
    assert {(tube.lineage, tube.sort) for tube in tubes} == {
        *(("Myeloid", "neutrophil"), ("B", "b_cell"), ("T", "t_cell"))
    }
    assert sorted({tube.month for tube in tubes}) == [6, 12, 24, 36]
    assert all(tube.dna_ng > 0 for tube in tubes)
    assert design.months == [1, 3, 6, 12, 24, 36]
    assert design.colonies == [(36.0, 120)]


def test_no_count_is_lost(patients):
    (observations,) = [formats.read(example()["tables"][0]["path"], assay="fragments")]
    rows = observations.clones.to_pandas()
    whole = rows.loc[rows["subject"] == "trial_P0000", "count"].sum()
    samples = patients[0].measured.samples["fragments"]
    assert sum(one.counts.sum() for own in samples.values() for one in own) == whole


def test_values_below_the_limit_stand_at_it_in_data_and_in_the_design():
    rows = [
        {
            "subject": "x",
            "month": month,
            "measure": "vcn",
            "lineage": "T",
            "value": value,
            "unit": "copies/cell",
        }
        | {"below_limit": below}
        for month, value, below in ((1.0, 0.02, True), (12.0, 0.01, False), (24.0, 0.5, False))
    ]
    patient = take("x", [], rows, [], "PB", {})
    assert patient.measured.clinical["vcn", "T"] == [(1.0, 0.02), (12.0, 0.02), (24.0, 0.5)]
    assert {limit for *_, limit in patient.design.clinical} == {0.02}


def test_two_instruments_stand_side_by_side():
    content = example()
    table = content["tables"][0]
    both = changed(content, tables=[table, {**table, "assay": "reads"}])
    (patient,) = read_patients(load_calibration(both))
    assert list(patient.design.tubes) == ["fragments", "reads"]
    names = statistics(patient.measured, 9)
    assert "fragments.total.T.stable" in names
    assert "reads.shannon.T.stable" in names
    assert "reads.total.T.stable" not in names


def write_long(path, rows):
    path.write_text(
        "subject\tmonth\tcell_type\tclone\tcount\n" + "".join("\t".join(row) + "\n" for row in rows)
    )
    return {"path": str(path), "assay": "fragments"}


def test_a_patient_with_one_sample_is_refused_in_one_sentence(tmp_path):
    table = write_long(tmp_path / "one.tsv", [("p", "12", "T", "a", "3"), ("p", "12", "T", "b", "1")])
    content = changed(example(), tables=[table], patients=[{"subject": "p"}], clinical=None, colonies=None)
    with pytest.raises(UserError, match=r"patients\[0\]: 'p' has 1 sample of PB that can be used"):
        read_patients(load_calibration(content))


def test_a_subject_in_no_table_is_named(tmp_path):
    rows = [("p", str(month), "T", "a", "3") for month in (12, 24)]
    tables = [write_long(tmp_path / f"{n}.tsv", [(f"p{n}", *row[1:]) for row in rows]) for n in (1, 2)]
    content = changed(example(), tables=tables, patients=[{"subject": "p3"}], clinical=None, colonies=None)
    with pytest.raises(UserError, match=r"patients\[0\]: 'p3' is in no table"):
        read_patients(load_calibration(content))


def test_statistics_are_fitted_kept_back_or_left_out_by_parts_of_their_names():
    asked = {"leave_out": ["clinic.count"], "keep_back": ["gini", "colonies"]}
    observed, _ = observe(load_calibration(changed(example(), statistics=asked)))
    use = observed.set_index("statistic")["use"]
    assert use["clinic.count.B.stable"] == "left_out"
    assert use["colonies.coalescent.0"] == use["fragments.gini.T.stable"] == "kept_back"
    assert use["fragments.pielou.T.stable"] == "fitted"


def test_a_word_that_leaves_nothing_out_is_a_mistake():
    with pytest.raises(UserError, match="no statistic has 'shanon' in its name"):
        observe(load_calibration(changed(example(), statistics={"leave_out": ["shanon"]})))
