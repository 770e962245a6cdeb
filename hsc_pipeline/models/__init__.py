"""Models: what drives an outcome, how well it is foreseen, and against which baseline.

Nothing heavy is imported here: scikit-learn, statsmodels and skops are imported where they are used.
"""

from hsc_pipeline.models.evaluation import compare_to_baseline
from hsc_pipeline.models.features import FEATURES
from hsc_pipeline.models.surrogates import fit_surrogates
from hsc_pipeline.models.targets import TARGETS

__all__ = ["FEATURES", "TARGETS", "compare_to_baseline", "fit_surrogates"]
