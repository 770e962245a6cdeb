# Configuration, and the few words that the rules share.
import sys

from hsc_pipeline.code_hash import code_hash
from hsc_pipeline.errors import UserError
from hsc_pipeline.runs import begin
from hsc_pipeline.stages import STAGES
from hsc_pipeline.study import load_study
from hsc_pipeline.yaml_files import read_yaml


def checked_study():
    """The study of this run, or one sentence on what is wrong with its file."""
    files = workflow.configfiles
    try:
        for file in files:
            read_yaml(file)
        load = load_study
        if config.get("kind") == "tracking":
            from hsc_pipeline.tracking.settings import load_tracking as load
        elif config.get("kind") == "calibration":
            from hsc_pipeline.calibration.settings import load_calibration as load
        return load(config, " and ".join(map(str, files)) or "study")
    except UserError as error:
        sys.exit(f"{error}")


STUDY = checked_study()


def begin_run():
    """Mark the run's folder, or one sentence on why it cannot be written to."""
    try:
        begin(f"results/{STUDY.name}")
    except UserError as error:
        sys.exit(f"{error}")


wildcard_constraints:
    study=STUDY.name,
    batch=r"\d+-\d+",


def given_file():
    """The study file as it was given, without what changes no result."""
    return STUDY.file.model_dump(
        mode="json", exclude_unset=True, exclude={"minutes_per_job"}
    )


def settings_of(stage):
    """This job's own values, tables and parts of the study file: a change reruns just these jobs."""
    return lambda wildcards: STUDY.settings(stage, wildcards.arm)


def patients_in(wildcards):
    """First and last patient of a batch, whole numbers."""
    return [int(number) for number in wildcards.batch.split("-")]


def minutes_of_a_job(wildcards, attempt):
    """What a job that simulates may take at most."""
    return int(10 + 10 * STUDY.file.minutes_per_job) * attempt


def batches_of(path):
    """All batches of an arm, in order."""
    return expand(path, batch=STUDY.batches(), allow_missing=True)


def point_batches_of(path):
    """All jobs of an ensemble in an arm, in order."""
    return lambda wildcards: expand(
        path, batch=STUDY.point_batches(wildcards.ensemble), **wildcards
    )


def point_arms_of(path):
    """One file of each arm of an ensemble, in order."""
    return lambda wildcards: expand(
        path, arm=STUDY.ensembles[wildcards.ensemble].arms, **wildcards
    )


def points_if_any(ensemble, *names):
    """Tables of the points of an ensemble, where the study has any."""
    if ensemble not in STUDY.ensembles:
        return []
    return [f"results/{STUDY.name}/{ensemble}/{name}.parquet" for name in names]


def arms_of(path):
    """One file of each arm, in the order of the study file."""
    return expand(path, arm=STUDY.arms, allow_missing=True)
