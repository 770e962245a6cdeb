"""Models: what drives an outcome, how well it is foreseen, and against which baseline.

Nothing heavy is imported here: scikit-learn, statsmodels and skops are imported where they are used.
"""

from hsc_pipeline.models.surrogates import FEATURES, TARGETS, compare_to_baseline, fit_surrogates

__all__ = ["FEATURES", "TARGETS", "compare_to_baseline", "fit_surrogates"]
