"""What is made from the gateware: Verilog, reports, bitstreams."""
