"""Makes test/golden/tokenizers.json: what combinations of the parts of tokenizer.json give with the Python tokenizers library.

    python tokenizers.py ROOT

Needs tokenizers 0.23.3. Models are trained on the texts below; nothing is downloaded. Not run by the tests.
For each combination, the token ids of all texts (without special tokens) are written as compact JSON, and the first two bytes of its SHA-256 are
kept; a text that the library refuses counts as null.
"""
import base64
import hashlib
import json
import pathlib
import sys

sys.path = [folder for folder in sys.path if pathlib.Path(folder).resolve() != pathlib.Path(__file__).parent.resolve()]
from tokenizers import Tokenizer, models, trainers  # noqa: E402

root = pathlib.Path(sys.argv[1])

texts = [
    "The quick brown fox, it's 12 o'clock!",
    "  leading and  double spaces \t tab\nnewline\r\n ",
    "na\u00efve caf\u00e9 cafe\u0301 \u00dcbergr\u00f6\u00dfe \ufb01ne \u0391\u03a3 \u039f\u0394\u039f\u03a3 \u0130stanbul",
    "\u65e5\u672c\u8a9e \u4e2d\u6587\u5b57 \ud55c\uad6d\uc5b4 mixed ABC \U00020000\U0001d538",
    "emoji \U0001f600\U0001f44d\U0001f3fd \U0001f970 zero\u200bwidth \ufeffbom soft\u00adhy \u0085nel",
    "digits 123 \u0663\u0664\u0665 \u00bd \u00b2 \u2167 1,000.50",
    "punct: a-b_c (d) [e] {f} <g> \u00abh\u00bb \u2014 \u2026 \u00bfi? $5 + 3^2 ~ `x` a--b -c- ---",
    "ab abc abcab  ab-ab xabx \u00e9ab ab. <s>hello</s> <s> MASK.",
    "don't we'll I'M THEY'RE it\u2019s",
    "",
    "\u00a0\u3000 a\u2028b \u0000\u0007c\ufffd\u0301x",
    "aaa  [MASK]  bbb\t[MASK]\n[mask]Ab AB[MASK][MASK] \u00a0[MASK]\u00a0",
    "ab",
    "[MASK]",
    " ab  abc",
    "the an ing thing theing  The",
]
alphabet = sorted({character for text in texts for character in text if character not in "xq\u00fc\u2167\U0001f970"} | {"\u2581"})
byte_characters = [
    chr(byte) if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174 else None for byte in range(256)
]
extra = iter(range(256, 512))
byte_characters = [character or chr(next(extra)) for character in byte_characters]
words = [
    "the", "The", "an", "ing", "and", "ab", "abc", "aaa", "bbb", "it", "'s", "123", "12", "don", "'t", "quick", "brown", "fox", "hello", "--",
    "caf\u00e9", "\u65e5\u672c", "\ud55c\uad6d", "[MASK]", "MASK", "double", "spaces", "leading",
]
corpus = [form for word in words for form in (word, "\u2581" + word, "\u0120" + word) for _ in range(3)]
needed = sorted(set(alphabet) | {"\u0120", "\u010a"})


def trained(prefix=None, suffix=None):
    """Vocabulary and merges of a BPE model with every needed character in every place of a word."""
    model = models.BPE(unk_token="<unk>")
    tokenizer = Tokenizer(model)
    options = {}
    if prefix:
        options["continuing_subword_prefix"] = prefix
    if suffix:
        options["end_of_word_suffix"] = suffix
    trainer = trainers.BpeTrainer(vocab_size=10_000, special_tokens=["<unk>"], show_progress=False, initial_alphabet=needed, **options)
    tokenizer.train_from_iterator(corpus, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    vocabulary = state["vocab"]
    for character in needed:
        for form in sorted({character, (prefix or "") + character, character + (suffix or ""), (prefix or "") + character + (suffix or "")}):
            # A few are left out, so that texts hold characters that the vocabulary lacks.
            if character not in "kzK\u2014":
                vocabulary.setdefault(form, len(vocabulary))
    for character in "kzK\u2014":
        if not any(character in token and len(token) > 1 for token in vocabulary):
            vocabulary.pop(character, None)
    dense = {token: index for index, (token, _) in enumerate(sorted(vocabulary.items(), key=lambda item: item[1]))}
    return {"vocab": dense, "merges": [" ".join(pair) if isinstance(pair, list) else pair for pair in state["merges"]]}


plain = trained()


def with_bytes(base, bytes_left_out=()):
    vocabulary = dict(base["vocab"])
    for byte in range(256):
        if byte not in bytes_left_out:
            vocabulary.setdefault(f"<0x{byte:02X}>", len(vocabulary))
    return {"vocab": vocabulary, "merges": base["merges"]}


def bpe(base, **settings):
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, **settings, **base}


