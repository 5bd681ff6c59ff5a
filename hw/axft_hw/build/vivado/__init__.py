"""The flow for those who have Vivado: sources, a batch script, and what the script has left."""
