"""From files on disk to batches of clips.

`manifest` says which clips there are and what they show, `layouts` knows how people store that, `split` draws parts of
it with a seed, `sampling` says which frames of a clip are looked at, `reader` gets them, `order` says which clips make
a batch, and `loader` hands the batches over. Nothing is imported here, so that each part costs only what it needs.
"""
