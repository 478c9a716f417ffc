"""Methods: one file each; the file's name is the public name."""
