"""Names and widths of the AXI3 port."""

from __future__ import annotations

import pytest

from axft_hw.axi.signature import Axi3Signature, port_map
from axft_spec.errors import ConfigError

# The signals of M_AXI_GP0 as the wrapper of the PS7 shows them to the fabric, less AxQOS: Zynq-7000 Technical Reference
# Manual (UG585), section 5.6, and the AXI specification (ARM IHI 0022E), chapter A2.
WIDTHS = {
    **{f"s_axi_{channel}id": 12 for channel in ("aw", "w", "b", "ar", "r")},
    **{f"s_axi_{channel}valid": 1 for channel in ("aw", "w", "b", "ar", "r")},
    **{f"s_axi_{channel}ready": 1 for channel in ("aw", "w", "b", "ar", "r")},
    **{f"s_axi_{channel}addr": 20 for channel in ("aw", "ar")},
    **{f"s_axi_{channel}len": 4 for channel in ("aw", "ar")},
    **{f"s_axi_{channel}size": 3 for channel in ("aw", "ar")},
    **{f"s_axi_{channel}burst": 2 for channel in ("aw", "ar")},
    **{f"s_axi_{channel}lock": 2 for channel in ("aw", "ar")},
    **{f"s_axi_{channel}cache": 4 for channel in ("aw", "ar")},
    **{f"s_axi_{channel}prot": 3 for channel in ("aw", "ar")},
    **{"s_axi_wdata": 32, "s_axi_wstrb": 4, "s_axi_wlast": 1},
    **{"s_axi_rdata": 32, "s_axi_rlast": 1, "s_axi_bresp": 2, "s_axi_rresp": 2},
}


PORT = Axi3Signature(address_bits=20, id_bits=12).flip().create()


def test_port_map_has_the_names_and_widths_of_axi3() -> None:
    """All of them, and nothing else."""
    assert {name: len(signal) for name, signal in port_map(PORT).items()} == WIDTHS


def test_prefix_of_port_map_can_be_chosen() -> None:
    """A second port needs other names."""
    assert "m_bid" in port_map(PORT, "m")


def test_signatures_are_equal_when_their_widths_are() -> None:
    """Or nothing could be connected."""
    signature = Axi3Signature(address_bits=20, id_bits=12)
    assert signature == Axi3Signature(address_bits=20, id_bits=12)
    assert signature != Axi3Signature(address_bits=20, id_bits=11)
    assert signature != Axi3Signature(address_bits=19, id_bits=12)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"address_bits": 40, "id_bits": 12}, "address_bits must be between 7 and 32, not 40"),
        ({"address_bits": 20, "id_bits": 0}, "id_bits must be between 1 and 32, not 0"),
    ],
)
def test_widths_out_of_range_are_refused(widths: dict[str, int], message: str) -> None:
    """One line: what, allowed, got."""
    with pytest.raises(ConfigError) as caught:
        Axi3Signature(**widths)
    assert str(caught.value) == message
