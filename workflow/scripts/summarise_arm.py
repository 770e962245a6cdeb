"""Summarise one arm, a row per patient, and a row per patient and visit."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.outcomes import summarise_in_parts
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import write_together

settings, people = Settings(**snakemake.params.settings), snakemake.params.patients
write_together(
    dict(snakemake.output.items()),
    summarise_in_parts(snakemake.wildcards.arm, dict(snakemake.input.items()), people, settings),
)
