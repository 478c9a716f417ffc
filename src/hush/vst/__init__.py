"""Variance-stabilizing transforms and their exact unbiased inverses."""
