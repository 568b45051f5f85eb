"""From the layout in which a data set is published to a manifest.

One file for each data set reads its official lists; `tree` knows what lies on the disk, and `assemble` brings both
together: what the lists promise, what is there, and what contradicts itself.
"""
