"""Experiments as files: `schema` says what a recipe may hold, `load` reads and checks one, *.yaml are those we ship."""
