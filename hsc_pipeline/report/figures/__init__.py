"""Figures: one small pure function each, from data frames to an Altair chart."""
