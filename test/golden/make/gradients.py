"""Makes the goldens of gradients of imported graphs, and the small models that only they use.

    python gradients.py ROOT [models|goldens]

ROOT is the repository. `models` exports tiny networks with random weights to test/fixtures/onnx (with both of PyTorch's
exporters; what they compute with shapes is the point); `goldens` computes losses and gradients with PyTorch's autograd
in float64 and writes test/golden/gradients/*.json. Without a second argument both are done.

A gradient is stored as its norm, its products with three fixed vectors (element i is cos(a * (i + 1)) for a of 1.7, 2.3,
3.1), and eight elements: the largest and seven others.

Needs torch 2.13.0, transformers 5.23.0, onnx 1.23, onnxscript 0.7, safetensors 0.8. Not run by the tests.
"""
import copy
import json
import math
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnx.numpy_helper
import torch
import torch.nn as nn
import torch.nn.functional as F

root = pathlib.Path(sys.argv[1])
what = sys.argv[2] if len(sys.argv) > 2 else "both"
folder = root / "test/fixtures/onnx"
goldens = root / "test/golden/gradients"
torch.set_num_threads(1)
warnings.filterwarnings("ignore")


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 128), nn.Linear(128, 128), nn.Linear(128, 10)

    def forward(self, input):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(input)))))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(512, 64), nn.Linear(64, 10)

    def forward(self, input):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(input)))), 2)
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class Din(nn.Module):
    """Attention of a target item over the history of clicks; an item is its embedding next to its category's."""

    def __init__(self):
        super().__init__()
        self.register_buffer("category", torch.zeros(1001, dtype=torch.int64))
        self.item_embedding, self.category_embedding = nn.Embedding(1001, 16), nn.Embedding(21, 16)
        self.att1, self.att2 = nn.Linear(128, 36), nn.Linear(36, 1)
        self.fc1, self.fc2, self.fc3 = nn.Linear(96, 128), nn.Linear(128, 64), nn.Linear(64, 1)

    def embed(self, ids):
        return torch.cat([self.item_embedding(ids), self.category_embedding(self.category[ids])], -1)

    def forward(self, history, target):
        q, k = self.embed(target), self.embed(history)
        e = q[:, None].expand_as(k)
        score = self.att2(torch.sigmoid(self.att1(torch.cat([e, k, e - k, e * k], -1)))).squeeze(-1)
        weight = torch.softmax(score - 1e4 * (history == 0), -1)
        pooled = (weight[..., None] * k).sum(1)
        x = torch.tanh(self.fc2(torch.tanh(self.fc1(torch.cat([pooled, q, pooled * q], -1)))))
        return self.fc3(x).squeeze(-1)


class Vision(nn.Module):
    """What small vision networks are made of: batch norm, depthwise and strided convolutions, squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.depth, self.norm2 = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False), nn.BatchNorm2d(8)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.point, self.norm3 = nn.Conv2d(8, 12, 1), nn.GroupNorm(3, 12)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.head = nn.Linear(6, 5)

    def forward(self, input):
        x = F.silu(self.norm1(self.stem(input)))
        y = F.hardswish(self.norm2(self.depth(x)))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        x = x + y * gate
        x = F.gelu(self.norm3(self.point(F.avg_pool2d(x, 2))))
        x = F.leaky_relu(self.up(x), 0.1)
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.head(x.mean((2, 3)))


class Tabular(nn.Module):
    """Embeddings, layer norm, a recurrent-style gate, log-softmax: what is left of the usual operators."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.norm = nn.LayerNorm(10)
        self.gate, self.mix = nn.Linear(10, 10), nn.Linear(10, 10, bias=False)
        self.scale = nn.Parameter(torch.ones(10))
        self.conv, self.slope = nn.Conv1d(3, 4, 3, padding=1), nn.PReLU()
        self.out = nn.Linear(40, 4)

    def forward(self, ids, numbers):
        x = torch.cat([self.table(ids), numbers], -1)
        x = self.norm(x)
        x = torch.sigmoid(self.gate(x)) * F.softplus(self.mix(x)) + F.elu(x) * self.scale
        x = torch.where(x > 0.5, x.clamp(max=2.0), x.abs().sqrt() + x.pow(2) - torch.exp(-x))
        x = self.slope(self.conv(x))
        x = x / (x.norm(dim=-1, keepdim=True) + 1e-3) - x.amax(dim=1, keepdim=True)
        return F.log_softmax(self.out(x.flatten(1)), -1)


def encoder():
    from transformers import BertConfig, BertModel
    config = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                        max_position_embeddings=24, attn_implementation="eager")
    model = BertModel(config, add_pooling_layer=True)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = model

        def forward(self, input_ids, attention_mask):
            out = self.bert(input_ids=input_ids, attention_mask=attention_mask)
            return out.last_hidden_state.mean(1) + out.pooler_output

    return Encoder()


def decoder():
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         intermediate_size=24, max_position_embeddings=32, tie_word_embeddings=True,
                         attn_implementation="eager")
    model = LlamaForCausalLM(config)

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids):
            return self.model(input_ids=input_ids, use_cache=False).logits

    return Decoder()


