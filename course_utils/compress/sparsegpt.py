"""SparseGPT: remove the weights that are easiest to replace, and let the others replace them.

Magnitude and Wanda only choose. SparseGPT also repairs: when column i loses a weight w, the columns after it take
over what they can, by −w / U[i, i] × U[i, j], with U the upper Cholesky factor of H⁻¹ and H = XᵀX of the layer's
inputs. It is GPTQ's update, with zero in place of the nearest code; a weight costs w² / U[i, i]², what is lost
even after the repair, and the cheapest go. One pass over the columns, one H per layer input.

Source: Elias Frantar and Dan Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
2023, algorithm 1. Like the authors' code and llmcompressor, whose masks these equal, it chooses in blocks of
columns and removes every weight up to the threshold, that one included: one more per block than the share asks.
Taught in: chapter 05.
"""

import torch
from torch import Tensor

from course_utils.compress.calibration import InputStats, checked_stats
from course_utils.compress.gptq import update_order
from course_utils.compress.masks import Pattern, Sparse, kept, wanted
from course_utils.compress.rounding import checked_weight

BLOCK_COLUMNS = 128


def prune_sparsegpt(
    weight: Tensor,
    stats: InputStats,
    sparsity: float | str = 0.5,
    *,
    damping: float = 0.01,
    block: int = BLOCK_COLUMNS,
) -> Sparse:
    """What stays of a weight [rows, columns], changed so that its output on the calibration inputs stays too.

    sparsity: a share in [0, 1), or "2:4". block: columns that share a threshold (Bₛ of the paper). ValueError as
    `masks.wanted` and `gptq.quantize_gptq`, and for a block that a pattern's groups don't fill.
    """
    weight = checked_weight(weight)
    wanted(sparsity, weight.shape[1])
    checked_stats(stats, weight.shape[1])
    silent = stats.gram.diagonal() == 0  # an input that is always zero: its weights never matter
    return sparsify(weight.masked_fill(silent, 0.0), repair_factor(stats, damping), sparsity, block)


def repair_factor(stats: InputStats, damping: float = 0.01) -> Tensor:
    """U with UᵀU = H⁻¹ [columns, columns]: one factor serves every layer that reads the same input."""
    _, factor = update_order(stats.gram, damping, act_order=False)
    return factor


def sparsify(weight: Tensor, factor: Tensor, sparsity: float | str, block: int = BLOCK_COLUMNS) -> Sparse:
    """One pass over the columns of a float weight [rows, columns], with the `repair_factor` of its inputs."""
    want = wanted(sparsity, weight.shape[1])
    group = want.of if isinstance(want, Pattern) else 1
    if block < 1 or block % group:
        raise ValueError(f"block is {block!r}, expected a multiple of {group}, at least {group}")
    if want == 0:
        return Sparse.of(weight, torch.ones_like(weight, dtype=torch.bool))
    remaining = weight.T.contiguous()  # [columns, rows]: a column is contiguous
    keep = torch.ones_like(remaining, dtype=torch.bool)
    diagonal = factor.diagonal()
    for start in range(0, len(remaining), block):
        stop = min(start + block, len(remaining))
        errors = torch.empty_like(remaining[start:stop])
        if group == 1:
            cost = (remaining[start:stop] / diagonal[start:stop, None]).square()
            keep[start:stop] = cost > threshold(cost, want)
        for i in range(start, stop):
            if group > 1 and (i - start) % group == 0:
                cost = (remaining[i : i + group] / diagonal[i : i + group, None]).square()
                keep[i : i + group] = kept(cost.T, str(want)).T
            row = factor[i]
            error = torch.mul(remaining[i], ~keep[i] / row[i], out=errors[i - start])
            remaining[i].mul_(keep[i])
            remaining[i + 1 : stop].addr_(row[i + 1 : stop], error, alpha=-1)
        remaining[stop:].addmm_(factor[start:stop, stop:].T, errors, alpha=-1)
    return Sparse.of(remaining.T, keep.T)


def threshold(cost: Tensor, share: float) -> Tensor:
    """The cost that the share asked for ends at: the next one in order, which goes too."""
    return cost.flatten().kthvalue(int(cost.numel() * share) + 1).values
