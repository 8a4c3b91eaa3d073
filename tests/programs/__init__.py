"""Random programs over every kind of statement, and all that must hold of each: `python -m tests.programs`."""
