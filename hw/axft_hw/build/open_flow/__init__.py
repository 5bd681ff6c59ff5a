"""An XC7Z020 bitstream without a vendor's tools: yosys, nextpnr and the database of Project X-Ray."""
