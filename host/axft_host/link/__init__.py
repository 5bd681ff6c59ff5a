"""The link to a board at the other end of a cable or a network: protocol and client. See ``docs/reference/link.md``."""
