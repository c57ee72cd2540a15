from protos import documents_pb2 as _documents_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("hello", "fingerprint", "digests", "want", "documents", "probe", "probe_answer", "holdings", "claim", "journal_offer", "journal_want", "journal_batches", "lease_ask", "lease_grant", "in_force_ask", "in_force_part")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    WANT_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    PROBE_ANSWER_FIELD_NUMBER: _ClassVar[int]
    HOLDINGS_FIELD_NUMBER: _ClassVar[int]
    CLAIM_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_OFFER_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_WANT_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_BATCHES_FIELD_NUMBER: _ClassVar[int]
    LEASE_ASK_FIELD_NUMBER: _ClassVar[int]
    LEASE_GRANT_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_ASK_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_PART_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    fingerprint: Fingerprint
    digests: Digests
    want: Want
    documents: Documents
    probe: Probe
    probe_answer: ProbeAnswer
    holdings: Holdings
    claim: Claim
    journal_offer: JournalOffer
    journal_want: JournalWant
    journal_batches: JournalBatches
    lease_ask: LeaseAsk
    lease_grant: LeaseGrant
    in_force_ask: InForceAsk
    in_force_part: InForcePart
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., fingerprint: _Optional[_Union[Fingerprint, _Mapping]] = ..., digests: _Optional[_Union[Digests, _Mapping]] = ..., want: _Optional[_Union[Want, _Mapping]] = ..., documents: _Optional[_Union[Documents, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., probe_answer: _Optional[_Union[ProbeAnswer, _Mapping]] = ..., holdings: _Optional[_Union[Holdings, _Mapping]] = ..., claim: _Optional[_Union[Claim, _Mapping]] = ..., journal_offer: _Optional[_Union[JournalOffer, _Mapping]] = ..., journal_want: _Optional[_Union[JournalWant, _Mapping]] = ..., journal_batches: _Optional[_Union[JournalBatches, _Mapping]] = ..., lease_ask: _Optional[_Union[LeaseAsk, _Mapping]] = ..., lease_grant: _Optional[_Union[LeaseGrant, _Mapping]] = ..., in_force_ask: _Optional[_Union[InForceAsk, _Mapping]] = ..., in_force_part: _Optional[_Union[InForcePart, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "boot", "role")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    boot: _documents_pb2.Boot
    role: str
    def __init__(self, protocol: _Optional[int] = ..., boot: _Optional[_Union[_documents_pb2.Boot, _Mapping]] = ..., role: _Optional[str] = ...) -> None: ...

class Fingerprint(_message.Message):
    __slots__ = ("value", "echo")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ECHO_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    echo: bool
    def __init__(self, value: _Optional[bytes] = ..., echo: _Optional[bool] = ...) -> None: ...

class Digests(_message.Message):
    __slots__ = ("trust", "state", "registers", "acknowledged", "reply")
    TRUST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REGISTERS_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    trust: HeadDigest
    state: HeadDigest
    registers: _containers.RepeatedCompositeFieldContainer[RegisterDigest]
    acknowledged: _containers.RepeatedCompositeFieldContainer[LogDigest]
    reply: bool
    def __init__(self, trust: _Optional[_Union[HeadDigest, _Mapping]] = ..., state: _Optional[_Union[HeadDigest, _Mapping]] = ..., registers: _Optional[_Iterable[_Union[RegisterDigest, _Mapping]]] = ..., acknowledged: _Optional[_Iterable[_Union[LogDigest, _Mapping]]] = ..., reply: _Optional[bool] = ...) -> None: ...

class HeadDigest(_message.Message):
    __slots__ = ("trust_generation", "counter", "digest")
    TRUST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    trust_generation: int
    counter: int
    digest: bytes
    def __init__(self, trust_generation: _Optional[int] = ..., counter: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class RegisterDigest(_message.Message):
    __slots__ = ("node", "boot", "version")
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    node: str
    boot: _documents_pb2.Boot
    version: int
    def __init__(self, node: _Optional[str] = ..., boot: _Optional[_Union[_documents_pb2.Boot, _Mapping]] = ..., version: _Optional[int] = ...) -> None: ...

class LogDigest(_message.Message):
    __slots__ = ("log", "sequence")
    LOG_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    log: _documents_pb2.LogName
    sequence: int
    def __init__(self, log: _Optional[_Union[_documents_pb2.LogName, _Mapping]] = ..., sequence: _Optional[int] = ...) -> None: ...

class Want(_message.Message):
    __slots__ = ("trust", "state", "registers", "acknowledgements", "branches", "state_counter", "blobs", "loads")
    TRUST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REGISTERS_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    STATE_COUNTER_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    LOADS_FIELD_NUMBER: _ClassVar[int]
    trust: bool
    state: bool
    registers: _containers.RepeatedScalarFieldContainer[str]
    acknowledgements: _containers.RepeatedCompositeFieldContainer[_documents_pb2.LogName]
    branches: _containers.RepeatedScalarFieldContainer[str]
    state_counter: int
    blobs: _containers.RepeatedScalarFieldContainer[bytes]
    loads: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, trust: _Optional[bool] = ..., state: _Optional[bool] = ..., registers: _Optional[_Iterable[str]] = ..., acknowledgements: _Optional[_Iterable[_Union[_documents_pb2.LogName, _Mapping]]] = ..., branches: _Optional[_Iterable[str]] = ..., state_counter: _Optional[int] = ..., blobs: _Optional[_Iterable[bytes]] = ..., loads: _Optional[_Iterable[str]] = ...) -> None: ...

class Documents(_message.Message):
    __slots__ = ("trust", "state", "registers", "loads", "acknowledgements", "branches", "branches_counter", "blobs", "missing_blobs")
    TRUST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REGISTERS_FIELD_NUMBER: _ClassVar[int]
    LOADS_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGEMENTS_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_FIELD_NUMBER: _ClassVar[int]
    BRANCHES_COUNTER_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    MISSING_BLOBS_FIELD_NUMBER: _ClassVar[int]
    trust: _containers.RepeatedScalarFieldContainer[bytes]
    state: _containers.RepeatedScalarFieldContainer[bytes]
    registers: _containers.RepeatedScalarFieldContainer[bytes]
    loads: _containers.RepeatedScalarFieldContainer[bytes]
    acknowledgements: _containers.RepeatedScalarFieldContainer[bytes]
    branches: _containers.RepeatedCompositeFieldContainer[_documents_pb2.Branch]
    branches_counter: int
    blobs: _containers.RepeatedScalarFieldContainer[bytes]
    missing_blobs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, trust: _Optional[_Iterable[bytes]] = ..., state: _Optional[_Iterable[bytes]] = ..., registers: _Optional[_Iterable[bytes]] = ..., loads: _Optional[_Iterable[bytes]] = ..., acknowledgements: _Optional[_Iterable[bytes]] = ..., branches: _Optional[_Iterable[_Union[_documents_pb2.Branch, _Mapping]]] = ..., branches_counter: _Optional[int] = ..., blobs: _Optional[_Iterable[bytes]] = ..., missing_blobs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("number", "target")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    number: int
    target: str
    def __init__(self, number: _Optional[int] = ..., target: _Optional[str] = ...) -> None: ...

class ProbeAnswer(_message.Message):
    __slots__ = ("number", "alive", "target")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    number: int
    alive: bool
    target: str
    def __init__(self, number: _Optional[int] = ..., alive: _Optional[bool] = ..., target: _Optional[str] = ...) -> None: ...

class Holdings(_message.Message):
    __slots__ = ("artifact", "bitmap", "complete")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    BITMAP_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    bitmap: bytes
    complete: bool
    def __init__(self, artifact: _Optional[bytes] = ..., bitmap: _Optional[bytes] = ..., complete: _Optional[bool] = ...) -> None: ...

class Claim(_message.Message):
    __slots__ = ("artifact", "chunks", "lease_ms")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    chunks: _containers.RepeatedScalarFieldContainer[int]
    lease_ms: int
    def __init__(self, artifact: _Optional[bytes] = ..., chunks: _Optional[_Iterable[int]] = ..., lease_ms: _Optional[int] = ...) -> None: ...

class JournalOffer(_message.Message):
    __slots__ = ("logs",)
    LOGS_FIELD_NUMBER: _ClassVar[int]
    logs: _containers.RepeatedCompositeFieldContainer[LogDigest]
    def __init__(self, logs: _Optional[_Iterable[_Union[LogDigest, _Mapping]]] = ...) -> None: ...

class JournalWant(_message.Message):
    __slots__ = ("logs",)
    LOGS_FIELD_NUMBER: _ClassVar[int]
    logs: _containers.RepeatedCompositeFieldContainer[LogDigest]
    def __init__(self, logs: _Optional[_Iterable[_Union[LogDigest, _Mapping]]] = ...) -> None: ...

class JournalBatches(_message.Message):
    __slots__ = ("batches",)
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, batches: _Optional[_Iterable[bytes]] = ...) -> None: ...

class LeaseAsk(_message.Message):
    __slots__ = ("workload", "boot", "number", "release", "state", "trust_generation")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRUST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    workload: str
    boot: _documents_pb2.Boot
    number: int
    release: bool
    state: int
    trust_generation: int
    def __init__(self, workload: _Optional[str] = ..., boot: _Optional[_Union[_documents_pb2.Boot, _Mapping]] = ..., number: _Optional[int] = ..., release: _Optional[bool] = ..., state: _Optional[int] = ..., trust_generation: _Optional[int] = ...) -> None: ...

class LeaseGrant(_message.Message):
    __slots__ = ("workload", "boot", "number", "granted", "reason", "granter", "earlier", "taken")
    WORKLOAD_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    EARLIER_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    workload: str
    boot: _documents_pb2.Boot
    number: int
    granted: bool
    reason: str
    granter: _documents_pb2.Boot
    earlier: _containers.RepeatedCompositeFieldContainer[_documents_pb2.EarlierRoster]
    taken: bool
    def __init__(self, workload: _Optional[str] = ..., boot: _Optional[_Union[_documents_pb2.Boot, _Mapping]] = ..., number: _Optional[int] = ..., granted: _Optional[bool] = ..., reason: _Optional[str] = ..., granter: _Optional[_Union[_documents_pb2.Boot, _Mapping]] = ..., earlier: _Optional[_Iterable[_Union[_documents_pb2.EarlierRoster, _Mapping]]] = ..., taken: _Optional[bool] = ...) -> None: ...

class InForceAsk(_message.Message):
    __slots__ = ("trust_generation", "counter")
    TRUST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    trust_generation: int
    counter: int
    def __init__(self, trust_generation: _Optional[int] = ..., counter: _Optional[int] = ...) -> None: ...

class InForcePart(_message.Message):
    __slots__ = ("state", "branch", "blob")
    STATE_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    state: bytes
    branch: _documents_pb2.Branch
    blob: bytes
    def __init__(self, state: _Optional[bytes] = ..., branch: _Optional[_Union[_documents_pb2.Branch, _Mapping]] = ..., blob: _Optional[bytes] = ...) -> None: ...

class ChunkRequest(_message.Message):
    __slots__ = ("artifact", "chunks")
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    artifact: bytes
    chunks: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, artifact: _Optional[bytes] = ..., chunks: _Optional[_Iterable[int]] = ...) -> None: ...

class ChunkData(_message.Message):
    __slots__ = ("chunk", "data", "missing")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    chunk: int
    data: bytes
    missing: bool
    def __init__(self, chunk: _Optional[int] = ..., data: _Optional[bytes] = ..., missing: _Optional[bool] = ...) -> None: ...
