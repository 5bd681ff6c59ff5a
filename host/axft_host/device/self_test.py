"""What a device must show before its outcomes are believed: registers, buffers, scan chain, arithmetic, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from axft_host.device.accelerator import Accelerator, DeviceEventError, DeviceHangError, DeviceTimeoutError
from axft_spec import reference
from axft_spec.faults import Fault, FaultKind, FaultSite, Site
from axft_spec.numeric import signed_range
from axft_spec.regmap import REGISTERS, Access, window, window_bytes

__all__ = ["Check", "locate_break", "self_test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part of a self-test: what was looked at, whether it is well, and what was seen."""

    name: str
    passed: bool
    text: str

    def to_json(self) -> dict[str, object]:
        """Return the fields as plain JSON values."""
        return {"name": self.name, "passed": self.passed, "text": self.text}


def self_test(accelerator: Accelerator, seed: int = 0) -> Iterator[Check]:
    """Yield the checks of a device, one after another; later ones run also when an earlier one has failed.

    Parameters
    ----------
    accelerator : Accelerator
        Nothing may run on it. It is reset.
    seed : int
        Of the patterns and operands.

    Raises
    ------
    BackendError
        If the device stops answering.
    """
    rng = np.random.default_rng(seed)
    accelerator.reset()
    yield _registers(accelerator)
    yield from _buffers(accelerator, rng)
    scan = _survived(accelerator, "scan chain", lambda: _scan(accelerator, rng))
    yield scan
    yield _survived(accelerator, "golden GEMM", lambda: _golden(accelerator, rng))
    if not scan.passed:
        # With a broken chain nothing that is armed means anything.
        return
    if not accelerator.hardware.counter:
        yield Check(name="faults", passed=True, text="not compared: this hardware does not count activations")
        return
    for site in accelerator.hardware.sites:
        yield _survived(accelerator, f"fault {site.value}", partial(_fault, accelerator, site, rng))
    accelerator.reset()


def _survived(accelerator: Accelerator, name: str, check: Callable[[], Check]) -> Check:
    """Return what a check says; if the device does not come to an end, that, and reset it."""
    try:
        return check()
    except (DeviceHangError, DeviceTimeoutError, DeviceEventError) as error:
        accelerator.reset()
        return Check(name=name, passed=False, text=str(error).splitlines()[0])


def _registers(accelerator: Accelerator) -> Check:
    """Write patterns to every field that can be read back."""
    port, wrong, fields = accelerator.port, [], 0
    for entry in REGISTERS:
        mask = sum(field.mask for field in entry.fields if field.access is Access.RW)
        if not mask:
            continue
        fields += 1
        before = port.read32(entry.offset)
        for pattern in (0xFFFFFFFF, 0, 0xAAAAAAAA, 0x55555555):
            port.write32(entry.offset, pattern & mask)
            found = port.read32(entry.offset)
            if found & mask != pattern & mask:
                wrong.append(f"{entry.name} holds 0x{found:08x} instead of 0x{pattern & mask:08x}")
        port.write32(entry.offset, before & mask)
    accelerator.reset()
    return Check(name="registers", passed=not wrong, text=wrong[0] if wrong else f"{fields} keep what is written")


def _buffers(accelerator: Accelerator, rng: np.random.Generator) -> Iterator[Check]:
    """Fill the windows that can be read back, and read them."""
    hardware, port = accelerator.hardware, accelerator.port
    array = hardware.array
    lanes = {
        "ACTIVATIONS": (hardware.activation_step_words, array.rows, array.omit_activation),
        "WEIGHTS": (hardware.weight_step_words, array.cols, array.omit_weight),
    }
    for name in ("ACTIVATIONS", "WEIGHTS", "SCAN"):
        words = window_bytes(hardware, name) // 4
        written = rng.integers(0, 1 << 32, words, dtype=np.uint32)
        port.write_block(window(name).offset, written)
        found = port.read_block(window(name).offset, words)
        expected = written
        if name in lanes:
            stride, used, omit = lanes[name]
            keep = np.zeros(stride * hardware.operands_per_word, dtype=f"<u{array.width // 8}")
            keep[:used] = (1 << array.width) - (1 << omit)
            expected = (written.reshape(-1, stride) & keep.view("<u4")).ravel()
        bad = np.flatnonzero(found != expected)
        text = f"{words} words keep what is written"
        if bad.size:
            first = int(bad[0])
            text = f"{bad.size} of {words} words differ, the first at word {first}: 0x{found[first]:08x} instead of "
            text += f"0x{expected[first]:08x}"
        yield Check(name=f"buffer {name.lower()}", passed=not bad.size, text=text)


