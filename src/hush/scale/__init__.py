"""Many machines: the pieces of an image on a cluster."""
