from protos import documents_pb2 as _documents_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RuntimeSpec(_message.Message):
    __slots__ = ("replicas", "pipelines", "routes", "models", "revoked_tls_keys", "authorities", "delegated", "admitted_tls_keys")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    REVOKED_TLS_KEYS_FIELD_NUMBER: _ClassVar[int]
    AUTHORITIES_FIELD_NUMBER: _ClassVar[int]
    DELEGATED_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_TLS_KEYS_FIELD_NUMBER: _ClassVar[int]
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaSpec]
    pipelines: _containers.RepeatedCompositeFieldContainer[PipelineSpec]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    models: _containers.RepeatedCompositeFieldContainer[KnownModel]
    revoked_tls_keys: _containers.RepeatedScalarFieldContainer[bytes]
    authorities: _containers.RepeatedScalarFieldContainer[bytes]
    delegated: _containers.RepeatedScalarFieldContainer[bytes]
    admitted_tls_keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, replicas: _Optional[_Iterable[_Union[ReplicaSpec, _Mapping]]] = ..., pipelines: _Optional[_Iterable[_Union[PipelineSpec, _Mapping]]] = ..., routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., models: _Optional[_Iterable[_Union[KnownModel, _Mapping]]] = ..., revoked_tls_keys: _Optional[_Iterable[bytes]] = ..., authorities: _Optional[_Iterable[bytes]] = ..., delegated: _Optional[_Iterable[bytes]] = ..., admitted_tls_keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ReplicaSpec(_message.Message):
    __slots__ = ("workload", "index", "config", "model", "model_version", "manifest", "files", "cores", "memory_bytes", "device", "max_latency_ms", "soak_ms")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    SOAK_MS_FIELD_NUMBER: _ClassVar[int]
    workload: str
    index: int
    config: str
    model: str
    model_version: str
    manifest: str
    files: _containers.RepeatedScalarFieldContainer[str]
    cores: int
    memory_bytes: int
    device: str
    max_latency_ms: int
    soak_ms: int
    def __init__(self, workload: _Optional[str] = ..., index: _Optional[int] = ..., config: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[str] = ..., manifest: _Optional[str] = ..., files: _Optional[_Iterable[str]] = ..., cores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., device: _Optional[str] = ..., max_latency_ms: _Optional[int] = ..., soak_ms: _Optional[int] = ...) -> None: ...

