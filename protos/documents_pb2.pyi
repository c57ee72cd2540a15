from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    FETCHING: _ClassVar[Phase]
    LOADING: _ClassVar[Phase]
    SERVING: _ClassVar[Phase]
    DRAINING: _ClassVar[Phase]
    FAILED: _ClassVar[Phase]
    REFUSED: _ClassVar[Phase]
PHASE_UNSPECIFIED: Phase
FETCHING: Phase
LOADING: Phase
SERVING: Phase
DRAINING: Phase
FAILED: Phase
REFUSED: Phase

class Boot(_message.Message):
    __slots__ = ("counter", "nonce")
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    counter: int
    nonce: bytes
    def __init__(self, counter: _Optional[int] = ..., nonce: _Optional[bytes] = ...) -> None: ...

class StableRegister(_message.Message):
    __slots__ = ("node", "site", "boot", "version", "certificate", "peer_address", "inference_address", "labels", "capacity", "wan", "replicas", "artifacts", "suspicions", "sources", "seen_counter", "applied_counter", "copy_holder", "pipelines", "alarms", "min_reader", "counts", "verdicts", "last_good", "cordoned", "draining", "local_changes", "away_ms", "leases", "admissions", "wanted", "cannot_lease", "in_force_counter", "runtime_gone", "in_force_generation", "inherited_good")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    PEER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    WAN_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    SUSPICIONS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    SEEN_COUNTER_FIELD_NUMBER: _ClassVar[int]
    APPLIED_COUNTER_FIELD_NUMBER: _ClassVar[int]
    COPY_HOLDER_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    ALARMS_FIELD_NUMBER: _ClassVar[int]
    MIN_READER_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    LAST_GOOD_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    LOCAL_CHANGES_FIELD_NUMBER: _ClassVar[int]
    AWAY_MS_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    ADMISSIONS_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    CANNOT_LEASE_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_COUNTER_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_GONE_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    INHERITED_GOOD_FIELD_NUMBER: _ClassVar[int]
    node: str
    site: str
    boot: Boot
    version: int
    certificate: bytes
    peer_address: str
    inference_address: str
    labels: _containers.ScalarMap[str, str]
    capacity: Capacity
    wan: bool
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaState]
    artifacts: _containers.RepeatedScalarFieldContainer[bytes]
    suspicions: _containers.RepeatedCompositeFieldContainer[Suspicion]
    sources: _containers.RepeatedScalarFieldContainer[str]
    seen_counter: int
    applied_counter: int
    copy_holder: str
    pipelines: _containers.RepeatedCompositeFieldContainer[PipelineState]
    alarms: _containers.RepeatedCompositeFieldContainer[AlarmState]
    min_reader: int
    counts: _containers.RepeatedCompositeFieldContainer[ServiceCount]
    verdicts: _containers.RepeatedCompositeFieldContainer[ServiceVerdict]
    last_good: _containers.RepeatedCompositeFieldContainer[ServicePlan]
    cordoned: bool
    draining: bool
    local_changes: _containers.RepeatedScalarFieldContainer[bytes]
    away_ms: int
    leases: _containers.RepeatedCompositeFieldContainer[LeaseState]
    admissions: _containers.RepeatedScalarFieldContainer[bytes]
    wanted: _containers.RepeatedScalarFieldContainer[str]
    cannot_lease: _containers.RepeatedScalarFieldContainer[str]
    in_force_counter: int
    runtime_gone: bool
    in_force_generation: int
    inherited_good: _containers.RepeatedCompositeFieldContainer[ServicePlan]
    def __init__(self, node: _Optional[str] = ..., site: _Optional[str] = ..., boot: _Optional[_Union[Boot, _Mapping]] = ..., version: _Optional[int] = ..., certificate: _Optional[bytes] = ..., peer_address: _Optional[str] = ..., inference_address: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., capacity: _Optional[_Union[Capacity, _Mapping]] = ..., wan: _Optional[bool] = ..., replicas: _Optional[_Iterable[_Union[ReplicaState, _Mapping]]] = ..., artifacts: _Optional[_Iterable[bytes]] = ..., suspicions: _Optional[_Iterable[_Union[Suspicion, _Mapping]]] = ..., sources: _Optional[_Iterable[str]] = ..., seen_counter: _Optional[int] = ..., applied_counter: _Optional[int] = ..., copy_holder: _Optional[str] = ..., pipelines: _Optional[_Iterable[_Union[PipelineState, _Mapping]]] = ..., alarms: _Optional[_Iterable[_Union[AlarmState, _Mapping]]] = ..., min_reader: _Optional[int] = ..., counts: _Optional[_Iterable[_Union[ServiceCount, _Mapping]]] = ..., verdicts: _Optional[_Iterable[_Union[ServiceVerdict, _Mapping]]] = ..., last_good: _Optional[_Iterable[_Union[ServicePlan, _Mapping]]] = ..., cordoned: _Optional[bool] = ..., draining: _Optional[bool] = ..., local_changes: _Optional[_Iterable[bytes]] = ..., away_ms: _Optional[int] = ..., leases: _Optional[_Iterable[_Union[LeaseState, _Mapping]]] = ..., admissions: _Optional[_Iterable[bytes]] = ..., wanted: _Optional[_Iterable[str]] = ..., cannot_lease: _Optional[_Iterable[str]] = ..., in_force_counter: _Optional[int] = ..., runtime_gone: _Optional[bool] = ..., in_force_generation: _Optional[int] = ..., inherited_good: _Optional[_Iterable[_Union[ServicePlan, _Mapping]]] = ...) -> None: ...