tokens = list(plain["vocab"])
levels = {token: index for index, token in enumerate(["<unk>", "the", "The", ",", "!", "it", "ab", "abc", "\u2581the", "\u2581ab", "[MASK]", "mixed", "ing", "'", "an"])}
pieces = {token: index for index, token in enumerate(["[UNK]", *needed, *("##" + each for each in needed), "the", "##ing", "quick", "##ox", "ab", "##c", "le"])}
for token in ("k", "##k", "z"):
    pieces.pop(token, None)
pieces = {token: index for index, token in enumerate(pieces)}
joined = {token: index for index, token in enumerate(["[UNK]", *needed, "the", "ing", "quick", "ox"])}
scores = [["<unk>", 0.0]] + [[token, -(2.0 + (index * 7919 % 97) / 10)] for index, token in enumerate(tokens) if token != "<unk>"]
fallback = scores + [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]

parts = {
    "models": [
        bpe(plain),
        bpe(plain, unk_token=None),
        bpe(plain, fuse_unk=True),
        bpe(with_bytes(plain), byte_fallback=True, fuse_unk=True),
        bpe(with_bytes(plain, bytes_left_out=(0x6B,)), byte_fallback=True, fuse_unk=True),
        bpe(trained(prefix="##"), continuing_subword_prefix="##"),
        bpe(trained(suffix="</w>"), end_of_word_suffix="</w>", fuse_unk=True),
        bpe(trained(prefix="##", suffix="</w>"), continuing_subword_prefix="##", end_of_word_suffix="</w>"),
        bpe({**plain, "vocab": {**plain["vocab"], "mixed": len(plain["vocab"])}}, ignore_merges=True, dropout=0.0),
        {"type": "WordLevel", "unk_token": "<unk>", "vocab": levels},
        {"type": "WordLevel", "unk_token": "[none]", "vocab": levels},
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": pieces},
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "", "max_input_chars_per_word": 4, "vocab": joined},
        {"type": "Unigram", "unk_id": 0, "vocab": scores, "byte_fallback": False},
        {"type": "Unigram", "unk_id": 0, "vocab": fallback, "byte_fallback": True},
        {"type": "Unigram", "unk_id": None, "vocab": scores[1:], "byte_fallback": False},
    ],
    "normalizers": [
        None,
        {"type": "NFC"},
        {"type": "NFD"},
        {"type": "NFKC"},
        {"type": "NFKD"},
        {"type": "Lowercase"},
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Strip", "strip_left": False, "strip_right": True},
        {"type": "StripAccents"},
        {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]},
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": True, "lowercase": False},
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": False, "lowercase": False},
        {"type": "Prepend", "prepend": "\u2581"},
        {"type": "Replace", "pattern": {"String": "ab"}, "content": "AB$&"},
        {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
        {"type": "Replace", "pattern": {"Regex": "[aeiou]"}, "content": ""},
        {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        {"type": "Nmt"},
        {"type": "ByteLevel"},
    ],
    "pre_tokenizers": [
        None,
        {"type": "BertPreTokenizer"},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        {"type": "CharDelimiterSplit", "delimiter": "-"},
        {"type": "Digits", "individual_digits": True},
        {"type": "Digits", "individual_digits": False},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": False},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True},
        *({"type": "Punctuation", "behavior": behavior} for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")),
        *({"type": "Split", "pattern": {"String": "-"}, "behavior": behavior, "invert": invert}
          for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous") for invert in (False, True)),
        {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
         "behavior": "Isolated", "invert": False},
        {"type": "Split", "pattern": {"Regex": "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"},
         "behavior": "Removed", "invert": True},
        {"type": "Split", "pattern": {"Regex": "\\w+|\\d"}, "behavior": "Contiguous", "invert": False},
        {"type": "Split", "pattern": {"Regex": "a*+ab|[[:punct:]]|\\bh"}, "behavior": "MergedWithNext", "invert": False},
        {"type": "Whitespace"},
        {"type": "WhitespaceSplit"},
        {"type": "FixedLength", "length": 3},
        {"type": "Sequence", "pretokenizers": [{"type": "Whitespace"}, {"type": "Digits", "individual_digits": True}]},
        {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "MergedWithNext", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]},
        {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}]},
    ],
    # Content and flags; ids are given by the place in the vocabulary, or after it.
    "added_tokens": [
        [],
        [["<s>", "special"], ["</s>", "special"], ["[MASK]", "special"]],
        [["[MASK]", "lstrip special"], ["ab", ""]],
        [["[MASK]", "rstrip special"], ["ab", "normalized"]],
        [["[MASK]", "lstrip rstrip"], ["ab", "single_word"], ["abc", "single_word normalized"]],
        [["ab", "single_word lstrip rstrip special"], ["MASK", "normalized"]],
        [["ab", ""], ["abc", ""], ["b", "normalized rstrip"]],
        [["AB", "normalized"], ["Ab ", ""], ["\u00e9", "normalized"]],
        [["THE", "normalized single_word"], [" the", "lstrip"]],
    ],
}


