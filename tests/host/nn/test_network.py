"""Compiled networks: their parts must fit, and their files must come back or be refused."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axft_host.nn.network import AveragePool, Clip, Conv, Dense, Flatten, MaxPool, Network, Requantise
from axft_host.nn.quantise import quantise
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import DataError, ModelError
from axft_spec.lowering import ConvShape, GemmShape
from axft_spec.multipliers import EXACT
from support.networks import float_network, random_images, varied_network


def tiny_network(**fields: object) -> Network:
    """Return a convolution and a dense layer on images of 3 x 3."""
    shape = ConvShape(in_channels=1, height=3, width=3, out_channels=2, kernel=(2, 2))
    ops = (
        Conv(name="conv", shape=shape, weights=np.arange(8).reshape(2, 1, 2, 2) - 4, bias=np.array([5, -5])),
        Requantise(name="requantise", multipliers=np.array([[[3]], [[4]]]), shift=4, low=0, high=127),
        Flatten(name="flatten"),
        Dense(name="dense", weights=np.arange(16).reshape(2, 8) - 8, bias=np.array([1, 100_000])),
    )
    values: dict[str, object] = {
        "name": "tiny",
        "ops": ops,
        "width": 8,
        "multiplier": EXACT,
        "rounding": "multiplier",
        "compensated": False,
        "config_name": "8P",
        "input_shape": (1, 3, 3),
        "input_table": np.arange(256)[None] // 2,
        "score_scale": 0.125,
        "source_digest": "0" * 64,
        "notices": ("a notice",),
    }
    return Network(**{**values, **fields})  # type: ignore[arg-type]


def with_op(index: int, **changes: object) -> tuple[object, ...]:
    """Return the operations of the tiny network, one of them changed."""
    ops = list(tiny_network().ops)
    ops[index] = replace(ops[index], **changes)  # type: ignore[type-var]
    return tuple(ops)


def same(one: Network, other: Network) -> bool:
    """Whether two networks have the same operations, arrays and fields."""
    for first, second in zip(one.ops, other.ops, strict=True):
        for name in first.__dataclass_fields__:
            a, b = getattr(first, name), getattr(second, name)
            if type(first) is not type(second) or not np.array_equal(a, b):
                return False
    fields = set(one.__dataclass_fields__) - {"ops", "input_table"}
    tables = np.array_equal(one.input_table, other.input_table)
    return tables and all(getattr(one, name) == getattr(other, name) for name in fields)


def test_load_returns_what_save_wrote(tmp_path: Path) -> None:
    """Every field, every array, and the digest."""
    network = tiny_network()
    network.save(tmp_path / "tiny.npz")
    loaded = Network.load(tmp_path / "tiny.npz")
    assert same(network, loaded)
    assert loaded.digest == network.digest
    assert loaded.ops[0].weights.dtype == np.int64  # type: ignore[union-attr]


def test_save_and_load_know_every_operation(tmp_path: Path) -> None:
    """A network with pooling of both kinds, groups, dilations and a Clip at the end."""
    source = varied_network(np.random.default_rng(0))
    source = source.calibrated(random_images(np.random.default_rng(1), (2, 12, 10), 20), "noise")
    network = quantise(source, ArrayConfig())
    network = replace(network, ops=(*network.ops, Clip(name="clip")))
    assert {type(op) for op in network.ops} == {Conv, Dense, MaxPool, AveragePool, Flatten, Requantise, Clip}
    network.save(tmp_path / "varied.npz")
    assert same(network, Network.load(tmp_path / "varied.npz"))


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """The file has no time stamp and no other accident in it."""
    for name in ("a.npz", "b.npz"):
        tiny_network().save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_file_loads_with_numpy_alone_without_pickle(tmp_path: Path) -> None:
    """Weights are stored as 8-bit integers under their operation's number."""
    tiny_network().save(tmp_path / "tiny.npz")
    with np.load(tmp_path / "tiny.npz", allow_pickle=False) as content:
        assert content["op0.weights"].dtype == np.int8
        assert content["op3.bias"].dtype == np.int32
        assert content["op0.weights"].ravel().tolist() == list(range(-4, 4))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "other"},
        {"ops": with_op(0, bias=np.array([5, -4]))},
        {"ops": with_op(1, shift=5)},
        {"input_table": np.arange(256)[None] // 3},
        {"score_scale": 0.25},
        {"compensated": True},
    ],
)
def test_digest_depends_on_every_field(fields: dict[str, object]) -> None:
    """Two networks that differ anywhere have different digests."""
    assert tiny_network(**fields).digest != tiny_network().digest


