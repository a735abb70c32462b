"""Makes GGUF fixtures of a tiny Llama, and goldens of what transformers makes of them.

    python llamaGguf.py ROOT

ROOT is the repository. Writes test/fixtures/gguf/tiny-<type>.gguf (one random model with grouped heads, its matrices in six
types), sentencePiece.gguf and byteLevel-<rule>.gguf (vocabularies without weights), and test/golden/formats/llamaGguf.json:
logits of transformers in float32 after its own reading of each file, and token ids.

Files are written by the library gguf; q and k rows are interleaved by llama.cpp's formula
W.reshape(heads, 2, rows / heads / 2, columns).swapaxes(1, 2), which transformers undoes when it reads.
The vocabularies are trained on the sentences below. Token ids come from transformers' reading of the GGUF file and, for
SentencePiece, from the library sentencepiece with the trained model as well.

Needs torch 2.13.0, transformers 5.23.0, gguf 0.19.0, accelerate 1.15.0, sentencepiece 0.2.3, tokenizers 0.23. Not run by the tests.
"""
import io
import json
import pathlib
import sys

import gguf
import sentencepiece
import torch
from gguf import GGMLQuantizationType as Kind
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS as splits, convert_gguf_tokenizer, get_gguf_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

root = pathlib.Path(sys.argv[1])
folder = root / "test/fixtures/gguf"
folder.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)
torch.manual_seed(7)

config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.2, rms_norm_eps=1e-5,
                     bos_token_id=1, eos_token_id=2, tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 500.0})
model = LlamaForCausalLM(config).eval()
for name, parameter in model.named_parameters():
    if "norm" in name:
        torch.nn.init.normal_(parameter, 1, 0.2)
    parameter.data = parameter.data.to(torch.float16).to(torch.float32)
names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)


def interleaved(weights, heads):
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def write_model(kind):
    file = folder / f"tiny-{kind.name.lower()}.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(500.0)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    for name, parameter in model.named_parameters():
        weights = parameter.detach().numpy()
        if "q_proj" in name:
            weights = interleaved(weights, config.num_attention_heads)
        if "k_proj" in name:
            weights = interleaved(weights, config.num_key_value_heads)
        target = names.get_name(name, try_suffixes=(".weight",))
        stored = Kind.F32 if weights.ndim == 1 else kind
        writer.add_tensor(target, gguf.quants.quantize(weights, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


ids = torch.randint(0, config.vocab_size, (1, 20), generator=torch.Generator().manual_seed(1))
logits = []
for kind in (Kind.F16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1):
    file = write_model(kind)
    read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32).eval()
    with torch.inference_mode():
        rows = read(ids, use_cache=False).logits[0]
        if kind == Kind.F16:
            assert torch.equal(model(ids, use_cache=False).logits[0], rows), "the file must give the original's logits"
    # Every third column keeps the file small.
    logits.append({"file": file.name, "rows": [[round(float(x), 6) for x in row[::3]] for row in rows]})

corpus = """The weaver sets the warp, and the shuttle carries the weft from side to side; so the cloth grows.
It's 1789 or 2024: we'll see 100,000 threads, won't we?  Don't pull -- they'd tear (I think).
Der Weber webt die Ware; die Wände wären grün. L'été, à Noël, où est la soie? ¿Dónde está el hilo?
def weave(n):
    return [x ** 2 for x in range(n)]  # squares
日本の織物は美しい。 Ткань растёт. ΑΒΓ αβγ.
"""
texts = ["", "a", "The weaver sets the warp.", " leading space", "  two leading", "trailing space ", "inner   spaces", "line\nbreak",
         "\n", "\n\n  \n", "\ttab\tand\r\nreturn", "It's what we'll do, I'd say; DON'T!", "12345 1,000.5 2024x", "grün été Ελλάδα Ткань",
         "日本の織物は美しい。", "emoji 🧵👩‍🔬 and \u200b zero width", "e\u0301 combining, \u00e9 composed", "\u00a0no-break\u3000wide",
         "def weave(n):\n    return [x ** 2]", "<s> in the text </s>", "<0x41> is no byte", "▁ lower block ▁▁x", "a" * 40, "word" * 12,
         "\x00\x01\x7f", "x" + "\u0e01\u0e33" * 3, "don't🧵can't", "...!?!?---", "end</s>", "\ufffd\ufeff"]


def write_vocabulary(name, kind, rule, tokens, types, scores=None, merges=None, extra=lambda writer: None):
    file = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    if scores is not None:
        writer.add_token_scores(scores)
    if merges is not None:
        writer.add_token_merges(merges)
    extra(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return file


def ids_of(file):
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    return tokenizer, [tokenizer.encode(text, add_special_tokens=False) for text in texts]


# SentencePiece as Llama 2 was trained: BPE, identity normalisation, byte fallback, a space in front.
trained = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(corpus.splitlines()), model_writer=trained, vocab_size=460, model_type="bpe", byte_fallback=True,
    character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
    allow_whitespace_only_pieces=True, user_defined_symbols=["<think>"], num_threads=1, minloglevel=2)
pieces = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())


