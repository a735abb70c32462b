import { resolve } from 'node:path';
import { isPinnedWidth } from '../../common/allocation/types';
import { suggestion } from '../../common/nearest';
import { flagOf } from '../../common/params';
import { formatBytes, formatNumber, formatSeconds } from '../../common/units';
import { describeMethods, findQuantizer } from '../../engine/compress/quantizers';
import { defaultFormat } from '../../engine/recipe/defaultFormat';
import type { CompressSpec, OutputFormat, TensorOverride } from '../../protocol/jobs';
import { allocationUnits, outputFormats, sensitivityMeasures } from '../../protocol/jobs';
import type { CompressReport } from '../../protocol/report';
import type { Arguments } from '../arguments';
import { usageError } from '../arguments';
import { defineCommand } from '../command';
import { checkedValue, givenParameters, methodParameters, type WithParameters } from '../methodFlags';
import { formatOption, outOption } from '../options';
import { runJob } from '../runJob';
import { formatPairs, formatTable } from '../table';
import { verificationText } from './verificationText';

/** Rows of the table of layers unless --verbose asks for all. */
const shownLayers = 40;

/** `loomweight compress MODEL --method ID --out DIR`. */
export const compress = defineCommand<CompressReport>({
  name: 'compress',
  summary: 'Make a model smaller with a method, and verify the result against the original.',
  details: [
    'By default the linear layers of the blocks are compressed; embeddings and the head on request, tied weights once. ' +
      'The output is written under a temporary name, verified (bytes, blocks, whole model) and only then renamed; the original is never changed. ' +
      'A report.json lies beside it.',
    'Main file by format: hf: safetensors named and split as the source; onnx: onnx/model_quantized.onnx (model.onnx where nothing was compressed); ' +
      'onnx-fast: onnx/model_q2.onnx, model_q4.onnx or model_q8.onnx, by the commonest width; onnx-packed: onnx/model.onnx; ' +
      'archive: model.loomq. From an ONNX model the onnx formats write onnx/model.onnx, and archive leaves graph.onnx without weights beside model.loomq. Weights over 64 MiB lie beside it in a file of that name with _data.',
  ],
  positionals: [{ name: 'MODEL', doc: 'A Hugging Face directory, an ONNX, GGUF or safetensors file.' }],
  options: [
    {
      name: 'method',
      kind: 'choice',
      value: 'ID',
      choices: describeMethods().map(({ id }) => id),
      doc: "How to compress; 'loomweight methods' describes them. Needed without --budget; with it rtn is the default.",
    },
    {
      name: 'budget',
      kind: 'text',
      value: 'BITS',
      doc: 'Bits per weight over all compressed tensors, scales and zero points counted, such as 3.5: width and group size of every tensor are chosen so that the result is no larger and the model loses little.',
    },
    {
      name: 'unit',
      kind: 'choice',
      value: 'UNIT',
      choices: allocationUnits,
      doc: 'With --budget: what gets a width of its own. Default: tensor.',
    },
    {
      name: 'sensitivity',
      kind: 'choice',
      value: 'MEASURE',
      choices: sensitivityMeasures,
      doc: 'With --budget: how the cost of fewer bits is foretold. error: error of the weights, needs no run; activation: error of the outputs of each layer; gradient: squared gradients of the loss; divergence: measured change of the outputs. Default: gradient where --calibration is given, else error.',
    },
    {
      name: 'calibration',
      kind: 'text',
      value: 'FILE',
      doc: "With --budget: a .txt or .jsonl text (objects with 'text'), for ONNX models a folder of data with a split train, on which sensitivity is measured; or random.",
    },
    {
      name: 'measure',
      kind: 'text',
      value: 'N',
      doc: 'With --calibration: measure the loss of N more sizes, from half to twice the budget, one pass each; the Bit allocation panel draws them beside the foretold curve. That of the chosen widths is always measured.',
    },
    ...methodParameters(describeMethods()),
    { name: 'tensors', kind: 'text', value: 'GLOB', doc: "Only tensors whose name matches, such as '*.mlp.*'." },
    {
      name: 'override',
      kind: 'text',
      value: 'GLOB=KEY:VALUE,...',
      repeated: true,
      doc: "Other parameters for the tensors that a glob matches, such as '*.down_proj.weight=bits:8'. May be repeated; the last match counts. With --budget bits:16 leaves tensors alone, and bits:0 prunes them with --unit channel or group.",
    },
    { name: 'embeddings', kind: 'switch', doc: 'Compress the input embedding too.' },
    { name: 'head', kind: 'switch', doc: 'Compress the output layer too.' },
    formatOption,
    outOption,
    { name: 'keep-failed', kind: 'switch', doc: 'Keep the output for inspection when its verification fails.' },
  ],
  examples: [
    'loomweight compress loom-base --method rtn --bits 4 --group-size 32 --out out/loom-base-4bit',
    "loomweight compress loom-base --method rtn --bits 3 --override '*.down_proj.weight=bits:8' --format onnx-packed --out out/loom-base-3bit",
    'loomweight compress loom-base --budget 3.5 --calibration books.txt --out out/loom-base-3.5bit',
    'loomweight compress loom-base --method rtn --bits 4 --embeddings --format hf --out out/loom-base-hf',
    'loomweight compress model.gguf --method none --format hf --out out/model',
  ],
  run: async ({ arguments: given, terminal }) => {
    const budget = budgetOf(given);
    const method = findQuantizer(methodOf(given, budget));
    const parameters = givenParameters(method, describeMethods(), given);
    const overrides = given.texts('override').map((text) => parseOverride(text, method, budget !== undefined));
    const tensors = given.text('tensors');
    const asked = outputFormats.find((format) => format === given.text('format'));
    const format: OutputFormat =
      asked ??
      chooseFormat(given.positional(0), method, parameters, overrides, budget, (text) => {
        if (!terminal.quiet) terminal.writeError(`${text}\n`);
      });
    return runJob(
      {
        kind: 'compress',
        model: resolve(terminal.folder, given.positional(0)),
        method: method.id,
        parameters,
        ...(tensors === undefined ? {} : { tensors }),
        ...(overrides.length === 0 ? {} : { overrides }),
        embeddings: given.isOn('embeddings'),
        head: given.isOn('head'),
        format,
        out: resolve(terminal.folder, given.text('out') as string),
        ...budgetOptions(given, terminal.folder, budget),
        ...(given.isOn('keep-failed') ? { keepFailed: true } : {}),
        ...given.shared,
      },
      terminal,
    );
  },
  text: (report, { arguments: given, terminal }) =>
    compressText(report, terminal.verbose, resolve(terminal.folder, given.text('out') as string)),
});

