"""Write the manifest of a finished run."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from pathlib import Path

from hsc_pipeline.manifest import write_manifest

write_manifest(
    Path(snakemake.output[0]).parent, snakemake.input, snakemake.wildcards.study, snakemake.params.seed
)
