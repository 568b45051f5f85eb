"""Experiments as files: `schema` is what a recipe may hold, `load` reads one and says what is wrong with it.

The *.yaml files here are those we ship, and `paper` lists the paper's experiments.
"""