def test_save_does_not_overwrite(tmp_path: Path) -> None:
    """The file that was there stays as it was, and no temporary file is left."""
    path = tmp_path / "tiny.npz"
    path.write_bytes(b"mine")
    with pytest.raises(ModelError, match=r"tiny\.npz exists and is not overwritten"):
        tiny_network().save(path)
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_save_does_not_overwrite_a_file_that_appears_while_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Another writer finishes between the check and the end, with hard links and without."""
    path = tmp_path / "tiny.npz"
    link = os.link

    def late(source: Path, target: Path) -> None:
        path.write_bytes(b"theirs")
        if not links:
            raise OSError(errno.EPERM, "no hard links here")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(ModelError, match=r"tiny\.npz exists and is not overwritten"):
        tiny_network().save(path)
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_save_works_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on FAT, which SD cards have."""

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    tiny_network().save(tmp_path / "tiny.npz")
    assert same(tiny_network(), Network.load(tmp_path / "tiny.npz"))
    assert list(tmp_path.iterdir()) == [tmp_path / "tiny.npz"]


def test_save_into_missing_directory_is_an_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(ModelError, match=r"missing/tiny\.npz: the directory .*missing does not exist$"):
        tiny_network().save(tmp_path / "missing" / "tiny.npz")


def test_load_refuses_every_truncated_file(tmp_path: Path) -> None:
    """Cut anywhere."""
    path = tmp_path / "tiny.npz"
    tiny_network().save(path)
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"tiny\.npz is not a network file, or is damaged"):
            Network.load(path)


def test_load_refuses_or_survives_any_changed_byte(tmp_path: Path) -> None:
    """A changed byte is found, or lies where it changes nothing."""
    path = tmp_path / "tiny.npz"
    network = tiny_network()
    network.save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for place in rng.integers(0, len(content), 300):
        changed = bytearray(content)
        changed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(changed))
        try:
            assert Network.load(path).digest == network.digest
        except ModelError as error:
            assert "tiny.npz" in str(error)
            refused += 1
    assert refused > 100


def test_load_refuses_changed_numbers_under_a_valid_container(tmp_path: Path) -> None:
    """The stated digest is that of the content."""
    path, forged = tmp_path / "tiny.npz", tmp_path / "forged.npz"
    tiny_network().save(path)
    with np.load(path) as content:
        arrays = {name: content[name].copy() for name in content.files}
    arrays["op0.weights"][0, 0, 0, 0] += 1
    np.savez(forged, **arrays)
    with pytest.raises(ModelError, match=r"forged\.npz is damaged: its content does not have the digest"):
        Network.load(forged)


def test_load_refuses_pickled_objects(tmp_path: Path) -> None:
    """Loading never runs code."""
    path = tmp_path / "bad.npz"
    np.savez(path, **{"meta.json": np.array([{"kind": "network"}], dtype=object)})
    with pytest.raises(ModelError, match=r"bad\.npz is not a network file, or is damaged; allowed: ") as refused:
        Network.load(path)
    assert "allow_pickle=False" in str(refused.value.__cause__)


def test_load_refuses_another_version(tmp_path: Path) -> None:
    """The message says which version is read."""
    path = tmp_path / "future.npz"
    meta = b'{"kind": "network", "version": 99, "digest": ""}'
    np.savez(path, **{"meta.json": np.frombuffer(meta, np.uint8)})
    with pytest.raises(ModelError, match="layout version 99; this program reads version 1"):
        Network.load(path)


def test_load_refuses_a_float_network(tmp_path: Path) -> None:
    """Both kinds end in .npz; the message says which one it is."""
    path = tmp_path / "float.npz"
    varied_network(np.random.default_rng(0)).save(path)
    with pytest.raises(ModelError, match="holds a float network, not a compiled network"):
        Network.load(path)


