from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class GetTrustRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetTrustReply(_message.Message):
    __slots__ = ("root_key", "trust")
    ROOT_KEY_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    root_key: bytes
    trust: bytes
    def __init__(self, root_key: _Optional[bytes] = ..., trust: _Optional[bytes] = ...) -> None: ...

class EnrolRequest(_message.Message):
    __slots__ = ("token_id", "secret", "node", "tls_request", "signing_key", "signing_proof")
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    TLS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SIGNING_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_PROOF_FIELD_NUMBER: _ClassVar[int]
    token_id: str
    secret: str
    node: str
    tls_request: bytes
    signing_key: bytes
    signing_proof: bytes
    def __init__(self, token_id: _Optional[str] = ..., secret: _Optional[str] = ..., node: _Optional[str] = ..., tls_request: _Optional[bytes] = ..., signing_key: _Optional[bytes] = ..., signing_proof: _Optional[bytes] = ...) -> None: ...

class EnrolReply(_message.Message):
    __slots__ = ("certificate", "mesh", "site", "node", "masters")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    MESH_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    MASTERS_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    mesh: str
    site: str
    node: str
    masters: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, certificate: _Optional[bytes] = ..., mesh: _Optional[str] = ..., site: _Optional[str] = ..., node: _Optional[str] = ..., masters: _Optional[_Iterable[str]] = ...) -> None: ...
