"""Linear layers of 8-bit integers, for CPUs that multiply these faster than floats.

Weights are rounded once, with a scale for each row; inputs at each call, with one scale for the batch.
Torch's `quantize_dynamic` does the same with inputs of 7 bits, which costs several times as much quality and
is not needed where the CPU adds up in 32 bits; it is deprecated, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

# As Linux names them: instructions that multiply 8-bit integers and add up in 32 bits.
INSTRUCTIONS = {"avx512_vnni", "avx_vnni", "amx_int8"}
LARGEST = 127
# Mean cosine between vectors before and after. The default embedder has .992, and its nDCG changes by less
# than .3 %; a model below this would lose more than the speed is worth.
LEAST_LIKENESS = 0.985
PROBES = (
    "Who signs the record when a dose is given?",
    "The lease of the old mill ends in May 2031, unless both sides renew it in writing before that date.",
    "Article 7(2) applies mutatis mutandis; KS-4471 and E07 are named in annex III, table 12.",
    "Revenue rose by 14 % to 3,201 million, driven by services, while costs of materials fell.",
    "Der Vorstand berichtet dem Aufsichtsrat mindestens vierteljährlich über den Gang der Geschäfte.",
    "Quarter | Sales | Costs\nQ1 | 1,204 | 998\nQ2 | 1,377 | 1,012\nQ3 | 1,402 | 1,106",
    " ".join(
        ["Every door of the ward is closed at ten, and whoever is still inside reports to the desk."] * 12
    ),
)


def multiplied_directly(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU has the instructions. Elsewhere 8 bits are slower, or wrong, or both."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not INSTRUCTIONS.isdisjoint(flags.split())


class Int8Linear(nn.Module):
    """Takes the place of a `torch.nn.Linear`; inputs and outputs stay float32."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        # A row of zeros has no scale of its own.
        scales = weight.abs().amax(dim=1).clamp(min=1e-12) / LARGEST
        zeros = torch.zeros(len(scales), dtype=torch.long)
        bias = None if linear.bias is None else linear.bias.detach().float()
        with warnings.catch_warnings():
            # Announces that quantised tensors will leave torch; the pinned release has them.
            warnings.simplefilter("ignore", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
            self._packed = torch.ops.quantized.linear_prepack(rounded, bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic(inputs, self._packed, False)  # type: ignore[no-any-return]


def rounded_if_alike(model: nn.Module, encode: Callable[[Sequence[str]], Tensor]) -> float:
    """Round the model's linear layers where its vectors stay nearly the same, and say how alike they are.

    `encode` gives the model's vectors of length one, shape (texts, dimension). Below `LEAST_LIKENESS` the
    model is as it was. Only one set of weights is held besides the rounded ones.
    """
    before = encode(PROBES)
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear
    ]
    for parent, name, child in places:
        setattr(parent, name, Int8Linear(child))
    likeness = float((before * encode(PROBES)).sum(dim=1).mean())
    if not likeness >= LEAST_LIKENESS:
        for parent, name, child in places:
            setattr(parent, name, child)
    return likeness
