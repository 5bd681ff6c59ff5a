"""``axft-hw serve``."""

from __future__ import annotations

import sys
from typing import Any

import click

from axft_host.cli.group import Command
from axft_host.cli.options import INT, PATH, json_option

__all__ = ["command"]


@click.command("serve", cls=Command, short_help="Serve a board to another machine over a link.")
@click.option("--board", metavar="B", required=True, help="What is served: pynq, on the board itself; rtl, emu.")
@click.option(
    "--listen",
    "listen",
    metavar="HOST:PORT",
    multiple=True,
    help="A TCP port to listen on, 0 for any that is free; can be given again. An address that other machines reach "
    "needs a secret. 127.0.0.1:27182 if neither this nor --serial is given.",
)
@click.option(
    "--serial",
    metavar="DEVICE[,BAUD]",
    multiple=True,
    help="A serial port to serve on, such as /dev/ttyPS0,115200, from which nobody may log in; can be given again.",
)
@click.option(
    "--secret-file",
    type=PATH,
    metavar="F",
    help="The secret that clients must have, in a file that its owner alone can read; $AXFT_LINK_SECRET_FILE if not "
    "given.",
)
@click.option("--bitstream", type=PATH, metavar="F.bit", help="With --board pynq: the bitstream to load.")
@click.option(
    "--physical", metavar="RxC", help="With --board rtl: the device's array; what the client asks for if not given."
)
@click.option(
    "--reboot-command",
    metavar="CMD",
    help="What to run when no worker process brings the board back for a job, such as 'systemctl reboot'; nothing if "
    "not given.",
)
@click.option(
    "--patience",
    type=INT,
    default=900,
    show_default=True,
    help="Seconds without progress after which the worker process is replaced.",
)
@click.option(
    "--cache",
    type=PATH,
    metavar="DIR",
    help="Where uploaded networks and images are kept, in axft-blobs there, also for the next start; a temporary "
    "directory if not given.",
)
@click.option("--cache-limit", type=INT, default=512, show_default=True, help="How large the cache may become, in MiB.")
@click.option("-v", "--verbose", count=True, help="Log sessions and workers; twice: everything.")
@json_option
def command(as_json: bool, verbose: int, **options: Any) -> None:
    """Be the agent: serve the board of this machine to one client at a time, until stopped.

    One process touches the board, another one supervises it and replaces it when it fails. The client's side is
    `--board link:URL`. What comes over the link are networks, images and faults as data; nothing of it is run.
    """
    import logging
    import signal

    from axft_host.agent.start import AgentOptions, start
    from axft_host.doctor.questions import QUESTIONS

    logging.getLogger("axft_host").setLevel([logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)])
    with start(AgentOptions(verbose=verbose, questions=QUESTIONS, **options)) as agent:

        def stop(number: int, frame: object) -> None:
            agent.supervisor.stopping = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        _announce(agent.addresses, options["board"], as_json)
        agent.supervisor.run()


def _announce(addresses: list[str], board: str, as_json: bool) -> None:
    from axft_host.cli.output import print_json

    if as_json:
        print_json({"board": board, "addresses": addresses})
    else:
        for address in addresses:
            click.echo(f"serving {board} at {address}")
    sys.stdout.flush()
