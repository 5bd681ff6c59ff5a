"""The bus side: an AXI3 slave that always answers."""
