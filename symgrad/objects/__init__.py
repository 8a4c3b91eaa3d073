"""The language as objects of Python, which write its text: layers, expressions, functions that are definitions."""
