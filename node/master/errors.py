"""Refusals of the master. Each says what is wrong and what to do next; nothing was changed."""


class MasterRefused(Exception):
    """A request that is not carried out. Nothing was changed."""


class NotFound(MasterRefused):
    """What the request names does not exist."""


class EnrolRefused(MasterRefused):
    """A machine is not admitted. Nothing was changed but, for a taken ID, an alarm."""


class Busy(MasterRefused):
    """Another master changed the state in between. Trying again is right."""
