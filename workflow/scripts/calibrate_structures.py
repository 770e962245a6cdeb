"""Choose between structures of the model."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.fits import choose_structure
from hsc_pipeline.calibration.run import write_frame

structures, confusion = choose_structure(
    snakemake.params.structures, snakemake.input, snakemake.params.simulations, snakemake.params.seed
)
write_frame(snakemake.output.structures, structures)
write_frame(snakemake.output.confusion, confusion)
