import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.catalog.accelerators import DTYPES, accelerator, accelerators

CHIPS = accelerators()
every_chip = pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)


def test_the_catalog_holds_the_chips_that_the_course_talks_about():
    wanted = """T4, L4, L40S, A10G, A100 SXM 40GB, A100 SXM 80GB, H100 PCIe, H100 SXM, H200 SXM, B200, GB200,
        RTX 3090, RTX 4090, RTX 5090, MI300X, MI325X, MI355X, Gaudi 3, TPU v5e, TPU v5p, TPU v6e, Trainium 2,
        CPU 2 cores"""
    names = {chip.name for chip in CHIPS}
    assert {" ".join(name.split()) for name in wanted.split(",")} <= names
    assert len(names) == len(CHIPS) >= 25


# Dense rates, from the makers' data sheets: the sparse ones are twice as high.
@pytest.mark.parametrize(
    ("name", "dtype", "tera"),
    [
        ("A100 SXM 80GB", "bf16", 312),
        ("H100 SXM", "bf16", 989),
        ("H100 SXM", "fp8", 1979),
        ("H100 NVL", "bf16", 835.5),
        ("H200 SXM", "bf16", 989),
        ("L40S", "fp8", 733),
        ("L4", "bf16", 121),
        ("B200", "bf16", 2250),
        ("B200", "fp4", 9000),
        ("GB200", "fp8", 5000),
        ("MI300X", "bf16", 1307.4),
        ("MI355X", "fp8", 5033.2),
        ("Trainium 2", "fp8", 1299),
        ("T4", "fp16", 65),
    ],
)
def test_rates_are_dense_not_sparse(name, dtype, tera):
    assert accelerator(name).flop_per_s(dtype) == pytest.approx(tera * 1e12, rel=0.001)


@pytest.mark.parametrize(("name", "tera"), [("RTX 3090", 71), ("RTX 4090", 165.2), ("RTX 5090", 209.5)])
def test_geforce_runs_fp16_with_fp32_accumulation_at_half_its_headline_rate(name, tera):
    chip = accelerator(name)
    assert chip.fp16_flop_per_s == chip.bf16_flop_per_s == pytest.approx(tera * 1e12)


def test_an_a10g_is_no_a10():
    assert accelerator("A10G").bf16_flop_per_s < 0.6 * accelerator("A10").bf16_flop_per_s


@pytest.mark.parametrize("name", ["T4", "V100 SXM2 16GB"])
def test_chips_before_ampere_have_no_bf16(name):
    with pytest.raises(ValueError, match=r"has no such rate; it has fp32, fp16"):
        accelerator(name).flop_per_s("bf16")


@every_chip
def test_narrower_numbers_are_never_slower(chip):
    order = [
        chip.fp32_flop_per_s,
        chip.tf32_flop_per_s,
        chip.bf16_flop_per_s,
        chip.fp8_flop_per_s,
        chip.fp4_flop_per_s,
    ]
    rates = [rate for rate in order if rate]
    assert rates == sorted(rates)


# Blackwell Ultra has more FP4 units; FP32 accumulation halves a GeForce's FP8 but not its FP4; Trainium 3 has
# one rate for FP8 and FP4.
STEEPER = {("B300", "fp4"): 3, ("GB300", "fp4"): 3, ("RTX 5090", "fp4"): 4, ("Trainium 3", "fp8"): 3.8}


@every_chip
def test_each_step_down_at_most_doubles_so_no_row_mixes_dense_and_sparse(chip):
    for wide, narrow in (("bf16", "fp8"), ("fp8", "fp4")):
        before, after = (getattr(chip, f"{dtype}_flop_per_s") for dtype in (wide, narrow))
        if before and after:
            assert after <= 1.02 * STEEPER.get((chip.name, narrow), 2) * before


@every_chip
def test_the_ridge_point_lies_where_ridge_points_lie(chip):
    fastest_wide = max(chip.bf16_flop_per_s or 0, chip.fp16_flop_per_s or 0, chip.fp32_flop_per_s or 0)
    assert 10 < fastest_wide / chip.bandwidth_bytes_per_s < 600


