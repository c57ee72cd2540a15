"""The committed JSON Schema is the one that the models make."""

import json
from pathlib import Path

from mesh.desired.schema import schema

COMMITTED = Path(__file__).parents[3] / "docs" / "schema" / "mesh.v1.json"
COMMAND = (
    "python -c 'import json; from mesh.desired.schema import schema; "
    "print(json.dumps(schema(), indent=2))' > docs/schema/mesh.v1.json"
)


def test_the_committed_schema_is_current() -> None:
    made = json.dumps(schema(), indent=2) + "\n"
    assert COMMITTED.read_text() == made, f"the models have changed; run: {COMMAND}"


def test_it_covers_each_kind_and_forbids_unknown_keys() -> None:
    made = schema()
    assert len(made["anyOf"]) == 4
    assert all(part["additionalProperties"] is False for part in made["$defs"].values())
