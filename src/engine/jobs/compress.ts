import { modelName } from '../../common/modelName';
import { formatBytes, formatNumber } from '../../common/units';
import { choice, keepFailedField, modelField, outField, tensorsField, wholeNumber, yesOrNo } from '../../protocol/fields';
import type { Field } from '../../protocol/fields';
import { allocationUnits, outputFormats, sensitivityMeasures } from '../../protocol/jobs';
import type { CompressSpec } from '../../protocol/jobs';
import type { CompressReport } from '../../protocol/report';
import { changeWarning, verdictOf } from '../../protocol/verdict';
import { describeMethods, findQuantizer } from '../compress/quantizers';
import { defaultFormat } from '../../protocol/defaultFormat';
import { compressPage, compressText } from '../reports/compressReport';
import type { ComputingKind } from './stepKind';

/** The method where a budget chooses the widths and none is named. */
const budgetMethod = 'rtn';

const tensorsDoc =
  "Only tensors whose name matches, such as '*.mlp.*'. Routers and constants that are left alone by their names are compressed if the glob names them: '*.mlp.gate.*'.";

const budgetFields: readonly Field[] = [
  {
    key: 'budget',
    doc: 'Bits per weight over all compressed tensors, including side information; widths and group sizes are chosen to stay within it.',
    type: {
      kind: 'value',
      spec: { key: 'budget', label: 'Budget', doc: 'Bits per weight.', kind: 'number', min: 0, above: true, max: 32, default: 4 },
    },
    flag: {
      value: 'BITS',
      doc: 'Bits per weight over all compressed tensors, including scales and zero points, such as 3.5. The width and group size of every tensor are chosen to preserve the most quality at this size.',
    },
  },
  choice('unit', 'With a budget: unit that gets its own width. Default: tensor.', allocationUnits, {
    flag: { value: 'UNIT', doc: 'With --budget: unit that gets its own width. Default: tensor.' },
  }),
  choice(
    'sensitivity',
    'With a budget: how to predict the loss of fewer bits. Default: gradient if calibration is given, otherwise error.',
    sensitivityMeasures,
    {
      flag: {
        value: 'MEASURE',
        doc: 'With --budget: how to predict the loss of fewer bits. error: error of the weights, without running the model; activation: output error of each layer; gradient: squared gradients of the loss; divergence: measured change of the outputs. Default: gradient if --calibration is given, otherwise error.',
      },
    },
  ),
  {
    key: 'calibration',
    doc: 'Text to calibrate the method on and, with a budget, to measure sensitivity on; or random. With a budget also a folder of data for ONNX models.',
    type: { kind: 'file', words: ['random'] },
    flag: {
      value: 'FILE',
      doc: "Text (.txt, or .jsonl with objects that have 'text') to calibrate methods on that need it, such as gptq (of a file that 'loomweight calibrate' wrote, its tokens), and with --budget to measure sensitivity on; or random. With --budget also a folder of data with the split train, for ONNX models.",
    },
  },
  wholeNumber('samples', 'For methods that are calibrated: number of windows of the calibration text. Default: 128.', 1, {
    max: 1_000_000,
    flag: {
      value: 'N',
      doc: 'For methods that are calibrated: number of windows, drawn from all over the text with --seed. Default: 128.',
    },
  }),
  wholeNumber(
    'window',
    "For methods that are calibrated: tokens of a window. Default: 256, or the model's context if that is shorter.",
    2,
    {
      flag: {
        value: 'TOKENS',
        doc: "For methods that are calibrated: tokens of a window. Default: 256, or the model's context if that is shorter.",
      },
    },
  ),
  wholeNumber(
    'measure',
    'With calibration: number of other sizes, from half to twice the budget, whose loss is also measured. Default: 0.',
    0,
    {
      max: 100,
      flag: {
        value: 'N',
        doc: 'With --calibration: also measure the loss at N other sizes, from half to twice the budget, one pass each; the Bit allocation panel plots them against the predicted curve. The loss of the chosen widths is always measured.',
      },
    },
  ),
];

