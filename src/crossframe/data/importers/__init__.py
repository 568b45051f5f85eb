"""From the published layout of a data set to a manifest.

One file for each data set reads its official lists; `tree` finds the files on disk, and `assemble` matches the two and
reports what is missing or contradictory.
"""
