"""Multi-head latent attention: one short vector per token instead of a key and a value for every head.

Keys and values of all heads are linear in a latent c of `rank` numbers: k = K c, v = V c. So the cache keeps c, and
one rotated key that all heads share. The trick is to never build k: qᵀ(K c) = (Kᵀq)ᵀ c, so the query is brought into
the latent space, and the answer out of it, once per step.

Source: DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1 and appendix C.
Taught in: chapter 07.
"""

from math import sqrt

from torch import Tensor

from course_utils.cache.kv import GrowingKv, causal


class LatentKv(GrowingKv):
    """`append(latents, rotated_keys)`: [batch, 1, tokens, rank] and [batch, 1, tokens, rope_dim], as if one head."""


def attend_latent(
    queries: Tensor,
    rotated_queries: Tensor,
    latents: Tensor,
    rotated_keys: Tensor,
    to_keys: Tensor,
    to_values: Tensor,
) -> Tensor:
    """Attention on latents, without a key or a value per head.

    queries [batch, heads, new, nope_dim], rotated_queries [batch, heads, new, rope_dim]; latents and rotated_keys as
    `LatentKv` gives them; to_keys [heads, nope_dim, rank], to_values [heads, value_dim, rank].
    Returns [batch, heads, new, value_dim].
    """
    scale = sqrt(queries.shape[-1] + rotated_queries.shape[-1])
    in_latent = queries @ to_keys
    scores = (in_latent @ latents.mT + rotated_queries @ rotated_keys.mT) / scale
    mask = causal(queries.shape[2], latents.shape[2], queries.device)
    weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
    return (weights @ latents) @ to_values.mT
