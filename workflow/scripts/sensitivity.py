"""Say which uncertain values the outcomes follow, and which are worth measuring better."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.models.sensitivity import sensitivity_tables
from hsc_pipeline.points import POINT_OUTCOMES, POINTS
from hsc_pipeline.tables import replacing
from hsc_pipeline.yaml_files import read_yaml

ensembles = {}
for source in ("uncertainty", "sweep"):
    if snakemake.input[source]:
        points, outcomes = snakemake.input[source]
        ensembles[source] = POINTS.read(points).to_pandas(), POINT_OUTCOMES.read(outcomes).to_pandas()

values = read_yaml(snakemake.input.study)["values"]
for name, frame in sensitivity_tables(ensembles, values, snakemake.params.seed).items():
    with replacing(snakemake.output[name]) as aside:
        frame.to_csv(aside, index=False)
