"""What the agent at a board's end answers about it, so that ``axft-hw doctor`` at the other end sees the device too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from axft_host.backends.base import Backend
from axft_host.doctor.environment import image_facts, processor_facts, sensor_readings, versions
from axft_host.doctor.privacy import Scrubber
from axft_spec.config import ArrayConfig

__all__ = ["QUESTIONS", "surroundings"]


def _examine(backend: Backend, arguments: Mapping[str, Any]) -> Any:
    """Return the findings on the device for the logical array in ``config``."""
    return [finding.to_json() for finding in backend.examine(ArrayConfig.from_json(arguments["config"]))]


def _surroundings(backend: Backend, arguments: Mapping[str, Any]) -> Any:
    """Return versions and sensors of the agent's machine, without names of anybody."""
    return surroundings()


def surroundings() -> dict[str, Any]:
    """Return versions, system image, processor and sensors of this machine, without names of hosts and users."""
    facts = {
        "versions": versions(),
        "image": image_facts(),
        "processor": processor_facts(),
        "sensors": sensor_readings(),
    }
    scrubbed: dict[str, Any] = Scrubber().value(facts)
    return scrubbed


#: By the name that the link carries.
QUESTIONS: Mapping[str, Callable[[Backend, Mapping[str, Any]], Any]] = {
    "examine": _examine,
    "surroundings": _surroundings,
}
