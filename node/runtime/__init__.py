"""The runtime daemon: the inference port, and the supervisor of workers and pipelines.

It is told what should run by the agent, over a Unix socket, and goes on without it. It decodes no
frame and loads no model: whatever can crash, hang or swallow memory does so in a process of its
own (`node.worker`, `node.vision`), which the supervisor kills and starts again.
"""