def seeded(make, seed):
    """Random weights and statistics, far enough from their starts to matter."""
    torch.manual_seed(seed)
    model = make().eval()
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.dtype != torch.float32 or "inv_freq" in name:
                continue
            draw = torch.randn_like(tensor)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + draw.abs())
            elif tensor.ndim == 1:
                tensor.add_(0.3 * draw)
            else:
                tensor.copy_(draw / math.sqrt(max(2, tensor[0].numel())))
    return model


def ids(shape, high, seed):
    return torch.randint(1, high, shape, generator=torch.Generator().manual_seed(seed))


def floats(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


mask = torch.tensor([[1] * 7, [1, 1, 1, 1, 1, 0, 0]])
# name: (module, seed, example inputs, names and named axes of inputs, exporters)
exported = {
    "vision": (Vision, 3, (floats((2, 3, 16, 16), 1),), {"input": {0: "batch"}}),
    "tabular": (Tabular, 4, (ids((2, 3), 11, 2), floats((2, 3, 4), 3)), {"ids": {0: "batch"}, "numbers": {0: "batch"}}),
    "encoder": (encoder, 5, (ids((2, 7), 40, 4), mask),
                {"input_ids": {0: "batch", 1: "sequence"}, "attention_mask": {0: "batch", 1: "sequence"}}),
    "decoder": (decoder, 6, (ids((2, 7), 40, 5),), {"input_ids": {0: "batch", 1: "sequence"}}),
}


def export(name):
    make, seed, example, axes = exported[name]
    model = seeded(make, seed)
    for style in ("dynamo", "script"):
        file = folder / f"{name}-{style}.onnx"
        try:
            if style == "dynamo":
                torch.onnx.export(model, example, file, input_names=list(axes), output_names=["output"], dynamo=True,
                                  dynamic_shapes=tuple({axis: torch.export.Dim(label) for axis, label in named.items()}
                                                       for named in axes.values()),
                                  external_data=False, opset_version=18, verbose=False)
            else:
                torch.onnx.export(model, example, file, input_names=list(axes), output_names=["output"], dynamo=False,
                                  dynamic_axes={**axes, "output": {0: "batch"}}, opset_version=17,
                                  training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
        except Exception as error:
            file.unlink(missing_ok=True)
            print(name, style, "is not exported:", str(error).splitlines()[0])
            continue
        onnx_model = onnx.load(file)
        for node in onnx_model.graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
        del onnx_model.graph.value_info[:]
        del onnx_model.metadata_props[:]
        del onnx_model.graph.metadata_props[:]
        for value in [*onnx_model.graph.input, *onnx_model.graph.output, *onnx_model.graph.initializer]:
            del value.metadata_props[:]
        onnx.save(onnx_model, file)
        print(file.name, file.stat().st_size, sorted({node.op_type for node in onnx_model.graph.node}))


def initializers(name):
    file = folder / name
    graph = onnx.load(file if file.exists() else root / "media/samples/digits" / name).graph
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    return tensors


def probes(gradient):
    flat = gradient.detach().double().flatten().numpy()
    places = np.arange(1, flat.size + 1)
    chosen = sorted({int(np.argmax(np.abs(flat))), *(flat.size * k // 7 for k in range(7))})
    number = lambda value: float(f"{value:.9g}")
    return {"norm": number(np.linalg.norm(flat)), "products": [number(flat @ np.cos(a * places)) for a in (1.7, 2.3, 3.1)],
            "elements": {str(at): number(flat[at]) for at in chosen}}


def written(tensor):
    dtype = {torch.int64: "int64", torch.float32: "float32", torch.float64: "float32"}[tensor.dtype]
    values = [float(f"{value:.9g}") if dtype == "float32" else value for value in tensor.flatten().tolist()]
    return {"dtype": dtype, "shape": list(tensor.shape), "values": values}


def golden(name, model_path, module, inputs, loss, targets, names, outputs="output", training=False):
    """`names`: for each parameter of the module the constant of the graph, and whether that is its transpose."""
    model = copy.deepcopy(module).double().train(training)
    arguments = [tensor.double() if tensor.is_floating_point() else tensor for tensor in inputs.values()]
    out = model(*arguments)
    if loss == "cross-entropy":
        value = F.cross_entropy(out, targets)
    elif loss == "binary":
        value = F.binary_cross_entropy_with_logits(out, targets.double())
    elif loss == "next-token":
        logits = out[:, :-1]
        value = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), next(iter(inputs.values()))[:, 1:].reshape(-1))
    else:  # the mean of the outputs, each times cos(1.1 * (i + 1))
        weight = torch.cos(1.1 * torch.arange(1, out.numel() + 1, dtype=torch.float64))
        value = (out.flatten() * weight).mean()
    value.backward()
    gradients = {}
    for parameter, tensor in model.named_parameters():
        constant, transposed = names(parameter, tensor)
        if constant is None or tensor.grad is None:
            continue
        gradients[constant] = probes(tensor.grad.T if transposed else tensor.grad)
    body = {
        "header": {"what": "loss, and the gradient of every weight, of an imported graph; gradients as norm, products with "
                           "cos(a * (i + 1)) for a of 1.7, 2.3, 3.1, and some elements",
                   "source": f"torch {torch.__version__} autograd in float64", "made": "python test/golden/make/gradients.py ROOT",
                   "toleranceRelative": 0.0001},
        "model": model_path, "loss": loss, "output": outputs,
        "inputs": {key: written(tensor) for key, tensor in inputs.items()},
        **({} if targets is None else {"targets": targets.tolist()}),
        "value": value.item(), "gradients": gradients,
        # Statistics after the batch; ONNX defines the variance over all values, PyTorch's running variance over one less.
        **({"training": True, "statistics": {key: tensor.tolist() for key, tensor in model.named_buffers()
                                            if key.endswith(("running_mean", "running_var"))}} if training else {}),
    }
    goldens.mkdir(exist_ok=True)
    (goldens / f"{name}.json").write_text(json.dumps(body) + "\n")
    print(name, f"{value.item():.6f}", len(gradients))


def same_name(parameter, _):
    return parameter, False


def from_onnx(module, file, renamed=lambda name: (name, False)):
    tensors = initializers(file)
    state = {}
    for name in module.state_dict():
        source, transposed = renamed(name)
        array = torch.from_numpy(tensors[source].copy())
        state[name] = array.T if transposed else array
    module.load_state_dict(state)
    return module.eval()


def by_value(file):
    """Exporters rename and transpose weights: the constant with the same numbers is the parameter."""
    tensors = initializers(file)

    def find(parameter, tensor):
        array = tensor.detach().float().numpy()
        for name, constant in tensors.items():
            if constant.shape == array.shape and np.array_equal(constant, array):
                return name, False
        for name, constant in tensors.items():
            if array.ndim == 2 and constant.shape == array.T.shape and np.array_equal(constant, array.T):
                return name, True
        for name, constant in tensors.items():
            if constant.size == array.size and constant.dtype == array.dtype and np.array_equal(constant.flatten(), array.flatten()):
                return name, False
        print("   not found in", file, parameter, list(array.shape))
        return None, False

    return find


def make_goldens():
    images = np.load(root / "media/samples/digits/data/test-input.npy")[:6]
    labels = torch.from_numpy(np.load(root / "media/samples/digits/data/test-label.npy")[:6].astype(np.int64))
    # With noise on it: where the network is sure, 1 - p would be all rounding in float32.
    flat = 0.4 * torch.from_numpy(images.reshape(6, 64).astype(np.float32)) + 0.3 * floats((6, 64), 10).abs()
    onnx_folder = "test/fixtures/onnx"
    golden("digits-mlp", "media/samples/digits/digits-mlp.onnx", from_onnx(Mlp(), "digits-mlp.onnx"), {"input": flat}, "cross-entropy",
           labels, same_name, "logits")
    golden("digits-a", f"{onnx_folder}/digits-a.onnx", from_onnx(Cnn(), "digits-a.onnx"), {"input": flat.reshape(6, 1, 8, 8)},
           "cross-entropy", labels, same_name, "logits")

    din_names = {"category": ("val_3", False), "att1.weight": ("val_24", True), "att2.weight": ("val_26", True)}
    rename = lambda name: din_names.get(name, (name, False))
    history = ids((5, 20), 1001, 7)
    history[1, :4] = 0
    history[3, :19] = 0
    golden("din-a", f"{onnx_folder}/din-a.onnx", from_onnx(Din(), "din-a.onnx", rename), {"history": history, "target": ids((5,), 1001, 8)},
           "binary", torch.tensor([1, 0, 0, 1, 1]), lambda name, _: rename(name), "logit")

    for name, (make, seed, example, axes) in exported.items():
        for style in ("dynamo", "script"):
            file = f"{name}-{style}.onnx"
            if (folder / file).exists():
                golden(f"{name}-{style}", f"{onnx_folder}/{file}", seeded(make, seed), dict(zip(axes, example)), "weighted", None,
                       by_value(file))

    make, seed, example, axes = exported["vision"]
    golden("vision-training", f"{onnx_folder}/vision-script.onnx", seeded(make, seed), dict(zip(axes, example)), "weighted", None,
           by_value("vision-script.onnx"), training=True)

    from transformers import LlamaForCausalLM
    sample = "media/samples/loom-base"
    language = LlamaForCausalLM.from_pretrained(root / sample, dtype=torch.float32, attn_implementation="eager").eval()

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = language

        def forward(self, input_ids):
            return self.inner(input_ids=input_ids, use_cache=False).logits

    tokens = ids((2, 24), language.config.vocab_size, 9)
    golden("loom-base", sample, Logits(), {"input_ids": tokens}, "next-token", None,
           lambda name, _: (name.removeprefix("inner."), False), "logits")


if what in ("models", "both"):
    for entry in exported:
        export(entry)
if what in ("goldens", "both"):
    make_goldens()
