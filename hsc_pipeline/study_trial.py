"""The trial part of a study file: what is asked of the simulated outcomes, and how it would be analysed."""

import itertools
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.strict import Strict

if TYPE_CHECKING:
    from hsc_pipeline.study_file import StudyFile

# Columns of the outcomes that a trial can be about; in each, yes or early is good.
YES_NO_ENDPOINTS = ("benefit", "t_protected", "platelets_safe")
TIME_ENDPOINTS = (
    "benefit_month",
    "platelets_safe_month",
    "t_protection_month",
    "cd4_200_month",
    "naive_cd4_normal_month",
    "igg_independence_month",
    "tetanus_vaccination_month",
)
ENDPOINTS = (*YES_NO_ENDPOINTS, *TIME_ENDPOINTS)
# What a trial is stopped for; in each, yes is bad.
SAFETY_EVENTS = ("graft_failure", "dominance_alarm", "transformation", "rescue")
BETWEEN_ARMS = ("fisher", "boschloo", "barnard", "chi_square", "score")
ONE_ARM = ("exact_binomial",)
OVER_TIME = ("log_rank",)
MOST_EXACT = 100  # patients of one arm up to which Boschloo's and Barnard's tests are tabulated

Share = Annotated[float, Field(gt=0, lt=1)]
Size = Annotated[int, Field(ge=2, le=500)]


class Historical(Strict):
    """What is known of patients outside the study: their number, or a share taken as fixed."""

    events: int | None = Field(None, ge=0, description="Patients of the past who reached the endpoint.")
    patients: int | None = Field(None, ge=1, description="Patients of the past in all.")
    share: Share | None = Field(None, description="Share that reached it, in place of a number.")
    drift: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Share by which today's untreated patients may do better than those of the past.",
    )


class Futility(Strict):
    """When to give up: the predictive probability of a significant result at the end is too small."""

    limit: float = Field(0.1, gt=0, lt=1, description="Stop below this predictive probability.")


class Safety(Strict):
    """When to stop for harm in an arm."""

    event: Literal[SAFETY_EVENTS] = Field("graft_failure", description="What counts as harm.")
    limit: Share = Field(0.2, description="Share of patients with the event that can still be borne.")
    rule: Literal["posterior", "pocock"] = Field(
        "posterior",
        description="Stop at a high posterior probability of more than the limit, or a Pocock-type bound.",
    )
    posterior: float = Field(0.95, gt=0.5, lt=1, description="Stop at this posterior probability.")
    prior_patients: float = Field(
        1, gt=0, le=100, description="Patients that the prior is worth; its mean is the limit."
    )
    first_patients: int = Field(5, ge=1, le=500, description="Patients before the first stop.")
    false_stops: Share = Field(
        0.1, description="Chance of a stop where the share is just the limit, for the Pocock-type bound."
    )


class DesignSearch(Strict):
    """Which of the designs that reach the target is the smallest."""

    minimise: list[str] = Field(
        default_factory=list,
        description="Swept values in the order in which they are made small; the dose first by default.",
    )
    cost: dict[str, float] = Field(
        default_factory=dict,
        description="Cost of a unit of each swept value; the sum is made small, in place of an order.",
    )


class Trial(Strict):
    """A trial of the study's arms, resampled from their simulated outcomes."""

    endpoint: Literal[ENDPOINTS] = Field(
        "benefit", description="Column of the outcomes: yes or no, or the month something was reached."
    )
    by_month: float | None = Field(
        None,
        gt=0,
        le=240,
        description="Month by which a time must have come to count as yes; the landmark by default.",
    )
    control: str | None = Field(
        None, description="Arm that the others are compared with; the first by default."
    )
    historical: Historical | None = Field(
        None, description="Patients of the past that each arm is compared with, in place of a control arm."
    )
    analysis: Literal[(*BETWEEN_ARMS, *ONE_ARM, *OVER_TIME)] | None = Field(
        None,
        description="Test at the end; by default Fisher's between arms, exact binomial against the past, "
        "log-rank for a time.",
    )
    alpha: Share = Field(0.05, description="Level of the test.")
    sides: Literal[1, 2] = Field(2, description="Sides of the test; one side is for the arm.")
    power: Share = Field(0.8, description="Power wanted.")
    target: Share = Field(0.9, description="Share of patients that should reach the endpoint.")
    confidence: Share = Field(0.9, description="Confidence with which a design should reach the target.")
    sizes: list[Size] = Field(
        [5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200],
        min_length=1,
        max_length=40,
        description="Patients in the arm to try, increasing.",
    )
    allocation: float = Field(1, ge=0.2, le=5, description="Patients of the arm for each of the control.")
    enrolment_per_month: float = Field(2, gt=0, le=1000, description="Patients enrolled per month.")
    follow_up_months: float | None = Field(
        None,
        gt=0,
        le=240,
        description="Months from the last patient's infusion to the analysis; until the endpoint by default.",
    )
    loss_per_year: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of patients lost to follow-up a year; the catalogue's by default.",
    )
    missing: Literal["failure", "excluded"] = Field(
        "failure", description="What a patient lost before the endpoint counts as."
    )
    looks: list[Share] = Field(
        [0.5], max_length=10, description="Interim looks, as shares of all patients, increasing."
    )
    futility: Futility = Field(default_factory=Futility, description="Rule to give up early.")
    safety: Safety = Field(default_factory=Safety, description="Rule to stop for harm.")
    search: DesignSearch = Field(default_factory=DesignSearch, description="Search for the smallest design.")
    replicates: int = Field(2000, ge=100, le=100_000, description="Virtual trials of each size.")


