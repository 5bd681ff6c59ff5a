"""Campaign specifications: what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from axft_host.campaign.conduct import run_spec
from axft_host.campaign.plan import DEFAULT_IMAGES, plan_campaign
from axft_host.campaign.spec import CampaignSpec, read_spec
from axft_spec.config import PRESETS
from axft_spec.errors import AxftError, ConfigError
from axft_spec.faultlist import write_fault_list
from support.small_campaign import small_plan, write_small

SHIPPED = sorted((Path(__file__).parents[3] / "fi_campaigns").glob("*.toml"))


def write(directory: Path, text: str) -> Path:
    """Write a specification."""
    path = directory / "c.toml"
    path.write_text(text, encoding="utf-8")
    return path


def read(directory: Path, text: str) -> CampaignSpec:
    """Write a specification and read it."""
    return read_spec(write(directory, text))


# --- what they mean -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_specification_is_valid_and_survives_being_resolved(path: Path) -> None:
    """Every run of it has a name of its own."""
    spec = read_spec(path)
    names = [run.name for run in spec.runs()]
    assert len(set(names)) == len(names) > 1
    assert spec.title != spec.name
    again = CampaignSpec.from_json(spec.to_json(), spec.name, "resolved")
    assert again == spec
    assert [run.options for run in again.runs()] == [run.options for run in spec.runs()]


def test_table_has_the_published_rows_both_samples_and_both_lowerings() -> None:
    """2,401 faults of each are the printed 10% and 19%; the stated margin and confidence are 40% and 57%."""
    spec = read_spec(next(path for path in SHIPPED if path.stem == "table1"))
    assert list(spec.configs) == list(PRESETS)
    assert len(spec.runs()) == 7 * 2 * 2
    shares = {}
    for run in spec.runs():
        if run.options.workload.lowering == "im2col" and run.options.workload.config in ("Baseline", "8P"):
            plan = plan_campaign(run.options)
            assert plan.faults.space is not None
            shares[run.name] = len(plan.faults.faults) / plan.faults.space.size
    assert shares == pytest.approx(
        {
            "Baseline-im2col-printed": 0.0957,
            "8P-im2col-printed": 0.1914,
            "Baseline-im2col-stated": 0.398,
            "8P-im2col-stated": 0.569,
        },
        abs=0.0005,
    )


def test_least_specification_has_the_defaults_of_inject(tmp_path: Path) -> None:
    """One configuration is all that must be said."""
    spec = read(tmp_path, '[workload]\nconfigs = "8p"\n')
    (run,) = spec.runs()
    assert run.name == "8P-im2col"
    assert (spec.title, spec.name) == ("c", "c")
    options = run.options
    assert (options.board, options.physical, options.score) == ("emu", None, "softmax")
    assert (options.workload.config, options.workload.images) == ("8P", DEFAULT_IMAGES)
    assert (options.faults.sites, options.faults.kind, options.faults.confidence) == (("weight",), "stuck", 0.95)
    assert (options.faults.faults, options.faults.seed) == (None, 0)


def test_lists_multiply(tmp_path: Path) -> None:
    """Configurations, lowerings, samples and backends; names say which is which."""
    spec = read(
        tmp_path,
        """
        [workload]
        configs = ["8P", "34P"]
        lowerings = ["im2col", "toeplitz"]
        array = "8x8"
        [faults]
        sites = ["weight", "psum"]
        bits = 2
        pattern = "pe"
        [sampling.few]
        faults = 10
        seed = 4
        [sampling.all]
        census = true
        [backends.emu]
        [backends.rtl]
        physical = "4x4"
        """,
    )
    runs = {run.name: run.options for run in spec.runs(workers=3)}
    assert len(runs) == 16
    options = runs["34P-toeplitz-few-rtl"]
    assert (options.board, options.physical, options.workers) == ("rtl", "4x4", 3)
    assert (options.faults.faults, options.faults.census, options.faults.seed) == (10, False, 4)
    assert (options.faults.sites, options.faults.bits, options.faults.pattern) == (("weight", "psum"), 2, "pe")
    assert runs["8P-im2col-all-emu"].faults.census
    assert {run.options.workload.images for run in spec.with_images(7).runs()} == {7}
    assert {run.options.workload.data for run in spec.with_data("mnist-5k").runs()} == {"mnist-5k"}


def test_designs_and_rules_are_options_of_the_runs(tmp_path: Path) -> None:
    """Neyman's has a pilot, which is run to its end before the sizes of the other run are known."""
    spec = read(
        tmp_path,
        """
        [workload]
        configs = "8P"
        [sampling]
        design = "neyman"
        strata = ["bit", "kind"]
        faults = 500
        pilot = 90
        [stopping]
        half_width = 0.02
        classes = ["masked", "critical"]
        """,
    )
    pilot, main = spec.runs()
    assert (pilot.name, pilot.pilot, pilot.options.stopping) == ("8P-im2col-pilot", None, None)
    assert (main.name, main.pilot) == ("8P-im2col", "8P-im2col-pilot")
    assert main.options.stopping is not None
    assert (main.options.stopping.half_width, main.options.stopping.classes) == (0.02, ("masked", "critical"))
    faults = main.options.faults
    assert (faults.design, faults.strata, faults.faults, faults.pilot) == ("neyman", ("bit", "kind"), 500, 90)
    assert CampaignSpec.from_json(spec.to_json(), spec.name, "resolved") == spec


