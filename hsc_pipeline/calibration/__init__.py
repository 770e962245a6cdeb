"""Calibration: what patients' data say of the model's parameters, and whether the fit can be trusted.

Nothing heavy is imported here: scipy and scikit-learn are imported where they are used.
"""
