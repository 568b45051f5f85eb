"""What labels cost: one clip of B/16 with 10 to 10,000 labels, whose text features are known.

    python -m benchmarks.labels

Every label looks at every clip (eq. 10). The video's keys and values are computed once, but queries, outputs and the
MLP, 10 E^2 multiply-accumulates a label and layer, see other label embeddings for each video and cannot be shared.
"""

from __future__ import annotations

import torch

from benchmarks.harness import Bar, Options, Result, in_turn, run
from benchmarks.peers import Theirs, by_rule, config_of, in_precision, relative_error

COUNTS = (10, 100, 400, 1000, 10_000)


@torch.inference_mode()
def measure(options: Options) -> Result:
    config = config_of("B/16", 4 if options.tiny else 8, options.tiny)
    model = by_rule(config)
    random = torch.Generator().manual_seed(0)
    size = config.vision.image_size
    video = torch.randn(1, config.num_frames, 3, size, size, generator=random)
    text = torch.randn(max(COUNTS), config.embed_dim, generator=random)
    ours = {name: in_precision(model, name) for name in ("float32", "bfloat16")}
    theirs = Theirs(model)

    rows, bars = [], []
    seen = theirs.encode_video(video)
    reference = theirs.score(seen, text[:1000])
    for precision, fast in ours.items():
        features = fast.encode_video(video)
        ways = {f"{count}": lambda n=count, m=fast, f=features: m.score(f, text[:n]) for count in COUNTS}
        ways["video"] = lambda m=fast: m.encode_video(video)
        if precision == "float32":
            ways |= {f"transformers {n}": lambda n=n: theirs.score(seen, text[:n]) for n in COUNTS}
        seconds = in_turn(ways, options.repeats)
        cost = {count: seconds[f"{count}"].wall for count in COUNTS}
        clip = seconds["video"].wall
        rows.append({"precision": precision, "video s": clip} | {f"{n} labels s": value for n, value in cost.items()})
        if precision == "float32":
            peers = {f"{n} labels s": seconds[f"transformers {n}"].wall for n in COUNTS}
            rows.append({"precision": "float32, transformers"} | peers)
        bars += [
            Bar(f"{precision}: 400 labels over 10, of a clip", (clip + cost[400]) / (clip + cost[10]) - 1, 0.03, True),
            Bar(f"{precision}: 10,000 labels, in passes of the encoder", (cost[10_000] - cost[10]) / clip, 1.0, True),
            Bar(
                f"{precision}: error over the spread",
                relative_error(fast.score(features, text[:1000]), reference),
                0.03,
                True,
            ),
        ]
    return Result(bars, rows)


if __name__ == "__main__":
    run("labels", measure)
