"""What a calibration file asks for, filled from the catalogue: structures, parameters, priors, jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsc_pipeline.calibration.priors import Prior
from hsc_pipeline.catalogue import CHOICE, Value, branch_values, default_product, values_for
from hsc_pipeline.errors import UserError, suggest
from hsc_pipeline.prior import LOG_FROM
from hsc_pipeline.settings import Settings
from hsc_pipeline.stages import STAGES

if TYPE_CHECKING:
    from hsc_pipeline.calibration.settings import CalibrationFile, Parameter

ARM = "fit"
SIMULATED = ("plan", "product", "engraftment", "blood")  # the stages in the loop
FAR = 1e-6  # share of a prior in each tail that its ends are looked at beyond
PILOT = 20  # simulations that are looked at before the others start
SECONDS_A_PATIENT = 0.2  # of a core; measured: 0.06 with 800 stem cells and 12 tubes, 0.4 with 30,000 and 40
MOST_JOBS = 2000  # beyond, jobs grow
AS_GIVEN = "as_given"  # the structure of a file that names none

# Values that a patient who has one of their own is drawn around, and the spread of that draw.
SPREAD_OF: Mapping[str, str] = {
    "cohort.age_median": "cohort.age_ln_sd",
    "product.cd34_per_kg": "product.cd34_ln_sd",
    "product.lt_hsc_per_cd34": "product.lt_hsc_log10_sd",
    "product.mean_copies": "product.mean_copies_ln_sd",
    "conditioning.busulfan_auc": "conditioning.auc_ln_sd",
    "conditioning.a50": "conditioning.a50_ln_sd",
    "conditioning.residual.treosulfan_thiotepa": "conditioning.residual_ln_odds_sd",
    "conditioning.residual.antibody": "conditioning.residual_ln_odds_sd",
    "conditioning.residual.total_body_irradiation": "conditioning.residual_ln_odds_sd",
}

# Keys of the file that every job reads.
OF_MODEL = (
    *("kind", "schema_version", "name", "seed", "disease", "product", "set", "patients", "parameters"),
    *("tables", "clinical", "colonies", "tissue", "sorts"),
)

# What the known structures set, and what they fit beside the file's parameters.
ADVANTAGE, OUTPUT = "disease.corrected_advantage_per_year", "marrow.clone_output_sigma"
KNOWN: Mapping[str, tuple[Mapping[str, float | str], tuple[str, ...]]] = {
    "drift": ({OUTPUT: 0.0, ADVANTAGE: 0.0, "marrow.model": "well_mixed"}, ()),
    "output_noise": ({ADVANTAGE: 0.0, "marrow.model": "well_mixed"}, (OUTPUT,)),
    "selection": ({"marrow.model": "well_mixed"}, (OUTPUT, ADVANTAGE)),
    "niche": ({ADVANTAGE: 0.0, "marrow.model": "niche"}, (OUTPUT,)),
}


@dataclass(frozen=True)
class Fitted:
    """A parameter: its prior, whether each patient has their own value, whether it is a whole number."""

    prior: Prior
    own: bool
    whole: bool


@dataclass(frozen=True)
class Structure:
    """A form of the model: what it sets, and what is free in it."""

    name: str
    set: Mapping[str, float | str]
    parameters: Mapping[str, Fitted]


@dataclass(frozen=True)
class Calibration:
    """A checked calibration file."""

    file: CalibrationFile
    values: Mapping[str, Value]
    structures: Mapping[str, Structure]
    fitted: str

    @property
    def name(self) -> str:
        """Name of the results folder."""
        return self.file.name

    @property
    def patients(self) -> int:
        """How many patients are fitted together."""
        return len(self.file.patients)

    def as_dict(self) -> dict:
        """Return the file with every default filled in."""
        return self.file.model_dump(mode="json")

    def part(self, *keys: str, structure: str | None = None) -> dict:
        """Return what a job reads of the file, itself a file: what it does not read changes nothing there.

        Parameters
        ----------
        *keys : str
            Beside what is the patients' and the model's.
        structure : str, optional
            Only this one.
        """
        whole = self.as_dict()
        kept = {name: whole[name] for name in (*OF_MODEL, *keys)}
        if structure is not None and self.file.structures:
            kept["structures"] = [one for one in whole["structures"] if one["name"] == structure]
        if structure is not None:
            kept["fitted"] = structure
            asked = whole["statistics"]
            kept["statistics"] = {name: asked[name] for name in ("least_reads", "stable_month")}
        return kept

    def files(self) -> list[str]:
        """Return the files of clones, and the tables beside them."""
        from hsc_pipeline.tracking.settings import files_of

        beside = (self.file.clinical, self.file.colonies)
        return list(dict.fromkeys([*files_of(self.paths()), *(path for path in beside if path)]))

    def paths(self) -> list[str]:
        """Return the files and folders of clones."""
        return [path for table in self.file.tables for path in (table.path, table.metadata) if path]

    def rounds_of(self, structure: str) -> int:
        """Return how often a structure is simulated: only the fitted one in more than one round."""
        return self.file.rounds if structure == self.fitted else 1

    def simulations(self, structure: str) -> int:
        """Return the simulations of a round."""
        return self.file.simulations if structure == self.fitted else self.file.structure_simulations

    def batches(self, structure: str, round_: int) -> list[str]:
        """Return the jobs of a round, ``"first-last"``; the first job of all is the pilot."""
        n = self.simulations(structure)
        first = PILOT if structure == self.fitted and round_ == 1 else 0
        size = max(1, min(self._size(), n - first))
        size = -(-(n - first) // max(1, round((n - first) / size)))
        found = [f"{at}-{min(at + size, n) - 1}" for at in range(first, n, size)]
        return [f"0-{PILOT - 1}", *found] if first else found

    def is_pilot(self, structure: str, round_: int, batch: str) -> bool:
        """Whether a job is the first of all, which the others wait for."""
        return structure == self.fitted and round_ == 1 and batch == self.batches(structure, round_)[0]

    def _size(self) -> int:
        """Return the simulations of a job of the length asked for."""
        fits = int(60 * self.file.minutes_per_job / (SECONDS_A_PATIENT * self.patients))
        most = max(self.file.simulations, self.file.structure_simulations)
        return max(fits, most // MOST_JOBS, 1)

    def settings(self, structure: str, patient: int, months: list[float]) -> dict[str, Settings]:
        """Return what the stages read of a patient, by stage.

        Parameters
        ----------
        structure : str
        patient : int
            Place in the file.
        months : list of float
            When the patient was sampled, and followed by the clinic.
        """
        study = self.study(structure, patient, months)
        return {stage: Settings(**study.settings(stage, ARM)) for stage in SIMULATED}

    def study(self, structure: str, patient: int, months: list[float]):
        """Return the `study.Study` of one patient, with the parameters at the medians of their priors."""
        from hsc_pipeline.study import load_study

        free = self.structures[structure].parameters
        medians = {name: float(of.prior.quantile(0.5)) for name, of in free.items()}
        content = {
            "kind": "study",
            "schema_version": 1,
            "name": self.file.name,
            "seed": self.file.seed,
            "disease": self.file.disease,
            **({"product": self.file.product} if self.file.product else {}),
            "patients": 1,
            "visits_months": months,
            "sampling": {"months": [months[-1]], "lineages": ["neutrophil"]},
            "uncertainty": {"draws": 0},
            "set": {**self.set_of(structure, patient), **medians},
            "arms": [{"name": ARM}],
        }
        return load_study(content, f"patients[{patient}]")

    def set_of(self, structure: str, patient: int) -> dict[str, float | str]:
        """Return the values that are set for a patient, spreads of what is known of them at zero."""
        own, of = self.file.patients[patient].set, self.structures[structure]
        known = [*own, *(name for name, one in of.parameters.items() if one.own)]
        spreads = {SPREAD_OF[name]: 0.0 for name in known if name in SPREAD_OF}
        weight = {} if self.file.patients[patient].weight_kg is None else {"cohort.weight_ln_sd": 0.0}
        found = {**spreads, **weight, **self.file.set, **of.set, **own}
        return {name: value for name, value in found.items() if name not in of.parameters}


def checked(file: CalibrationFile) -> Calibration:
    """Return the calibration that a file asks for.

    Raises
    ------
    UserError
        For a name that the catalogue lacks, a value that is set and fitted, a prior outside what the
        unit allows, a structure without a parameter, or files that are not there.
    """
    from hsc_pipeline.limits import exists

    product = file.product or default_product(file.disease)
    values = values_for(file.disease, product)
    if "product.mean_copies" not in values:
        raise UserError(f"product: {product} has no vector, so that no table of integration sites is of it")
    _check_set(file.set, values, "set")
    for name, given in file.parameters.items():
        fitted_value(name, given, values)
    subjects = [patient.subject for patient in file.patients]
    for place, patient in enumerate(file.patients):
        _check_set(patient.set, values, f"patients[{place}].set")
        if subjects.count(patient.subject) > 1:
            raise UserError(f"patients: {patient.subject!r} stands {subjects.count(patient.subject)} times")
    structures = _structures(file, values)
    fitted = file.fitted or next(iter(structures))
    if fitted not in structures:
        raise UserError(f"fitted: there is no structure {fitted!r}; {suggest(fitted, list(structures))}")
    calibration = Calibration(file, values, structures, fitted)
    for path in [*calibration.paths(), *(p for p in (file.clinical, file.colonies) if p)]:
        if not exists(path):
            raise UserError(f"{path[:200]}: there is no such file or folder; paths start at the run's folder")
    return calibration


def _check_set(changes: Mapping[str, float | str], values: Mapping[str, Value], where: str) -> None:
    for name, given in changes.items():
        if name not in values:
            raise UserError(f"{where}: the catalogue has no value {name!r}; {suggest(name, list(values))}")
        number = given if values[name].unit == CHOICE else _number(given)
        if problem := values[name].problem(number):
            raise UserError(f"{where}: {name} = {given!r}; {problem}")


def _number(given: float | str) -> float | str:
    """Return text such as 4.5e6, which YAML does not read as a number, as one."""
    try:
        return float(given)
    except ValueError:
        return given


def _structures(file: CalibrationFile, values: Mapping[str, Value]) -> dict[str, Structure]:
    shared = {name: one for name, one in file.parameters.items()}
    if not file.structures:
        return {AS_GIVEN: _structure(AS_GIVEN, {}, shared, file, values)}
    found: dict[str, Structure] = {}
    for place, one in enumerate(file.structures):
        where = f"structures[{place}]"
        if one.name in found:
            raise UserError(f"{where}: {one.name!r} stands twice")
        if not (one.name in KNOWN or one.set or one.parameters):
            raise UserError(
                f"{where}: {one.name!r} neither sets nor fits anything; known are {', '.join(KNOWN)}"
            )
        _check_set(one.set, values, f"{where}.set")
        known, free = KNOWN.get(one.name, ({}, ()))
        parameters = {**dict.fromkeys(free), **shared, **one.parameters}
        found[one.name] = _structure(one.name, {**known, **one.set}, parameters, file, values)
    return found


def _structure(
    name: str,
    set_: Mapping[str, float | str],
    parameters: Mapping[str, Parameter | None],
    file: CalibrationFile,
    values: Mapping[str, Value],
) -> Structure:
    free = {
        parameter: fitted_value(parameter, given, values)
        for parameter, given in parameters.items()
        if parameter not in set_
    }
    if not free:
        raise UserError(f"structures: {name} sets every parameter; leave one to fit")
    for parameter in free:
        given = [f"patients[{n}].set" for n, one in enumerate(file.patients) if parameter in one.set]
        for where in (["set"] if parameter in file.set else []) + given:
            raise UserError(f"{where}: {parameter} is set here and fitted; leave it out of one of the two")
    return Structure(name, set_, free)


def fitted_value(name: str, given: Parameter | None, values: Mapping[str, Value]) -> Fitted:
    """Return a parameter with its prior.

    Raises
    ------
    UserError
    """
    where = f"parameters: {name}"
    if name not in values:
        raise UserError(f"parameters: the catalogue has no value {name!r}; {suggest(name, list(values))}")
    value = values[name]
    if value.unit == CHOICE:
        raise UserError(f"{where} is a choice, not a number; make each choice a structure")
    if not any(name.startswith(STAGES[stage].values) for stage in SIMULATED):
        raise UserError(f"{where}: no stage up to the blood reads it, so that no table tells of it")
    prior = _prior(name, given.prior, where) if given and given.prior else _range(name, value, where)
    for end in (float(prior.quantile(FAR)), float(prior.quantile(1 - FAR))):
        if problem := value.problem(end):
            raise UserError(f"{where}: its prior reaches {end:.3g}; {problem}")
    own = name in SPREAD_OF if given is None or given.per is None else given.per == "patient"
    return Fitted(prior, own, value.unit == "count")


def _prior(name: str, given, where: str) -> Prior:
    try:
        return Prior(**given.model_dump())
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _range(name: str, value: Value, where: str) -> Prior:
    """Return the catalogue's range as a prior: uniform, on the logarithm of a wide range."""
    of = value.range or getattr(branch_values("calibration").get(f"calibration.{name}"), "range", None)
    if of is None:
        raise UserError(f"{where}: the catalogue has no range of it; give it a prior")
    least, most = of
    wide = least > 0 and most / least >= LOG_FROM
    return Prior("log_uniform" if wide else "uniform", least=float(least), most=float(most))
