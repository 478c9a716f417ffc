"""``python -m hush``: the command line without its script."""

from hush.cli import run_and_exit

run_and_exit()
