"""The decoder graph: a text model and its head, with the attention mask built from plain tensor operations."""

import torch
from torch import nn


class ConcatCache:
    """The key-value cache that the text model writes to: past and new states joined along the sequence.

    `past` holds one (key, value) pair a layer, each [batch, kv_heads, past, head_dim].
    """

    is_compileable = False

    def __init__(self, past):
        self.layers = [tuple(pair) for pair in past]
        self.past_length = past[0][0].shape[2]

    def update(self, key, value, layer_idx, *_args, **_kwargs):
        old_key, old_value = self.layers[layer_idx]
        self.layers[layer_idx] = (torch.cat([old_key, key], dim=2), torch.cat([old_value, value], dim=2))
        return self.layers[layer_idx]

    def get_seq_length(self, _layer_idx=0):
        return self.past_length


def allowed_attention(attention_mask, num_queries, blocks=None, window=None):
    """Which keys each query may see: bool [batch, 1, sequence, past + sequence].

    `attention_mask` is int64 [batch, past + sequence], 1 where a token stands. `blocks` is int64
    [batch, sequence]: tokens of one block (>= 0) see each other both ways, -1 sees only what came before.
    `window` limits a query to the keys less than that many places before it (sliding attention).
    """
    num_keys = attention_mask.shape[1]
    keys = torch.arange(num_keys, device=attention_mask.device)
    queries = keys[num_keys - num_queries :]
    allowed = (keys[None, :] <= queries[:, None])[None]
    if blocks is not None:
        key_blocks = nn.functional.pad(blocks, (num_keys - num_queries, 0), value=-1)
        allowed = allowed | ((blocks[:, :, None] == key_blocks[:, None, :]) & (blocks[:, :, None] >= 0))
    if window is not None:
        allowed = allowed & (keys[None, :] > queries[:, None] - window)[None]
    return (allowed & attention_mask.bool()[:, None, :])[:, None]


def additive(allowed, dtype):
    """0 where allowed, else a large finite negative number (half the minimum: adding a score can't reach -inf)."""
    return torch.zeros((), dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min / 2)


class Decoder(nn.Module):
    """inputs_embeds float32 [batch, sequence, hidden] -> logits float32 [batch, sequence, vocabulary] and present states.

    `past` is a list of (key, value), each [batch, kv_heads, past, head_dim] in the weights' dtype; past may be 0 long.
    `blocks` turns token_type_ids into the blocks of `allowed_attention`, for families whose prefix or image is seen
    both ways; for the others the graph has no such input.
    """

    def __init__(self, text_model, head, blocks=None):
        super().__init__()
        self.text_model, self.head, self.blocks = text_model, head, blocks
        self.dtype = head.weight.dtype
        config = text_model.config
        self.window = getattr(config, "sliding_window", None)
        self.layer_types = set(getattr(config, "layer_types", None) or [])

    def masks(self, attention_mask, num_queries, token_type_ids):
        blocks = self.blocks(token_type_ids) if self.blocks else None
        full = additive(allowed_attention(attention_mask, num_queries, blocks), self.dtype)
        if self.window is None or self.layer_types == {"full_attention"}:
            return full
        sliding = additive(allowed_attention(attention_mask, num_queries, blocks, self.window), self.dtype)
        if not self.layer_types:
            return sliding
        return {"full_attention": full, "sliding_attention": sliding}

    def forward(self, inputs_embeds, attention_mask, position_ids, past, token_type_ids=None):
        cache = ConcatCache(past)
        hidden = self.text_model(
            inputs_embeds=inputs_embeds.to(self.dtype),
            attention_mask=self.masks(attention_mask, inputs_embeds.shape[1], token_type_ids),
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return self.head(hidden).float(), cache.layers


class Embed(nn.Module):
    """input_ids int64 [batch, sequence] -> inputs_embeds float32 [batch, sequence, hidden]."""

    def __init__(self, embedding):
        super().__init__()
        self.embedding = embedding

    def forward(self, input_ids):
        return self.embedding(input_ids).float()
