"""Experiments as files: `schema` is what a recipe may hold, `load` reads one, `errors` explains what is wrong with it.

The *.yaml files here are those we ship.
"""
