"""The fit of a calibration, from the files of its rounds: posterior, checks, structures, predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsc_pipeline.calibration import checks, draws, infer, run, structures
from hsc_pipeline.calibration.plans import Calibration
from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.streams import sequence


@dataclass(frozen=True)
class Problem:
    """What a fit fits.

    Attributes
    ----------
    reference : run.Reference
        Simulations within the box.
    observed : pandas.Series
        Of the statistics that are fitted.
    priors, whole : mapping of str to Prior
        Of every column of `reference.theta`: within the box, and before.
    rounds : int
    in_prior : int
        Simulations of all rounds, those outside the box included.
    """

    reference: run.Reference
    observed: pd.Series
    priors: Mapping[str, Prior]
    whole: Mapping[str, Prior]
    rounds: int
    in_prior: int


def problem_of(calibration: Calibration, files) -> Problem:
    """Read the rounds so far, as the last box cuts them.

    Parameters
    ----------
    calibration : Calibration
    files
        With ``theta``, ``statistics`` and ``boxes`` a file a round, ``observed`` and ``pilot``.
    """
    boxes = [run.read_json(box) for box in _all(files.boxes)]
    box = boxes[-1] if boxes else None
    rounds = [
        (run.read_frame(theta), run.read_frame(statistics))
        for theta, statistics in zip(_all(files.theta), _all(files.statistics), strict=True)
    ]
    reference = run.gather(rounds, box)
    observed = fitted_statistics(files.observed, files.pilot)
    whole = draws.priors_of(calibration.structures[calibration.fitted], calibration.patients)
    narrowed = draws.within(whole, box)
    return Problem(reference, observed, narrowed, whole, len(rounds), sum(len(of[0]) for of in rounds))


def _all(files) -> list[str]:
    return [files] if isinstance(files, str) else list(files)


def fitted_statistics(observed: str, pilot) -> pd.Series:
    """Return the statistics that are fitted: those that vary, by name."""
    rows = run.read_frame(observed)
    constant = run.read_json(*_all(pilot))["constant"]
    rows = rows[(rows["use"] == run.FITTED) & ~rows["statistic"].isin(constant)]
    return rows.set_index("statistic")["value"]


def seed_of(calibration: Calibration, what: str) -> int:
    """Return the seed of one step."""
    return int(sequence(calibration.file.seed, f"calibration.{what}").generate_state(1)[0])


def look(theta: str, statistics: str, observed: str, pilot: str, outside: str) -> tuple[dict, pd.DataFrame]:
    """Return whether the data are among the simulations of the prior, and what is the farthest out.

    Raises
    ------
    UserError
        Where they are not, unless `outside` is ``report``.
    """
    reference = run.gather([(run.read_frame(theta), run.read_frame(statistics))])
    wanted = fitted_statistics(observed, pilot)
    found = checks.inside(reference.statistics[list(wanted.index)], wanted.to_dict())
    run.look_at_round(reference, wanted, found, outside)
    far = run.farthest(reference.statistics, wanted).rename_axis("statistic").reset_index()
    return {**found, "failed": len(reference.failed), "simulated": reference.simulated}, far


def narrow(calibration: Calibration, files) -> dict[str, list[float]]:
    """Return the box in which the next round draws: where the posterior so far has mass."""
    problem = problem_of(calibration, files)
    found = _fit(problem, seed_of(calibration, f"narrow.{problem.rounds}"))
    return draws.box_of(found.draws, problem.whole)


def _fit(problem: Problem, seed: int) -> infer.Fit:
    names = list(problem.observed.index)
    return infer.fit(
        problem.reference.theta,
        problem.reference.statistics[names],
        problem.observed.to_dict(),
        problem.priors,
        seed,
        whole=problem.whole,
    )


def fit_posterior(calibration: Calibration, files) -> dict:
    """Return ``joint`` draws, what is known of each parameter, and what is said of the ``fit``."""
    problem = problem_of(calibration, files)
    found = _fit(problem, seed_of(calibration, "fit"))
    failures = problem.reference.failed.value_counts()
    return {
        "joint": found.draws,
        "summary": found.summary,
        "identifiability": checks.identifiability(found.summary, found.draws, problem.whole),
        "profile": found.profile,
        "correlations": correlations(found.draws, problem.whole),
        "fit": {
            "simulations": problem.in_prior,
            "within_box": problem.reference.simulated,
            "used": found.used,
            "failed": len(problem.reference.failed),
            "failures": {str(reason): int(n) for reason, n in failures.head(run.NAMED).items()},
            "effective": float(found.effective),
            "statistics": len(problem.observed),
            "rounds": problem.rounds,
            "warnings": list(found.warnings),
        },
    }


def correlations(drawn: pd.DataFrame, priors: Mapping[str, Prior]) -> pd.DataFrame:
    """Return rank correlations of pairs of parameters in the posterior."""
    ranks = drawn[list(priors)].rank().corr().to_numpy()
    names = list(priors)
    rows, columns = np.triu_indices(len(names), 1)
    return pd.DataFrame(
        {
            "parameter": [names[i] for i in rows],
            "other": [names[j] for j in columns],
            "correlation": ranks[rows, columns],
        }
    )


def choose_structure(
    names: Sequence[str], files, simulations: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the probability of each structure, and how well simulations of known structure are told apart.

    The same number of each is compared, so that each is as likely before the data.
    """
    wanted = fitted_statistics(files.observed, files.pilot)
    parts = []
    for name, file in zip(names, _all(files.statistics), strict=True):
        rows = run.read_frame(file).head(simulations)
        rows = rows[rows["failed"] == ""]
        parts.append(rows[list(wanted.index)].assign(structure=name))
    if len(parts) == 1:
        alone = pd.DataFrame({"structure": list(names), "probability": [1.0]})
        return alone, pd.DataFrame({"structure": list(names)})
    table = pd.concat(parts, ignore_index=True)
    number = int(sequence(seed, "calibration.structures").generate_state(1)[0])
    return structures.choose(table["structure"], table.drop(columns="structure"), wanted.to_dict(), number)


def check(calibration: Calibration, files) -> dict[str, pd.DataFrame]:
    """Return ranks of known parameters in their posteriors, whether they are even, and coverage."""
    problem = problem_of(calibration, files)
    names = list(problem.observed.index)
    ranks = checks.simulation_based_calibration(
        problem.reference.theta,
        problem.reference.statistics[names],
        problem.priors,
        seed_of(calibration, "check"),
    )
    return {"sbc": ranks, "uniformity": checks.uniformity(ranks), "coverage": checks.coverage(ranks)}


def predict(
    calibration: Calibration, joint: pd.DataFrame, designs: Mapping, observed: pd.DataFrame, predictions: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate draws of the posterior; return them, and where the data lie among them by statistic."""
    step = max(1, len(joint) // predictions)
    theta = joint.iloc[::step].head(predictions).reset_index(drop=True)
    theta = draws.whole_numbers(theta, calibration.structures[calibration.fitted].parameters)
    found = run.simulate(calibration, calibration.fitted, "predict", theta, designs)
    good = found[found["failed"] == ""].drop(columns=run.NUMBERED).reset_index(drop=True)
    said = []
    for use in (run.KEPT_BACK, run.FITTED):
        rows = observed[observed["use"] == use].set_index("statistic")["value"]
        said.append(checks.predictive(good[list(rows.index)], rows.to_dict()).assign(use=use))
    return found, pd.concat([of for of in said if len(of)], ignore_index=True)