class LeaseState(_message.Message):
    __slots__ = ("workload", "acknowledged", "acknowledgements")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    workload: str
    acknowledged: _containers.RepeatedScalarFieldContainer[str]
    acknowledgements: int
    def __init__(self, workload: _Optional[str] = ..., acknowledged: _Optional[_Iterable[str]] = ..., acknowledgements: _Optional[int] = ...) -> None: ...

class EarlierRoster(_message.Message):
    __slots__ = ("nodes", "until", "tls_keys")
    NODES_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    TLS_KEYS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    until: int
    tls_keys: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., until: _Optional[int] = ..., tls_keys: _Optional[_Iterable[bytes]] = ...) -> None: ...

class KeptRosters(_message.Message):
    __slots__ = ("nodes", "since", "earlier", "tls_keys", "over", "trust_generation")
    NODES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    TLS_KEYS_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    TRUST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    since: int
    earlier: _containers.RepeatedCompositeFieldContainer[EarlierRoster]
    tls_keys: _containers.RepeatedScalarFieldContainer[bytes]
    over: _containers.RepeatedScalarFieldContainer[bytes]
    trust_generation: int
    def __init__(self, nodes: _Optional[_Iterable[str]] = ..., since: _Optional[int] = ..., earlier: _Optional[_Iterable[_Union[EarlierRoster, _Mapping]]] = ..., tls_keys: _Optional[_Iterable[bytes]] = ..., over: _Optional[_Iterable[bytes]] = ..., trust_generation: _Optional[int] = ...) -> None: ...

class KeptInForce(_message.Message):
    __slots__ = ("counter", "branch", "revocations", "trust_generation", "state", "branches", "released")
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    REVOCATIONS_FIELD_NUMBER: _ClassVar[int]
    TRUST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    counter: int
    branch: bytes
    revocations: bytes
    trust_generation: int
    state: bytes
    branches: _containers.RepeatedCompositeFieldContainer[Branch]
    released: bytes
    def __init__(self, counter: _Optional[int] = ..., branch: _Optional[bytes] = ..., revocations: _Optional[bytes] = ..., trust_generation: _Optional[int] = ..., state: _Optional[bytes] = ..., branches: _Optional[_Iterable[_Union[Branch, _Mapping]]] = ..., released: _Optional[bytes] = ...) -> None: ...

