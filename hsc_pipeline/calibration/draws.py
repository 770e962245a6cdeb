"""Draws of parameters: from their priors, for several patients at once, and within a box."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hsc_pipeline.calibration.plans import Fitted, Structure
from hsc_pipeline.calibration.priors import Prior, sample
from hsc_pipeline.streams import sequence, stream

POPULATION, LIKENESS = "population:", "likeness:"
MOST_BLOCKS = 200  # of draws of a group of patients, to find enough within a box
WIDENED = 0.1  # of its extent on the scores, by which a box is larger than the draws on either side
DRAWS_OF_POPULATION = "calibration.population"
Box = Mapping[str, Sequence[float]]


def columns_of(structure: Structure, patients: int, patient: int) -> dict[str, str]:
    """Return the column that holds each catalogue value of one patient, by name of the value."""
    return {
        name: f"{name}@{patient + 1}" if one.own and patients > 1 else name
        for name, one in structure.parameters.items()
    }


def priors_of(structure: Structure, patients: int) -> dict[str, Prior]:
    """Return the prior of every column of a draw.

    Several patients' own values are alike as the scores of their prior are correlated, by ``likeness``;
    each alone still has its prior.  ``population`` is what they are alike around.
    """
    found: dict[str, Prior] = {}
    for name, one in structure.parameters.items():
        if not one.own or patients == 1:
            found[name] = one.prior
            continue
        found |= {f"{name}@{number + 1}": one.prior for number in range(patients)}
        found[POPULATION + name] = one.prior
        found[LIKENESS + name] = Prior("uniform", least=0.0, most=1.0)
    return found


def draw(structure: Structure, patients: int, n: int, seed: int, what: str, box: Box | None = None):
    """Draw parameters from the prior, or from the part of it within a box.

    Parameters
    ----------
    structure : Structure
    patients : int
    n : int
    seed : int
    what : str
        Name of the draws; others have other random numbers.
    box : mapping of str to (least, most), optional
        By column.

    Returns
    -------
    pandas.DataFrame, shape (n, columns)
        In the order of `priors_of`.
    """
    priors = within(priors_of(structure, patients), box)
    grouped = [name for name, one in structure.parameters.items() if one.own and patients > 1]
    members = {name: _members(name, patients) for name in grouped}
    alone = {name: p for name, p in priors.items() if not any(name in of for of in members.values())}
    found = pd.DataFrame(index=range(n))
    if alone:
        number = int(sequence(seed, f"calibration.draws.{what}").generate_state(1)[0])
        found = sample(alone, n, number)
    for name in grouped:
        rng = stream(seed, f"calibration.draws.{what}.{name}")
        drawn = _group(structure.parameters[name].prior, patients, n, rng, box, members[name])
        found[members[name]] = drawn
    return whole_numbers(found[list(priors)], structure.parameters)


def within(priors: Mapping[str, Prior], box: Box | None) -> dict[str, Prior]:
    """Return the priors cut to a box."""
    if not box:
        return dict(priors)
    return {name: p.narrowed(*box[name]) if name in box else p for name, p in priors.items()}


def _members(name: str, patients: int) -> list[str]:
    own = [f"{name}@{number + 1}" for number in range(patients)]
    return [*own, POPULATION + name, LIKENESS + name]


def _group(
    prior: Prior, patients: int, n: int, rng: np.random.Generator, box: Box | None, names: list[str]
) -> np.ndarray:
    """Draw patients' own values that are alike, keeping what lies in the box."""
    kept, found = [], 0
    for block in range(MOST_BLOCKS):
        likeness, common = rng.random(n), rng.standard_normal(n)
        own = rng.standard_normal((n, patients))
        z = np.sqrt(likeness)[:, None] * common[:, None] + np.sqrt(1 - likeness)[:, None] * own
        values = np.column_stack([prior.at_score(z), prior.at_score(common), likeness])
        if box and block < MOST_BLOCKS - 1:  # a box that next to nothing falls into is let go
            values = values[inside_box(pd.DataFrame(values, columns=names), box)]
        kept.append(values)
        found += len(values)
        if found >= n:
            break
    return np.vstack(kept)[:n]


def inside_box(theta: pd.DataFrame, box: Box | None) -> np.ndarray:
    """Return which rows lie within a box."""
    held = np.ones(len(theta), bool)
    for name, (least, most) in (box or {}).items():
        if name in theta:
            held &= theta[name].between(least, most).to_numpy()
    return held


def box_of(draws: pd.DataFrame, priors: Mapping[str, Prior]) -> dict[str, list[float]]:
    """Return the box that holds the draws of a posterior, a little widened on the scores of the prior."""
    found = {}
    for name, prior in priors.items():
        z = prior.score(draws[name].to_numpy(float))
        more = WIDENED * (z.max() - z.min())
        low, high = prior.at_score(np.array([z.min() - more, z.max() + more]))
        found[name] = [float(low), float(high)]
    return {name: box for name, box in found.items() if box[0] < box[1]}


def new_patients(draws: pd.DataFrame, parameters: Mapping[str, Fitted], seed: int) -> pd.DataFrame:
    """Return draws of a new patient of the same population: columns are names of catalogue values.

    What all share is as in the draw; what each has of their own is drawn around the population's, as far
    from it as the draw's likeness says.
    """
    found = {}
    for name, one in parameters.items():
        if name in draws:
            found[name] = draws[name].to_numpy(float)
            continue
        common = one.prior.score(draws[POPULATION + name].to_numpy(float))
        likeness = draws[LIKENESS + name].to_numpy(float)
        own = stream(seed, f"{DRAWS_OF_POPULATION}.{name}").standard_normal(len(draws))
        found[name] = one.prior.at_score(np.sqrt(likeness) * common + np.sqrt(1 - likeness) * own)
    return pd.DataFrame(found)


def whole_numbers(theta: pd.DataFrame, parameters: Mapping[str, Fitted]) -> pd.DataFrame:
    """Return parameters with those that the catalogue counts rounded to whole numbers."""
    of = {column: parameters.get(column.split("@")[0].removeprefix(POPULATION)) for column in theta.columns}
    counted = [column for column, one in of.items() if one is not None and one.whole]
    return theta.assign(**{column: np.round(theta[column]) for column in counted})
