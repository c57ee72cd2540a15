"""The resources that the tests begin with: one of each kind, as the documentation shows them."""

from mesh.desired.collection import Release, Resources
from mesh.desired.parse import parse
from protos.documents_pb2 import RosterEntry

EXAMPLE = """\
apiVersion: mesh/v1
kind: Model
metadata: {name: face-detector}
spec: {version: 1.2.0, gate: {maxLatency: 50ms, soak: 30s}}   # a comment
---
apiVersion: mesh/v1
kind: Service
metadata: {name: faces}
spec:
  sites: [north, south]
  model: face-detector@1.2.0
  replicas: {min: 2, max: 3}
  resources: {cores: 1, memory: 512MiB}
  scaling: {queueDelay: 20ms, downAfter: 60s}
  spares: 1
---
apiVersion: mesh/v1
kind: Pipeline
metadata: {name: entrance}
spec:
  sites: [north]
  source: entrance-camera
  service: faces
  every: 200ms
  journal: {onChange: true, summaryEvery: 10s}
  exclusive: true
  onSplit: run
---
apiVersion: mesh/v1
kind: Site
metadata: {name: north, labels: {region: eu}}
spec: {autonomy: {allow: [scale, pin, restart, rollback], until: 90d}}
"""

DIGEST = bytes(range(32))
RELEASED = {("face-detector", "1.2.0"): Release(DIGEST, "model", 64 * 1024**2)}


def resources(text: str = EXAMPLE) -> Resources:
    """The resources in `text`."""
    return Resources.of(one.resource for one in parse(text))


def entry(node: str) -> RosterEntry:
    """A roster's entry with keys that are made of the node's name."""
    padded = node.encode().ljust(31, b".")
    return RosterEntry(node=node, signing_key=padded + b"s", tls_key=padded + b"t")
