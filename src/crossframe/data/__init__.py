"""From files on disk to batches of clips.

`manifest` lists each `clip` and its label, `layouts` reads the forms in which people store that, `split` draws parts of
it with a seed, `reader` chooses and decodes the frames of a clip, and `loader` yields each `batch` of them; `drawn` has
batches without files. Nothing is imported here, so that each part costs only what it needs.
"""
