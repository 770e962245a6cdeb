"""Lay the points of a sweep, or draw the uncertain values of the catalogue."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.points import draw_posterior, draw_uncertain, lay_sweep, read_settings
from hsc_pipeline.tables import write

lay = snakemake.params.lay
if "sweep" in lay:
    points = lay_sweep(**lay)
elif "rows" in lay:
    points = draw_posterior(**lay)
else:
    files = zip(snakemake.params.arms, snakemake.input, strict=True)
    points = draw_uncertain(**lay, settings={arm: read_settings(file) for arm, file in files})
write(snakemake.output[0], points)
