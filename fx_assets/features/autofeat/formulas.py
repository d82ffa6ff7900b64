"""Formulas as text, evaluated with numpy alone: what autofeat writes, and nothing that Python could run.

An expression is parsed into a tree, each node held against a short list, and compiled once to a list of numpy
operations. Columns are called x000, x001, ...; powers are `**`, as sympy prints them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NoReturn

import numpy as np

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray

# Far more than autofeat writes in three steps; they keep a hostile text from costing time or stack.
LONGEST = 1000
DEEPEST = 50
LARGEST_NUMBER = 1e9
LARGEST_EXPONENT = 64

FUNCTIONS: dict[str, Callable[..., FloatArray]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "Abs": np.abs,
}
_BINARY: dict[type[ast.operator], Callable[..., FloatArray]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}


@dataclass(frozen=True)
class _Operation:
    function: Callable[..., FloatArray]
    arity: int


# In postfix order: an int is the number of a column, a float itself.
_Step = int | float | _Operation


@dataclass(frozen=True)
class Formula:
    """A compiled expression. `columns`: numbers of those it reads, increasing."""

    expression: str
    columns: tuple[int, ...]
    program: tuple[_Step, ...]

    def __call__(self, values: FloatArray) -> FloatArray:
        """One value (n,) for each row of (n, k), the same bits however many rows there are.

        NaN where a column it reads is not finite, and where the formula has no finite value: a division by zero, a
        logarithm or root of what has none, an overflow.
        """
        # numpy may round a strided exponential otherwise than a contiguous one.
        columns = {number: np.ascontiguousarray(values[:, number]) for number in self.columns}
        stack: list[Any] = []
        with np.errstate(all="ignore"):
            for step in self.program:
                if isinstance(step, _Operation):
                    arguments = stack[-step.arity :]
                    stack[-step.arity :] = [step.function(*arguments)]
                else:
                    stack.append(columns[step] if isinstance(step, int) else step)
        (result,) = stack
        usable = np.isfinite(result)
        for column in columns.values():
            usable &= np.isfinite(column)
        return np.where(usable, result, np.nan)


@lru_cache(maxsize=1024)
def compiled(expression: str, count: int) -> Formula:
    """The formula of `count` columns that a text says. Raises `FeatureError` for what autofeat cannot have written."""
    compiler = _Compiler(expression, count)
    if len(expression) > LONGEST:
        compiler.refuse(f"has {len(expression)} characters, more than {LONGEST}")
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FeatureError(f"formula {expression!r} is no expression ({type(error).__name__}: {error})") from error
    program = tuple(compiler.steps(tree.body, 1))
    columns = sorted({step for step in program if isinstance(step, int)})
    if not columns:
        compiler.refuse("reads no column")
    return Formula(expression, tuple(columns), program)


class _Compiler:
    """Turns a tree into steps."""

    def __init__(self, expression: str, count: int) -> None:
        self._expression = expression
        self._columns = {column_name(number): number for number in range(count)}

    def refuse(self, why: str) -> NoReturn:
        raise FeatureError(
            f"formula {self._expression[:LONGEST]!r} {why}; such a formula is not autofeat's: train again"
        )

    def _text(self, node: ast.expr) -> str:
        return repr((ast.get_source_segment(self._expression, node) or "")[:80])

    def steps(self, node: ast.expr, depth: int) -> Iterator[_Step]:
        if depth > DEEPEST:
            self.refuse(f"is nested deeper than {DEEPEST} levels")
        match node:
            case ast.Constant():
                yield self._number(node)
            case ast.Name(id=name) if name in self._columns:
                yield self._columns[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                yield from self.steps(operand, depth + 1)
                yield _Operation(np.negative, 1)
            case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
                yield from self._power(base, exponent, depth + 1)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
                yield from self.steps(left, depth + 1)
                yield from self.steps(right, depth + 1)
                yield _Operation(_BINARY[type(operator)], 2)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                yield from self.steps(argument, depth + 1)
                yield _Operation(FUNCTIONS[name], 1)
            case _:
                self.refuse(f"holds {self._text(node)}")

    def _number(self, node: ast.Constant) -> float:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST_NUMBER:
            self.refuse(f"holds {self._text(node)}, no number up to {LARGEST_NUMBER:g}")
        return float(value)

    def _power(self, base: ast.expr, exponent: ast.expr, depth: int) -> Iterator[_Step]:
        fixed = self._ratio(exponent)
        if fixed is None:
            # 2**x alone: autofeat raises no column to a column.
            if not isinstance(base, ast.Constant) or self._number(base) <= 0:
                self.refuse(f"raises {self._text(base)}, no positive number, to what varies")
            varying = list(self.steps(exponent, depth))
            if not any(isinstance(step, int) for step in varying):
                self.refuse(f"has the exponent {self._text(exponent)}, neither a fraction nor of a column")
            yield from varying
            yield _Operation(partial(_power_of, self._number(base)), 1)
            return
        if not abs(fixed) <= LARGEST_EXPONENT:
            self.refuse(f"has the exponent {fixed:g}, beyond {LARGEST_EXPONENT}")
        yield from self.steps(base, depth)
        whole = fixed.is_integer()
        yield _Operation(partial(_whole_power, int(fixed)) if whole else partial(_broken_power, fixed), 1)

    def _ratio(self, node: ast.expr) -> float | None:
        """The number that `-3/2` and the like say; None of anything else."""
        match node:
            case ast.Constant():
                return self._number(node)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant() as operand):
                return -self._number(operand)
            case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant() as below) if self._number(below):
                above = self._ratio(left)
                return None if above is None else above / self._number(below)
        return None


def column_name(number: int) -> str:
    """What a column is called in an expression."""
    return f"x{number:03}"


# numpy takes short cuts for powers that depend on how the arrays lie; these do not.
def _whole_power(exponent: int, base: FloatArray) -> FloatArray:
    result, square, left = np.ones_like(base), base, abs(exponent)
    while left:
        if left & 1:
            result = result * square
        left >>= 1
        square = square * square
    return 1.0 / result if exponent < 0 else result


def _broken_power(exponent: float, base: FloatArray) -> FloatArray:
    return np.power(base, np.full_like(base, exponent))


def _power_of(base: float, exponent: FloatArray) -> FloatArray:
    return np.power(np.full_like(exponent, base), exponent)
