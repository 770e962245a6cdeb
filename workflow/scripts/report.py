"""Write the report."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.report import write_report

# One file as a string; one file an arm as a list, in the order of the arms.
files = {name: value if isinstance(value, str) else list(value) for name, value in snakemake.input.items()}
write_report(snakemake.output[0], snakemake.params.arms, files)
