"""What must not leave a laboratory does not."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path

import pytest

from axft_host.doctor.privacy import Scrubber

NAMES = {"mueller-lab3": "<host>", "mueller-lab3.example.org": "<host>", "ada": "<user>", "/home/ada": "<home>"}


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("mueller-lab3.example.org is up", "<host> is up"),
        ("on mueller-lab3: no answer", "on <host>: no answer"),
        ("/home/ada/bits/34P.bit is missing", "<path>/34P.bit is missing"),
        ("for ada, and not for adagio", "for <user>, and not for adagio"),
        ("/srv/projects/ada/secret/axft_34P.bit cannot be read", "<path>/axft_34P.bit cannot be read"),
        ("'/mnt/disk/x.hwh', (/mnt/y/z.bit)", "'<path>/x.hwh', (<path>/z.bit)"),
        ("link:socket://192.168.2.99:27182", "link:socket://<address>"),
        ("serial:///dev/ttyUSB1?baud=115200 is busy", "serial://<address> is busy"),
        ("see file:/home/ada/x.bit and https://example.org/a/b", "see file:<path>/x.bit and https://example.org/a/b"),
        ("192.168.2.99 and 00:0a:35:00:01:22 and a.b@c.example", "<address> and <mac> and <mail>"),
        # What is nobody's stays.
        ("/sys/bus/iio/devices and /dev/ttyPS0", "/sys/bus/iio/devices and /dev/ttyPS0"),
        (
            "register map 841fce3c, 65,269 words/s (0.26 MB/s), 1.0.0",
            "register map 841fce3c, 65,269 words/s (0.26 MB/s), 1.0.0",
        ),
        ("9 x 769 x 9: weight:r2:c2:b6:flip", "9 x 769 x 9: weight:r2:c2:b6:flip"),
    ],
)
def test_names_are_taken_out_and_facts_stay(text: str, scrubbed: str) -> None:
    """Hosts, users, directories and addresses."""
    assert Scrubber(NAMES).text(text) == scrubbed


def test_names_that_every_board_has_stay() -> None:
    """The image's user says nothing about anybody."""
    assert Scrubber({"xilinx": "<user>", "root": "<user>", "pynq": "<host>"}).text("root of pynq") == "root of pynq"


def test_values_are_scrubbed_and_keys_stay() -> None:
    """A host may be called as one of our own words."""
    value = {"board": ["the board of ada", 3, None, {"ada": True}]}
    scrubbed = Scrubber({"board": "<host>", "ada": "<user>"}).value(value)
    assert scrubbed == {"board": ["the <host> of <user>", 3, None, {"ada": True}]}


def test_this_machine_is_found_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being told its names."""
    monkeypatch.setattr(socket, "gethostname", lambda: "turing.example.org")
    monkeypatch.setattr(getpass, "getuser", lambda: "alan")
    monkeypatch.setattr(Path, "home", lambda: Path("/users/alan"))
    monkeypatch.setenv("SUDO_USER", "ada")
    text = json.dumps({"a": "/users/alan/x on turing, turing.example.org, alan, ada"})
    assert json.loads(Scrubber().text(text)) == {"a": "<path>/x on <host>, <host>, <user>, <user>"}


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("no bitstream in /home/joe", "no bitstream in <home>"),
        ("in /home/joe smith/bits/x.bit is", "in <path>/x.bit is"),
        (r"at C:\Users\joe\x.bit", "at <path>"),
        ("from fe80::1c2:3ff:fe04:5 on", "from <address> on"),
        ("from 2001:db8:0:1:2:3:4:5 on", "from <address> on"),
        ("at lab-pc.corp.example.com now", "at <host> now"),
        ("/dev/serial/by-id/usb-Xilinx_TUL_1234-if01-port0", "/dev/serial/<port>"),
        ("at 12:34:56 axft_top.bit, /dev/ttyUSB1, /etc/default/axft-hw", None),
        ("axft_host.device.port: 0x40000000::ok", None),
    ],
)
def test_what_nobody_named_is_found_by_its_form(text: str, scrubbed: str | None) -> None:
    """Home directories, addresses, hosts, serial numbers; times, files and our own names stay."""
    assert Scrubber({}).text(text) == (text if scrubbed is None else scrubbed)
