"""Answer the trial questions of a study."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.outcomes import OUTCOMES
from hsc_pipeline.points import POINT_OUTCOMES, POINTS
from hsc_pipeline.tables import replacing
from hsc_pipeline.trials import run_trials
from hsc_pipeline.yaml_files import read_yaml

sweep = uncertainty = None
if snakemake.input.sweep:
    points, outcomes = snakemake.input.sweep
    sweep = POINTS.read(points).to_pandas(), POINT_OUTCOMES.read(outcomes).to_pandas()
if snakemake.input.uncertainty:
    uncertainty = POINT_OUTCOMES.read(snakemake.input.uncertainty[0]).to_pandas()

found = run_trials(
    read_yaml(snakemake.input.study),
    OUTCOMES.read(snakemake.input.outcomes).to_pandas(),
    sweep,
    uncertainty,
)
for name, frame in found.items():
    with replacing(snakemake.output[name]) as aside:
        frame.to_csv(aside, index=False)
