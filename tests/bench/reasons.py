"""Why a figure that was asked for is not reached, by its key. Shown only when it is not."""

REASONS: dict[str, str] = {}
