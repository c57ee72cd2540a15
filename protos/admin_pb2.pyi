from protos import documents_pb2 as _documents_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRequest(_message.Message):
    __slots__ = ("kind", "name", "site", "limit")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    site: str
    limit: int
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., site: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class GetReply(_message.Message):
    __slots__ = ("documents",)
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, documents: _Optional[_Iterable[str]] = ...) -> None: ...

class ApplyRequest(_message.Message):
    __slots__ = ("yaml", "dry_run", "source")
    YAML_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    yaml: bytes
    dry_run: bool
    source: str
    def __init__(self, yaml: _Optional[bytes] = ..., dry_run: _Optional[bool] = ..., source: _Optional[str] = ...) -> None: ...

class ApplyReply(_message.Message):
    __slots__ = ("changes", "counter", "warnings")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[ResourceChange]
    counter: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, changes: _Optional[_Iterable[_Union[ResourceChange, _Mapping]]] = ..., counter: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ResourceChange(_message.Message):
    __slots__ = ("kind", "name", "change")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    change: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., change: _Optional[str] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("kind", "name")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DeleteReply(_message.Message):
    __slots__ = ("changes", "counter")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[ResourceChange]
    counter: int
    def __init__(self, changes: _Optional[_Iterable[_Union[ResourceChange, _Mapping]]] = ..., counter: _Optional[int] = ...) -> None: ...

class CreateTokenRequest(_message.Message):
    __slots__ = ("site", "valid_s")
    SITE_FIELD_NUMBER: _ClassVar[int]
    VALID_S_FIELD_NUMBER: _ClassVar[int]
    site: str
    valid_s: int
    def __init__(self, site: _Optional[str] = ..., valid_s: _Optional[int] = ...) -> None: ...

class CreateTokenReply(_message.Message):
    __slots__ = ("token", "expires_unix_ms")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    token: str
    expires_unix_ms: int
    def __init__(self, token: _Optional[str] = ..., expires_unix_ms: _Optional[int] = ...) -> None: ...

class PushManifestRequest(_message.Message):
    __slots__ = ("manifest",)
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    def __init__(self, manifest: _Optional[bytes] = ...) -> None: ...

class PushManifestReply(_message.Message):
    __slots__ = ("artifact", "missing")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    missing: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, artifact: _Optional[bytes] = ..., missing: _Optional[_Iterable[int]] = ...) -> None: ...

class PushChunk(_message.Message):
    __slots__ = ("artifact", "chunk", "data", "more")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    chunk: int
    data: bytes
    more: bool
    def __init__(self, artifact: _Optional[bytes] = ..., chunk: _Optional[int] = ..., data: _Optional[bytes] = ..., more: _Optional[bool] = ...) -> None: ...

class PushChunksReply(_message.Message):
    __slots__ = ("missing",)
    MISSING_FIELD_NUMBER: _ClassVar[int]
    missing: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, missing: _Optional[_Iterable[int]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("artifact",)
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    def __init__(self, artifact: _Optional[bytes] = ...) -> None: ...

class ReleaseReply(_message.Message):
    __slots__ = ("counter",)
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    counter: int
    def __init__(self, counter: _Optional[int] = ...) -> None: ...

class RevokeRequest(_message.Message):
    __slots__ = ("node", "reason")
    NODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node: str
    reason: str
    def __init__(self, node: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RevokeReply(_message.Message):
    __slots__ = ("counter", "already")
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    ALREADY_FIELD_NUMBER: _ClassVar[int]
    counter: int
    already: str
    def __init__(self, counter: _Optional[int] = ..., already: _Optional[str] = ...) -> None: ...

class RestartRequest(_message.Message):
    __slots__ = ("workload", "site", "reason")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workload: str
    site: str
    reason: str
    def __init__(self, workload: _Optional[str] = ..., site: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RestartReply(_message.Message):
    __slots__ = ("replicas", "counter")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    replicas: int
    counter: int
    def __init__(self, replicas: _Optional[int] = ..., counter: _Optional[int] = ...) -> None: ...

class RolloutRequest(_message.Message):
    __slots__ = ("workload", "site", "action", "reason")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workload: str
    site: str
    action: str
    reason: str
    def __init__(self, workload: _Optional[str] = ..., site: _Optional[str] = ..., action: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PinRequest(_message.Message):
    __slots__ = ("workload", "site", "version", "reason")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workload: str
    site: str
    version: str
    reason: str
    def __init__(self, workload: _Optional[str] = ..., site: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SteerReply(_message.Message):
    __slots__ = ("sites", "counter", "version")
    SITES_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    sites: _containers.RepeatedScalarFieldContainer[str]
    counter: int
    version: str
    def __init__(self, sites: _Optional[_Iterable[str]] = ..., counter: _Optional[int] = ..., version: _Optional[str] = ...) -> None: ...

class CordonRequest(_message.Message):
    __slots__ = ("node", "cordoned", "draining", "reason")
    NODE_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node: str
    cordoned: bool
    draining: bool
    reason: str
    def __init__(self, node: _Optional[str] = ..., cordoned: _Optional[bool] = ..., draining: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class CordonReply(_message.Message):
    __slots__ = ("workloads", "counter")
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    workloads: int
    counter: int
    def __init__(self, workloads: _Optional[int] = ..., counter: _Optional[int] = ...) -> None: ...

class DraftChangeRequest(_message.Message):
    __slots__ = ("workload", "field", "value", "valid_s", "reason")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALID_S_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workload: str
    field: str
    value: str
    valid_s: int
    reason: str
    def __init__(self, workload: _Optional[str] = ..., field: _Optional[str] = ..., value: _Optional[str] = ..., valid_s: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class DraftChangeReply(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: bytes
    def __init__(self, change: _Optional[bytes] = ...) -> None: ...

class ChangeRequest(_message.Message):
    __slots__ = ("envelope",)
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    envelope: bytes
    def __init__(self, envelope: _Optional[bytes] = ...) -> None: ...

class ChangeReply(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    def __init__(self, digest: _Optional[bytes] = ...) -> None: ...

class DelegateRequest(_message.Message):
    __slots__ = ("site", "count", "valid_ms", "authority")
    SITE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    VALID_MS_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    site: str
    count: int
    valid_ms: int
    authority: bytes
    def __init__(self, site: _Optional[str] = ..., count: _Optional[int] = ..., valid_ms: _Optional[int] = ..., authority: _Optional[bytes] = ...) -> None: ...

class DelegateReply(_message.Message):
    __slots__ = ("id", "until_unix_ms", "counter")
    ID_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    id: str
    until_unix_ms: int
    counter: int
    def __init__(self, id: _Optional[str] = ..., until_unix_ms: _Optional[int] = ..., counter: _Optional[int] = ...) -> None: ...

class EndDelegationRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class GetSnapshotRequest(_message.Message):
    __slots__ = ("site",)
    SITE_FIELD_NUMBER: _ClassVar[int]
    site: str
    def __init__(self, site: _Optional[str] = ...) -> None: ...

class GetSnapshotReply(_message.Message):
    __slots__ = ("snapshot",)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: _documents_pb2.SiteSnapshot
    def __init__(self, snapshot: _Optional[_Union[_documents_pb2.SiteSnapshot, _Mapping]] = ...) -> None: ...
