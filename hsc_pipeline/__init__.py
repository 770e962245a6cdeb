"""Simulate studies of genetically modified blood stem cells, from the product to the immune system."""

__version__ = "0.1.0"
