"""The field's files: read into one tidy form, and written from it."""

from hsc_pipeline.formats.tables import ASSAYS, CLINICAL, CLONES, COLONIES, SAMPLES, Observations

__all__ = ["ASSAYS", "CLINICAL", "CLONES", "COLONIES", "SAMPLES", "Observations"]
