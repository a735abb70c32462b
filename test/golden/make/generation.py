"""Makes test/golden/generation.json: what transformers generates from a bundled model, and what its chat templates give.

    python generation.py ROOT

ROOT is the repository. Greedy text of media/samples/loom-base for three prompts, 64 new tokens each, in float32. The end token is
not allowed; no prompt comes near it. Needs torch 2.13.0, transformers 5.23.0, tokenizers 0.23. Nothing is downloaded. Not run by the tests.
"""
import json
import pathlib
import sys

sys.path = [folder for folder in sys.path if pathlib.Path(folder).resolve() != pathlib.Path(__file__).parent.resolve()]
import torch  # noqa: E402
import transformers  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

root = pathlib.Path(sys.argv[1])
sample = root / "media/samples/loom-base"
torch.set_num_threads(1)
new_tokens = 64
prompts = ["The old man looked at her, and", "It was a dark night", "\"Well,\" said he,"]

model = AutoModelForCausalLM.from_pretrained(sample, dtype=torch.float32, attn_implementation="eager").eval()
tokenizer = Tokenizer.from_file(str(sample / "tokenizer.json"))
cases = []
for prompt in prompts:
    ids = [model.config.bos_token_id] + tokenizer.encode(prompt, add_special_tokens=False).ids
    start = torch.tensor([ids])
    with torch.inference_mode():
        made = model.generate(start, attention_mask=torch.ones_like(start), do_sample=False, repetition_penalty=1.0,
                              max_new_tokens=new_tokens, min_new_tokens=new_tokens, pad_token_id=0)
    tokens = made[0, len(ids):].tolist()
    assert len(tokens) == new_tokens
    # The distance between the best and the second logit at each step: how much rounding the golden bears.
    with torch.inference_mode():
        top = model(made[:, :-1]).logits[0, len(ids) - 1:].topk(2).values
    cases.append({"prompt": prompt, "ids": ids, "tokens": tokens, "text": tokenizer.decode(tokens),
                  "smallestMargin": round(float((top[:, 0] - top[:, 1]).min()), 6)})

# Chat templates in the styles of published models, filled in for one message of a user.
templates = {
    "turns": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('Roles must alternate.') }}{% endif %}{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}{% endfor %}",
    "markers": "{%- if messages[0].role == 'system' %}\n{{- messages[0].content }}\n{%- else %}\n{{- 'You are kind.' + eos_token }}\n{%- endif %}\n"
               "{%- for m in messages %}\n    {{- '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}\n{%- endfor %}\n"
               "{%- if add_generation_prompt %}\n    {{- '<|assistant|>\\n' }}\n{%- endif %}\n",
}
chat = []
wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
for name, template in templates.items():
    text = wrapped.apply_chat_template([{"role": "user", "content": " Who goes there? "}], chat_template=template, tokenize=False,
                                       add_generation_prompt=True)
    chat.append({"name": name, "template": template, "prompt": " Who goes there? ", "text": text,
                 "ids": tokenizer.encode(text, add_special_tokens=False).ids})

header = {
    "what": "greedy continuation of prompts by media/samples/loom-base: token ids of BOS and prompt, new token ids, their text; chat templates: the text and "
            "token ids that a prompt becomes",
    "source": f"transformers {transformers.__version__}, torch {torch.__version__}, eager attention, float32",
    "made": "python test/golden/make/generation.py ROOT",
}
(root / "test/golden/generation.json").write_text(json.dumps({"header": header, "cases": cases, "chat": chat}) + "\n")
