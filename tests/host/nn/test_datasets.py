"""Data sets: the type, IDX directories, npz files, names and export."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from axft_host.nn.datasets import Dataset, export_npz, list_datasets, load_dataset
from axft_spec.errors import ConfigError, DataError


def make_dataset(n: int = 4, name: str = "tiny") -> Dataset:
    """Return n images of 2 x 3 pixels that count up, with labels 0, 1, 2, ..."""
    images = np.arange(n * 6, dtype=np.uint8).reshape(n, 1, 2, 3)
    return Dataset(name=name, images=images, labels=np.arange(n), source="made here")


def idx_bytes(array: np.ndarray) -> bytes:
    """Return an array as an IDX file, written out from the description of the format."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(directory: Path, split: str = "t10k", n: int = 4, names: str = "{}-{}-idx{}-ubyte.gz") -> Path:
    """Write the images and labels of `make_dataset` as two IDX files."""
    dataset = make_dataset(n)
    directory.mkdir(exist_ok=True)
    for content, array in (("images", dataset.images[:, 0]), ("labels", dataset.labels)):
        path = directory / names.format(split, content, array.ndim)
        content_bytes = idx_bytes(array)
        path.write_bytes(gzip.compress(content_bytes) if path.suffix == ".gz" else content_bytes)
    return directory


# --- Dataset ------------------------------------------------------------------------------------------------


def test_take_keeps_the_first_images_and_labels() -> None:
    """Images and labels stay together and in order."""
    taken = make_dataset().take(2)
    assert len(taken) == 2
    assert taken.images.tolist() == [[[[0, 1, 2], [3, 4, 5]]], [[[6, 7, 8], [9, 10, 11]]]]
    assert taken.labels.tolist() == [0, 1]


@pytest.mark.parametrize("n", [0, -1, 5])
def test_take_rejects_numbers_outside_the_data_set(n: int) -> None:
    """More images than there are is an error, not fewer results."""
    with pytest.raises(ConfigError, match=f"^images must be between 1 and 4, not {n}$"):
        make_dataset().take(n)


def test_arrays_are_read_only_and_the_callers_stay_writeable() -> None:
    """Nobody can change the images of a golden run under the faulty one."""
    images = np.zeros((1, 1, 2, 2), dtype=np.uint8)
    dataset = Dataset(name="x", images=images, labels=np.zeros(1, dtype=np.int64), source="here")
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0, 0, 0, 0] = 1
    images[0, 0, 0, 0] = 1


def test_digest_is_the_documented_hash() -> None:
    """SHA-256 of header, pixels and labels as bytes."""
    expected = hashlib.sha256(b"axft-dataset 1 4 1 2 3\n" + bytes(range(24)) + bytes(range(4))).hexdigest()
    assert make_dataset().digest == expected


def test_digest_depends_on_content_and_shape_but_not_on_the_name() -> None:
    """Two files with the same images are the same data set."""
    dataset = make_dataset()
    reshaped = Dataset(
        name="tiny", images=dataset.images.reshape(4, 1, 3, 2), labels=dataset.labels, source="made here"
    )
    assert dataset.digest == make_dataset(name="other").digest
    assert len({dataset.digest, reshaped.digest, dataset.take(3).digest}) == 3


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            np.zeros((2, 4, 4), np.uint8),
            np.zeros(2, np.int64),
            r"images must be uint8 of shape .* \(2, 4, 4\)",
        ),
        (np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64), "images must be uint8 .* not float32"),
        (np.zeros((0, 1, 4, 4), np.uint8), np.zeros(0, np.int64), "at least one image"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, np.int64), r"one for each of the 2 .* \(3,\)"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 256]), "between 0 and 255, not 256"),
        (np.zeros((2, 1, 4, 4), np.uint8), np.array([-1, 0]), "between 0 and 255, not -1"),
    ],
)
def test_dataset_rejects_arrays_of_the_wrong_kind(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    """Every message begins with where the arrays came from."""
    with pytest.raises(DataError, match=f"^here: .*{message}"):
        Dataset(name="x", images=images, labels=labels, source="here")


# --- directories of IDX files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", ["{}-{}-idx{}-ubyte.gz", "{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte", "{}-{}.idx{}-ubyte.gz"]
)
def test_idx_directory_loads_under_every_name_in_use(tmp_path: Path, names: str) -> None:
    """Plain and compressed, with a dash or a dot before idx."""
    dataset = load_dataset(str(write_idx(tmp_path / "mine", names=names)))
    assert dataset.name == "mine"
    assert dataset.images.shape == (4, 1, 2, 3)
    assert dataset.images.ravel().tolist() == list(range(24))
    assert dataset.labels.tolist() == [0, 1, 2, 3]
    assert dataset.labels.dtype == np.int64


