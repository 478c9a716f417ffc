"""Weights that come trained: the store, their cards, a network's input, how they are made."""
