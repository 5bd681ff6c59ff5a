"""``python -m axft_host.cli`` is ``axft-hw``."""

from axft_host.cli.main import main

if __name__ == "__main__":
    main()
