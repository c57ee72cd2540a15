from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeptTroubles(_message.Message):
    __slots__ = ("active", "counted", "quarantined", "crashes", "drained", "ended_ms", "runtime_gone")
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    CRASHES_FIELD_NUMBER: _ClassVar[int]
    DRAINED_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_GONE_FIELD_NUMBER: _ClassVar[int]
    active: _containers.RepeatedCompositeFieldContainer[KeptAlarm]
    counted: _containers.RepeatedCompositeFieldContainer[KeptAlarm]
    quarantined: _containers.RepeatedCompositeFieldContainer[KeptQuarantine]
    crashes: _containers.RepeatedCompositeFieldContainer[KeptCrashes]
    drained: bool
    ended_ms: int
    runtime_gone: bool
    def __init__(self, active: _Optional[_Iterable[_Union[KeptAlarm, _Mapping]]] = ..., counted: _Optional[_Iterable[_Union[KeptAlarm, _Mapping]]] = ..., quarantined: _Optional[_Iterable[_Union[KeptQuarantine, _Mapping]]] = ..., crashes: _Optional[_Iterable[_Union[KeptCrashes, _Mapping]]] = ..., drained: _Optional[bool] = ..., ended_ms: _Optional[int] = ..., runtime_gone: _Optional[bool] = ...) -> None: ...

class KeptAlarm(_message.Message):
    __slots__ = ("kind", "subject", "since_unix_ms", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    subject: str
    since_unix_ms: int
    count: int
    def __init__(self, kind: _Optional[str] = ..., subject: _Optional[str] = ..., since_unix_ms: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class KeptQuarantine(_message.Message):
    __slots__ = ("workload", "config", "reason", "until_ms")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    workload: str
    config: str
    reason: str
    until_ms: int
    def __init__(self, workload: _Optional[str] = ..., config: _Optional[str] = ..., reason: _Optional[str] = ..., until_ms: _Optional[int] = ...) -> None: ...

class KeptCrashes(_message.Message):
    __slots__ = ("workload", "index", "config", "at_ms", "in_vain")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    IN_VAIN_FIELD_NUMBER: _ClassVar[int]
    workload: str
    index: int
    config: str
    at_ms: _containers.RepeatedScalarFieldContainer[int]
    in_vain: int
    def __init__(self, workload: _Optional[str] = ..., index: _Optional[int] = ..., config: _Optional[str] = ..., at_ms: _Optional[_Iterable[int]] = ..., in_vain: _Optional[int] = ...) -> None: ...
