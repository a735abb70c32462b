"""Makes the language-model fixtures and goldens.

    python decoders.py ROOT [EVAL_TEXT_FOLDER]

ROOT is the repository. Writes tiny random models to test/fixtures/models and test/golden/decoders.json (logits of
transformers in float32, with and without cache). With a folder that holds eval-books.txt, eval-play.txt and
eval-verse.txt it also writes test/golden/tokenizer.json (token ids of the Python tokenizers library).

Needs torch 2.13.0, transformers 5.23.0, safetensors 0.8.0, tokenizers 0.23. Weights are drawn from a seeded normal
distribution; nothing is downloaded. Not run by the tests.
"""
import hashlib
import json
import pathlib
import shutil
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

root = pathlib.Path(sys.argv[1])
models = root / "test/fixtures/models"
sample = root / "media/samples/loom-base"
torch.set_num_threads(1)

base = dict(vocab_size=96, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=128, initializer_range=0.2, bos_token_id=0, eos_token_id=1)
cases = {
    # Newer style of config.json: rope_parameters and dtype.
    "tiny-llama": (LlamaConfig(**base, num_key_value_heads=2, head_dim=16, attention_bias=True, mlp_bias=True,
                               rms_norm_eps=1e-5, tie_word_embeddings=False,
                               rope_parameters={"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0,
                                                "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                "original_max_position_embeddings": 32}), torch.float16, None),
    "tiny-llama-linear": (LlamaConfig(**base, num_key_value_heads=4, tie_word_embeddings=True,
                                      rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}),
                          torch.bfloat16, None),
    "tiny-mistral": (MistralConfig(**base, num_key_value_heads=2, head_dim=16, sliding_window=5,
                                   tie_word_embeddings=False), torch.float16, None),
    # Sharded float32 with biases and untied output; older style of config.json.
    "tiny-qwen2": (Qwen2Config(**base, num_key_value_heads=2, tie_word_embeddings=False, use_sliding_window=True,
                               sliding_window=6, max_window_layers=1), torch.float32, "40KB"),
}


def old_style(folder):
    """Rewrites config.json with the long-established keys."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope.get("rope_type", "default") != "default" else None
    config["torch_dtype"] = config.pop("dtype")
    config.pop("layer_types", None)
    file.write_text(json.dumps(config, indent=2) + "\n")


def tiny_tokenizer():
    """Byte-level BPE over 96 tokens, trained on one sentence: enough to tokenize ASCII text."""
    from tokenizers import Tokenizer, decoders, models as kinds, pre_tokenizers, trainers
    tokenizer = Tokenizer(kinds.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = ["The weaver sets the warp, and the shuttle carries the weft from side to side; so the cloth grows. 'Well?'"]
    trainer = trainers.BpeTrainer(vocab_size=96, special_tokens=["<s>", "</s>"])
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer


def logits_of(model, ids):
    """Logits without a cache; with a cache (first 7 tokens, then one by one); left-padded batch."""
    with torch.inference_mode():
        whole = model(input_ids=ids, use_cache=False).logits
        step = model(input_ids=ids[:, :7], use_cache=True)
        rows = [step.logits]
        for index in range(7, ids.shape[1]):
            step = model(input_ids=ids[:, index:index + 1], past_key_values=step.past_key_values, use_cache=True)
            rows.append(step.logits)
        cached = torch.cat(rows, 1)
        pad = 3
        padded = torch.cat([torch.zeros((1, pad), dtype=torch.long), ids[:, :-pad]], 1)
        mask = torch.ones_like(ids)
        mask[:, :pad] = 0
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        left = model(input_ids=padded, attention_mask=mask, position_ids=positions, use_cache=False).logits[:, pad:]
    print("   cached against whole", (cached - whole).abs().max().item())
    return whole, cached, left


def pack(tensor):
    return [float(f"{v:.9g}") for v in tensor.flatten().tolist()]


goldens = []
tokenizer = tiny_tokenizer()
for seed, (name, (config, dtype, shards)) in enumerate(cases.items()):
    torch.manual_seed(seed)
    folder = models / name
    shutil.rmtree(folder, ignore_errors=True)
    model = AutoModelForCausalLM.from_config(config).eval()
    for key, parameter in model.named_parameters():
        if key.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.2)
        if "norm" in key:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.1)
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name in ("tiny-qwen2", "tiny-llama-linear"):
        old_style(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    # Qwen2 has no BOS in its tokenizer_config: that of config is taken.
    special = {} if name == "tiny-qwen2" else {"bos_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", **special, "eos_token": "</s>", "model_max_length": 128}, indent=2) + "\n")
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.randint(2, 96, (1, 20), generator=torch.Generator().manual_seed(100 + seed))
    print(name)
    whole, cached, left = logits_of(loaded, ids)
    goldens.append({"model": f"test/fixtures/models/{name}", "ids": ids[0].tolist(), "vocabulary": 96,
                    "whole": pack(whole), "cached": pack(cached), "leftPadding": 3, "left": pack(left)})

loaded = AutoModelForCausalLM.from_pretrained(sample, dtype=torch.float32, attn_implementation="eager").eval()
ids = torch.randint(2, 4096, (1, 24), generator=torch.Generator().manual_seed(7))
print("loom-base")
whole, cached, left = logits_of(loaded, ids)
columns = list(range(0, 4096, 37))
goldens.append({"model": "media/samples/loom-base", "ids": ids[0].tolist(), "vocabulary": 4096, "columns": columns,
                "whole": pack(whole[..., columns]), "cached": pack(cached[..., columns]), "leftPadding": 3,
                "left": pack(left[..., columns])})
header = {"what": "logits [sequence, vocabulary (or columns)] of causal language models, weights widened to float32",
          "source": f"transformers {transformers.__version__}, torch {torch.__version__}, eager attention, float32",
          "made": "python test/golden/make/decoders.py ROOT", "toleranceAbsolute": 1e-4}
(root / "test/golden/decoders.json").write_text(json.dumps({"header": header, "cases": goldens}) + "\n")

if len(sys.argv) > 2:
    import tokenizers
    from tokenizers import Tokenizer
    python = Tokenizer.from_file(str(sample / "tokenizer.json"))
    texts = []
    for name in ("eval-books", "eval-play", "eval-verse"):
        text = (pathlib.Path(sys.argv[2]) / f"{name}.txt").read_text(encoding="utf-8")
        ids = python.encode(text, add_special_tokens=False).ids
        texts.append({"text": name, "textSha256": hashlib.sha256(text.encode()).hexdigest(), "count": len(ids),
                      "first": ids[:32], "last": ids[-8:], "idsSha256": hashlib.sha256(json.dumps(ids, separators=(",", ":")).encode()).hexdigest()})
    samples = ["", " ", "Hello, world!", "don't you're  two  spaces\n\n\nthree\tlines \n end ", "naïve café — “quoted” 東京 🙂🙃", "<s>tags</s> <s> inside",
               "a" * 300, "1234567890 3.14 x+y=z", "\r\n\r\n  \u00a0 odd\u200b spaces\u3000"]
    small = [{"text": text, "ids": python.encode(text, add_special_tokens=False).ids} for text in samples]
    header = {"what": "token ids of media/samples/loom-base/tokenizer.json without special tokens; idsSha256 is over the JSON array without spaces",
              "source": f"tokenizers {tokenizers.__version__} (Python)", "made": "python test/golden/make/decoders.py ROOT EVAL_TEXT_FOLDER"}
    (root / "test/golden/tokenizer.json").write_text(json.dumps({"header": header, "texts": texts, "samples": small}, ensure_ascii=True) + "\n")
