"""The JSON Schema of all resources, for editors: completion and errors while typing."""

from typing import Any

from pydantic import TypeAdapter

from mesh.desired.resources import API_VERSION, Resource

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of one document: any of the kinds."""
    made = TypeAdapter(Resource).json_schema(by_alias=True)
    return {"$schema": DRAFT, "title": f"Resources of {API_VERSION}", **made}
