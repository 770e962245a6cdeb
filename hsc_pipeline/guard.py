"""Study files from strangers are checked before Snakemake reads them.

Snakemake reads ``--configfile`` before any rule file, through a template engine that runs Python where
the file says ``__use_yte__: true``, and follows aliases without end.  The profiles in ``profiles/`` call
`protect`, which comes earlier still: settings first, then the study.
"""

import sys
from pathlib import Path


def protect() -> None:
    """Have every configuration file of this process checked by `yaml_files.read_yaml` before it is loaded."""
    from snakemake.common import configfile

    load = configfile._load_configfile
    if getattr(load, "guarded", False):
        return

    def guarded(source, filetype: str = "Config"):
        if isinstance(source, str | Path):
            refuse(source)
        return load(source, filetype)

    guarded.guarded = True
    configfile._load_configfile = guarded


def refuse(path: str | Path) -> None:
    """End the process with one sentence unless `path` is a study file that is safe to load."""
    from hsc_pipeline.errors import UserError
    from hsc_pipeline.yaml_files import read_yaml

    try:
        read_yaml(path)
    except UserError as error:
        sys.exit(f"{error}")