def test_plain_content_loads_under_a_compressed_name(tmp_path: Path) -> None:
    """Some downloads decompress a file and keep its name."""
    write_idx(tmp_path, names="{}-{}-idx{}-ubyte")
    for path in list(tmp_path.iterdir()):
        path.rename(f"{path}.gz")
    assert len(load_dataset(str(tmp_path))) == 4


def test_split_is_chosen_by_a_suffix(tmp_path: Path) -> None:
    """The test images are the default."""
    write_idx(tmp_path, "t10k", n=2)
    write_idx(tmp_path, "train", n=3)
    assert [len(load_dataset(f"{tmp_path}{suffix}")) for suffix in ("", ":test", ":train")] == [2, 2, 3]
    assert load_dataset(f"{tmp_path}:train").name == f"{tmp_path.name}:train"


def test_directory_without_the_files_names_what_is_expected(tmp_path: Path) -> None:
    """The message gives the directory and the missing file."""
    with pytest.raises(DataError, match=r"there must be a file t10k-images-idx3-ubyte, or .*\.gz$") as error:
        load_dataset(str(tmp_path))
    assert str(tmp_path) in str(error.value)


PLAIN_IMAGES = idx_bytes(make_dataset().images[:, 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "must begin with 0x00000803, not nothing", id="empty"),
        pytest.param(b"<html>", "must begin with 0x00000803, not 0x3c68746d", id="html"),
        pytest.param(idx_bytes(np.zeros(4)), "with 3 dimensions .* 0x00000803, not 0x00000801", id="labels"),
        pytest.param(PLAIN_IMAGES[:9], "header must have 16 bytes, not 9", id="half a header"),
        pytest.param(PLAIN_IMAGES[:-1], "4 x 2 x 3 = 24 bytes, not 23", id="a byte short"),
        pytest.param(PLAIN_IMAGES + b"x", "4 x 2 x 3 = 24 bytes, not 25", id="a byte long"),
        pytest.param(PLAIN_IMAGES[:4] + b"\xff" * 12, "4294967295 x .* bytes, not 0", id="absurd header"),
        pytest.param(gzip.compress(PLAIN_IMAGES)[:-9], "corrupt or truncated gzip", id="gzip truncated"),
        pytest.param(gzip.compress(PLAIN_IMAGES)[:-8] + bytes(8), "corrupt or truncated gzip", id="gzip checksum"),
        pytest.param(gzip.compress(PLAIN_IMAGES)[:10] + b"\xff" * 9, "corrupt or truncated gzip", id="gzip body"),
        pytest.param(gzip.compress(PLAIN_IMAGES[:-1]), "24 bytes, not 23", id="a byte short in gzip"),
    ],
)
def test_damaged_image_file_is_rejected(tmp_path: Path, content: bytes, message: str) -> None:
    """Truncated, of another kind, longer, or with a wrong checksum: the message names the file."""
    write_idx(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        load_dataset(str(tmp_path))
    assert "t10k-images-idx3-ubyte.gz" in str(error.value)


def test_different_numbers_of_images_and_labels_are_rejected(tmp_path: Path) -> None:
    """Labels of another set would give an accuracy near chance, silently."""
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(idx_bytes(np.zeros(5)))
    with pytest.raises(DataError, match=r"one for each of the 4 images, not int64 of shape \(5,\)"):
        load_dataset(str(tmp_path))


# --- npz files ----------------------------------------------------------------------------------------------

GREY = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
COLOUR = np.arange(72, dtype=np.uint8).reshape(4, 3, 2, 3)
DIGITS = np.array([7, 2, 1, 0])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY.reshape(4, 1, 2, 3)),
        (GREY[:, None], GREY.reshape(4, 1, 2, 3)),
        (GREY[..., None], GREY.reshape(4, 1, 2, 3)),
        (COLOUR, COLOUR),
        (np.stack([COLOUR[:, 0], COLOUR[:, 1], COLOUR[:, 2]], axis=-1), COLOUR),
    ],
)
def test_npz_takes_channels_first_last_or_none(tmp_path: Path, images: np.ndarray, expected: np.ndarray) -> None:
    """The result always has its channels first."""
    np.savez(tmp_path / "own.npz", images=images, labels=DIGITS)
    dataset = load_dataset(str(tmp_path / "own.npz"))
    assert dataset.name == "own"
    assert np.array_equal(dataset.images, expected)
    assert dataset.labels.tolist() == [7, 2, 1, 0]


