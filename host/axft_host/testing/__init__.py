"""What tests of boards need and users may want too: a board that is not there. Nothing here imports the gateware."""