class PipelineSpec(_message.Message):
    __slots__ = ("workload", "config", "source_url", "service", "every_ms", "journal_on_change", "journal_summary_every_ms", "threshold", "deadline_ms")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    SOURCE_URL_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_ON_CHANGE_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_SUMMARY_EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    workload: str
    config: str
    source_url: str
    service: str
    every_ms: int
    journal_on_change: bool
    journal_summary_every_ms: int
    threshold: float
    deadline_ms: int
    def __init__(self, workload: _Optional[str] = ..., config: _Optional[str] = ..., source_url: _Optional[str] = ..., service: _Optional[str] = ..., every_ms: _Optional[int] = ..., journal_on_change: _Optional[bool] = ..., journal_summary_every_ms: _Optional[int] = ..., threshold: _Optional[float] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("workload", "node", "address", "dns_name", "queue_delay_ms", "certificate")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DNS_NAME_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    workload: str
    node: str
    address: str
    dns_name: str
    queue_delay_ms: int
    certificate: bytes
    def __init__(self, workload: _Optional[str] = ..., node: _Optional[str] = ..., address: _Optional[str] = ..., dns_name: _Optional[str] = ..., queue_delay_ms: _Optional[int] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class KnownModel(_message.Message):
    __slots__ = ("workload", "model", "model_version", "may_sleep")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAY_SLEEP_FIELD_NUMBER: _ClassVar[int]
    workload: str
    model: str
    model_version: str
    may_sleep: bool
    def __init__(self, workload: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[str] = ..., may_sleep: _Optional[bool] = ...) -> None: ...

class ApplyRuntimeReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchRuntimeRequest(_message.Message):
    __slots__ = ("beat_ms",)
    BEAT_MS_FIELD_NUMBER: _ClassVar[int]
    beat_ms: int
    def __init__(self, beat_ms: _Optional[int] = ...) -> None: ...

class RestartWorkloadRequest(_message.Message):
    __slots__ = ("workload",)
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    workload: str
    def __init__(self, workload: _Optional[str] = ...) -> None: ...

class RestartWorkloadReply(_message.Message):
    __slots__ = ("restarted",)
    RESTARTED_FIELD_NUMBER: _ClassVar[int]
    restarted: int
    def __init__(self, restarted: _Optional[int] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("deadlines",)
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    deadlines: _containers.RepeatedCompositeFieldContainer[PipelineDeadline]
    def __init__(self, deadlines: _Optional[_Iterable[_Union[PipelineDeadline, _Mapping]]] = ...) -> None: ...

class PipelineDeadline(_message.Message):
    __slots__ = ("workload", "deadline_ms")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    workload: str
    deadline_ms: int
    def __init__(self, workload: _Optional[str] = ..., deadline_ms: _Optional[int] = ...) -> None: ...

class RenewReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RuntimeEvent(_message.Message):
    __slots__ = ("state", "journal", "beat")
    STATE_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    state: RuntimeState
    journal: JournalItem
    beat: bool
    def __init__(self, state: _Optional[_Union[RuntimeState, _Mapping]] = ..., journal: _Optional[_Union[JournalItem, _Mapping]] = ..., beat: _Optional[bool] = ...) -> None: ...

class RuntimeState(_message.Message):
    __slots__ = ("replicas", "pipelines", "loads", "inference_address", "peer_inference_address", "pid", "keeps_deadlines")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    LOADS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PEER_INFERENCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    KEEPS_DEADLINES_FIELD_NUMBER: _ClassVar[int]
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaStatus]
    pipelines: _containers.RepeatedCompositeFieldContainer[PipelineStatus]
    loads: _containers.RepeatedCompositeFieldContainer[_documents_pb2.ServiceLoad]
    inference_address: str
    peer_inference_address: str
    pid: int
    keeps_deadlines: bool
    def __init__(self, replicas: _Optional[_Iterable[_Union[ReplicaStatus, _Mapping]]] = ..., pipelines: _Optional[_Iterable[_Union[PipelineStatus, _Mapping]]] = ..., loads: _Optional[_Iterable[_Union[_documents_pb2.ServiceLoad, _Mapping]]] = ..., inference_address: _Optional[str] = ..., peer_inference_address: _Optional[str] = ..., pid: _Optional[int] = ..., keeps_deadlines: _Optional[bool] = ...) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("state", "pid", "started_unix_ms", "restarts", "requests", "resident_bytes")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    state: _documents_pb2.ReplicaState
    pid: int
    started_unix_ms: int
    restarts: int
    requests: int
    resident_bytes: int
    def __init__(self, state: _Optional[_Union[_documents_pb2.ReplicaState, _Mapping]] = ..., pid: _Optional[int] = ..., started_unix_ms: _Optional[int] = ..., restarts: _Optional[int] = ..., requests: _Optional[int] = ..., resident_bytes: _Optional[int] = ...) -> None: ...

class PipelineStatus(_message.Message):
    __slots__ = ("state", "pid", "started_unix_ms", "restarts", "frames")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    state: _documents_pb2.PipelineState
    pid: int
    started_unix_ms: int
    restarts: int
    frames: int
    def __init__(self, state: _Optional[_Union[_documents_pb2.PipelineState, _Mapping]] = ..., pid: _Optional[int] = ..., started_unix_ms: _Optional[int] = ..., restarts: _Optional[int] = ..., frames: _Optional[int] = ...) -> None: ...

class JournalItem(_message.Message):
    __slots__ = ("kind", "event", "subject", "cause", "fields", "unix_ms")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    event: str
    subject: str
    cause: str
    fields: _containers.ScalarMap[str, str]
    unix_ms: int
    def __init__(self, kind: _Optional[str] = ..., event: _Optional[str] = ..., subject: _Optional[str] = ..., cause: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ..., unix_ms: _Optional[int] = ...) -> None: ...

class WorkerRequest(_message.Message):
    __slots__ = ("id", "load", "infer", "ping")
    ID_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    INFER_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    id: int
    load: WorkerLoad
    infer: WorkerInfer
    ping: WorkerPing
    def __init__(self, id: _Optional[int] = ..., load: _Optional[_Union[WorkerLoad, _Mapping]] = ..., infer: _Optional[_Union[WorkerInfer, _Mapping]] = ..., ping: _Optional[_Union[WorkerPing, _Mapping]] = ...) -> None: ...

class WorkerPing(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkerLoad(_message.Message):
    __slots__ = ("replica",)
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    replica: ReplicaSpec
    def __init__(self, replica: _Optional[_Union[ReplicaSpec, _Mapping]] = ...) -> None: ...

class WorkerTensor(_message.Message):
    __slots__ = ("name", "datatype", "shape", "data", "offset", "length")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    offset: int
    length: int
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class WorkerInfer(_message.Message):
    __slots__ = ("inputs", "outputs")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[WorkerTensor]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, inputs: _Optional[_Iterable[_Union[WorkerTensor, _Mapping]]] = ..., outputs: _Optional[_Iterable[str]] = ...) -> None: ...

class WorkerReply(_message.Message):
    __slots__ = ("id", "error", "error_kind", "outputs", "loaded")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ERROR_KIND_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    LOADED_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: str
    error_kind: str
    outputs: _containers.RepeatedCompositeFieldContainer[WorkerTensor]
    loaded: WorkerLoaded
    def __init__(self, id: _Optional[int] = ..., error: _Optional[str] = ..., error_kind: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[WorkerTensor, _Mapping]]] = ..., loaded: _Optional[_Union[WorkerLoaded, _Mapping]] = ...) -> None: ...

class WorkerLoaded(_message.Message):
    __slots__ = ("inputs", "outputs", "golden_checked", "golden_latency_us_max", "golden_latency_us_median", "threshold")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_CHECKED_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_LATENCY_US_MAX_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_LATENCY_US_MEDIAN_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[TensorInfo]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorInfo]
    golden_checked: int
    golden_latency_us_max: int
    golden_latency_us_median: int
    threshold: float
    def __init__(self, inputs: _Optional[_Iterable[_Union[TensorInfo, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorInfo, _Mapping]]] = ..., golden_checked: _Optional[int] = ..., golden_latency_us_max: _Optional[int] = ..., golden_latency_us_median: _Optional[int] = ..., threshold: _Optional[float] = ...) -> None: ...

class TensorInfo(_message.Message):
    __slots__ = ("name", "datatype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...
