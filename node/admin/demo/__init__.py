"""`meshctl demo`: two sites live through an outage, as real processes on this machine.

It steers with `meshctl`, asks over gRPC, and hurts with signals; it knows nothing of the daemons
that a user could not know. Each step checks what it tells and fails with the evidence.
"""
