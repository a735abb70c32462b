"""Makes test/golden/patterns.json: how the Python tokenizers library, whose regular expressions are Oniguruma's, splits texts by patterns.

    python patterns.py ROOT

Needs tokenizers 0.23.3. Not run by the tests.
"""
import json
import pathlib
import sys

sys.path = [folder for folder in sys.path if pathlib.Path(folder).resolve() != pathlib.Path(__file__).parent.resolve()]
from tokenizers import Regex, pre_tokenizers  # noqa: E402

patterns = [
    r"^\S+|\S|\s", r"\h+|.", r"\H+|.", r"^", r"^a", r"\d$", r"$", r"[^\h]+", r"[\h]+", r"[\H]+", r"\A\w+|\s", r"\A", r"\w+\z", r"\w+\Z",
    r".", r"\s", r"\w+", r"\W+", r"\d+", r"\D+", r"\bab\b", r"\B.", r"[[:space:]]+", r"[[:^space:]]+", r"\P{L}+", r"a{,2}", r"a{2}?",
    r"[a-z&&[^b]]+", r"\v", r"\f", r"a++", r"\n$", r"^$", r"^\n", r"(?<=a)b", r"\p{Han}", r"[a\-z]+", r"[]a]+", r"a|", r"[[:word:]]+",
    r"[[:punct:]]+", r"[[:cntrl:]]", r"[[:blank:]]+", r"[[:xdigit:]]+", r"(?i:stra\u00dfe|k)", r"(?i:teST)", r"(?i:first|ab)", r"(?i:[sdmt]|k)",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|st",
    r"(?i:[^s\d])+", r"(?i:[a-z])+", r"(?i:\p{Lu}s|k+\s)|.", r"(?i:[[:alpha:]]s)", r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\s+(?!\S)|\s+",
]
patterns = [pattern.replace(r"\u00df", "\u00df") for pattern in patterns]
texts = [
    "ab cd\nef gh", "ab\n", "def \r\nabc 12", "\n\n", "a\tb \u00a0c", "aab", "a1 2\n3", "Ab AB ab, xab_ab", "test te\ufb06 \ufb01rst it'\u017f IT'S",
    "\u00e9 \u00c9 Stra\u00dfe STRASSE \u017fK\u212a", "a\u0085b\u2028c\x0bd\x0ce\x1b\x07", "\u65e5\u672c\u8a9e \u00bd \u00b2 \u0663 _",
    "$5 + 3^2 ~ `x` <a>", "\n", "a/b#c-]z", "\U0001f44d\U0001f3fd \U0001f600 9", "\u200bx\u00ad\u0301",
]
pieces = [
    {"pattern": pattern, "pieces": [[piece for piece, _ in pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)] for text in texts]}
    for pattern in patterns
]
path = pathlib.Path(sys.argv[1]) / "test/golden/patterns.json"
header = {
    "what": "pieces of each text, split by each pattern with the behaviour 'isolated'",
    "source": "tokenizers 0.23.3 (Python)",
    "made": "python test/golden/make/patterns.py ROOT",
}
path.write_text(json.dumps({"header": header, "texts": texts, "patterns": pieces}, separators=(",", ":")) + "\n")