class LocalChange(_message.Message):
    __slots__ = ("mesh", "site", "base_counter", "base", "workload", "field", "value", "artifact", "counter", "made_unix_ms", "until_unix_ms", "reason", "operator")
    MESH_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    BASE_COUNTER_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    MADE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    site: str
    base_counter: int
    base: bytes
    workload: str
    field: str
    value: str
    artifact: bytes
    counter: int
    made_unix_ms: int
    until_unix_ms: int
    reason: str
    operator: str
    def __init__(self, mesh: _Optional[str] = ..., site: _Optional[str] = ..., base_counter: _Optional[int] = ..., base: _Optional[bytes] = ..., workload: _Optional[str] = ..., field: _Optional[str] = ..., value: _Optional[str] = ..., artifact: _Optional[bytes] = ..., counter: _Optional[int] = ..., made_unix_ms: _Optional[int] = ..., until_unix_ms: _Optional[int] = ..., reason: _Optional[str] = ..., operator: _Optional[str] = ...) -> None: ...

class KeptChanges(_message.Message):
    __slots__ = ("counting", "ended")
    COUNTING_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    counting: _containers.RepeatedScalarFieldContainer[bytes]
    ended: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, counting: _Optional[_Iterable[bytes]] = ..., ended: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ServiceCount(_message.Message):
    __slots__ = ("workload", "replicas")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    workload: str
    replicas: int
    def __init__(self, workload: _Optional[str] = ..., replicas: _Optional[int] = ...) -> None: ...

class ServiceVerdict(_message.Message):
    __slots__ = ("workload", "config", "model_version", "reason")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workload: str
    config: str
    model_version: str
    reason: str
    def __init__(self, workload: _Optional[str] = ..., config: _Optional[str] = ..., model_version: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Capacity(_message.Message):
    __slots__ = ("cores", "memory_bytes", "devices")
    CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    cores: int
    memory_bytes: int
    devices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., devices: _Optional[_Iterable[str]] = ...) -> None: ...

class ReplicaState(_message.Message):
    __slots__ = ("workload", "index", "config", "phase", "reason", "model", "model_version", "soaked", "quarantined")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SOAKED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    workload: str
    index: int
    config: str
    phase: Phase
    reason: str
    model: str
    model_version: str
    soaked: bool
    quarantined: bool
    def __init__(self, workload: _Optional[str] = ..., index: _Optional[int] = ..., config: _Optional[str] = ..., phase: _Optional[_Union[Phase, str]] = ..., reason: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[str] = ..., soaked: _Optional[bool] = ..., quarantined: _Optional[bool] = ...) -> None: ...

