"""Fault site <-> position in the scan chain.

The chain runs through the PEs row by row. In a PE come its sites, in the order of `Site`, each with its bits from the
lowest that the hardware has. Position 0 is at the chain's input: a bit shifted in moves one position a cycle, and
leaves the chain from the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import FaultError
from axft_spec.faults import FaultSite, Site
from axft_spec.hardware import HardwareConfig

__all__ = ["ScanMap"]


class ScanMap:
    """The scan chain of one device.

    Parameters
    ----------
    hardware : HardwareConfig

    Attributes
    ----------
    offsets : dict of Site to int
        Where each site that the hardware has begins in a PE.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        self.offsets: dict[Site, int] = {}
        offset = 0
        for site in hardware.sites:
            self.offsets[site] = offset
            offset += len(hardware.site_range(site))

    def __len__(self) -> int:
        """Return the number of positions."""
        return self.hardware.scan_bits

    def pe_offset(self, armed: FaultSite) -> int | None:
        """Return the position of a bit within its PE; None for a bit that the multiplier ignores.

        Raises
        ------
        FaultError
            If the hardware lacks the site, or the site the bit.
        """
        if armed.site not in self.offsets:
            listed = ", ".join(site.value for site in self.offsets) or "none"
            raise FaultError(f"fault {armed}: this hardware has no site {armed.site.value}; allowed: {listed}")
        bits = self.hardware.site_range(armed.site)
        if armed.bit >= bits.stop:
            raise FaultError(f"fault {armed}: bit must be below {bits.stop}, not {armed.bit}")
        return self.offsets[armed.site] + armed.bit - bits.start if armed.bit in bits else None

    def position(self, armed: FaultSite) -> int | None:
        """Return the position of a bit; None for a bit that the multiplier ignores and that needs no hardware.

        Raises
        ------
        FaultError
            If the hardware lacks the PE, the site or the bit.
        """
        array = self.hardware.array
        if armed.row >= array.rows or armed.col >= array.cols:
            raise FaultError(f"fault {armed}: this hardware has {array.rows}x{array.cols} PEs")
        offset = self.pe_offset(armed)
        if offset is None:
            return None
        return (armed.row * array.cols + armed.col) * self.hardware.pe_scan_bits + offset

    def site_at(self, position: int) -> FaultSite:
        """Return the bit at a position.

        Raises
        ------
        IndexError
            If there is no such position.
        """
        if not 0 <= position < len(self):
            raise IndexError(f"scan position must be between 0 and {len(self) - 1}, not {position}")
        pe, offset = divmod(position, self.hardware.pe_scan_bits)
        row, col = divmod(pe, self.hardware.array.cols)
        site = next(site for site in reversed(self.offsets) if self.offsets[site] <= offset)
        return FaultSite(site, row, col, self.hardware.site_range(site).start + offset - self.offsets[site])

    def positions(self, armed: Iterable[FaultSite]) -> list[int]:
        """Return the positions of the bits that need hardware, ascending."""
        return sorted(position for site in armed if (position := self.position(site)) is not None)

    def words(self, positions: Iterable[int]) -> NDArray[np.uint32]:
        """Return the scan buffer for some armed positions: bit p % 32 of word p // 32 is position p.

        Returns
        -------
        ndarray of uint32, shape (scan words,)
        """
        words = np.zeros(self.hardware.scan_words, dtype=np.uint32)
        for position in positions:
            words[position // 32] |= np.uint32(1 << position % 32)
        return words

    def armed(self, words: NDArray[np.uint32]) -> list[int]:
        """Return the positions that are set in a scan buffer, ascending."""
        bits = np.unpackbits(np.ascontiguousarray(words, dtype="<u4").view(np.uint8), bitorder="little")
        return [int(position) for position in np.flatnonzero(bits[: len(self)])]

    def _sections(self) -> Iterator[tuple[Site, int, range]]:
        for site, offset in self.offsets.items():
            yield site, offset, self.hardware.site_range(site)

    def to_json(self) -> dict[str, Any]:
        """Return the map as plain JSON values: enough to find any position without this code."""
        array = self.hardware.array
        return {
            "positions": len(self),
            "rows": array.rows,
            "cols": array.cols,
            "pe_bits": self.hardware.pe_scan_bits,
            "order": "position = (row * cols + col) * pe_bits + offset + bit - first_bit",
            "sites": [
                {"site": site.value, "offset": offset, "first_bit": bits.start, "bits": len(bits)}
                for site, offset, bits in self._sections()
            ],
        }

    def to_markdown(self) -> str:
        """Return the map as a page."""
        array = self.hardware.array
        lines = [
            "# Scan map",
            "",
            f"{len(self)} positions through {array.rows} x {array.cols} PEs, {self.hardware.pe_scan_bits} in each. "
            "Position 0 is at the chain's input.",
            "",
            "position = (row x columns + column) x bits per PE + offset + bit - first bit",
            "",
            "| site | offset | first bit | bits |",
            "|---|---|---|---|",
        ]
        for site, offset, bits in self._sections():
            lines.append(f"| {site.value} | {offset} | {bits.start} | {len(bits)} |")
        return "\n".join(lines) + "\n"
