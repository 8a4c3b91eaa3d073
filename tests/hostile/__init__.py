"""Hostile texts: mutated, spliced and made by a grammar, each from a seed alone; and a watch that notices execution."""
