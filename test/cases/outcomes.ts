/** What a finished command must have left behind, checked without the product's own code. */
export interface Expected {
  /** Exit code, see docs/command-line.md; several where more than one behaviour is sound. */
  readonly exit: number | readonly number[];
  /** Text that the output (stdout and stderr) must contain. */
  readonly says?: RegExp;
  /** Text that the output must not contain. */
  readonly neverSays?: RegExp;
  /** An ONNX file below the case's folder that ONNX Runtime itself must load. */
  readonly loads?: string;
  /** Two ONNX files whose outputs for the same random inputs must agree to this share of the largest output. */
  readonly agrees?: { readonly source: string; readonly result: string; readonly within: number };
  /** Perplexity computed by transformers in Python, to this share. */
  readonly perplexity?: { readonly value: number; readonly within: number };
  /** The compressed tensors of the report, all of them. */
  readonly compressed?: readonly RegExp[];
  /** Tensors that the report must not list as compressed. */
  readonly kept?: RegExp;
  /** A JSON file below the case's folder, with a part that it must contain. */
  readonly json?: { readonly path: string; readonly contains: unknown };
  /** Longest time in seconds, generous enough for a loaded machine. */
  readonly seconds?: number;
}

/** One command, in the folder `files` or `attack`; OUT and OUT2 are folders of the case, DIGITS the bundled samples, MADE what `makeOdd` made. */
export interface Command extends Expected {
  readonly command: string;
}

/** A case: commands in sequence. */
export interface Case {
  readonly name: string;
  readonly folder: 'files' | 'attack';
  readonly commands: readonly Command[];
}

const compress = (model: string, rest: string): string => `compress ${model} ${rest} --out OUT`;

const one = (name: string, command: string, expected: Expected): Case => ({ name, folder: 'files', commands: [{ command, ...expected }] });
const hostile = (name: string, command: string, expected: Expected): Case => ({
  name,
  folder: 'attack',
  commands: [{ command, ...expected }],
});

/** Messages of a raw exception: no user should ever read them. */
const raw =
  /TypeError|RangeError|is not a function|Cannot read properties|is not iterable|ENAMETOOLONG|Maximum call stack|"code": "internal"/;

