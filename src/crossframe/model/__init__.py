"""The model: pixels and words to logits, in pure torch.

Of crossframe it imports only what it carries: what training left in it (`taught`), and methods for the hub
(`published`).

Read in this order: `config`, `layers`, `vision` and `text` (the pretrained pair), then the paper's three ideas,
`cross_frame`, `multi_frame` and `video_prompt`, and last their assembly, `xclip`. `preprocess` is how frames become its
input, and `parts` says what each parameter belongs to. `beyond` and `pooling` hold what families other than
CLIP need: whoever reads for CLIP and X-CLIP can leave them out.
"""