/** Makes a model smaller. */
export const compressKind: ComputingKind<CompressSpec, CompressReport> = {
  id: 'compress',
  label: 'Compress',
  summary: 'Makes a model smaller and verifies the result. Later steps can use this step as their model.',
  writesModel: true,
  command: {
    summary: 'Compress a model with a method and verify the result against the original.',
    details: [
      'By default the linear layers of the blocks are compressed; embeddings and the output layer on request, tied weights once. ' +
        'The output is written under a temporary name, verified (bytes, blocks, whole model) and only then renamed; the original is never modified. ' +
        'A report.json is written next to it.',
      'Main file by format: hf: safetensors named and split like the source; onnx: onnx/model_quantized.onnx (model.onnx if nothing was compressed); ' +
        'onnx-fast: onnx/model_q2.onnx, model_q4.onnx or model_q8.onnx, by the most common width; onnx-packed: onnx/model.onnx; ' +
        'archive: model.loomq. From an ONNX model the onnx formats write onnx/model.onnx, and archive writes graph.onnx, without weights, next to model.loomq. Weights over 64 MiB go to a file next to the model, with _data added to its name.',
    ],
    examples: [
      'loomweight compress loom-base --method rtn --bits 4 --group-size 32 --out out/loom-base-4bit',
      "loomweight compress loom-base --method rtn --bits 3 --override '*.down_proj.weight=bits:8' --format onnx-packed --out out/loom-base-3bit",
      'loomweight compress loom-base --method gptq --bits 3 --calibration books.txt --out out/loom-base-gptq',
      'loomweight compress loom-base --budget 3.5 --calibration books.txt --out out/loom-base-3.5bit',
      'loomweight compress loom-base --method rtn --bits 4 --embeddings --format hf --out out/loom-base-hf',
      'loomweight compress model.gguf --method none --format hf --out out/model',
    ],
  },
  fields: [
    modelField('A Hugging Face directory, an ONNX, GGUF or safetensors file.'),
    {
      key: 'method',
      doc: `Compression method. Optional with a budget. Default: ${budgetMethod}.`,
      type: { kind: 'method', default: budgetMethod },
      flag: {
        value: 'ID',
        doc: `Compression method; 'loomweight methods' lists them. Required without --budget; with it, the default is ${budgetMethod}.`,
      },
    },
    ...budgetFields,
    { key: 'parameters', doc: 'Parameters of the method; omitted ones have their defaults.', type: { kind: 'parameters' } },
    { ...tensorsField, doc: tensorsDoc, flag: { value: 'GLOB', doc: tensorsDoc } },
    {
      key: 'overrides',
      doc: 'Other parameters for the tensors that match a glob; the last match applies. With a budget, bits can also be 16 (unchanged) or, for channels and groups, 0 (pruned).',
      type: { kind: 'overrides', pinnedBeside: 'budget' },
      flag: {
        name: 'override',
        doc: "Other parameters for the tensors that match a glob, such as '*.down_proj.weight=bits:8'. Repeatable; the last match applies. With --budget, bits:16 keeps tensors unchanged, and bits:0 prunes them with --unit channel or group.",
      },
    },
    yesOrNo('embeddings', 'Also compress the input embedding.'),
    yesOrNo('head', 'Also compress the output layer.'),
    choice(
      'format',
      'Files to write. Default: onnx-fast if the runtime has kernels for all widths, otherwise onnx-packed.',
      outputFormats,
      {
        flag: {
          value: 'NAME',
          doc:
            'hf: safetensors in the source dtype, for transformers. onnx: portable QuantizeLinear/DequantizeLinear. onnx-fast: MatMulNBits kernels. ' +
            'onnx-packed: any width, unpacked at load by standard operators. archive: smallest, any width per group, for Loomweight only. ' +
            'Default: onnx-fast if the runtime has kernels for all widths (2, 4 and 8 bits), otherwise onnx-packed; the choice is reported.',
        },
      },
    ),
    outField,
    keepFailedField,
  ],
  rules: [
    { rule: 'some', keys: ['method', 'budget'], what: 'how to compress, or the bits per weight to reach.' },
    { rule: 'belongs', keys: ['unit', 'sensitivity', 'measure'], to: 'budget' },
    { rule: 'belongs', keys: ['calibration'], to: 'budget', orStatistics: true },
    { rule: 'belongs', keys: ['measure'], to: 'calibration' },
    { rule: 'needsStatistics', keys: ['samples', 'window'] },
  ],
  methods: describeMethods,
  check: (values, words) => {
    const { budget, calibration, measure, method, parameters } = values as Partial<CompressSpec>;
    const calibrating = (['samples', 'window'] as const).filter((key) => method === undefined && values[key] !== undefined);
    return [
      ...calibrating.map((key) => ({
        key,
        message: `Without ${words.name('method')} a budget rounds to nearest, which needs no calibration; ${words.name(key)} applies only to methods that do.`,
      })),
      ...(budget !== undefined && parameters?.['bits'] !== undefined
        ? [
            {
              key: 'parameters',
              message: `A budget chooses the bits of every tensor. Omit ${words.name('bits')}, or set single tensors with ${words.name('overrides')}.`,
            },
          ]
        : []),
      ...(measure !== undefined && calibration === 'random'
        ? [
            {
              key: 'measure',
              message: `${words.name('measure')} requires ${words.name('calibration')} with a text or data to measure on.`,
            },
          ]
        : []),
    ];
  },
  complete: (values, { words, say }) => {
    const given = values as Partial<CompressSpec> & Pick<CompressSpec, 'model' | 'out'>;
    const method = findQuantizer(given.method ?? budgetMethod);
    const parameters = given.parameters ?? {};
    const chosen = (): CompressSpec['format'] => {
      const { format, reason } = defaultFormat(given.model, method.parameters, parameters, given.overrides ?? [], given.budget);
      say(`Format: ${format} (${reason}; set ${words.name('format')} to choose another).`);
      return format;
    };
    return { ...given, method: method.id, parameters, format: given.format ?? chosen() };
  },

  inputs: ({ model, calibration }) => [model, ...(calibration === undefined || calibration === 'random' ? [] : [calibration])],
  outputs: ({ out }) => [out],
  describe: ({ model, method, budget, format, out }) => ({
    title: `Compress ${modelName(model)}`,
    subtitle: `${budget === undefined ? method : `budget of ${budget} bits per weight`}, ${format}`,
    output: out,
    model: { source: modelName(model), method: `${method}, ${format}` },
    opens: 'layers',
  }),

  forecast: async (spec, { provider, memoryLimit }) => {
    const { estimateCompress } = await import('../compress/estimateCompress');
    return estimateCompress(spec, { provider, memoryLimit });
  },
  computes: true,
  run: async (spec, context) => {
    const { compressModel } = await import('../compress/compressModel');
    return compressModel(spec, context);
  },

  outcome: ({ bitsPerWeight, bytesAfter, verification }) =>
    `${formatNumber(bitsPerWeight, 3)} bits · ${formatBytes(bytesAfter)}${verdictOf(verification) === 'changed' ? ' · changed a lot' : ''}`,
  warning: ({ verification }) => changeWarning(verification),
  text: compressText,
  page: compressPage,
};