def added_tokens(model, listed):
    vocabulary = model["vocab"] if isinstance(model["vocab"], dict) else {token: index for index, (token, _) in enumerate(model["vocab"])}
    free = len(vocabulary)
    result = []
    # The library numbers special tokens and others in the order of the list.
    for content, flags in listed:
        identifier = vocabulary.get(content)
        if identifier is None:
            identifier, free = free, free + 1
        result.append({"id": identifier, "content": content,
                       **{flag: flag in flags.split() for flag in ("single_word", "lstrip", "rstrip", "normalized", "special")}})
    return result


def combinations():
    """Every model with every normaliser and pre-tokeniser, then every set of added tokens with both."""
    counts = {key: len(value) for key, value in parts.items()}
    number = 0
    for model in range(counts["models"]):
        for normalizer in range(counts["normalizers"]):
            for pre_tokenizer in range(counts["pre_tokenizers"]):
                yield model, normalizer, pre_tokenizer, number % counts["added_tokens"]
                number += 1
    for added in range(counts["added_tokens"]):
        for normalizer in range(counts["normalizers"]):
            for pre_tokenizer in range(counts["pre_tokenizers"]):
                yield number % counts["models"], normalizer, pre_tokenizer, added
                number += 1


def answer(combination):
    model, normalizer, pre_tokenizer, added = combination
    file = {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": added_tokens(parts["models"][model], parts["added_tokens"][added]),
            "normalizer": parts["normalizers"][normalizer], "pre_tokenizer": parts["pre_tokenizers"][pre_tokenizer],
            "post_processor": None, "decoder": None, "model": parts["models"][model]}
    tokenizer = Tokenizer.from_str(json.dumps(file))
    ids = []
    for text in texts:
        try:
            ids.append(tokenizer.encode(text, add_special_tokens=False).ids)
        except BaseException:  # a panic of the library is no Exception
            ids.append(None)
    return ids


if __name__ == "__main__":
    digests = bytearray()
    for combination in combinations():
        digests += hashlib.sha256(json.dumps(answer(combination), separators=(",", ":")).encode()).digest()[:2]
    golden = {
        "header": {"what": "two bytes of SHA-256 per combination of parts of tokenizer.json: of the ids of all texts, as compact JSON",
                   "source": "tokenizers 0.23.3 (Python)", "made": "python test/golden/make/tokenizers.py ROOT"},
        "texts": texts, "parts": parts, "digests": base64.b64encode(bytes(digests)).decode(),
    }
    (root / "test/golden/tokenizers.json").write_text(json.dumps(golden, separators=(",", ":"), ensure_ascii=True) + "\n")
    print(len(digests) // 2, "combinations")
