"""The netlist as native code."""
