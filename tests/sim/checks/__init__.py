"""The promises of docs/ALGORITHM.md that are watched in every history, a class each."""

from tests.sim.checks.agreement import Agreement, AlarmsCleared, EqualRegisters, ServesInTheEnd
from tests.sim.checks.authority import NeverBack, TwoSignatures
from tests.sim.checks.exclusive import NeverTwice
from tests.sim.checks.honesty import BadVersions, Bounded, HonestRegister, NeverRaises
from tests.sim.checks.keeping import TwoHolders
from tests.sim.checks.records import DurableBeforeAcknowledged, RecordsOnceInOrder
from tests.sim.checks.refused import RefusedStates
from tests.sim.checks.serving import (
    Minimum,
    Reconnection,
    RestStaysRest,
    RolloutsTakeNothing,
    UnknownIsNotAbsent,
)
from tests.sim.checks.shut_out import RevokedShutOut
from tests.sim.checks.steering import DrainedIsEmpty, LocalChanges, OneAtATime

CHECKS = (
    TwoSignatures,
    NeverBack,
    DurableBeforeAcknowledged,
    RecordsOnceInOrder,
    Agreement,
    EqualRegisters,
    AlarmsCleared,
    ServesInTheEnd,
    Minimum,
    Reconnection,
    UnknownIsNotAbsent,
    RolloutsTakeNothing,
    RestStaysRest,
    HonestRegister,
    Bounded,
    BadVersions,
    TwoHolders,
    NeverTwice,
    NeverRaises,
    RevokedShutOut,
    DrainedIsEmpty,
    LocalChanges,
    OneAtATime,
    RefusedStates,
)
