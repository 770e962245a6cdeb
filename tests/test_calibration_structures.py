"""Structure choice: probabilities against exact ones, calibrated, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from hsc_pipeline.calibration.structures import choose, confusion, learn, reliability
from hsc_pipeline.errors import UserError

SD = 1.5  # of the effect under "shifted"; each of four statistics has noise with sd 1


def toy(n: int, seed: int) -> tuple[pd.Series, pd.DataFrame]:
    """Structure "none": no effect; "shifted": one normal effect that four statistics share."""
    rng = np.random.default_rng(seed)
    label = rng.choice(["none", "shifted"], n)
    effect = SD * rng.standard_normal(n) * (label == "shifted")
    stats = effect[:, None] + rng.standard_normal((n, 4))
    noise = rng.exponential(size=(n, 1))
    return pd.Series(label), pd.DataFrame(np.hstack([stats, noise]), columns=list("abcde"))


def exact(stats: pd.DataFrame) -> np.ndarray:
    """P("shifted" | statistics): the mean of the four is N(0, 1/4) or N(0, 1/4 + SD^2)."""
    from scipy.stats import norm

    mean = stats[list("abcd")].mean(axis=1).to_numpy()
    none, shifted = norm.pdf(mean, scale=0.5), norm.pdf(mean, scale=np.sqrt(0.25 + SD**2))
    return shifted / (none + shifted)


@pytest.fixture(scope="module")
def chooser():
    return learn(*toy(2000, 1), seed=1)


def test_probabilities_are_those_of_the_exact_bayes_factor(chooser):
    """50 others: the mean absolute error of the probability is below 0.06; of 1/2 it is 0.25.

    Would fail for the votes of a forest alone: 0.075.
    """
    stats = toy(50, 2)[1]
    found = [
        chooser.probabilities(row.to_dict()).set_index("structure")["probability"]["shifted"]
        for _, row in stats.iterrows()
    ]
    assert np.abs(found - exact(stats)).mean() < 0.06
    assert np.corrcoef(found, exact(stats))[0, 1] > 0.95


def test_probabilities_are_calibrated(chooser):
    """Reliability of 2,000 held out: shares are 0.02 off on the mean, the limit is 0.035.

    Would fail for probabilities whose log odds are doubled: 0.1 off, see
    `test_the_test_of_calibration_has_power`.
    """
    table = reliability(chooser.held_out)
    many = table[table["simulations"] >= 50]
    assert len(many) > 8
    assert (many["share"] - many["probability"]).abs().max() < 0.13
    off = (many["share"] - many["probability"]).abs() * many["simulations"]
    error = off.sum() / many["simulations"].sum()
    assert error < 0.035
    assert ((many["low"] <= many["probability"]) & (many["probability"] <= many["high"])).mean() > 0.7


def test_the_test_of_calibration_has_power(chooser):
    held_out = chooser.held_out.copy()
    odds = (held_out["shifted"] / held_out["none"]) ** 2
    held_out["shifted"], held_out["none"] = odds / (1 + odds), 1 / (1 + odds)
    table = reliability(held_out)
    error = ((table["share"] - table["probability"]).abs() * table["simulations"]).sum()
    assert error / table["simulations"].sum() > 0.05


def test_the_choice_comes_with_its_confusion():
    label, stats = toy(500, 3)
    observed = dict.fromkeys(stats, 2.5)
    probabilities, wrong = choose(label, stats, observed, 1)
    rows = probabilities.set_index("structure")
    assert rows["probability"].sum() == pytest.approx(1)
    assert rows["probability"]["shifted"] > 0.95
    assert ((rows["low"] <= rows["probability"]) & (rows["probability"] <= rows["high"])).all()
    odds = rows["probability"] / (1 - rows["probability"])
    before = rows["prior"] / (1 - rows["prior"])
    assert (rows["bayes_factor"] * before).to_numpy() == pytest.approx(odds.to_numpy())
    assert list(wrong.columns) == ["structure", "simulations", "none", "shifted", "probability_of_truth"]
    assert wrong[["none", "shifted"]].sum(axis=1).to_numpy() == pytest.approx([1, 1])
    assert wrong["none"][0] > 0.8
    assert wrong["shifted"][1] > 0.5
    assert probabilities.equals(choose(label, stats, observed, 1)[0])


def test_structures_that_cannot_be_told_apart_keep_their_prior():
    """Shares 0.7 and 0.3 of noise: the probability is within 0.1 of them."""
    rng = np.random.default_rng(4)
    label = pd.Series(rng.choice(["one", "other"], 800, p=[0.7, 0.3]))
    stats = pd.DataFrame(rng.standard_normal((800, 3)), columns=list("abc"))
    found = choose(label, stats, {"a": 0.2, "b": -0.1, "c": 1.0}, 2)[0].set_index("structure")
    assert found["probability"]["one"] == pytest.approx(0.7, abs=0.1)
    assert found["bayes_factor"]["one"] == pytest.approx(1, abs=0.6)


def test_confusion_counts_by_hand():
    held_out = pd.DataFrame({"structure": ["a", "a", "b"], "a": [0.9, 0.4, 0.2], "b": [0.1, 0.6, 0.8]})
    found = confusion(held_out)
    assert found["a"].tolist() == [0.5, 0]
    assert found["probability_of_truth"].to_numpy() == pytest.approx([0.65, 0.8])


def test_what_cannot_be_chosen_between_is_refused_in_a_sentence():
    label, stats = toy(700, 5)
    observed = stats.iloc[0].to_dict()
    with pytest.raises(UserError, match="structures: 1 with simulations that gave statistics"):
        choose(pd.Series(["none"] * 700), stats, observed, 1)
    rare = label.where(label.index > 30, "niche").where(label.index != 0, "none")
    with pytest.raises(UserError, match="structure 'niche': 30 simulations gave statistics; needed: 50"):
        choose(rare, stats, observed, 1)