/** `--budget`, checked. Errors: `invalid-argument`. */
function budgetOf(given: Arguments): number | undefined {
  const raw = given.text('budget');
  if (raw === undefined) {
    const other = ['unit', 'sensitivity', 'calibration', 'measure'].find((name) => given.has(name));
    if (other !== undefined) throw usageError(`--${other} belongs to --budget, which is not given.`, { flag: other });
    return undefined;
  }
  const budget = Number(raw);
  if (!(budget > 0 && budget <= 32))
    throw usageError(`--budget must be bits per weight above 0 and at most 32, got '${raw}'.`, { flag: 'budget', value: raw });
  if (given.has('bits'))
    throw usageError('A budget chooses the bits of every tensor: leave --bits out, or set single tensors with --override.', {
      flag: 'bits',
    });
  return budget;
}

function methodOf(given: Arguments, budget: number | undefined): string {
  const method = given.text('method') ?? (budget === undefined ? undefined : 'rtn');
  if (method !== undefined) return method;
  throw usageError("'compress' needs --method or --budget. See 'loomweight compress --help'.", { flag: 'method' });
}

function budgetOptions(given: Arguments, folder: string, budget: number | undefined): Partial<CompressSpec> {
  if (budget === undefined) return {};
  const unit = allocationUnits.find((name) => name === given.text('unit'));
  const sensitivity = sensitivityMeasures.find((name) => name === given.text('sensitivity'));
  const calibration = given.text('calibration');
  const rawMeasure = given.text('measure');
  const measure = rawMeasure === undefined ? undefined : Number(rawMeasure);
  if (measure !== undefined && (!Number.isInteger(measure) || measure < 0 || measure > 100))
    throw usageError(`--measure must be a whole number from 0 to 100, got '${rawMeasure}'.`, { flag: 'measure', value: rawMeasure });
  if (measure !== undefined && (calibration === undefined || calibration === 'random'))
    throw usageError('--measure needs --calibration with a text or data to measure on.', { flag: 'measure' });
  return {
    budget,
    ...(unit === undefined ? {} : { unit }),
    ...(sensitivity === undefined ? {} : { sensitivity }),
    ...(measure === undefined ? {} : { measure }),
    ...(calibration === undefined ? {} : { calibration: calibration === 'random' ? calibration : resolve(folder, calibration) }),
  };
}

function chooseFormat(
  model: string,
  method: WithParameters,
  parameters: Readonly<Record<string, unknown>>,
  overrides: readonly TensorOverride[],
  budget: number | undefined,
  say: (text: string) => void,
): OutputFormat {
  const { format, reason } = defaultFormat(model, method.parameters, parameters, overrides, budget);
  say(`Format: ${format} (${reason}; --format chooses another).`);
  return format;
}

/**
 * Reads `GLOB=key:value,key:value`. Keys may be written as in recipes (`groupSize`) or as flags (`group-size`). The glob may
 * hold `=`: the last one counts. Under a budget `bits` may also be 16 (left alone) or 0 (pruned). Errors: `invalid-argument`.
 */
