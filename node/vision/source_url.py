"""What a source's URL names: a file, a device or a stream. Pure.

The URL is this node's own configuration; what comes out of it is not. So FFmpeg gets the list of
protocols that the URL needs: a playlist in a file opens no connection, and a stream opens no file.
"""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

DEVICE_PREFIX = "/dev/video"

PROTOCOLS = {
    "file": "file",
    "rtsp": "rtsp,rtp,rtcp,udp,tcp",
    "rtsps": "rtsp,rtsps,rtp,rtcp,srtp,udp,tcp,tls",
    "http": "http,tcp",
    "https": "https,http,tcp,tls",
}
"""By scheme, what FFmpeg may open."""


class BadSource(ValueError):
    """The URL names nothing that can be a source; the node's configuration must change."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source: its kind, what OpenCV opens, and which protocols FFmpeg may use for it."""

    kind: Literal["file", "device", "stream"]
    target: str
    protocols: str

    @property
    def shown(self) -> str:
        """The source as told to people: without the user and password that a URL may carry."""
        if self.kind != "stream":
            return self.target
        parts = urlsplit(self.target)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def parse_source(url: str) -> Source:
    """Read a URL: /path, file:///path, /dev/videoN, N, rtsp(s)://... or http(s)://..."""
    if url.isascii() and url.isdigit() and len(url) <= 3:
        return Source("device", DEVICE_PREFIX + str(int(url)), "")
    if url.startswith(DEVICE_PREFIX) and url[len(DEVICE_PREFIX) :].isdigit():
        return Source("device", url, "")
    if url.startswith("/"):
        return Source("file", url, PROTOCOLS["file"])
    parts = _split(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return Source("file", unquote(parts.path), PROTOCOLS["file"])
    if parts.scheme in PROTOCOLS and parts.scheme != "file" and parts.hostname:
        return Source("stream", url, PROTOCOLS[parts.scheme])
    raise BadSource(
        f"the source's url (scheme {parts.scheme or 'none'}) names no source: give an absolute "
        "path, /dev/videoN, or a URL of file, rtsp, rtsps, http or https in the node's [sources]"
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is none is found only when asked for
    except ValueError as error:
        raise BadSource(f"the source's url cannot be read: {error}") from error
    return parts
