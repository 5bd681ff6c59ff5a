"""The gateware of axft-hw, and what is made from it: Verilog, reports, compiled models.

Needs Amaranth. The host imports it only inside the functions that generate hardware or simulate it.
"""