export function parseOverride(text: string, method: WithParameters, underBudget = false): TensorOverride {
  const cut = text.lastIndexOf('=');
  const form = "as in '*.down_proj.weight=bits:8,groupSize:64'";
  if (cut <= 0 || cut === text.length - 1)
    throw usageError(`--override must be GLOB=KEY:VALUE,... ${form}, got '${text}'.`, { flag: 'override' });
  const parameters: Record<string, unknown> = {};
  for (const part of text.slice(cut + 1).split(',')) {
    const [, key, value] = /^\s*([A-Za-z-]+)\s*:\s*(\S+)\s*$/.exec(part) ?? [];
    if (key === undefined || value === undefined)
      throw usageError(`--override needs KEY:VALUE behind the glob, ${form}; got '${part}'.`, { flag: 'override' });
    const spec = method.parameters.find((candidate) => candidate.key === key || flagOf(candidate) === `--${key}`);
    const keys = method.parameters.map((candidate) => candidate.key);
    if (!spec)
      throw usageError(
        `--override: method '${method.id}' has no parameter '${key}'.${suggestion(key, keys) || ` Parameters: ${keys.join(', ')}.`}`,
        {
          flag: 'override',
        },
      );
    if (spec.key in parameters)
      throw usageError(`--override gives ${spec.key} twice for '${text.slice(0, cut)}'. Give it once.`, { flag: 'override' });
    if (underBudget && spec.key === 'bits' && isPinnedWidth(Number(value))) parameters[spec.key] = Number(value);
    else parameters[spec.key] = checkedValue(spec, value, `--override: ${spec.key}`);
  }
  return { glob: text.slice(0, cut), parameters };
}

/** Layers with their errors, then sizes, verification, speed and where the files are. */
export function compressText(report: CompressReport, verbose: boolean, out?: string): string {
  const { layers } = report;
  const byError = [...layers].sort((a, b) => b.relativeError - a.relativeError);
  const rows = verbose || layers.length <= shownLayers ? layers : byError.slice(0, 10);
  const table = formatTable(
    [
      { title: 'Layer' },
      { title: 'Shape' },
      { title: 'Bits', align: 'right' },
      { title: 'Bits/weight', align: 'right' },
      { title: 'Relative error', align: 'right' },
      { title: 'Before', align: 'right' },
      { title: 'After', align: 'right' },
    ],
    rows.map((layer) => [
      layer.name,
      layer.shape.join(' x '),
      String(layer.bits),
      layer.bitsPerWeight.toFixed(2),
      layer.relativeError.toFixed(4),
      formatBytes(layer.bytesBefore),
      formatBytes(layer.bytesAfter),
    ]),
  );
  const left =
    rows.length < layers.length ? `... the ${rows.length} layers with the largest error of ${layers.length} (--verbose shows all).\n` : '';
  const share = report.bytesBefore > 0 ? ` (${((100 * report.bytesAfter) / report.bytesBefore).toFixed(0)} %)` : '';
  const loaded =
    report.loadedBytes === undefined || report.loadedBytes === report.bytesAfter
      ? undefined
      : `${formatBytes(report.loadedBytes)} in memory once loaded`;
  // A conversion has no layers to list.
  return `${layers.length === 0 ? '' : `${table}${left}\n`}${formatPairs([
    ['Method', `${report.method}${settingsText(report)}`],
    ['Size', `${formatBytes(report.bytesBefore)} -> ${formatBytes(report.bytesAfter)}${share}`],
    ['Loaded size', loaded],
    [
      'Bits per weight',
      `${formatNumber(report.bitsPerWeight)} over ${layers.length === 0 ? 'all weights, none compressed' : `${layers.length} compressed layers`}`,
    ],
    ['Verification', verificationText(report.verification)],
    ['Speed', report.latency?.summary],
    ['Ran on', `${report.environment.provider}, ${report.environment.threads} threads: ${report.environment.providerReason}`],
    ['Notes', report.notes.join('\n')],
    ['Time', `${formatSeconds(report.seconds)}, ${formatBytes(report.peakRssBytes)} memory at most`],
    ['Written to', out],
    [
      'Files',
      report.outputs.map(({ path, bytes }) => `${path} (${formatBytes(bytes)})${path === report.primary ? ', primary' : ''}`).join('\n'),
    ],
  ])}`;
}

/** `bits 4, groupSize 32`, switches only where they are on. */
function settingsText({ settings }: CompressReport): string {
  const words = Object.entries(settings)
    .filter(([, value]) => typeof value === 'number' || typeof value === 'string' || value === true)
    .map(([key, value]) => (value === true ? key : `${key} ${String(value)}`));
  return words.length === 0 ? '' : ` (${words.join(', ')})`;
}
