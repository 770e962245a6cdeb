"""Random streams: named, derived, never sequential."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsc_pipeline.streams import patient_seed, spread, stream


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**63 - 1), patient=st.integers(0, 2**31 - 1))
def test_a_stream_follows_from_its_path_alone(seed, patient):
    mine = patient_seed(seed, patient)
    first = stream(mine, "product.copies").random(3)
    stream(mine, "blood.b_cell").random(100)
    assert (stream(patient_seed(seed, patient), "product.copies").random(3) == first).all()


def test_patients_quantities_arms_and_studies_have_streams_of_their_own():
    seeds = [patient_seed(study, p, arm) for study in (1, 2) for p in range(200) for arm in (None, "a", "b")]
    assert len(set(seeds)) == len(seeds)
    draws = {float(stream(seeds[0], name).random()) for name in ("a", "b", "product.copies", "product.sites")}
    assert len(draws) == 4


def test_streams_of_neighbouring_patients_are_uncorrelated():
    # 20,000 pairs: |r| > 5/sqrt(n) has a false-alarm rate below 1e-6; it would show r = 0.05 at z = 7.
    x = np.array([stream(patient_seed(5, patient), "plan.age").random() for patient in range(20_000)])
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 5 / np.sqrt(len(x))


@pytest.mark.parametrize("ln_sd", [0.0, 0.4])
def test_spread_is_log_normal_with_median_one(ln_sd):
    # 4,000 draws; tolerance z = 5 (false alarms below 1e-6); it would show a median of 1.05.
    x = np.log([spread(patient_seed(3, patient), "plan.dose", ln_sd) for patient in range(4000)])
    assert abs(x.mean()) <= 5 * ln_sd / np.sqrt(len(x))
    assert abs(x.std() - ln_sd) <= 5 * ln_sd / np.sqrt(2 * len(x))
