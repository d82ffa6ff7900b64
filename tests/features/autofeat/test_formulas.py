"""Formulas as text: the values are autofeat's own, and a text that is no formula does nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fx_assets.features.autofeat.formulas import DEEPEST, LONGEST, compiled
from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray
from tests.features.autofeat.library import ALL, columns, made_by_autofeat

Two = Callable[[FloatArray, FloatArray], FloatArray]


def of(expression: str, values: FloatArray) -> FloatArray:
    return compiled(expression, values.shape[1])(values)


def assert_as_autofeat(folder: Path, steps: int, transformations: tuple[str, ...], at_least: int) -> None:
    made = made_by_autofeat(folder, steps, transformations)
    assert len(made.formulas) >= at_least
    for formula, theirs in zip(made.formulas, made.values.T, strict=True):
        ours, defined = of(formula, made.rows), np.isfinite(theirs)
        assert np.array_equal(np.isfinite(ours), defined), formula
        np.testing.assert_allclose(ours[defined], theirs[defined], rtol=1e-9, atol=1e-14, err_msg=formula)
        assert np.isnan(ours[~defined]).all()


def test_every_product_of_two_transformations_is_as_autofeat_has_it(tmp_path: Path) -> None:
    assert_as_autofeat(tmp_path, 2, ALL, at_least=150)


@pytest.mark.slow
def test_every_formula_of_three_steps_is_as_autofeat_has_it(tmp_path: Path) -> None:
    assert_as_autofeat(tmp_path, 3, ("1/", "sqrt", "^3"), at_least=100)


@pytest.mark.parametrize(
    ("expression", "by_hand"),
    [
        ("x000", lambda x, _: x),
        ("-x000 + 2.5", lambda x, _: 2.5 - x),
        ("x000/x001 - 3*x001", lambda x, y: x / y - 3 * y),
        ("x000*x001**2", lambda x, y: x * (y * y)),
        ("x001**13", lambda _, y: y**13),
        ("x001**(-3)", lambda _, y: 1 / (y * y * y)),
        ("x000**(-3/2)", lambda x, _: 1 / (x * np.sqrt(x))),
        ("x000**(1/3)", lambda x, _: np.cbrt(x)),
        ("2**(x001/2)", lambda _, y: np.exp2(y / 2)),
        ("exp(-x000)*log(x000)", lambda x, _: np.exp(-x) * np.log(x)),
        ("sqrt(Abs(x001))", lambda _, y: np.sqrt(np.abs(y))),
        ("sin(x000) - cos(x001)", lambda x, y: np.sin(x) - np.cos(y)),
        ("2*(x000 + (x001 + 1)*3)", lambda x, y: 2 * (x + (y + 1) * 3)),
    ],
)
def test_an_expression_means_what_it_says(expression: str, by_hand: Two) -> None:
    values = columns(seed=3, rows=50)
    np.testing.assert_allclose(of(expression, values), by_hand(values[:, 0], values[:, 1]), rtol=1e-12)


def test_a_row_alone_gives_the_bits_that_it_gives_among_others() -> None:
    values = columns(seed=4, rows=203)
    for expression in ("exp(x001)*sin(x000)", "cos(x001)/log(x000)", "x000**(-3/2)", "x000**2 + 2**x001", "x001**3"):
        whole = of(expression, values)
        for layout in (values, np.asfortranarray(values), np.repeat(values, 2, axis=1)[:, ::2]):
            alone = np.concatenate([of(expression, layout[row : row + 1]) for row in range(len(values))])
            assert alone.tobytes() == of(expression, layout).tobytes() == whole.tobytes(), expression


@pytest.mark.parametrize(
    ("expression", "row"),
    [
        ("1/x000", (0.0, 0.0)),
        ("log(x000)", (0.0, 0.0)),
        ("log(x000)", (-1.0, 0.0)),
        ("sqrt(x000)", (-1.0, 0.0)),
        ("x000**(3/2)", (-1.0, 0.0)),
        ("exp(x000)", (800.0, 0.0)),
        ("exp(x000)/exp(x001)", (800.0, 800.0)),
        ("x000**64", (1e10, 0.0)),
        ("1/x000", (np.inf, 0.0)),
        ("x000 + x001", (1.0, np.nan)),
    ],
)
def test_what_has_no_finite_value_is_missing_in_its_row_alone(expression: str, row: tuple[float, float]) -> None:
    found = of(expression, np.array([(2.0, 3.0), row, (2.0, 3.0)]))
    assert np.isnan(found).tolist() == [False, True, False]


def test_a_column_that_is_not_read_may_be_missing() -> None:
    formula = compiled("x002*x000", 3)
    assert formula.columns == (0, 2)
    assert formula(np.array([[2.0, np.nan, 3.0]])).tolist() == [6.0]


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "x000.real",
        "x000.__class__",
        "x000[0]",
        "(lambda: x000)()",
        "[x000 for x000 in x001]",
        "x000 if x001 else x000",
        "x000 and x001",
        "x000 < x001",
        "x000 @ x001",
        "x000 // x001",
        "x000 % x001",
        "x000 << 2",
        "~x000",
        "not x000",
        "(y := x000)",
        "f'{x000}'",
        "'x000'",
        "x000*True",
        "x000*2j",
        "x000*None",
        "x000*...",
        "x000, x001",
        "x000; x001",
        "x000 = 1",
        "await x000",
        "*x000",
        "y",
        "x002",
        "x0",
        "E*x000",
        "exp",
        "exp()",
        "exp(x000, x001)",
        "exp(*x000)",
        "exp(x=x000)",
        "exp(x000)(x001)",
        "eval(x000)",
        "np.exp(x000)",
        "1 + 2",
        "",
        " ",
        "x000 +",
        "x000\x00",
        "x000**1000000",
        "x000**(-65)",
        "x000**(65/1)",
        "x000**(1/0)",
        "x000**x001",
        "x000**(1 + 1)",
        "(-2)**x000",
        "0**x000",
        "9**9**9*x000",
        "x000*9**(9**9)",
        "x000*1e999",
        "x000*10000000000",
        "x000*" + "9" * 900,
        "(" * 300 + "x000" + ")" * 300,
        "-" * (DEEPEST + 1) + "x000",
        "-" * (LONGEST - 4) + "x000",
        "~" * (LONGEST - 4) + "x000",
        "exp(" * DEEPEST + "x000" + ")" * DEEPEST,
        "+".join(["x000"] * (DEEPEST + 1)),
        "x000" + " " * LONGEST,
    ],
    ids=lambda expression: expression[:20].replace("\x00", "NUL"),
)
def test_what_autofeat_cannot_write_is_refused(expression: str) -> None:
    with pytest.raises(FeatureError, match="formula "):
        compiled(expression, 2)
