"""Lay the points of a sweep, or draw the uncertain values of the catalogue."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.points import draw_posterior, draw_uncertain, lay_sweep
from hsc_pipeline.tables import write

lay = snakemake.params.lay
make = lay_sweep if "sweep" in lay else draw_posterior if "rows" in lay else draw_uncertain
write(snakemake.output[0], make(**lay))
