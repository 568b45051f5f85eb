"""Plays a file by RTSP, from its beginning for whoever connects: python3 rtsp_server.py PORT FILE

A program of its own, for the Python that has GStreamer's bindings, which is often not the one that runs tests.
"""

from __future__ import annotations

import sys
from typing import Any

import gi  # pyright: ignore[reportMissingImports]


def main(port: str, path: str) -> None:
    """Serve until somebody ends it; a line says when it is ready."""
    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    repository: Any = __import__("gi.repository", fromlist=["GLib", "Gst", "GstRtspServer"])
    repository.Gst.init(None)
    server = repository.GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = repository.GstRtspServer.RTSPMediaFactory.new()
    packets = "qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
    factory.set_launch(f'( filesrc location="{path}" ! {packets} )')
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    repository.GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
