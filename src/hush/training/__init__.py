"""Patches, masks, and the one training loop."""
