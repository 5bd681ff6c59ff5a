"""What a device is: the physical array, the fault sites it has, the depth of its buffers.

A campaign speaks of a logical array (:class:`~axft_spec.config.ArrayConfig`). A device has a physical one, of any
size, with the same operands, multiplier and accumulators; :mod:`axft_spec.folding` maps the one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from axft_spec.config import ArrayConfig, canonical_digest
from axft_spec.errors import ConfigError, FaultError, check_int, unknown_name
from axft_spec.faults import Fault, Site, ignored_bits, value_bits

__all__ = ["MAX_OPERAND_STEPS", "MAX_STEPS", "HardwareConfig", "parse_sites"]

#: Largest depth of an operand buffer, in steps.
MAX_OPERAND_STEPS = 512

#: Largest number of steps (K) of a tile: what the counters of cycles hold, with room for the skew.
MAX_STEPS = 2**20

#: Words of 32 bits that a result buffer has at least: one block RAM.
_MIN_RESULT_WORDS = 1024


def _power_of_two_from(value: int) -> int:
    return 1 << (value - 1).bit_length()


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareConfig:
    """One device: what the gateware is generated from, and what a driver must find.

    Parameters
    ----------
    array : ArrayConfig
        The physical array.
    sites : tuple of Site
        Fault sites that the hardware has, none to all six; kept in the order of `Site`.
    operand_steps : int
        Depth of each operand buffer in steps, both halves together: a power of two, 16 to 512.
    counter : bool
        Whether activations are counted.
    """

    array: ArrayConfig
    sites: tuple[Site, ...] = tuple(Site)
    operand_steps: int = 512
    counter: bool = True

    def __post_init__(self) -> None:
        ordered = tuple(site for site in Site if site in self.sites)
        if len(ordered) != len(self.sites):
            raise ConfigError(f"sites must be different fault sites, not {[str(site) for site in self.sites]}")
        object.__setattr__(self, "sites", ordered)
        check_int("operand_steps", self.operand_steps, 16, MAX_OPERAND_STEPS)
        if self.operand_steps & (self.operand_steps - 1):
            raise ConfigError(f"operand_steps must be a power of two, not {self.operand_steps}")

    @property
    def half_steps(self) -> int:
        """Steps in one half of an operand buffer."""
        return self.operand_steps // 2

    @property
    def weight_bits(self) -> int:
        """Bits of a weight that the hardware stores: not those that the multiplier ignores."""
        return self.array.width - self.array.omit_weight

    @property
    def activation_bits(self) -> int:
        """Bits of an activation that the hardware stores."""
        return self.array.width - self.array.omit_activation

    @property
    def product_bits(self) -> int:
        """Bits of a product that the hardware stores: not those that are always 0."""
        return self.array.product_bits - self.array.multiplier.zero_bits

    @property
    def psum_bits(self) -> int:
        """Bits of a partial sum that the hardware stores."""
        return self.array.acc_bits - self.array.multiplier.zero_bits

    @property
    def operands_per_word(self) -> int:
        """Operands in a 32-bit word of an operand window."""
        return 32 // self.array.width

    def step_words(self, lanes: int) -> int:
        """Return the 32-bit words between two steps of an operand window: a power of two."""
        return _power_of_two_from(-(-lanes // self.operands_per_word))

    @property
    def activation_step_words(self) -> int:
        """32-bit words between two steps of the activation window."""
        return self.step_words(self.array.rows)

    @property
    def weight_step_words(self) -> int:
        """32-bit words between two steps of the weight window."""
        return self.step_words(self.array.cols)

    @property
    def psum_words(self) -> int:
        """32-bit words of one partial sum in the result window, the low one first."""
        return -(-self.array.acc_bits // 32)

    def tile_words(self, rows: int, cols: int) -> int:
        """Return the words that one tile leaves in the result window: its partial sums, then its activated count."""
        return rows * cols * self.psum_words + 1

    @property
    def result_words(self) -> int:
        """Depth of the result buffer in 32-bit words: at least two full tiles."""
        return max(_MIN_RESULT_WORDS, _power_of_two_from(2 * self.tile_words(self.array.rows, self.array.cols)))

    def site_range(self, site: Site) -> range:
        """Return the bits of a site that the hardware can force: not those that the multiplier ignores."""
        low = self.array.multiplier.zero_bits if site in (Site.PRODUCT, Site.PSUM) else ignored_bits(self.array, site)
        return range(low, value_bits(self.array, site))

    @property
    def pe_scan_bits(self) -> int:
        """Positions of the scan chain in one PE."""
        return sum(len(self.site_range(site)) for site in self.sites)

    @property
    def scan_bits(self) -> int:
        """Positions of the whole scan chain."""
        return self.pe_scan_bits * self.array.rows * self.array.cols

    @property
    def scan_words(self) -> int:
        """32-bit words of the scan buffer: a power of two, at least 1."""
        return _power_of_two_from(max(1, -(-self.scan_bits // 32)))

    def check_sites(self, faults: Iterable[Fault | None]) -> None:
        """Check that the hardware has the sites of some faults.

        Raises
        ------
        FaultError
            Naming the first site that it lacks, and those that it has.
        """
        have = set(self.sites)
        for fault in faults:
            for armed in () if fault is None else fault.sites:
                if armed.site not in have:
                    listed = ", ".join(site.value for site in self.sites) or "none"
                    raise FaultError(
                        f"fault {fault}: this hardware has no site {armed.site.value}; allowed: {listed}; "
                        f"generate it with --sites"
                    )

    def to_json(self) -> dict[str, object]:
        """Return all fields as plain JSON values."""
        return {
            "array": self.array.to_json(),
            "sites": [site.value for site in self.sites],
            "operand_steps": self.operand_steps,
            "counter": self.counter,
        }

    @classmethod
    def from_json(cls, value: Any) -> HardwareConfig:
        """Rebuild from `to_json`; unknown or missing keys are an error."""
        keys = {"array", "sites", "operand_steps", "counter"}
        if not isinstance(value, dict) or set(value) != keys:
            raise ConfigError(f"hardware configuration must have the keys {sorted(keys)}, not {value!r}")
        return cls(
            array=ArrayConfig.from_json(value["array"]),
            sites=tuple(Site(name) for name in value["sites"]),
            operand_steps=value["operand_steps"],
            counter=value["counter"],
        )

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical JSON form."""
        return canonical_digest(self.to_json())

    @property
    def config_hash(self) -> int:
        """The first 32 bits of the digest: what the register CONFIG_HASH holds."""
        return int(self.digest()[:8], 16)


def parse_sites(text: str) -> tuple[Site, ...]:
    """Return the fault sites of text such as ``weight,psum``; ``all`` and ``none`` are allowed.

    Raises
    ------
    ConfigError
        If a name is no site; the message lists them.
    """
    if text == "all":
        return tuple(Site)
    if text in ("none", ""):
        return ()
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in [site.value for site in Site]:
            raise ConfigError(unknown_name("fault site", name, [*(site.value for site in Site), "all", "none"]))
    return tuple(site for site in Site if site.value in names)
