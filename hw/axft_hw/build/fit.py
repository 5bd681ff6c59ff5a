"""Whether a design can fit the device, by how much it does not, and which array would: before hours are spent on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from axft_hw.build.area import Area
from axft_hw.build.device import PART, RESOURCES, Usage, whole_design
from axft_hw.build.synthesis import ZYNQ_NAME, module_cells, zynq_rtlil
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig

__all__ = ["Scaling", "check_fits", "crowded", "excess", "largest_array", "least_used", "refusal"]

# An array this small takes half a minute of yosys, and has everything in it that a large one has.
_SMALL = 4

# PEs from which on that half minute is worth it: the design itself takes longer than that.
_LARGE = 400

# So full a device is hard to place and route: room to suggest to those for whom that has failed.
_CROWDED = 0.85


# Among the cells of a module, the sites of its look-up tables.
_SITES = "$sites"


# An estimate may be too high by this much.
_CERTAIN = 0.95


def _used(cells: Mapping[str, int]) -> dict[str, float]:
    used = {use.resource: use.used for use in Usage.of_area(Area.of_cells(cells))}
    # The tables themselves say little: 266 of the 298 sites of Baseline's 518 are positions of carry chains.
    return used | {"LUT": cells[_SITES]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What a device takes of each resource, as a function of its array: an estimate from one small design.

    What grows with rows or columns alone is taken as it is in the small one. Look-up tables are counted in the sites
    that they take if they share them as far as they can, as is estimated in `axft_hw.build.open_flow.sites`; a placer
    takes more where it has room: for 34P at 28x28 40,753 instead of 36,289.

    Members
    -------
    around : dict of str to float
        Everything but the processing elements.
    element : dict of str to float
        One processing element.
    """

    around: dict[str, float]
    element: dict[str, float]

    @classmethod
    def of(cls, hardware: HardwareConfig) -> Scaling:
        """Synthesise the device with a small array; half a minute.

        Raises
        ------
        BackendError
            If there is no yosys, or it fails.
        """
        small = replace(hardware, array=hardware.array.resized(_SMALL, _SMALL))
        return cls.of_modules(*module_cells(zynq_rtlil(small)), _SMALL**2)

    @classmethod
    def of_modules(cls, modules: Mapping[str, Mapping[str, int]], sites: Mapping[str, int], elements: int) -> Scaling:
        """Return that of a design with so many elements, from its modules' cells and sites; see `module_cells`."""
        counted = {name: {**cells, _SITES: sites.get(name, 0)} for name, cells in modules.items()}
        whole = _used(whole_design(counted, ZYNQ_NAME))
        hollow = {name: {} if "processing_element" in name else cells for name, cells in counted.items()}
        around = _used(whole_design(hollow, ZYNQ_NAME))
        return cls(around=around, element={name: (whole[name] - around[name]) / elements for name in whole})

    def used(self, rows: int, cols: int) -> dict[str, float]:
        """Return the estimate for an array."""
        return {name: self.around[name] + rows * cols * self.element[name] for name in self.around}


def excess(used: Mapping[str, float], share: float = 1.0) -> dict[str, float]:
    """Return by how much a design is too large for a share of the device, for each resource that is not enough."""
    return {name: used[name] - share * RESOURCES[name] for name in used if used[name] > share * RESOURCES[name]}


def least_used(area: Area) -> dict[str, float]:
    """Return what a design takes at least: a site holds one look-up table of six inputs, or two of at most five."""
    # Those of one input may vanish into others.
    shared = -(-sum(area.luts_by_inputs[1:5]) // 2)
    return {
        "LUT": area.luts_by_inputs[5] + shared + area.memory_luts,
        "FF": area.flip_flops,
        "CARRY4": area.carry4,
        "BRAM36": area.bram36,
        "DSP": area.dsps,
    }


def largest_array(scaling: Scaling, rows: int, cols: int, share: float = 1.0) -> tuple[int, int] | None:
    """Return the largest smaller array of the same shape that fits by the estimate; None if none does."""
    for size in range(max(rows, cols) - 1, 0, -1):
        smaller = (max(1, rows * size // max(rows, cols)), max(1, cols * size // max(rows, cols)))
        if not excess(scaling.used(*smaller), share):
            return smaller
    return None


def _in_words(resource: str) -> str:
    return "LUT sites" if resource == "LUT" else resource


def refusal(hardware: HardwareConfig, used: Mapping[str, float], scaling: Scaling, how: str) -> str:
    """Return the message for a design that does not fit: by how much, and what would.

    Parameters
    ----------
    hardware : HardwareConfig
    used : mapping of str to float
        What it takes, by resource.
    scaling : Scaling
    how : str
        How sure that is: ``takes at least``, say.
    """
    rows, cols = hardware.array.rows, hardware.array.cols
    too_much = "; ".join(
        f"{how} {used[name]:,.0f} {_in_words(name)}, {by:,.0f} more than the {RESOURCES[name]:,} of {PART}"
        for name, by in excess(used).items()
    )
    # Room to place and route in, if there is an array that leaves any.
    best = largest_array(scaling, rows, cols, _CROWDED) or largest_array(scaling, rows, cols)
    advice = (
        "no array of these sites would: leave out fault sites"
        if best is None
        else f"about {best[0]}x{best[1]} would (an estimate: counted, not placed), or one with fewer fault sites"
    )
    return f"the design does not fit: {rows}x{cols} {too_much}; {advice}"


def crowded(hardware: HardwareConfig, sites: int) -> str:
    """Return what to add to the message of a placer or router that has failed: how full the device is; or nothing.

    Parameters
    ----------
    hardware : HardwareConfig
    sites : int
        What its look-up tables take; see `packed_sites`.
    """
    share = sites / RESOURCES["LUT"]
    if share < _CROWDED:
        return ""
    best = largest_array(Scaling.of(hardware), hardware.array.rows, hardware.array.cols, _CROWDED)
    advice = "" if best is None else f"; about {best[0]}x{best[1]} would take {100 * _CROWDED:.0f} % (an estimate)"
    return f"; the design takes {sites:,} LUT sites, {100 * share:.0f} % of {PART}{advice}"


def check_fits(hardware: HardwareConfig, progress: Callable[[str], None]) -> None:
    """Refuse a large array that cannot fit by far, before it is synthesised; small ones are passed unseen.

    Raises
    ------
    BackendError
        By how much, and the largest array that would.
    """
    rows, cols = hardware.array.rows, hardware.array.cols
    if rows * cols < _LARGE:
        return
    progress(f"estimate, by an array of {_SMALL}x{_SMALL} ...")
    scaling = Scaling.of(hardware)
    used = scaling.used(rows, cols)
    progress(f"estimate: {used['LUT']:,.0f} LUT sites, {100 * used['LUT'] / RESOURCES['LUT']:.0f} %")
    if excess({name: _CERTAIN * number for name, number in used.items()}):
        raise BackendError(refusal(hardware, used, scaling, "would take"))
