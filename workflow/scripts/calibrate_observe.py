"""Read the patients of a calibration: their statistics, and how they were sampled."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.run import observe, write_frame, write_json
from hsc_pipeline.calibration.settings import load_calibration

observed, designs = observe(load_calibration(snakemake.params.settings))
write_frame(snakemake.output.observed, observed)
write_json(snakemake.output.designs, designs)
