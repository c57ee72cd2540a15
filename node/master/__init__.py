"""The master's part: what the authority knows, admits, decides and signs.

A master is a peer like any other that can do four things more: it keeps the resources and the
fleet's nodes (`store`, `content`), compiles and signs the state (`publisher`, `authority`), admits
machines (`admission`, `enrolment`) and acknowledges journals (`cursors`).
"""
