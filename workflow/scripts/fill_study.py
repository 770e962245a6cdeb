"""Write the study with every default filled in."""

from hsc_pipeline.logs import start

start(snakemake.log[0], pandas=False)

import yaml

from hsc_pipeline.tables import replacing

with replacing(snakemake.output[0]) as aside:
    aside.write_text(yaml.safe_dump(snakemake.params.study, sort_keys=False, allow_unicode=True, width=120))