def type_of(index):
    if pieces.IsUnknown(index):
        return gguf.TokenType.UNKNOWN
    if pieces.IsControl(index):
        return gguf.TokenType.CONTROL
    if pieces.IsByte(index):
        return gguf.TokenType.BYTE
    return gguf.TokenType.USER_DEFINED if pieces.IdToPiece(index) == "<think>" else gguf.TokenType.NORMAL


def special(writer):
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)


size = pieces.GetPieceSize()
vocabulary = write_vocabulary("sentencePiece", "llama", "default", [pieces.IdToPiece(i) for i in range(size)], [type_of(i) for i in range(size)],
                              scores=[pieces.GetScore(i) for i in range(size)], extra=special)
reference, hugging = ids_of(vocabulary)
# transformers' class puts no space in front of text that begins with one; sentencepiece, llama.cpp and the published tokenizer.json
# of Llama 2 do. The builder for Phi-3 has that form.
_, parts, _ = get_gguf_tokenizer(str(vocabulary))
prefixed, _ = convert_gguf_tokenizer("phi3", parts)
sentence = {"file": vocabulary.name, "transformers": hugging,
            "transformersPrefixed": [prefixed.encode(text, add_special_tokens=False).ids for text in texts],
            "sentencepiece": [pieces.encode(text) for text in texts],
            "withSpecial": reference.encode("The weaver")}

byte_level = []
for rule, normalizer in (("gpt-2", None), ("llama-bpe", None), ("qwen2", normalizers.NFC())):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    pattern = splits.get(rule)
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    tokenizer.pre_tokenizer = bytes_only if pattern is None else pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), behavior="isolated"), bytes_only])
    tokenizer.train_from_iterator(corpus.splitlines(keepends=True), trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    stored = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(stored["vocab"], key=stored["vocab"].get)

    def ends(writer):
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(1)

    file = write_vocabulary(f"byteLevel-{rule}", "gpt2", rule, tokens, [3, 3] + [1] * (len(tokens) - 2),
                            merges=[" ".join(pair) for pair in stored["merges"]], extra=ends)
    byte_level.append({"file": file.name, "rule": rule, "transformers": ids_of(file)[1],
                       # The published class of the family applies its normaliser too, which a GGUF file does not name.
                       "published": [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]})

(root / "test/golden/formats/llamaGguf.json").write_text(json.dumps({
    "made": "test/golden/make/llamaGguf.py with transformers 5.23.0, gguf 0.19.0, torch 2.13.0, sentencepiece 0.2.3",
    "tokens": ids[0].tolist(), "columnStep": 3, "logits": logits, "texts": texts, "sentencePiece": sentence, "byteLevel": byte_level,
}, ensure_ascii=True, separators=(",", ":")) + "\n")
