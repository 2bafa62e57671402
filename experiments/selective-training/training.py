"""Instruction tuning of adapter and decoder under a loss mask; everything else is the same for every arm."""

import json
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from evaluate import embed
from transformers import LlavaForConditionalGeneration

BATCH = 128  # samples
WARM_UP = 0.05  # share of the steps


class Mix:
    """What masks.py packed, on one device."""

    def __init__(self, path, device):
        self.packed = np.load(path)
        self.counts = json.loads(str(self.packed["about"]))["arms"]
        self.ids = torch.from_numpy(self.packed["ids"]).to(device)
        self.images = torch.from_numpy(self.packed["images"]).to(device)
        self.device = device

    def arm(self, name):
        """(indices of the kept samples, active tokens bool [samples, length])."""
        mask = np.unpackbits(self.packed[f"{name}/mask"], axis=1, count=self.ids.shape[1]).astype(bool)
        return np.flatnonzero(self.packed[f"{name}/kept"]), torch.from_numpy(mask).to(self.device)

    def equal_token_steps(self, arm, like, steps):
        """Steps after which `arm` has trained on as many active tokens as `like` after `steps`, in expectation."""
        a_step = lambda name: self.counts[name]["tokens"] / self.counts[name]["samples"]
        return max(1, round(steps * a_step(like) / a_step(arm)))


class Trainer:
    """One model whose weights are loaded anew for every arm; on a GPU the step is captured once as a CUDA graph."""

    def __init__(self, folder, width, device):
        self.device = torch.device(device)
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, attn_implementation="sdpa").float().to(device)
        self.model.requires_grad_(False)
        self.parameters = [*self.model.model.multi_modal_projector.parameters(), *self.model.model.language_model.parameters()]
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.rate = torch.zeros((), device=device)
        cuda = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.rate, betas=(0.9, 0.98), weight_decay=0.0, capturable=cuda, fused=cuda,
                                           foreach=False if not cuda else None)
        vision = self.model.config.vision_config.hidden_size
        self.ids = torch.zeros(BATCH, width, dtype=torch.long, device=device)
        self.features = torch.zeros(BATCH, self.model.config.image_seq_length, vision, device=device)
        self.weight = torch.ones(BATCH, width, device=device)
        self.loss = torch.zeros((), device=device)
        self.causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()[None, None]
        self.graph = self.capture() if cuda else None

    def load(self, state):
        """Starts over from a checkpoint's weights."""
        self.model.load_state_dict(state, strict=False)
        for held in self.optimizer.state.values():
            for tensor in held.values():
                tensor.zero_()

    def body(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            embeds = embed(self.model, self.ids, self.features)
            hidden = self.model.model.language_model(inputs_embeds=embeds, attention_mask=self.causal, use_cache=False).last_hidden_state
            logits = self.model.lm_head(hidden[:, :-1])
        nll = F.cross_entropy(logits.float().flatten(0, 1), self.ids[:, 1:].flatten(), reduction="none")
        weight = self.weight[:, 1:].flatten()
        loss = (nll * weight).sum() / weight.sum().clamp(min=1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.loss.copy_(loss.detach())

    def capture(self):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.body()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.body()
        return graph

    def train(self, mix, features, arm, seed, steps, rate):
        """Trains on one arm of a mix; features: [images, 16, width] of the frozen vision tower. Returns what to note."""
        kept, active = mix.arm(arm)
        rng, start, tokens, losses = np.random.default_rng(seed), time.time(), 0, []
        order = np.concatenate([rng.permutation(kept) for _ in range(math.ceil(steps * BATCH / len(kept)))])
        order = torch.from_numpy(order[: steps * BATCH]).to(self.device)
        warm = max(1, int(steps * WARM_UP))
        for step in range(steps):
            pick = order[step * BATCH: (step + 1) * BATCH]
            self.ids.copy_(mix.ids[pick])
            self.features.copy_(features[mix.images[pick].clamp(min=0)])
            self.weight.copy_(active[pick])
            self.rate.fill_(rate * ((step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))))
            self.graph.replay() if self.graph else self.body()
            tokens = tokens + self.weight.sum()
            if step % max(1, steps // 10) == 0:
                losses.append(self.loss.clone())
        return {"steps": steps, "active_tokens": int(tokens), "losses": [round(float(x), 4) for x in losses],
                "train_seconds": round(time.time() - start, 2)}