/** Inputs of ordinary use. Perplexities: transformers 5.23 and tokenizers 0.23.3 in Python, float32. */
export const files: readonly Case[] = [
  ...['v1-masked-logits', 'v1-log-of-negative', 'v2-large-outputs', 'v3-qdq-matmul', 'v3-qdq-conv'].map((name) =>
    one(name, compress(`${name}.onnx`, '--method none --format onnx'), {
      exit: 0,
      agrees: { source: `${name}.onnx`, result: 'OUT/onnx/model.onnx', within: 0 },
    }),
  ),
  one('v2-half-output', compress('v2-half-output.onnx', '--method rtn --format onnx --bits 8'), { exit: 0, loads: 'OUT/onnx/model.onnx' }),
  one('v5-bool-input', compress('v5-bool-input.onnx', '--method rtn --format onnx --bits 8'), { exit: 0, says: /"scope": "whole"/ }),
  one('v6-small-but-busy', compress('v6-small-but-busy.onnx', '--method none --format onnx'), { exit: 0, seconds: 20 }),
  {
    name: 'a1-half-input-output',
    folder: 'files',
    commands: [
      { command: compress('a1-half-input-output.onnx', '--method rtn --format archive --bits 8'), exit: 0 },
      {
        command: 'compress OUT --method none --format onnx --out OUT2',
        exit: 0,
        agrees: { source: 'a1-half-input-output.onnx', result: 'OUT2/onnx/model.onnx', within: 0.05 },
      },
    ],
  },
  {
    name: 'a1-half-inside',
    folder: 'files',
    commands: [
      { command: compress('a1-half-inside.onnx', '--method rtn --format archive --bits 8'), exit: 0 },
      {
        command: 'compress OUT --method none --format onnx --out OUT2',
        exit: 0,
        agrees: { source: 'a1-half-inside.onnx', result: 'OUT2/onnx/model.onnx', within: 0.05 },
      },
    ],
  },
  // The scale type holds the steps, or the job names it: never all weights 0 and "passed".
  {
    name: 's1-weights-1e-09',
    folder: 'files',
    commands: [
      {
        command: compress('s1-weights-1e-09.onnx', '--method rtn --format onnx --bits 8'),
        exit: 0,
        agrees: { source: 's1-weights-1e-09.onnx', result: 'OUT/onnx/model.onnx', within: 0.05 },
      },
    ],
  },
  // Uniform 3 and 4 bits with float32 scales change the outputs by some 17 and 8 % (norm), 0 bits by 100 %.
  ...(['tensor', 'group'] as const).map((unit): Case => ({
    name: `s1-weights-1e-09 under a budget by ${unit}`,
    folder: 'files',
    commands: [
      {
        command: compress('s1-weights-1e-09.onnx', `--method rtn --budget 4 --unit ${unit} --sensitivity error --format archive`),
        exit: 0,
        says: /"verdict": "passed"/,
      },
      {
        command: 'compress OUT --method none --format onnx --out OUT2',
        exit: 0,
        agrees: { source: 's1-weights-1e-09.onnx', result: 'OUT2/onnx/model.onnx', within: 0.25 },
      },
    ],
  })),
  ...['p1-behind-transpose', 'p1-half-behind-cast'].map((name) =>
    one(name, compress(`${name}.onnx`, '--method rtn --format onnx --bits 8'), {
      exit: 0,
      agrees: { source: `${name}.onnx`, result: 'OUT/onnx/model.onnx', within: 0.05 },
    }),
  ),
  ...['o1-softmax-of-two-axes', 'o1-resize-17'].map((name) =>
    one(name, compress(`${name}.onnx`, '--method rtn --format onnx --bits 8'), {
      exit: 0,
      agrees: { source: `${name}.onnx`, result: 'OUT/onnx/model.onnx', within: 0.05 },
    }),
  ),
  one('e1-ir-14', compress('e1-ir-14.onnx', '--method none --format onnx'), { exit: 3, says: /IR version/i, neverSays: /onnxruntime_src/ }),
  one('f1-lfs-pointer.safetensors', 'inspect f1-lfs-pointer.safetensors', { exit: 3, says: /git lfs pull/i }),
  one('f1-lfs-pointer.onnx', 'inspect f1-lfs-pointer.onnx', { exit: 3, says: /git lfs pull/i }),
  one('r1-old-linear-scale', compress('r1-old-linear-scale.gguf', '--method none --format hf'), {
    exit: 0,
    json: { path: 'OUT/config.json', contains: { rope_scaling: { factor: 4 } } },
  }),
  one('r2-split-00002-of-00002', compress('r2-split-00002-of-00002.gguf', '--method none --format hf'), {
    exit: 3,
    says: /split/i,
    neverSays: /config\.json/,
  }),
  {
    name: 'q1-fp8',
    folder: 'files',
    commands: [
      { command: 'evaluate q1-fp8 --text text.txt --window 64', exit: 3, says: /fp8/i },
      { command: compress('q1-fp8', '--method none --format onnx'), exit: 3, says: /fp8/i },
      { command: compress('q1-fp8', '--method rtn --format hf --bits 8'), exit: 3, says: /fp8/i },
    ],
  },
  one('q1-gptq', compress('q1-gptq', '--method none --format hf'), { exit: 3, says: /gptq/i }),
  one('k1-qwen2-yarn', compress('k1-qwen2-yarn', '--method rtn --format hf --bits 8'), { exit: 0, says: /"scope": "bytes"/ }),
  one('m1-gpt2', compress('m1-gpt2', '--method rtn --format hf --bits 8'), {
    exit: 0,
    compressed: [/\.c_attn\.weight$/, /attn\.c_proj\.weight$/, /c_fc\.weight$/, /mlp\.c_proj\.weight$/],
    kept: /wte|wpe/,
  }),
  one('m1-mixtral', compress('m1-mixtral', '--method rtn --format hf --bits 8'), { exit: 0, kept: /gate\.weight|embed|lm_head/ }),
  one('w1-bpe-continuing-prefix', 'evaluate w1-bpe-continuing-prefix --text text.txt --window 64', {
    exit: 0,
    perplexity: { value: 375.08070079870254, within: 1e-4 },
  }),
  one('w1-word-level', 'evaluate w1-word-level --text text.txt --window 64', {
    exit: 0,
    perplexity: { value: 335.1250979382223, within: 1e-4 },
  }),
];

