"""Makes ``known.json``: what the emulator computes for the pictures, so that another machine can be held to it."""

from __future__ import annotations

import json

from axft_host.backends.emulator import Emulator
from axft_host.doctor.trial import row_digests, trial_workload
from axft_host.nn.library import DEFAULT_MODEL
from axft_spec.config import PRESETS

__all__ = ["KNOWN_IMAGES", "known_text"]

#: Images of each preset whose results come with the package.
KNOWN_IMAGES = 10


def known_text() -> str:
    """Return the text of the file."""
    digests = {
        name: row_digests(Emulator().evaluate(trial_workload(preset.config, KNOWN_IMAGES), [None])[0].accumulators)
        for name, preset in PRESETS.items()
    }
    text = "First 16 digits of the SHA-256 of each picture's final accumulators (int64, little endian), by preset."
    return json.dumps({"about": text, "network": DEFAULT_MODEL, "digests": digests}, indent=1) + "\n"


if __name__ == "__main__":
    print(known_text(), end="")
