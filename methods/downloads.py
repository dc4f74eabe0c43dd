"""Fetching weights: whether a host can be reached, and errors in one line. Shared by CLIP and the bodies."""

from __future__ import annotations

import socket
import urllib.parse
import urllib.request


def reach(url: str) -> None:
    """Raise OSError at once where a host cannot be reached; clients would try for a minute first."""
    if urllib.request.getproxies():
        return  # the proxy looks the host up
    parts = urllib.parse.urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    socket.create_connection((parts.hostname or "", port), timeout=10).close()


def first_line(error: BaseException, limit: int = 200) -> str:
    """What an error says, in one line of at most so many characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[:limit] + " ..."
