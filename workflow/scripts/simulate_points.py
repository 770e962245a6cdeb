"""Simulate some points of one arm from plan to outcomes."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.points import lay_points, read_asked, simulate_points
from hsc_pipeline.tables import write_together

arm, (first, last) = snakemake.wildcards.arm, snakemake.params.points
lay, settings = read_asked(snakemake.input[0])
write_together(
    dict(snakemake.output.items()),
    simulate_points(
        lay_points(arm, lay, settings),
        arm,
        first,
        last,
        settings,
        patients=snakemake.params.patients,
        same_patients=snakemake.params.same_patients,
        may_fail=snakemake.params.may_fail,
    ),
)
