"""Many clips on a processor that decoding and the model share: do they overlap, and does memory stay where it is?

    python -m benchmarks.many_clips

B/16, 8 frames, 10 labels. Decoding alone and the model alone give the rate that the two can reach together when they
take turns, 1 / (1 / decoding + 1 / model); `classify_each` should come close to it. Each rate is measured in every
round, in turn, and the memory of this process after the first and after four times as many clips.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import crossframe
from benchmarks.harness import Bar, Options, Result, in_turn, run
from benchmarks.peers import by_rule, config_of, kinetics_labels, ten_second_clip
from crossframe.recognizer import Recognizer
from crossframe.video.decode import decode_many
from crossframe.video.given import VideoError


def measure(options: Options) -> Result:
    config = config_of("B/16", 4 if options.tiny else 8, options.tiny)
    labels = kinetics_labels()[:10]
    recognizer = Recognizer(by_rule(config), precision="auto")
    recognizer.embed_texts(labels)  # which are known then
    short_side = recognizer.model.preprocess.short_side
    count = 3 if options.tiny else 12

    with TemporaryDirectory() as folder:
        path = ten_second_clip(options.videos, Path(folder), options.tiny)
        clip = crossframe.read_video(path, config.num_frames, short_side=short_side).pixels
        decoding = decode_many(repeat(path), config.num_frames, short_side=short_side, workers=recognizer.workers)
        predictions = recognizer.classify_each(repeat(path), labels)
        clips = recognizer.classify_each(repeat(clip), labels)  # decoded already
        take = {
            "decoding": lambda: _all_good(islice(decoding, count)),
            "model": lambda: _all_good(islice(clips, count)),
            "both": lambda: _all_good(islice(predictions, count)),
        }
        seconds = in_turn(take, options.repeats)
        early = _resident()
        _all_good(islice(predictions, 4 * count))
        grown = _resident() - early
        for iterator in (decoding, predictions, clips):
            iterator.close()
    rates = {name: count / value.wall for name, value in seconds.items()}
    turns = 1 / (1 / rates["decoding"] + 1 / rates["model"])
    return Result(
        [
            Bar("rate / (1 / (1 / decoding + 1 / model))", rates["both"] / turns, 0.95),
            Bar("growth of memory over four times as many clips, MB", grown, 16.0, at_most=True),
        ],
        [{"what": name, "clips a second": rate} for name, rate in rates.items()],
        [f"{recognizer.workers} process decodes, {torch.get_num_threads()} threads compute"],
    )


def _all_good(results: Iterable[object]) -> None:
    for result in results:
        if isinstance(result, VideoError):
            raise result


def _resident() -> float:
    """Megabytes of this process in memory; the highest so far where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    run("many_clips", measure)
