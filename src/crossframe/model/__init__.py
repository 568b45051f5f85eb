"""The model: pixels and words to logits, in pure torch. It imports nothing else of crossframe.

Read in this order: `config`, `layers`, `vision` and `text` (the pretrained pair), then the paper's three ideas,
`cross_frame`, `multi_frame` and `video_prompt`, and last their assembly, `xclip`. `preprocess` is how frames become its
input, and `parts` says what each parameter belongs to. `beyond`, `pooling` and `positions` hold what families other
than CLIP need: whoever reads for CLIP and X-CLIP can leave them out.
"""
