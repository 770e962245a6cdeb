"""Say whose uncertainty each interval spans."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.models.uncertainty import whose_uncertainty
from hsc_pipeline.outcomes import OUTCOMES
from hsc_pipeline.points import FAILED, POINT_OUTCOMES
from hsc_pipeline.tables import replacing
from hsc_pipeline.yaml_files import read_yaml

study = read_yaml(snakemake.input.study)
drawn, failed = POINT_OUTCOMES.schema.empty_table(), FAILED.schema.empty_table()
if snakemake.input.uncertainty:
    drawn, failed = (
        table.read(path)
        for table, path in zip((POINT_OUTCOMES, FAILED), snakemake.input.uncertainty, strict=True)
    )

found = whose_uncertainty(
    OUTCOMES.read(snakemake.input.outcomes).to_pandas(),
    drawn.to_pandas(),
    failed.to_pandas(),
    {name: (column.least, column.most) for name, column in OUTCOMES.columns.items()},
    study["independent_arms"],
    "posterior" if study["uncertainty"]["posterior"] else "catalogue",
)
with replacing(snakemake.output[0]) as aside:
    found.to_csv(aside, index=False)
