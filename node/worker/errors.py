"""What can go wrong in a worker, by what the runtime should do about it."""


class RefusedError(Exception):
    """This model, as it is, must not serve here: trying again with the same bytes is no use."""

    kind = "refused"


class InvalidError(Exception):
    """The request does not fit the model. The worker is as it was."""

    kind = "invalid"


class FailedError(Exception):
    """It did not work this time, by the fault of this machine; trying again may help."""

    kind = "failed"