@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("x_test", "y_test")])
@pytest.mark.parametrize("labels", [DIGITS.astype(np.uint8), DIGITS.reshape(4, 1)])
def test_npz_takes_the_usual_array_names(tmp_path: Path, names: tuple[str, str], labels: np.ndarray) -> None:
    """Other arrays in the file do not disturb."""
    np.savez(tmp_path / "own.npz", **{names[0]: GREY, names[1]: labels}, other=np.zeros(1))
    assert load_dataset(str(tmp_path / "own.npz")).labels.tolist() == [7, 2, 1, 0]


def test_npz_training_split_has_its_own_arrays(tmp_path: Path) -> None:
    """As in the files that Keras publishes."""
    np.savez(tmp_path / "own.npz", x_test=GREY[:1], y_test=DIGITS[:1], x_train=GREY, y_train=DIGITS)
    assert len(load_dataset(str(tmp_path / "own.npz"))) == 1
    assert len(load_dataset(f"{tmp_path / 'own.npz'}:train")) == 4


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": GREY, "b": DIGITS}, "images and labels or x and y or x_test and y_test, not a, b"),
        ({"images": GREY}, "must have the arrays .* not images"),
        ({"images": GREY / 255, "labels": DIGITS}, "images must be uint8, pixels from 0 to 255, not float64"),
        ({"images": GREY.astype(np.int64), "labels": DIGITS}, "images must be uint8.*not int64"),
        ({"images": GREY, "labels": DIGITS[:3]}, r"labels must be integers, one for each .* \(4,\).*\(3,\)"),
        ({"images": GREY, "labels": DIGITS / 2}, "labels must be integers.*not float64"),
        ({"images": GREY, "labels": np.eye(4, dtype=int)}, r"labels must be integers.*shape \(4, 4\)"),
        ({"images": GREY, "labels": DIGITS + 250}, "labels must be between 0 and 255, not 257"),
        ({"images": GREY.reshape(4, 6), "labels": DIGITS}, r"images must have shape .* not \(4, 6\)"),
        ({"images": COLOUR.reshape(4, 2, 9, 1)[..., [0, 0]], "labels": DIGITS}, "with 1 or 3 channels, not"),
        ({"images": GREY[:0], "labels": DIGITS[:0]}, "at least one image"),
        ({"images": np.array([None] * 4), "labels": DIGITS}, "corrupt, or not plain arrays"),
    ],
)
def test_npz_of_the_wrong_kind_is_rejected(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    """The message names the file, what was found and what is expected."""
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(DataError, match=message) as error:
        load_dataset(str(tmp_path / "own.npz"))
    assert "own.npz" in str(error.value)


def flip_a_byte(content: bytes) -> bytes:
    """Damage one pixel, which the checksum inside the archive covers."""
    middle = content.index(GREY.tobytes()) + 3
    return content[:middle] + b"\xff" + content[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda content: content[:-30], "not a whole .npz file", id="truncated"),
        pytest.param(lambda content: b"", "not a whole .npz file", id="empty"),
        pytest.param(lambda content: b"\x93NUMPY" + content, "corrupt, or not plain arrays", id="npy"),
        pytest.param(flip_a_byte, "corrupt, or not plain arrays", id="a byte changed"),
    ],
)
def test_damaged_npz_is_rejected(tmp_path: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    """Truncated, empty, another format, one bit wrong."""
    path = tmp_path / "own.npz"
    np.savez(path, images=GREY, labels=DIGITS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        load_dataset(str(path))


# --- names --------------------------------------------------------------------------------------------------


def test_unknown_name_lists_near_and_allowed_ones() -> None:
    """A typing error is answered with the name meant."""
    with pytest.raises(DataError, match=r"'mnits' \(did you mean mnist.*allowed: mnist-5k, mnist, fashion-mnist"):
        load_dataset("mnits")


def test_file_of_another_kind_is_rejected(tmp_path: Path) -> None:
    """Neither a directory nor an npz file."""
    path = tmp_path / "images.csv"
    path.write_text("1,2,3\n")
    with pytest.raises(DataError, match=r"a directory of IDX files or a file that ends in .npz, not .*images\.csv$"):
        load_dataset(str(path))


def test_list_names_what_is_there_and_how_to_get_the_rest() -> None:
    """Without anything fetched, only the embedded data set is available."""
    infos = {info.name: info for info in list_datasets()}
    assert list(infos) == ["mnist-5k", "mnist", "mnist:train", "fashion-mnist", "fashion-mnist:train"]
    assert [name for name, info in infos.items() if info.available] == ["mnist-5k"]
    embedded = infos["mnist-5k"]
    assert (embedded.images, embedded.shape, embedded.size_bytes) == (5000, (1, 28, 28), 5000 * 785)
    assert embedded.digest == load_dataset().digest
    assert "axft-hw data fetch fashion-mnist" in infos["fashion-mnist:train"].problem


# --- export -------------------------------------------------------------------------------------------------


def test_export_loads_as_the_same_data_set(tmp_path: Path) -> None:
    """The digest says that nothing changed."""
    export_npz(make_dataset(), tmp_path / "out.npz")
    assert load_dataset(str(tmp_path / "out.npz")).digest == make_dataset().digest


def test_export_refuses_to_overwrite(tmp_path: Path) -> None:
    """What was there stays as it was."""
    path = tmp_path / "out.npz"
    path.write_bytes(b"precious")
    with pytest.raises(DataError, match=r"out\.npz exists and is not overwritten"):
        export_npz(make_dataset(), path)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("name", "message"), [("out.bin", "must end in .npz, not 'out.bin'"), ("no/out.npz", "cannot be written")]
)
def test_export_rejects_unusable_names(tmp_path: Path, name: str, message: str) -> None:
    """A name that loading would not recognise, or a directory that does not exist."""
    with pytest.raises(DataError, match=message):
        export_npz(make_dataset(), tmp_path / name)


# --- the official files -------------------------------------------------------------------------------------


def test_official_files_load_with_known_content(mnist_dir: Path) -> None:
    """Sizes, the well-known first labels, and the class counts of the MNIST paper's training set."""
    test, train = load_dataset(str(mnist_dir)), load_dataset(f"{mnist_dir}:train")
    assert test.images.shape == (10_000, 1, 28, 28)
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_embedded_images_are_training_images_with_the_same_labels(mnist_dir: Path) -> None:
    """The subset must not be trained on, and shares nothing with the test set."""
    train, test, embedded = load_dataset(f"{mnist_dir}:train"), load_dataset(str(mnist_dir)), load_dataset()
    known = {image.tobytes(): label for image, label in zip(train.images, train.labels, strict=True)}
    assert [known[image.tobytes()] for image in embedded.images] == embedded.labels.tolist()
    assert not {image.tobytes() for image in test.images} & {image.tobytes() for image in embedded.images}