def test_load_of_missing_file_says_so(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(ModelError, match=r"none\.npz does not exist"):
        Network.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ops": with_op(0, weights=np.full((2, 1, 2, 2), 128))}, "conv: weights must lie between -128 and 127"),
        ({"ops": with_op(0, weights=np.zeros((2, 1, 2, 3)))}, r"conv: weights must have the shape \(2, 1, 2, 2\)"),
        ({"ops": with_op(0, bias=np.zeros(3))}, r"conv: bias must have the shape \(2,\)"),
        ({"ops": with_op(1, multipliers=np.zeros((3, 1, 1)))}, "requantise: multipliers of shape"),
        ({"ops": with_op(1, multipliers=np.full((1, 1, 1), -1))}, "requantise: multipliers must lie between"),
        ({"ops": with_op(1, multipliers=np.full((), 2**31))}, f"requantise: .* between 0 and {2**31 - 1}, not {2**31}"),
        ({"ops": with_op(1, shift=0)}, "requantise: shift must lie between 1 and 62, not 0"),
        ({"ops": with_op(1, shift=63)}, "requantise: shift must lie between 1 and 62, not 63"),
        ({"ops": with_op(1, high=128)}, "requantise: limits must lie between -128 and 127, .* not 0 and 128"),
        ({"ops": with_op(1, low=5, high=4)}, "the lower one first, not 5 and 4"),
        ({"ops": with_op(0, bias=[2**50 + 1, 0])}, f"conv: bias must lie between -{2**50} and {2**50}, not 0 to"),
        ({"ops": with_op(3, bias=[0, -(2**50) - 1])}, "dense: bias must lie between"),
        ({"score_scale": 0.0}, r"score_scale must be finite and positive, not 0\.0"),
        ({"score_scale": -1.0}, "score_scale must be finite"),
        ({"score_scale": float("nan")}, "score_scale must be finite and positive, not nan"),
        ({"score_scale": float("inf")}, "score_scale must be finite and positive, not inf"),
        ({"ops": with_op(3, weights=np.zeros((2, 7)))}, "dense: weights of shape"),
        ({"ops": (tiny_network().ops[0], *tiny_network().ops[2:])}, "dense: its input must be requantised"),
        ({"ops": tiny_network().ops[:2]}, "the output must be a vector"),
        ({"ops": (tiny_network().ops[2],)}, "at least one layer that multiplies"),
        ({"input_table": np.full((1, 256), 200)}, "the input table must lie between -128 and 127"),
        ({"input_table": np.zeros((2, 256))}, "needs a table of"),
        ({"input_shape": (1, 4, 3)}, "conv: the convolution needs a value of shape"),
    ],
)
def test_network_refuses_parts_that_do_not_fit(fields: dict[str, object], message: str) -> None:
    """The message names the operation."""
    with pytest.raises(ModelError, match=message):
        tiny_network(**fields)


MAP_SHAPES = [(), (1, 1, 1), (2, 1, 1), (1, 3, 4), (2, 3, 4)]


@pytest.mark.parametrize(
    "given", [*MAP_SHAPES, (4,), (1,), (3, 4), (3, 1), (1, 4), (1, 1, 4), (1, 3, 1), (2, 3, 1), (3, 1, 1)]
)
def test_multipliers_of_a_map_are_for_all_per_channel_or_per_position(given: tuple[int, ...]) -> None:
    """Never along rows or columns alone, whatever numpy would broadcast; the map is 2 x 3 x 4."""
    shape = ConvShape(in_channels=1, height=3, width=4, out_channels=2, kernel=(1, 1))
    ops = (
        Conv(name="conv", shape=shape, weights=np.ones((2, 1, 1, 1)), bias=np.zeros(2)),
        Requantise(name="requantise", multipliers=np.ones(given), shift=1, low=0, high=127),
        Flatten(name="flatten"),
    )
    if given in MAP_SHAPES:
        assert tiny_network(ops=ops, input_shape=(1, 3, 4)).classes == 24
        return
    allowed = re.escape("allowed: (), (1, 1, 1), (2, 1, 1), (1, 3, 4), (2, 3, 4)")
    with pytest.raises(ModelError, match=rf"requantise: multipliers of shape {re.escape(str(given))} .*{allowed}"):
        tiny_network(ops=ops, input_shape=(1, 3, 4))


@pytest.mark.parametrize(("given", "fits"), [((), True), ((1,), True), ((2,), True), ((1, 1), False), ((3,), False)])
def test_multipliers_of_a_vector_are_for_all_or_per_element(given: tuple[int, ...], fits: bool) -> None:
    """The vector has 2 elements."""
    step = Requantise(name="again", multipliers=np.ones(given), shift=1, low=0, high=127)
    ops = (*tiny_network().ops, step)
    if fits:
        assert tiny_network(ops=ops).classes == 2
        return
    with pytest.raises(ModelError, match=r"again: multipliers of shape .* allowed: \(\), \(1,\), \(2,\)$"):
        tiny_network(ops=ops)


@pytest.mark.parametrize(("width", "bits"), [(8, 31), (16, 22)])
def test_multipliers_and_biases_may_be_as_large_as_their_limits(width: int, bits: int) -> None:
    """The last values that fit, and the first multiplier that does not, for accumulators of both widths."""
    bias = [-(2**50), 2**50]
    last = with_op(1, multipliers=np.array((1 << bits) - 1), shift=62)
    last = (replace(last[0], bias=bias), *last[1:])  # type: ignore[type-var]
    assert tiny_network(ops=last, width=width).ops[0].bias.tolist() == bias  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=f"multipliers must lie between 0 and {(1 << bits) - 1}, not {1 << bits}"):
        tiny_network(ops=with_op(1, multipliers=np.array(1 << bits)), width=width)


