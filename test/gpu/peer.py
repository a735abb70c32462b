"""The check's networks in PyTorch, for a comparison of speed on the same device. Run by check.mjs; prints one JSON document.

Plain training of the perceptron, the same with noise as DiffQ has it (written from the formulas of the paper: Defossez, Adi, Synnaeve,
"Differentiable Model Compression via Pseudo Quantization Noise", 2021, sections 3 and 4), and perplexity of a Llama-style decoder.

usage: peer.py --device cuda|cpu --model FOLDER --tokens FILE --window N [--short]
"""
import argparse
import json
import math
import os
import struct
import time

import torch
from torch import nn
from torch.nn import functional

WIDTHS = {False: [1024, 4096, 4096, 1024], True: [64, 128, 128, 64]}
BATCH = 64
GROUP = 8
LEAST_BITS, MOST_BITS, FIRST_BITS = 2.0, 15.0, 8.0
PENALTY = 0.01


def settle(device):
    """Waits for the device: work on a card goes on after the call has returned."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def perceptron(widths, device):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(device)


class NoisyWeights:
    """Widths of groups as logits; noise of half a step on every weight, and the size in MiB that they stand for."""

    def __init__(self, model):
        self.layers = [layer for layer in model if isinstance(layer, nn.Linear)]
        start = (FIRST_BITS - LEAST_BITS) / (MOST_BITS - LEAST_BITS)
        first = math.log(start / (1 - start))
        self.logits = [
            nn.Parameter(torch.full((layer.weight.numel() // GROUP, 1), first, device=layer.weight.device)) for layer in self.layers
        ]

    def bits(self, logits):
        return LEAST_BITS + torch.sigmoid(logits) * (MOST_BITS - LEAST_BITS)

    def weight(self, layer, logits):
        weight = layer.weight
        step = (weight.max() - weight.min()) / (2 ** self.bits(logits) - 1)
        noise = torch.empty(weight.numel() // GROUP, GROUP, device=weight.device).uniform_(-1, 1)
        return weight + (noise * (step / 2)).view_as(weight)

    def mebibytes(self):
        return sum(self.bits(logits).sum() for logits in self.logits) * GROUP / 8 / 2**20

    def forward(self, x):
        for index, (layer, logits) in enumerate(zip(self.layers, self.logits)):
            x = functional.linear(x, self.weight(layer, logits), layer.bias)
            x = functional.relu(x) if index + 1 < len(self.layers) else x
        return x


def steps_per_second(device, short, noisy):
    torch.manual_seed(0)
    widths = WIDTHS[short]
    model = perceptron(widths, device)
    x = torch.randn(BATCH, widths[0], device=device)
    y = torch.randn(BATCH, widths[-1], device=device)
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-4)]
    noise = NoisyWeights(model) if noisy else None
    if noise:
        optimizers.append(torch.optim.Adam(noise.logits, lr=1e-3))

    def step():
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        output = noise.forward(x) if noise else model(x)
        loss = functional.mse_loss(output, y)
        if noise:
            loss = loss + PENALTY * noise.mebibytes()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    for _ in range(3):
        step()
    settle(device)
    count, rounds = (10, 1) if short else (50 if device.type == "cuda" else 5, 4)
    best = math.inf
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(count):
            step()
        settle(device)
        best = min(best, (time.perf_counter() - began) / count)
    return 1 / best


def read_weights(folder, device):
    """Tensors of a safetensors file as float32: 8 bytes of header length, a JSON header with offsets, the data."""
    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    return {
        name: torch.frombuffer(data, dtype=types[entry["dtype"]], count=math.prod(entry["shape"]), offset=entry["data_offsets"][0])
        .reshape(entry["shape"])
        .to(device, torch.float32)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x, cosines, sines):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), -1)


def decoder_logits(weights, config, ids):
    heads, shared = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    epsilon = config["rms_norm_eps"]
    batch, length = ids.shape
    frequencies = config["rope_theta"] ** (-torch.arange(0, size, 2, device=ids.device) / size)
    angles = torch.arange(length, device=ids.device)[:, None] * frequencies
    cosines, sines = angles.cos(), angles.sin()
    x = weights["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        product = lambda name, value: value @ weights[f"{prefix}{name}.weight"].T
        split = lambda value, count: value.view(batch, length, count, size).transpose(1, 2)
        normed = norm(x, weights[f"{prefix}input_layernorm.weight"], epsilon)
        query = rotate(split(product("self_attn.q_proj", normed), heads), cosines, sines)
        key = rotate(split(product("self_attn.k_proj", normed), shared), cosines, sines).repeat_interleave(heads // shared, 1)
        value = split(product("self_attn.v_proj", normed), shared).repeat_interleave(heads // shared, 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + product("self_attn.o_proj", mixed.transpose(1, 2).reshape(batch, length, heads * size))
        normed = norm(x, weights[f"{prefix}post_attention_layernorm.weight"], epsilon)
        x = x + product("mlp.down_proj", functional.silu(product("mlp.gate_proj", normed)) * product("mlp.up_proj", normed))
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return norm(x, weights["model.norm.weight"], epsilon) @ head.T


def perplexity(device, folder, tokens, window, short):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    weights = read_weights(folder, device)
    count = len(tokens["ids"]) // window
    count = min(count, 4) if short else count
    targets = torch.tensor(tokens["ids"][: count * window], device=device).view(count, window)
    inputs = torch.cat((torch.full_like(targets[:, :1], tokens["bos"]), targets[:, :-1]), 1)

    def score():
        total = 0.0
        for at in range(0, count, 16):
            logits = decoder_logits(weights, config, inputs[at : at + 16])
            total += functional.cross_entropy(logits.flatten(0, 1), targets[at : at + 16].flatten(), reduction="sum").item()
        return total

    score()
    settle(device)
    began = time.perf_counter()
    total = score()
    settle(device)
    seconds = time.perf_counter() - began
    return {"perplexity": math.exp(total / (count * window)), "tokens": count * window, "tokensPerSecond": count * window / seconds}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=["cuda", "cpu"], required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no CUDA device here.")
    device = torch.device(given.device)
    with open(given.tokens) as file:
        tokens = json.load(file)
    document = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "training": {
            "float": {"stepsPerSecond": steps_per_second(device, given.short, False)},
            "diffq": {"stepsPerSecond": steps_per_second(device, given.short, True)},
        },
    }
    with torch.inference_mode():
        document["perplexity"] = perplexity(device, given.model, tokens, given.window, given.short)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
