"""Secrets masked, and text made storable, before anything is kept."""

from collections.abc import Iterable
from typing import Any

from deployments.models import Deployment, Secret


def storable(text: str) -> str:
    """`text` as every database takes it: PostgreSQL refuses NUL, and nothing encodes half of a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


class Mask:
    """Replaces every secret of an environment, whatever its version, wherever it turns up in a text."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        # longest first, so that a secret that contains another one is masked whole
        self._values = sorted(
            {(part, name) for name, value in values for part in _parts(value)}, key=lambda pair: -len(pair[0])
        )

    @classmethod
    def of(cls, deployment: Deployment) -> "Mask":
        """All secrets the deployment's environment ever had."""
        return cls.for_environment(deployment.environment_id)

    @classmethod
    def for_environment(cls, environment_id: int) -> "Mask":
        """All secrets an environment ever had."""
        return cls((row.name, str(row.value)) for row in Secret.objects.filter(environment_id=environment_id))

    def __call__(self, text: str) -> str:
        """The text with every secret's name in the place of its value."""
        for value, name in self._values:
            text = text.replace(value, f"[secret {name}]")
        return storable(text)

    def cut_off(self, text: str) -> str:
        """The same for the beginning of something longer: a secret that was cut off at its end is none the less one."""
        text = self(text)
        for value, name in self._values:
            for length in range(min(len(value) - 1, len(text)), 3, -1):
                if text.endswith(value[:length]):
                    text = f"{text[:-length]}[secret {name}]"
                    break
        return text

    def found_in(self, value: Any) -> str | None:
        """The name of a secret that a text, a key or a number inside a JSON value holds; None where none does."""
        if isinstance(value, dict):
            return self.found_in([*value, *value.values()])
        if isinstance(value, list):
            return next((name for item in value if (name := self.found_in(item))), None)
        return next((name for part, name in self._values if part in str(value)), None)

    def facts(self, value: Any) -> Any:
        """The same for every text inside a JSON value."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {storable(str(key)): self.facts(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.facts(item) for item in value]
        return value


def _parts(value: str) -> set[str]:
    """A secret as texts may hold it: what servers print comes line by line, so a key of several lines does too."""
    lines = {line.strip() for line in value.splitlines()}
    return {part for part in (value, value.strip()) if len(part) >= 4} | {line for line in lines if len(line) >= 8}
