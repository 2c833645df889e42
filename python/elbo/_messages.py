"""Sentences of the engine, which name options of the command line, in the words of this package."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import NoReturn

#: Values that follow an option in sentences of the engine; a word that follows and is none of these is the sentence's.
_VALUES = (
    "exact|binned|wild|series|parametric|gamma|agg|fuse|robust|drop|refuse|auto|gpu|cpu|median-per-feature|median|mean"
    "|gaussian|laplace|imq|energy|delta"
)
_OPTION = re.compile(rf"--([a-z]+(?:-[a-z]+)*)(?: ({_VALUES})\b)?")


#: Options whose parameters have other names.
_PARAMETERS = {"lambda": "lambda_", "out": "directory", "force": "overwrite", "fit": "model"}


class ElboWarning(UserWarning):
    """Something about data or a result that its reader should know."""


def in_python(sentence: str) -> str:
    """``use --null exact`` becomes ``use null="exact"``."""

    def option(match: re.Match[str]) -> str:
        name = _PARAMETERS.get(match[1], match[1].replace("-", "_"))
        return f'{name}="{match[2]}"' if match[2] else f"`{name}`"

    return _OPTION.sub(option, sentence)


def warn(sentences: Iterable[str], stacklevel: int) -> list[str]:
    """Warns of each sentence, at a caller ``stacklevel`` calls up from the caller of this."""
    said = [in_python(sentence) for sentence in sentences]
    for sentence in said:
        warnings.warn(sentence, ElboWarning, stacklevel=stacklevel + 1)
    return said


def raise_again(error: Exception) -> NoReturn:
    """Raises the engine's error in the words of this package."""
    raise type(error)(in_python(str(error))) from None
