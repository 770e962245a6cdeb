"""Simulate some points of one arm from plan to outcomes."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import json
from pathlib import Path

from hsc_pipeline.points import POINTS, simulate_points
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import write_together

filled = json.loads(Path(snakemake.input.settings).read_text(encoding="utf-8"))
first, last = snakemake.params.points
write_together(
    dict(snakemake.output.items()),
    simulate_points(
        POINTS.read(snakemake.input.points),
        snakemake.wildcards.arm,
        first,
        last,
        {stage: Settings(**given) for stage, given in filled.items()},
        patients=snakemake.params.patients,
        same_patients=snakemake.params.same_patients,
        may_fail=snakemake.params.may_fail,
    ),
)