# Parts by their key, for messages on unknown keys.
PARTS = {
    "trial": Trial,
    "historical": Historical,
    "futility": Futility,
    "safety": Safety,
    "search": DesignSearch,
}


def analysis_of(trial: Trial) -> str:
    """Return the test of a trial, its default filled in."""
    if trial.analysis:
        return trial.analysis
    if trial.historical:
        return "exact_binomial"
    return "log_rank" if trial.endpoint in TIME_ENDPOINTS else "fisher"


def check_trial(file: "StudyFile") -> None:
    """Refuse a trial that does not fit its study.

    Parameters
    ----------
    file : StudyFile
        With ``trial``, ``arms`` and ``visits_months``.

    Raises
    ------
    UserError
        One sentence: where, what, what is allowed.
    """
    trial = file.trial
    _check_control(trial, [arm.name for arm in file.arms])
    _check_analysis(trial)
    for key in ("sizes", "looks"):
        _check_increasing(key, getattr(trial, key))
    last = file.visits_months[-1]
    for key in ("by_month", "follow_up_months"):
        month = getattr(trial, key)
        if month is not None and month > last:
            raise UserError(f"trial.{key} = {month:g}; allowed: at most {last:g}, the last visit")
    if trial.by_month is not None and trial.endpoint not in TIME_ENDPOINTS:
        raise UserError(
            f"trial.by_month: {trial.endpoint} is read at the landmark; "
            f"allowed with {', '.join(TIME_ENDPOINTS)}"
        )
    _check_search(trial, getattr(file, "sweep", None))


def _check_control(trial: Trial, arms: list[str]) -> None:
    if trial.control is not None and trial.control not in arms:
        raise UserError(f"trial.control: no arm {trial.control!r}; {suggest(trial.control, arms)}")
    if trial.control is not None and trial.historical:
        raise UserError("trial: control and historical are both given; allowed: one of them")
    past = trial.historical
    if past is None:
        return
    counted = past.events is not None and past.patients is not None
    if counted == (past.share is not None) or (past.events is None) != (past.patients is None):
        raise UserError("trial.historical: allowed: events and patients, or share alone")
    if counted and past.events > past.patients:
        raise UserError(f"trial.historical.events = {past.events}; allowed: at most {past.patients} patients")


def _check_analysis(trial: Trial) -> None:
    analysis = analysis_of(trial)
    if trial.historical:
        allowed: tuple[str, ...] = ONE_ARM
    elif trial.endpoint in TIME_ENDPOINTS:
        allowed = BETWEEN_ARMS + OVER_TIME
    else:
        allowed = BETWEEN_ARMS
    if analysis not in allowed:
        against = "a historical control" if trial.historical else "a control arm"
        raise UserError(
            f"trial.analysis = {analysis!r} with endpoint {trial.endpoint} against {against}; "
            f"allowed: {', '.join(allowed)}"
        )
    most = round(max(trial.sizes) * max(1, 1 / trial.allocation))
    if analysis in ("boschloo", "barnard") and most > MOST_EXACT:
        raise UserError(
            f"trial.sizes: {most} patients in an arm with {analysis}; allowed: at most {MOST_EXACT}, "
            "or fisher"
        )


def _check_increasing(key: str, values: list) -> None:
    for earlier, later in itertools.pairwise(values):
        if later <= earlier:
            raise UserError(f"trial.{key}: {later:g} follows {earlier:g}; they must increase")


def _check_search(trial: Trial, sweep: Any) -> None:
    if trial.search.minimise and trial.search.cost:
        raise UserError("trial.search: minimise and cost are both given; allowed: one of them")
    swept = list(sweep.over) if sweep is not None else []
    for key in ("minimise", "cost"):
        for name in getattr(trial.search, key):
            if name not in swept:
                hint = suggest(name, swept) if swept else "allowed: only with a sweep"
                raise UserError(f"trial.search.{key}: {name!r} is not swept; {hint}")
    if any(not weight >= 0 for weight in trial.search.cost.values()):
        raise UserError("trial.search.cost: a cost is below zero; allowed: zero or more")
