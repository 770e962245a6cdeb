"""Write the manifest of a finished run, and its crate."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from pathlib import Path

from hsc_pipeline.crate import write_crate, write_given
from hsc_pipeline.manifest import write_manifest

folder = Path(snakemake.output.manifest).parent
given = write_given(folder, snakemake.params.given, snakemake.input.snakefile)
files = [*(file for file in snakemake.input if file != snakemake.input.snakefile), *given]
write_manifest(folder, files, snakemake.wildcards.study, snakemake.params.seed)
write_crate(folder)
