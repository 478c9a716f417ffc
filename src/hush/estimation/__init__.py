"""What noise is in an image: kind, level, correlation, artifacts; loads no weights."""