@pytest.mark.parametrize(
    ("pads", "dilations", "out_size", "fits"),
    [
        ((1, 1, 1, 1), (1, 1), (4, 4), True),
        ((2, 0, 0, 0), (1, 1), (4, 2), False),
        ((0, 0, 0, 2), (1, 1), (2, 4), False),
        # Elements 4 apart around a map of 3 rows.
        ((1, 0, 1, 0), (4, 1), (1, 2), False),
    ],
)
def test_max_pooling_window_on_padding_alone_is_refused(
    pads: tuple[int, int, int, int], dilations: tuple[int, int], out_size: tuple[int, int], fits: bool
) -> None:
    """It has no largest value; windows of 2 x 2 on a map of 3 x 3."""
    pool = MaxPool(name="pool", kernel=(2, 2), strides=(1, 1), pads=pads, dilations=dilations, out_size=out_size)
    size = out_size[0] * out_size[1]
    dense = Dense(name="dense", weights=np.ones((2, size)), bias=np.zeros(2))
    ops = (pool, Flatten(name="flatten"), dense)
    if fits:
        assert tiny_network(ops=ops).classes == 2
        return
    with pytest.raises(ModelError, match=r"pool: a window of \(2, 2\) with pads .* lies on padding alone"):
        tiny_network(ops=ops)


def test_quantise_images_maps_every_pixel_through_its_channels_table() -> None:
    """Two channels with tables of their own."""
    table = np.stack([np.arange(256) // 2, -(np.arange(256) // 2)])
    network = quantise(
        varied_network(np.random.default_rng(0)).calibrated(np.zeros((1, 2, 12, 10), np.uint8), "none"), ArrayConfig()
    )
    network = replace(network, input_table=table)
    images = random_images(np.random.default_rng(1), (2, 12, 10), 3)
    expected = images.astype(int) // 2 * np.array([1, -1]).reshape(1, 2, 1, 1)
    assert network.quantise_images(images).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 1, 3, 4), np.uint8), r"must have the shape \(1, 3, 3\).*not \(1, 3, 4\)"),
        (np.zeros((1, 3, 3), np.uint8), "uint8 of shape"),
        (np.zeros((1, 1, 3, 3)), "not float64"),
    ],
)
def test_quantise_images_refuses_other_images(images: np.ndarray, message: str) -> None:
    """The message says what is needed and what was given."""
    with pytest.raises(DataError, match=message):
        tiny_network().quantise_images(images)


def test_network_of_vectors_takes_images_of_as_many_pixels() -> None:
    """A network exported for rows of 9 pixels takes images of 3 x 3."""
    dense = Dense(name="dense", weights=np.ones((2, 9)), bias=np.zeros(2))
    network = tiny_network(ops=(Flatten(name="f"), dense), input_shape=(1, 1, 9))
    images = np.arange(18, dtype=np.uint8).reshape(2, 1, 3, 3)
    assert network.quantise_images(images).reshape(2, 9).tolist() == (np.arange(18).reshape(2, 9) // 2).tolist()


def test_gemms_of_lenet_are_those_of_its_shapes() -> None:
    """Worked out by hand for LeNet-5's two convolutions and a dense layer."""
    first = ConvShape(in_channels=1, height=28, width=28, out_channels=6, kernel=(5, 5), pads=(2, 2, 2, 2))
    second = ConvShape(in_channels=6, height=14, width=14, out_channels=16, kernel=(5, 5))
    conv1 = Conv(name="1", shape=first, weights=np.zeros((6, 1, 5, 5)), bias=np.zeros(6))
    conv2 = Conv(name="2", shape=second, weights=np.zeros((16, 6, 5, 5)), bias=np.zeros(16))
    dense = Dense(name="3", weights=np.zeros((120, 400)), bias=np.zeros(120))
    assert [op.gemms("im2col") for op in (conv1, conv2, dense)] == [
        (1, GemmShape(m=784, k=25, n=6)),
        (1, GemmShape(m=100, k=150, n=16)),
        (1, GemmShape(m=1, k=400, n=120)),
    ]
    assert [op.gemms("toeplitz") for op in (conv1, conv2, dense)] == [
        (6, GemmShape(m=28, k=160, n=28)),
        (96, GemmShape(m=10, k=70, n=10)),
        (1, GemmShape(m=1, k=400, n=120)),
    ]


def test_config_name_is_that_of_the_preset_with_the_same_arithmetic() -> None:
    """Whatever the array's size."""
    source = float_network(varied_network(np.random.default_rng(0)).ops, (2, 12, 10))
    source = source.calibrated(np.zeros((1, 2, 12, 10), np.uint8), "none")
    config = find_preset("34P").config
    assert quantise(source, config.resized(3, 5)).config_name == "34P"
    assert quantise(source, replace(config, operand_a="activation")).config_name is None
