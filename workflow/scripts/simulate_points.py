"""Simulate some points of one arm from plan to outcomes."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.points import POINTS, read_settings, simulate_points
from hsc_pipeline.tables import write_together

first, last = snakemake.params.points
write_together(
    dict(snakemake.output.items()),
    simulate_points(
        POINTS.read(snakemake.input.points),
        snakemake.wildcards.arm,
        first,
        last,
        read_settings(snakemake.input.settings),
        patients=snakemake.params.patients,
        same_patients=snakemake.params.same_patients,
        may_fail=snakemake.params.may_fail,
    ),
)
