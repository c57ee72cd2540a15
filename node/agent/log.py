"""The log of a daemon: on stderr, as JSON where that is no terminal."""

import logging
import sys

from node.unseen import unseen

with unseen("rich"):  # for colourful tracebacks: 4 MiB and 50 ms
    import structlog


def set_up_log(wanted: str) -> None:
    """Logs what is at least of the level `wanted` (debug, info, ...; any other: info)."""
    level = logging.getLevelNamesMapping().get(wanted.upper(), logging.INFO)
    shown = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    logging.basicConfig(stream=sys.stderr, level=level, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
