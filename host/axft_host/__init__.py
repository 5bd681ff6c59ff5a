"""Everything that runs on a host: networks, backends, campaigns, reports and the command line."""