def _scan(accelerator: Accelerator, rng: np.random.Generator) -> Check:
    """Shift patterns through the chain; if one does not come out, look for the place by what faults do."""
    bits = len(accelerator.scan_map)
    if not bits:
        return Check(name="scan chain", passed=True, text="this hardware has no fault sites")
    patterns = {
        "zeros": [],
        "ones": range(bits),
        "every second": range(0, bits, 2),
        "the first": [0],
        "the last": [bits - 1],
        "random": np.flatnonzero(rng.random(bits) < 0.5).tolist(),
    }
    for name, pattern in patterns.items():
        out = accelerator.shift(list(pattern))
        if out != list(pattern):
            text = f"shifted in {name} ({len(pattern)} of {bits} bits), shifted out {len(out)}; {_where(accelerator)}"
            return Check(name="scan chain", passed=False, text=text)
    return Check(
        name="scan chain", passed=True, text=f"{len(patterns)} patterns of {bits} bits come out as they went in"
    )


def _where(accelerator: Accelerator) -> str:
    if not accelerator.hardware.counter:
        return "its place is not known: this hardware does not count activations"
    place = locate_break(accelerator)
    if place is None:
        return "its place is not known: every bit can be armed"
    position = accelerator.scan_map.position(place)
    return f"the first bit that cannot be armed is {place}, position {position}"


def locate_break(accelerator: Accelerator) -> FaultSite | None:
    """Return the first bit of the scan chain that cannot be armed and disarmed, by bisection; None if all can.

    A chain that is broken at one place still brings the right bits to all positions before it. Whether a bit is
    armed is seen from what it does to an operand, not from what leaves the chain.
    """
    sites = accelerator.scan_map

    def works(position: int) -> bool:
        site = sites.site_at(position)
        return accelerator.probe([position], site) and not accelerator.probe([], site)

    low, high = 0, len(sites)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if works(middle) else (low, middle)
    return None if low == len(sites) else sites.site_at(low)


def _golden(accelerator: Accelerator, rng: np.random.Generator) -> Check:
    """Run a GEMM that is larger than the array and longer than a buffer half."""
    array = accelerator.hardware.array
    m, k, n = array.rows + 1, 3 * accelerator.hardware.half_steps + 1, array.cols + 1
    low, high = signed_range(array.width)
    activations = rng.integers(low, high + 1, (1, m, k))
    weights = rng.integers(low, high + 1, (k, n))
    found, _ = accelerator.gemm(array, activations, weights)
    products = array.multiply(weights[None], activations[0][:, :, None]).sum(axis=1)
    half = 1 << (array.acc_bits - 1)
    expected = (products + half) % (2 * half) - half
    wrong = int(np.count_nonzero(found[0] != expected))
    text = f"{m} x {k} x {n}: all partial sums as specified" if not wrong else f"{wrong} of {m * n} partial sums differ"
    return Check(name="golden GEMM", passed=not wrong, text=text)


def _fault(accelerator: Accelerator, site: Site, rng: np.random.Generator) -> Check:
    """Inject one fault at a site, and compare with the reference."""
    array = accelerator.hardware.array
    m, k, n = min(array.rows, 4), 8, min(array.cols, 4)
    low, high = signed_range(array.width)
    activations = rng.integers(low, high + 1, (m, k))
    weights = rng.integers(low, high + 1, (k, n))
    bits = accelerator.hardware.site_range(site)
    place = FaultSite(site, int(rng.integers(m)), int(rng.integers(n)), int(rng.choice(np.array(bits))))
    fault = Fault(FaultKind.FLIP, (place,))
    psums, activated = accelerator.gemm(array, activations[None], weights, fault)
    expected = reference.gemm(array, activations, weights, fault)
    same = np.array_equal(psums[0], expected.psums)
    text = f"{fault}: activated {int(activated[0])} times (reference {expected.activated}), partial sums "
    text += "as in the reference" if same else "differ from the reference"
    return Check(name=f"fault {site.value}", passed=same and int(activated[0]) == expected.activated, text=text)
