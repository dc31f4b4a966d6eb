"""A Llama of two small blocks, grouped-query attention included, and a little text in token ids."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Matrices this small gain nothing from threads, and on a busy machine threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def llama():
    """A fresh model, the same each time; its embeddings have channels that are much larger than the rest."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=96,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            attention_bias=True,
            attn_implementation="eager",
        )
    ).eval()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight[::17] = 12.0
            layer.post_attention_layernorm.weight[::13] = 9.0
            layer.self_attn.v_proj.bias.normal_(std=0.1)
    return model


@pytest.fixture(scope="session")
def token_batches():
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(0, 96, (4, 32), generator=generator) for _ in range(3)]


@pytest.fixture(scope="session")
def correlated_layer():
    """A 512 × 512 weight and statistics of correlated inputs of which 6 channels are outliers."""
    from course_utils.compress.calibration import stats_of

    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    inputs = 0.3 * normal(2048, 64) @ normal(64, 512) + normal(2048, 512)
    inputs[:, torch.randperm(512, generator=generator)[:6]] *= 20
    return 0.02 * normal(512, 512), stats_of(inputs)
