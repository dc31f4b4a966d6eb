"""Colours that everyone can read and tell apart."""

import itertools

import numpy as np
import pytest

from course_utils.explore import style

# Machado, Oliveira & Fernandes 2009, table 1, severity 1.0: what each colour blindness makes of linear RGB.
SIGHTS = {
    "common": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(colour: str, paper: str = style.PAPER) -> float:
    """WCAG 2.2 contrast ratio."""
    light, dark = sorted((TO_XYZ[1] @ linear(one) + 0.05 for one in (colour, paper)), reverse=True)
    return light / dark


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear RGB, white D65."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHTS)
def test_any_two_series_differ_to_every_sight(sight):
    seen = [lab(np.array(SIGHTS[sight]) @ linear(colour)) for colour in style.PALETTE]
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)]
    # 2.3 is just noticeable side by side; a thin line far from another needs several times that.
    assert min(distances) >= 15


@pytest.mark.parametrize("colour", [*style.PALETTE])
def test_a_line_has_a_contrast_of_3_to_1(colour):
    assert contrast(colour) >= 3


@pytest.mark.parametrize("colour", [*style.TEXT_PALETTE, style.INK, style.QUIET, style.ERROR])
def test_a_text_has_a_contrast_of_4_and_a_half_to_1(colour):
    assert contrast(colour) >= 4.5


def test_a_label_has_the_hue_of_its_series():
    for line, text in zip(style.PALETTE, style.TEXT_PALETTE, strict=True):
        (_, a, b), (_, c, d) = lab(linear(line)), lab(linear(text))
        apart = np.angle(complex(a, b) / complex(c, d), deg=True) if np.hypot(a, b) > 10 else 0
        assert abs(apart) < 15


def test_the_palette_starts_over_after_its_last():
    assert style.colour(len(style.PALETTE)) == style.PALETTE[0]


def test_a_long_title_is_broken_into_even_lines():
    title = "At 8 % growth a month the bill passes the budget in month 7, and perhaps in month 5"
    lines = style.wrapped(title, style.TITLE_PX, 700)
    assert " ".join(lines) == title
    assert len(lines) == 2
    assert abs(len(lines[0]) - len(lines[1])) < 15


def test_a_bold_title_fits_its_picture_in_the_widest_font():
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    bold = FontProperties(family="DejaVu Sans", weight="bold")
    for title in (
        "Ten minutes of patience: 154 machines started on the day instead of 1,174",
        "5 of 10 variants are shown to stay within 2 %: bf16, nf4, gptq4, awq4, rtn4",
    ):
        for line in style.wrapped(title, style.TITLE_PX, 700, style.EM_PER_BOLD):
            assert TextPath((0, 0), line, size=style.TITLE_PX, prop=bold).get_extents().width < 700
