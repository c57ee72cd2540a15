"""The worker process: one replica of a model in OpenVINO, and nothing else.

The runtime starts it (`python -m node.worker --socket-fd N --memory-fd M`), asks it over a socket
pair to load one model and then to infer, one request at a time. It verifies the model's bytes
against the signed manifest, loads those same bytes, checks the golden outputs, and only then says
that it serves. It may crash, hang or be killed at any time: nothing but this replica depends on it.
"""
