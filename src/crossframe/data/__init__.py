"""From files on disk to batches of clips.

`manifest` lists clips and their labels, `layouts` reads the forms in which people store that, `split` draws parts of it
with a seed, `sampling` chooses the frames of a clip, `reader` decodes them, `order` says which clips make a batch,
`loader` yields the batches, and `task` is what they are trained for. Nothing is imported here, so that each part costs
only what it needs.
"""