class PipelineState(_message.Message):
    __slots__ = ("workload", "config", "phase", "reason")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    workload: str
    config: str
    phase: Phase
    reason: str
    def __init__(self, workload: _Optional[str] = ..., config: _Optional[str] = ..., phase: _Optional[_Union[Phase, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Suspicion(_message.Message):
    __slots__ = ("node", "boot", "version")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: Boot
    version: int
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[_Union[Boot, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class AlarmState(_message.Message):
    __slots__ = ("kind", "subject", "message", "severity", "since_unix_ms", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    subject: str
    message: str
    severity: str
    since_unix_ms: int
    count: int
    def __init__(self, kind: _Optional[str] = ..., subject: _Optional[str] = ..., message: _Optional[str] = ..., severity: _Optional[str] = ..., since_unix_ms: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class LoadRegister(_message.Message):
    __slots__ = ("node", "boot", "version", "services")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: Boot
    version: int
    services: _containers.RepeatedCompositeFieldContainer[ServiceLoad]
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[_Union[Boot, _Mapping]] = ..., version: _Optional[int] = ..., services: _Optional[_Iterable[_Union[ServiceLoad, _Mapping]]] = ...) -> None: ...

class ServiceLoad(_message.Message):
    __slots__ = ("workload", "queue_delay_ms", "in_flight", "requests_per_second", "waiting")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    workload: str
    queue_delay_ms: int
    in_flight: int
    requests_per_second: int
    waiting: int
    def __init__(self, workload: _Optional[str] = ..., queue_delay_ms: _Optional[int] = ..., in_flight: _Optional[int] = ..., requests_per_second: _Optional[int] = ..., waiting: _Optional[int] = ...) -> None: ...

class TrustBody(_message.Message):
    __slots__ = ("mesh", "generation", "authorities", "keys", "masters", "signed_unix_ms", "min_reader")
    MESH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    AUTHORITIES_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    MASTERS_FIELD_NUMBER: _ClassVar[int]
    SIGNED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_READER_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    generation: int
    authorities: _containers.RepeatedScalarFieldContainer[bytes]
    keys: _containers.RepeatedCompositeFieldContainer[TrustedKey]
    masters: _containers.RepeatedScalarFieldContainer[str]
    signed_unix_ms: int
    min_reader: int
    def __init__(self, mesh: _Optional[str] = ..., generation: _Optional[int] = ..., authorities: _Optional[_Iterable[bytes]] = ..., keys: _Optional[_Iterable[_Union[TrustedKey, _Mapping]]] = ..., masters: _Optional[_Iterable[str]] = ..., signed_unix_ms: _Optional[int] = ..., min_reader: _Optional[int] = ...) -> None: ...

class TrustedKey(_message.Message):
    __slots__ = ("public_key", "role", "name")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    public_key: bytes
    role: str
    name: str
    def __init__(self, public_key: _Optional[bytes] = ..., role: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class StateBody(_message.Message):
    __slots__ = ("mesh", "trust_generation", "counter", "root", "leaves", "signed_unix_ms", "min_reader")
    MESH_FIELD_NUMBER: _ClassVar[int]
    TRUST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    SIGNED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_READER_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    trust_generation: int
    counter: int
    root: bytes
    leaves: int
    signed_unix_ms: int
    min_reader: int
    def __init__(self, mesh: _Optional[str] = ..., trust_generation: _Optional[int] = ..., counter: _Optional[int] = ..., root: _Optional[bytes] = ..., leaves: _Optional[int] = ..., signed_unix_ms: _Optional[int] = ..., min_reader: _Optional[int] = ...) -> None: ...

class Branch(_message.Message):
    __slots__ = ("name", "digest", "index", "path")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: bytes
    index: int
    path: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[bytes] = ..., index: _Optional[int] = ..., path: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SiteBranch(_message.Message):
    __slots__ = ("site", "roster", "plan", "labels", "delegations", "former", "rosters_from", "continued")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SITE_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DELEGATIONS_FIELD_NUMBER: _ClassVar[int]
    FORMER_FIELD_NUMBER: _ClassVar[int]
    ROSTERS_FROM_FIELD_NUMBER: _ClassVar[int]
    CONTINUED_FIELD_NUMBER: _ClassVar[int]
    site: str
    roster: _containers.RepeatedCompositeFieldContainer[RosterEntry]
    plan: Plan
    labels: _containers.ScalarMap[str, str]
    delegations: _containers.RepeatedCompositeFieldContainer[Delegation]
    former: _containers.RepeatedCompositeFieldContainer[FormerEntry]
    rosters_from: int
    continued: int
    def __init__(self, site: _Optional[str] = ..., roster: _Optional[_Iterable[_Union[RosterEntry, _Mapping]]] = ..., plan: _Optional[_Union[Plan, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., delegations: _Optional[_Iterable[_Union[Delegation, _Mapping]]] = ..., former: _Optional[_Iterable[_Union[FormerEntry, _Mapping]]] = ..., rosters_from: _Optional[int] = ..., continued: _Optional[int] = ...) -> None: ...

class FormerEntry(_message.Message):
    __slots__ = ("node", "tls_key", "since", "until")
    NODE_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    node: str
    tls_key: bytes
    since: int
    until: int
    def __init__(self, node: _Optional[str] = ..., tls_key: _Optional[bytes] = ..., since: _Optional[int] = ..., until: _Optional[int] = ...) -> None: ...

class Delegation(_message.Message):
    __slots__ = ("id", "count", "until_unix_ms", "authority", "operator", "ended", "uses")
    ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    id: str
    count: int
    until_unix_ms: int
    authority: bytes
    operator: str
    ended: bool
    uses: _containers.RepeatedCompositeFieldContainer[DelegationUse]
    def __init__(self, id: _Optional[str] = ..., count: _Optional[int] = ..., until_unix_ms: _Optional[int] = ..., authority: _Optional[bytes] = ..., operator: _Optional[str] = ..., ended: _Optional[bool] = ..., uses: _Optional[_Iterable[_Union[DelegationUse, _Mapping]]] = ...) -> None: ...

class DelegationUse(_message.Message):
    __slots__ = ("number", "tls_key")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_FIELD_NUMBER: _ClassVar[int]
    number: int
    tls_key: bytes
    def __init__(self, number: _Optional[int] = ..., tls_key: _Optional[bytes] = ...) -> None: ...

class KeptAdmissions(_message.Message):
    __slots__ = ("certificates",)
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificates: _Optional[_Iterable[bytes]] = ...) -> None: ...

class AdmissionRequest(_message.Message):
    __slots__ = ("tls_request",)
    TLS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    tls_request: bytes
    def __init__(self, tls_request: _Optional[bytes] = ...) -> None: ...

class SiteSnapshot(_message.Message):
    __slots__ = ("root_key", "trust", "state", "branches", "blobs", "masters", "neighbours", "admitted")
    ROOT_KEY_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    MASTERS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    root_key: bytes
    trust: bytes
    state: bytes
    branches: _containers.RepeatedCompositeFieldContainer[Branch]
    blobs: _containers.RepeatedScalarFieldContainer[bytes]
    masters: _containers.RepeatedScalarFieldContainer[str]
    neighbours: _containers.RepeatedScalarFieldContainer[str]
    admitted: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, root_key: _Optional[bytes] = ..., trust: _Optional[bytes] = ..., state: _Optional[bytes] = ..., branches: _Optional[_Iterable[_Union[Branch, _Mapping]]] = ..., blobs: _Optional[_Iterable[bytes]] = ..., masters: _Optional[_Iterable[str]] = ..., neighbours: _Optional[_Iterable[str]] = ..., admitted: _Optional[_Iterable[bytes]] = ...) -> None: ...

class AdmissionBundle(_message.Message):
    __slots__ = ("certificate", "snapshot")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    snapshot: SiteSnapshot
    def __init__(self, certificate: _Optional[bytes] = ..., snapshot: _Optional[_Union[SiteSnapshot, _Mapping]] = ...) -> None: ...

class RosterEntry(_message.Message):
    __slots__ = ("node", "signing_key", "tls_key", "cordoned", "draining", "since")
    NODE_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_FIELD_NUMBER: _ClassVar[int]
    CORDONED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    node: str
    signing_key: bytes
    tls_key: bytes
    cordoned: bool
    draining: bool
    since: int
    def __init__(self, node: _Optional[str] = ..., signing_key: _Optional[bytes] = ..., tls_key: _Optional[bytes] = ..., cordoned: _Optional[bool] = ..., draining: _Optional[bool] = ..., since: _Optional[int] = ...) -> None: ...

class Revocations(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Revocation]
    def __init__(self, entries: _Optional[_Iterable[_Union[Revocation, _Mapping]]] = ...) -> None: ...

class Revocation(_message.Message):
    __slots__ = ("subject", "tls_key", "reason", "unix_ms")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    subject: str
    tls_key: bytes
    reason: str
    unix_ms: int
    def __init__(self, subject: _Optional[str] = ..., tls_key: _Optional[bytes] = ..., reason: _Optional[str] = ..., unix_ms: _Optional[int] = ...) -> None: ...

class Released(_message.Message):
    __slots__ = ("artifacts",)
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[ReleasedArtifact]
    def __init__(self, artifacts: _Optional[_Iterable[_Union[ReleasedArtifact, _Mapping]]] = ...) -> None: ...

class ReleasedArtifact(_message.Message):
    __slots__ = ("name", "version", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    digest: bytes
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[bytes] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("site", "models", "services", "pipelines", "autonomy")
    SITE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    PIPELINES_FIELD_NUMBER: _ClassVar[int]
    AUTONOMY_FIELD_NUMBER: _ClassVar[int]
    site: str
    models: _containers.RepeatedCompositeFieldContainer[ModelPlan]
    services: _containers.RepeatedCompositeFieldContainer[ServicePlan]
    pipelines: _containers.RepeatedCompositeFieldContainer[PipelinePlan]
    autonomy: Autonomy
    def __init__(self, site: _Optional[str] = ..., models: _Optional[_Iterable[_Union[ModelPlan, _Mapping]]] = ..., services: _Optional[_Iterable[_Union[ServicePlan, _Mapping]]] = ..., pipelines: _Optional[_Iterable[_Union[PipelinePlan, _Mapping]]] = ..., autonomy: _Optional[_Union[Autonomy, _Mapping]] = ...) -> None: ...

class ModelPlan(_message.Message):
    __slots__ = ("name", "version", "artifact", "max_latency_ms", "soak_ms", "staged")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    SOAK_MS_FIELD_NUMBER: _ClassVar[int]
    STAGED_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    artifact: bytes
    max_latency_ms: int
    soak_ms: int
    staged: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., artifact: _Optional[bytes] = ..., max_latency_ms: _Optional[int] = ..., soak_ms: _Optional[int] = ..., staged: _Optional[bool] = ...) -> None: ...

class ServicePlan(_message.Message):
    __slots__ = ("name", "model", "model_version", "artifact", "replicas_min", "replicas_max", "cores", "memory_bytes", "queue_delay_ms", "down_after_ms", "spares", "restarts", "match_labels", "device", "max_latency_ms", "soak_ms", "paused", "pinned", "since")
    class MatchLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_MIN_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_MAX_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    DOWN_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    SPARES_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    MATCH_LABELS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MAX_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    SOAK_MS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    model_version: str
    artifact: bytes
    replicas_min: int
    replicas_max: int
    cores: int
    memory_bytes: int
    queue_delay_ms: int
    down_after_ms: int
    spares: int
    restarts: int
    match_labels: _containers.ScalarMap[str, str]
    device: str
    max_latency_ms: int
    soak_ms: int
    paused: bool
    pinned: bool
    since: int
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., model_version: _Optional[str] = ..., artifact: _Optional[bytes] = ..., replicas_min: _Optional[int] = ..., replicas_max: _Optional[int] = ..., cores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., queue_delay_ms: _Optional[int] = ..., down_after_ms: _Optional[int] = ..., spares: _Optional[int] = ..., restarts: _Optional[int] = ..., match_labels: _Optional[_Mapping[str, str]] = ..., device: _Optional[str] = ..., max_latency_ms: _Optional[int] = ..., soak_ms: _Optional[int] = ..., paused: _Optional[bool] = ..., pinned: _Optional[bool] = ..., since: _Optional[int] = ...) -> None: ...

class PipelinePlan(_message.Message):
    __slots__ = ("name", "source", "service", "every_ms", "journal_on_change", "journal_summary_every_ms", "exclusive", "run_on_split", "restarts", "threshold")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_ON_CHANGE_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_SUMMARY_EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    RUN_ON_SPLIT_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    service: str
    every_ms: int
    journal_on_change: bool
    journal_summary_every_ms: int
    exclusive: bool
    run_on_split: bool
    restarts: int
    threshold: float
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ..., service: _Optional[str] = ..., every_ms: _Optional[int] = ..., journal_on_change: _Optional[bool] = ..., journal_summary_every_ms: _Optional[int] = ..., exclusive: _Optional[bool] = ..., run_on_split: _Optional[bool] = ..., restarts: _Optional[int] = ..., threshold: _Optional[float] = ...) -> None: ...

class Autonomy(_message.Message):
    __slots__ = ("allow", "until_ms")
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    allow: _containers.RepeatedScalarFieldContainer[str]
    until_ms: int
    def __init__(self, allow: _Optional[_Iterable[str]] = ..., until_ms: _Optional[int] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("name", "version", "kind", "chunk_bytes", "files", "limits", "threshold", "golden", "tolerance_absolute", "tolerance_relative")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    GOLDEN_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_ABSOLUTE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_RELATIVE_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    kind: str
    chunk_bytes: int
    files: _containers.RepeatedCompositeFieldContainer[ManifestFile]
    limits: ModelLimits
    threshold: float
    golden: _containers.RepeatedCompositeFieldContainer[Golden]
    tolerance_absolute: float
    tolerance_relative: float
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., kind: _Optional[str] = ..., chunk_bytes: _Optional[int] = ..., files: _Optional[_Iterable[_Union[ManifestFile, _Mapping]]] = ..., limits: _Optional[_Union[ModelLimits, _Mapping]] = ..., threshold: _Optional[float] = ..., golden: _Optional[_Iterable[_Union[Golden, _Mapping]]] = ..., tolerance_absolute: _Optional[float] = ..., tolerance_relative: _Optional[float] = ...) -> None: ...

class ManifestFile(_message.Message):
    __slots__ = ("role", "length", "digest", "chunks")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    role: str
    length: int
    digest: bytes
    chunks: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, role: _Optional[str] = ..., length: _Optional[int] = ..., digest: _Optional[bytes] = ..., chunks: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ModelLimits(_message.Message):
    __slots__ = ("memory_bytes", "load_ms")
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_MS_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    load_ms: int
    def __init__(self, memory_bytes: _Optional[int] = ..., load_ms: _Optional[int] = ...) -> None: ...

class Golden(_message.Message):
    __slots__ = ("inputs", "outputs")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[GoldenTensor]
    outputs: _containers.RepeatedCompositeFieldContainer[GoldenTensor]
    def __init__(self, inputs: _Optional[_Iterable[_Union[GoldenTensor, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[GoldenTensor, _Mapping]]] = ...) -> None: ...

class GoldenTensor(_message.Message):
    __slots__ = ("name", "datatype", "shape", "file")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    file: int
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., file: _Optional[int] = ...) -> None: ...

class LogName(_message.Message):
    __slots__ = ("node", "boot", "kind")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: Boot
    kind: str
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[_Union[Boot, _Mapping]] = ..., kind: _Optional[str] = ...) -> None: ...

class JournalBatch(_message.Message):
    __slots__ = ("log", "first", "previous", "entries", "dropped")
    LOG_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    log: LogName
    first: int
    previous: bytes
    entries: _containers.RepeatedCompositeFieldContainer[JournalEntry]
    dropped: int
    def __init__(self, log: _Optional[_Union[LogName, _Mapping]] = ..., first: _Optional[int] = ..., previous: _Optional[bytes] = ..., entries: _Optional[_Iterable[_Union[JournalEntry, _Mapping]]] = ..., dropped: _Optional[int] = ...) -> None: ...

class JournalEntry(_message.Message):
    __slots__ = ("unix_ms", "monotonic_ms", "event", "subject", "cause", "fields")
    class FieldsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    MONOTONIC_MS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    unix_ms: int
    monotonic_ms: int
    event: str
    subject: str
    cause: str
    fields: _containers.ScalarMap[str, str]
    def __init__(self, unix_ms: _Optional[int] = ..., monotonic_ms: _Optional[int] = ..., event: _Optional[str] = ..., subject: _Optional[str] = ..., cause: _Optional[str] = ..., fields: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Acknowledgement(_message.Message):
    __slots__ = ("log", "sequence", "master")
    LOG_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MASTER_FIELD_NUMBER: _ClassVar[int]
    log: LogName
    sequence: int
    master: str
    def __init__(self, log: _Optional[_Union[LogName, _Mapping]] = ..., sequence: _Optional[int] = ..., master: _Optional[str] = ...) -> None: ...
