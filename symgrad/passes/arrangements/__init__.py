"""Rearrangements of forward programs that make the fast form cheaper and keep every value: a file each."""