@every_chip
def test_units_are_bytes_and_flop_per_second(chip):
    assert 4 <= chip.memory_gib <= 300
    assert 1e10 <= chip.bandwidth_bytes_per_s <= 1e13
    assert chip.link_bytes_per_s is None or chip.link_bytes_per_s < chip.bandwidth_bytes_per_s
    assert chip.tdp_w is None or 10 <= chip.tdp_w <= 1500


@every_chip
def test_every_figure_has_a_source(chip):
    assert len(chip.source) > 10
    assert chip.as_of.year >= 2026


def test_memory_of_80_gb_is_gib_not_gb():
    assert accelerator("H100 SXM").memory_gib == pytest.approx(80, rel=0.01)
    assert accelerator("H100 SXM").memory_bytes > 85e9


def test_ecc_takes_a_sixteenth_of_gddr6():
    assert accelerator("L40S").memory_gib == pytest.approx(48 * 15 / 16, rel=0.001)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("h100", "H100 SXM"),
        ("H100 SXM5 80GB", "H100 SXM"),
        ("a100-80gb", "A100 SXM 80GB"),
        ("A100 80GB SXM", "A100 SXM 80GB"),
        ("tpu-v5e", "TPU v5e"),
        ("trillium", "TPU v6e"),
        ("gaudi3", "Gaudi 3"),
        ("rtx4090", "RTX 4090"),
        ("HGX B200", "B200"),
        # What nvidia-smi and torch.cuda.get_device_name print.
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A100-SXM4-40GB", "A100 SXM 40GB"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIe 80GB"),
        ("NVIDIA H100 80GB HBM3", "H100 SXM"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200 SXM"),
        ("NVIDIA GeForce RTX 5090", "RTX 5090"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA GH200 480GB", "GH200 96GB"),
        ("Tesla V100-SXM2-16GB", "V100 SXM2 16GB"),
        # What published tables print.
        ("H100 80GB", "H100 SXM"),
        ("h100_sxm", "H100 SXM"),
        ("H100-80G", "H100 SXM"),
        ("RTX A6000 48GB", "RTX A6000"),
        ("3090 24GB", "RTX 3090"),
        ("MI300X OAM", "MI300X"),
        ("mi355x-amd_0", "MI355X"),
        ("TPU v5 lite", "TPU v5e"),
        ("B200 180GB", "B200"),
        ("NVIDIA DGX B200", "B200"),
        ("GB200 NVL72", "GB200"),
        ("H200 NVL", "H200 NVL"),
        ("M1 Max 32-Core GPU 64GB", "M1 Max"),
        ("RTX 5000 Ada 32GB", "RTX 5000 Ada"),
    ],
)
def test_aliases_resolve(said, meant):
    assert accelerator(said).name == meant


@given(chip=st.sampled_from(CHIPS), upper=st.booleans(), gap=st.sampled_from([" ", "-", "_", "  "]))
def test_case_and_spacing_do_not_matter(chip, upper, gap):
    said = chip.name.replace(" ", gap)
    assert accelerator(said.upper() if upper else said.lower()) is chip


def test_an_ambiguous_name_lists_what_it_could_mean():
    with pytest.raises(
        ValueError, match=r"name='a100' fits several.*A100 SXM 40GB, A100 SXM 80GB, A100 PCIe 40GB"
    ):
        accelerator("a100")


@pytest.mark.parametrize("name", ["RTX 4070", "M2", "M3"])
def test_a_chip_is_not_mistaken_for_its_bigger_sibling(name):
    with pytest.raises(ValueError, match="no such chip in the catalog; nearest: "):
        accelerator(name)


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(ValueError, match=r"name='H1000'.*nearest: .*H100 SXM"):
        accelerator("H1000")


@pytest.mark.parametrize("name", ["", "  ", None, 100])
def test_no_name_at_all_is_refused(name):
    with pytest.raises(ValueError, match="the name of a chip is needed"):
        accelerator(name)


def test_an_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match=rf"dtype='fp12': one of {', '.join(DTYPES)}"):
        accelerator("T4").flop_per_s("fp12")
