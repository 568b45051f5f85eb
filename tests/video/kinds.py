"""The kinds of streams that reading must get right, each as the arguments of `write_clip`."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from tests.video.clips import moving

X264 = "x264-params"
X265 = "x265-params"
SVT = "svtav1-params"
UNEVEN = list(accumulate([1, 3, 2, 7, 1, 1] * 5))


def av1(params: str = "", frames: int = 40, preset: int = 10, **rest: Any) -> dict[str, Any]:
    """SVT-AV1 with one thread and these parameters of its own."""
    options = {"preset": str(preset), SVT: f"lp=1:{params}".rstrip(":")}
    return {"codec": "libsvtav1", "frames": frames, "options": options, **rest}


def vp9(frames: int = 40, pix_fmt: str = "yuv420p", **options: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return {"codec": "libvpx-vp9", "frames": frames, "pix_fmt": pix_fmt, "options": {"cpu-used": "8", **named}}


def mpeg4(frames: Any = 40, times: Any = None, **options: str) -> dict[str, Any]:
    return {"codec": "mpeg4", "frames": frames, "times": times, "options": options}


# Streams in which pictures may be left out: the headers prove it.
PROVEN: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264_without_b.mp4": {"options": {"bf": "0"}},
    "h264_baseline.mp4": {"options": {"profile": "baseline"}},
    "h264_open_gop.mp4": {"frames": 60, "options": {X264: "open-gop=1:keyint=12:min-keyint=4:bframes=3"}},
    "h264_pyramid.mp4": {"frames": 90, "options": {X264: "bframes=7:b-pyramid=normal:keyint=40:b-adapt=0"}},
    "h264_strict_pyramid.mkv": {"frames": 60, "options": {X264: "bframes=5:b-pyramid=strict:keyint=20:b-adapt=0"}},
    "h264_many_restarts.mp4": {"frames": 80, "options": {X264: "keyint=10:min-keyint=10:bframes=2:scenecut=0"}},
    "h264_slices.mp4": {"frames": 40, "options": {X264: "slices=4:bframes=3"}},
    "h264_repeated_headers.mp4": {"frames": 40, "options": {X264: "repeat-headers=1:keyint=10:aud=1"}},
    "h264_intra_refresh.mp4": {"options": {X264: "intra-refresh=1:keyint=10"}},
    "h264_10bit.mp4": {"pix_fmt": "yuv420p10le"},
    "h264_odd_size.mp4": {"frames": moving(20, 63, 47), "pix_fmt": "yuv444p"},
    "h264_uneven.mp4": {"times": UNEVEN},
    "h264_uneven.mkv": {"times": UNEVEN},
    "h264_late.mp4": {"times": range(100, 130)},
    "h264_late.mkv": {"times": range(100, 130)},
    "h264.mov": {},
    "h264_fragments.mp4": {"frames": 60, "options": {"g": "15"}, "muxing": {"movflags": "frag_keyframe+empty_moov"}},
    "one_frame.mp4": {"frames": 1},
    "two_frames.mp4": {"frames": 2},
    "hevc.mp4": {"codec": "libx265", "frames": 60, "options": {X265: "log-level=none:keyint=20"}},
    "hevc_open_gop.mp4": {
        "codec": "libx265",
        "frames": 80,
        "options": {X265: "log-level=none:keyint=16:open-gop=1:bframes=4:b-pyramid=1"},
    },
    "hevc_leading.mkv": {
        "codec": "libx265",
        "frames": 80,
        "options": {X265: "log-level=none:keyint=16:open-gop=0:bframes=4:radl=2"},
    },
    "hevc_layers.mp4": {
        "codec": "libx265",
        "frames": 80,
        "options": {X265: "log-level=none:keyint=32:temporal-layers=3:bframes=4:b-adapt=0"},
    },
    "hevc_10bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {X265: "log-level=none"}},
    "av1.mp4": av1(),
    "av1.mkv": av1(),
    "av1_many_references.mp4": av1(preset=5),
    "av1_restarts.mkv": av1("keyint=12"),
    "av1_open_restarts.mp4": av1("keyint=12:irefresh-type=1"),
    "av1_low_delay.mp4": av1("pred-struct=1"),
    "av1_switches.mp4": av1("sframe-dist=8"),
    "av1_overlays.mkv": av1("enable-overlays=1"),
    "av1_film_grain.mp4": av1("film-grain=30"),
    "av1_screen.mp4": av1("scm=1"),
    "av1_tiles.webm": av1("tile-columns=1:tile-rows=1", frames=moving(20, 256, 128)),
    "av1_smaller_inside.mp4": av1("superres-mode=1:superres-denom=12"),
    "av1_10bit.mp4": av1("film-grain=10", pix_fmt="yuv420p10le"),
    "av1_odd_size.mp4": av1(frames=moving(20, 75, 67)),
    "av1_uneven.mkv": av1(frames=30, times=UNEVEN),
    "vp9.webm": vp9(deadline="realtime"),
    "vp9.mp4": vp9(g="9", deadline="realtime"),
    "vp9_hidden_frames.webm": vp9(lag_in_frames="20", auto_alt_ref="1", g="16"),
    "vp9_layers_of_hidden_frames.mkv": vp9(lag_in_frames="25", auto_alt_ref="6", cpu_used="4"),
    "vp9_error_resilient.webm": vp9(error_resilient="1", g="12", lag_in_frames="0"),
    "vp9_parallel.mp4": vp9(frame_parallel="1", tile_columns="1", row_mt="1", g="15"),
    "vp9_screen.webm": vp9(tune_content="1", g="15", deadline="realtime"),
    "vp9_444.mkv": vp9(pix_fmt="yuv444p", g="15"),
    "mpeg4.avi": mpeg4(),
    "mpeg4.mp4": mpeg4(),
    "mpeg4.mkv": mpeg4(),
    "mpeg4_b.avi": mpeg4(bf="2"),
    "mpeg4_b.mp4": mpeg4(bf="1", g="300"),
    "mpeg4_many_b.mkv": mpeg4(bf="4", b_strategy="0", sc_threshold="1000000000"),
    "mpeg4_many_restarts.avi": mpeg4(bf="2", g="3"),
    "mpeg4_no_motion.avi": mpeg4(g="1"),
    "mpeg4_quarter_pixels.avi": mpeg4(flags="+mv4+qpel", bf="2", mbd="2", trellis="1"),
    "mpeg4_matrices.mov": mpeg4(mpeg_quant="1", qmax="3", flags="+aic"),
    "mpeg4_resynchronised.avi": mpeg4(ps="200", bf="1", flags="+mv4"),
    "mpeg4_odd_size.mp4": mpeg4(moving(20, 75, 67), bf="2"),
    "mpeg4_uneven.mp4": mpeg4(30, UNEVEN, bf="2"),
    "mpeg4_uneven.avi": mpeg4(30, UNEVEN),
    "mpeg4_late.mkv": mpeg4(30, range(1000, 1030), bf="2"),
    "mpeg4_one_frame.avi": mpeg4(1, bf="2"),
}

# Streams that are decoded in full.
UNPROVEN: dict[str, dict[str, Any]] = {
    "h264_interlaced.mp4": {"options": {X264: "tff=1:interlaced=1"}},
    "h264_fields_possible.mp4": {"options": {X264: "fake-interlaced=1"}},
    "h264.ts": {"frames": 50},
    "h264.flv": {},
    "h264.h264": {},
    "h264.nut": {"options": {"bf": "2"}},
    "hevc.hevc": {"codec": "libx265", "options": {X265: "log-level=none"}},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8"}},
    "vp9.ivf": vp9(deadline="realtime"),
    "mpeg2.mxf": {"codec": "mpeg2video"},
    "mpeg2.vob": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "mpeg1.mpg": {"codec": "mpeg1video", "frames": 40},
    "mpeg2_fields.mkv": {"codec": "mpeg2video", "options": {"flags": "+ilme+ildct", "bf": "2"}},
    "wmv2.wmv": {"codec": "wmv2"},
    "msmpeg4.asf": {"codec": "msmpeg4"},
    "h263.3gp": {"codec": "h263", "frames": moving(12, 176, 144)},
    "mpeg4.3g2": mpeg4(flags="+ilme"),
    "flv1.f4v": {"options": {"bf": "0", "refs": "1", X264: "fake-interlaced=1"}},
    "rv20.rm": {"codec": "rv20", "frames": moving(12, 176, 144)},
    "ffv1.mkv": {"codec": "ffv1"},
    "h264.avi": {},
    "h264_late.ts": {"times": range(100, 130)},
    "hevc.ts": {"codec": "libx265", "frames": 40, "options": {X265: "log-level=none:keyint=16"}},
    "mpeg4_interlaced.avi": mpeg4(flags="+ilme+ildct", bf="2"),
    "mpeg4_partitions.mp4": mpeg4(data_partitioning="1", ps="200"),
    "mpeg4_unnamed.avi": mpeg4(flags="+bitexact"),
    "mpeg4.ts": mpeg4(),
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "picture.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "raw.y4m": {"codec": "wrapped_avframe", "frames": 12},
    "camera.dv": {"codec": "dvvideo", "frames": moving(6, 720, 576)},
}

KINDS = PROVEN | UNPROVEN