/** Inputs of an attacker. */
export const attacks: readonly Case[] = [
  {
    name: 'fp16_mlp',
    folder: 'attack',
    commands: [
      { command: compress('fp16_mlp.onnx', '--method rtn --bits 8 --format archive'), exit: 0 },
      {
        command: 'compress OUT --method none --format onnx --out OUT2',
        exit: 0,
        agrees: { source: 'fp16_mlp.onnx', result: 'OUT2/onnx/model.onnx', within: 0.05 },
      },
    ],
  },
  ...['onnx', 'onnx-fast'].map((format) => ({
    ...hostile('conv1x1', compress('conv1x1.onnx', `--method rtn --bits 8 --symmetric --format ${format}`), {
      exit: 0,
      agrees: { source: 'conv1x1.onnx', result: 'OUT/onnx/model.onnx', within: 0.05 },
    }),
    name: `conv1x1 as ${format}`,
  })),
  hostile('has_dq', compress('has_dq.onnx', '--method rtn --bits 4 --group-size 7 --format onnx-packed'), {
    exit: 0,
    loads: 'OUT/onnx/model.onnx',
  }),
  hostile('names_clash', compress('names_clash.onnx', '--method rtn --bits 4 --format onnx'), { exit: 0, loads: 'OUT/onnx/model.onnx' }),
  hostile('head-dim', 'inspect head-dim', { exit: 3, says: /head_dim/, seconds: 10 }),
  hostile('head-dim as a decoder', 'evaluate head-dim --text LOOM/../text/books.txt --limit 1', { exit: 3, says: /head_dim/, seconds: 20 }),
  hostile('parquet-crash', 'evaluate DIGITS/digits-mlp.onnx --data parquet-crash.parquet --columns input=pixel_* --columns label=digit', {
    exit: 3,
    neverSays: raw,
    seconds: 20,
  }),
  ...['evaluate intmin_div.onnx --data DIGITS/data', compress('intmin_div.onnx', '--method rtn --bits 8 --format onnx')].map((command) =>
    hostile(`intmin_div: ${command.split(' ')[0]!}`, command, { exit: 3, says: /intmin_div/, neverSays: /fault of the engine/ }),
  ),
  hostile('descr-constructor', 'inspect descr-constructor.npy', { exit: 3, neverSays: raw }),
  hostile('factorsOf', compress('factorsOf.onnx', '--method rtn --bits 8 --format onnx'), { exit: 3, neverSays: raw }),
  hostile('report-no-settings', 'compare DIGITS/digits-mlp.onnx report-no-settings', { exit: 3, neverSays: raw }),
  hostile('deep-config', 'inspect deep-config', { exit: 3, neverSays: raw }),
  hostile('cos_neg', 'learn-bits cos_neg.onnx --data DIGITS/data --steps 2 --out OUT', { exit: 3, neverSays: raw }),
  hostile('long-shard', 'inspect MADE/long-shard', { exit: 3, neverSays: raw }),
  hostile('fn_exponential', 'evaluate fn_exponential.onnx --data DIGITS/data', { exit: 3, seconds: 20 }),
  hostile('wide table', 'evaluate DIGITS/digits-mlp.onnx --data MADE/wide.csv', { exit: 2, seconds: 30, neverSays: raw }),
  hostile('pipe as text', 'compress LOOM --budget 3.5 --calibration MADE/pipe.jsonl --format archive --out OUT', {
    exit: 2,
    says: /regular file/,
    seconds: 20,
  }),
  ...['commas', 'nest'].map((name) =>
    hostile(`recipe of ${name}`, `run MADE/${name}.loom.yaml`, { exit: 3, says: /at most 20000/, neverSays: raw, seconds: 20 }),
  ),
  hostile('escape-in-name', 'evaluate escape-in-name.onnx --data DIGITS/data --verbose', {
    exit: 3,
    // eslint-disable-next-line no-control-regex
    neverSays: /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/,
  }),
  ...['empty', 'missing'].map((target) =>
    hostile(
      `output through a link to ${target === 'empty' ? 'an empty' : 'a missing'} folder`,
      `compress DIGITS/digits-mlp.onnx --method rtn --bits 4 --format onnx --out MADE/link-${target}`,
      {
        exit: [0, 2],
        neverSays: /A part of the path is a file/,
        seconds: 20,
      },
    ),
  ),
];
