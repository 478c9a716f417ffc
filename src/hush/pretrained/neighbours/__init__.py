"""A network that denoises one plane with the help of its neighbours: of a volume, or of a series."""
