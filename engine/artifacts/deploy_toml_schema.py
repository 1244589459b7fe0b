"""The JSON schema of deploy.toml, for editors and check-jsonschema.

`python -m engine.artifacts.deploy_toml_schema docs/deploy-toml.schema.json` writes it; a test fails when it is stale.
"""

import json
import sys
from pathlib import Path
from typing import Any

from engine.artifacts.deploy_toml import DeployToml


def json_schema() -> dict[str, Any]:
    """The schema, JSON Schema draft 2020-12."""
    generated = DeployToml.model_json_schema()
    _close(generated)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated}


def _close(part: object) -> None:
    """Refuse names that fit no pattern of a free table, as the parser does; pydantic's schema lets them pass."""
    if isinstance(part, dict):
        if "patternProperties" in part:
            part["additionalProperties"] = False
        for inner in part.values():
            _close(inner)
    elif isinstance(part, list):
        for inner in part:
            _close(inner)


def text() -> str:
    """The schema as the file in docs has it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text())