def test_paths_are_relative_to_the_file_and_names_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the program runs."""
    model, data = write_small(tmp_path)
    plan = small_plan(tmp_path)
    write_fault_list(tmp_path / "f.jsonl", plan.faults)
    path = write(
        tmp_path,
        """
        [workload]
        configs = "8P"
        array = "4x3"
        model = "small.npz"
        data = "small-data.npz"
        images = 12
        [faults]
        list = "f.jsonl"
        """,
    )
    monkeypatch.chdir("/")
    spec = read_spec(path)
    assert (spec.workload.model, spec.workload.data) == (str(model.resolve()), str(data.resolve()))
    (run,) = spec.runs()
    assert plan_campaign(run.options).faults == plan.faults
    assert CampaignSpec.from_json(spec.to_json(), spec.name, "resolved") == spec
    assert read(tmp_path, '[workload]\nconfigs="8P"\nmodel="lenet5"\ndata="mnist:train"').workload.data == "mnist:train"


def test_compiled_network_needs_no_configuration(tmp_path: Path) -> None:
    """It has its own."""
    small_plan(tmp_path).prepared.workload.network.save(tmp_path / "n.npz")
    (run,) = read(tmp_path, '[workload]\nmodel = "n.npz"\narray = "4x3"').runs()
    assert (run.name, run.options.workload.config) == ("network-im2col", None)


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[workload", r"c\.toml: Expected ']' at the end of a table declaration"),
        ("[workload]\nconfigs = ", r"c\.toml: Invalid value \(at .*"),
        ("[workload]\nconfig = '8P'", r"c\.toml, line 2: \[workload\] config: unknown key .* \(did you mean configs"),
        ("title = 3", "line 1: title: it must be a text, not 3"),
        ("seed = 3", "line 1: seed: unknown key 'seed'; allowed: title, workload, faults, sampling, stopping"),
        ("[workload]\n\nimages = 0\nconfigs='8P'", r"line 3: \[workload\] images: it must be at least 1, not 0"),
        ("[workload]\nconfigs = ['8P', '9P']", r"line 2: \[workload\] configs: unknown configuration '9P'.*8P"),
        ("[workload]\nconfigs = ['8P', '8p']", r"configs: it must be one or more different values"),
        ("[workload]\nconfigs = []", r"configs: it must be one or more different values, not \[\]"),
        ("[workload]\nimages = 3", r"line 1: \[workload\] configs: it is missing; allowed: .* Baseline, 8P"),
        ("[workload]\nconfigs='8P'\nmodel='no.npz'", None),
        ("[workload]\nconfigs='8P'\nlowerings='im2row'", r"line 3: \[workload\] lowerings: unknown lowering 'im2row'"),
        ("[workload]\nconfigs='8P'\narray='28'", r"array: array must be ROWSxCOLS such as 28x28"),
        ("[workload]\nconfigs='8P'\nscore='top'", r"score: unknown score 'top'.*softmax, raw"),
        ("[workload]\nconfigs='8P'\ncompensate='yes'", r"compensate: it must be true or false, not 'yes'"),
        ("[workload]\nconfigs='8P'\noperand_a='w'", r"operand_a: unknown operand A 'w'.*weight, activation"),
        ("workload = 3", r"line 1: \[workload\] must be a table, not 3|\[workload\] must be a table, not 3"),
        ("[faults]\nsites = 'wait'", r"line 2: \[faults\] sites: unknown fault site 'wait'.*did you mean weight"),
        ("[faults]\nkind = 'stuck_at_0'", r"line 2: \[faults\] kind: unknown fault kind"),
        ("[faults]\npattern = 'word'", r"line 1: \[faults\]: a pattern needs several bits per fault, not one"),
        ("[faults]\nbits = 2\npattern = 'any'", r"line 3: \[faults\] pattern: unknown pattern .*adjacent, word, pe"),
        ("[faults]\ncycles = 2", r"\[faults\]: a number of cycles is of transient faults alone"),
        ("[faults]\nlist = 'f'\nkind = 'flip'", r"line 2: \[faults\] list: .* must stand alone, without kind"),
        ("[faults]\nlist = 'f'\n[sampling]\nfaults = 3", r"line 4: \[sampling\] faults: the faults are those of"),
        ("[sampling]\nfaults = 3\nmargin = 0.1", r"line 3: \[sampling\] margin: .* once, not by faults and margin"),
        ("[sampling]\nmargin = 2", r"line 2: \[sampling\] margin: margin must be a fraction .*write 0.02 for 2%"),
        ("[sampling]\nconfidence = 0.2", r"confidence must be a fraction above 0.5"),
        ("[sampling]\nfauls = 2", r"line 2: \[sampling\] fauls: unknown key 'fauls' \(did you mean faults"),
        ("[sampling]\nseed = 1\n[sampling.a]\nfaults = 2", r"line 2: \[sampling\] seed: .* one of the samples a"),
        ("[sampling.a]\nfaults = 2\nsize = 3", r"line 3: \[sampling.a\] size: unknown key"),
        ("[sampling.'a/b']\nfaults = 2", r"a/b: the name of a sample must have letters"),
        ("[sampling]\ndesign = 'random'", r"line 2: .* design: unknown design .*simple, proportional, neyman"),
        ("[sampling]\ndesign = 'neyman'", r"line 2: \[sampling\] design: strata are of the designs"),
        ("[sampling]\nstrata = 'bit'", r"line 1: \[sampling\]: strata are .* not design simple with strata"),
        ("[sampling]\npilot = 9", r"line 1: \[sampling\]: a pilot is of the design neyman alone, not of simple"),
        ("[sampling]\ndesign='proportional'\nstrata='bit'\ncensus=true", r"design: strata are sampled"),
        ("[stopping]\nrule = 'when'", r"line 2: \[stopping\] rule: unknown stopping rule 'when'.*half-width, looks"),
        ("[stopping]\nrule = 'looks'", r"line 1: \[stopping\]: half_width is missing"),
        ("[stopping]\nhalf_width = 1", r"line 2: \[stopping\] half_width: half_width must be .*write 0.01 for 1%"),
        ("[stopping]\nhalf_width = 0.1\nclasses = 'bad'", r"line 3: \[stopping\] classes: unknown class .*'bad'"),
        ("[stopping]\nhalf_width = 0.1\n[faults]\nlist = 'f'", r"line 1: \[stopping\]: .* not those of a file"),
        ("[stopping]\nhalf_width = 0", r"line 2: \[stopping\] half_width: half_width must be a fraction above 0"),
        ("[stopping]\nhalf_width = 0.1\nlooks = 3", r"line 3: \[stopping\] looks: it is of the rule looks"),
        ("[stopping]\nhalf_width = 0.1\nspending = 'bonferroni'", r"line 3: .* spending: it is of the rule looks"),
        ("[backends.emu]\nphysical = '4x4'", r"line 2: \[backends.emu\] physical: the emulator has the logical array"),
        ("[faults]\nsites = ['rtl:*', 'weight']", r"line 2: \[faults\] sites: flip-flops must stand alone.*\"rtl:\*\""),
        ("[sampling]\nfaults = true", r"line 2: .* faults: it must be a whole number, not true"),
        ("[sampling]\nseed = 1.5", r"line 2: .* seed: it must be a whole number, not 1.5"),
        ("[workload]\nconfigs = '8P'\nimages = 'ten'", r"line 3: .* images: it must be a whole number, not 'ten'"),
        ("[backends.pynk]", r"line 1: \[backends\] pynk: unknown board 'pynk'.*allowed: emu, rtl"),
        ("[backends.rtl]\nphysical = 4", r"line 2: \[backends.rtl\] physical: it must be a text, not 4"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_line_and_key(tmp_path: Path, text: str, message: str | None) -> None:
    """And with what is allowed."""
    # Specifications about something else need a configuration, too; at the end, so that lines stay.
    whole = text if "[workload" in text or "workload =" in text else f"{text}\n[workload]\nconfigs = '8P'"
    if message is None:
        assert read(tmp_path, whole).workload.model == str(tmp_path / "no.npz")  # missing: found when planned
        return
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, whole)
    assert str(tmp_path / "c.toml") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sampling]\nfaults = 50000", r", line 2: \[sampling\] faults: run 8P-im2col: number of faults must be"),
        ("[sampling.few]\nfaults = 50000", r", line 2: \[sampling.few\] faults: run 8P-im2col-few: number of faults"),
        ("[workload]\nconfigs='8P'\nimages = 50000", r", line 3: \[workload\] images: run 8P-im2col: images must be"),
        ("[workload]\nconfigs='8P'\ndata = 'no'", r", line 3: \[workload\] data: run 8P-im2col: unknown data set 'no'"),
        ("[workload]\nconfigs='8P'\nmodel = 'no.onnx'", r", line 3: \[workload\] model: .*: /.*/no\.onnx does"),
        ("[faults]\nlist = 'no.jsonl'", r", line 2: \[faults\] list: run 8P-im2col: fault list /.*/no\.jsonl cannot"),
        ("[faults]\nbits = 20", r", line 2: \[faults\] bits: run 8P-im2col: bits of a fault must be at most"),
        ("[sampling]\ndesign = 'proportional'\nstrata = 'layer'", r", line 3: \[sampling\] strata: run 8P-im2col: "),
        ("[sampling]\nfaults=50\ndesign='neyman'\nstrata='bit'\npilot=50", r", line 5: .* run 8P-im2col-pilot: faults"),
        ("[faults]\nsites = 'rtl:*'", r", line 2: \[faults\] sites: .* allowed: \[backends.rtl\], not 'emu'"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_named_too_and_leaves_nothing(tmp_path: Path, text: str, message: str) -> None:
    """File, line, key and run; before anything has run."""
    spec = read(tmp_path, text if "[workload" in text else f"{text}\n[workload]\nconfigs = '8P'")
    with pytest.raises(AxftError, match=rf"c\.toml{message}"):
        run_spec(spec, text, tmp_path / "c", None)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        read_spec(tmp_path / "none.toml")
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"c\.toml cannot be read: it is not text"):
        read_spec(tmp_path / "c.toml")
