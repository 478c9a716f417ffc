"""Experiments: recipes become rows, rows become tables."""
