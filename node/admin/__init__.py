"""Steering: the Admin service that every daemon answers, and `meshctl`, which calls it.

The daemons import `server`, `backend` and `documents` alone: these need neither typer nor rich.
"""
