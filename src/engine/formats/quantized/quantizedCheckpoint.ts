import type { DType } from '../../../protocol/dtypes';
import { LoomweightError } from '../../../protocol/errors';
import type { Diagnostic } from '../../../protocol/model';
import type { QuantizedCheckpoint, TensorEntry } from '../container';
import { quoteName } from '../malformed';
import { quantizationOfConfig } from './quantizationConfig';

/** What there is to recognise a quantised checkpoint by. */
export interface CheckpointParts {
  readonly tensors: ReadonlyMap<string, Pick<TensorEntry, 'name' | 'dtype' | 'shape'>>;
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Types that hold codes; booleans and 64-bit integers hold masks, positions and counters. */
const codeTypes: ReadonlySet<DType> = new Set<DType>([
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int4',
  'uint4',
  'int2',
  'uint2',
  'float8_e4m3fn',
  'float8_e4m3fnuz',
  'float8_e5m2',
  'float8_e5m2fnuz',
  'float4_e2m1',
  'float6_e2m3',
  'float6_e3m2',
]);

const float8: RegExp = /^float8/;

/**
 * A name by which a method's tensors are known. Other models use some of the words too: `codes` asks that the tensor itself holds codes, `besideCodes` that the tensor
 * of this name in the same module does.
 */
interface TellTale {
  readonly ending: RegExp;
  readonly method: string;
  readonly codes?: boolean;
  readonly besideCodes?: string;
}

const tellTales: readonly TellTale[] = [
  { ending: /(^|\.)weight\.quant_state\.bitsandbytes__\w+$/, method: 'bitsandbytes (4 bits)' },
  { ending: /(^|\.)weight\.(nested_)?(absmax|quant_map)$/, method: 'bitsandbytes (4 bits)' },
  { ending: /(^|\.)SCB$/, method: 'bitsandbytes (8 bits)' },
  { ending: /(^|[._])weight_scale_inv$/, method: 'fp8 by blocks' },
  { ending: /(^|\.)(weight_global_scale|weight_scale_2)$/, method: 'nvfp4' },
  { ending: /(^|\.)weight_packed$/, method: 'compressed-tensors', codes: true },
  { ending: /(^|\.)g_idx$/, method: 'gptq', codes: true },
  { ending: /(^|\.)qzeros$/, method: 'gptq or awq', codes: true },
  { ending: /(^|\.)qweight$/, method: 'gptq or awq', codes: true },
  { ending: /(^|\.)W_q$/, method: 'hqq', codes: true },
  { ending: /(^|\.)weight\._data$/, method: 'quanto', codes: true },
  { ending: /(^|\.)Qidxs(_\d+)?$/, method: 'quip', codes: true },
  { ending: /_blocks$/, method: 'mxfp4', codes: true },
  { ending: /(^|\.)scaled_fp8$/, method: 'scaled fp8', codes: true },
  { ending: /(^|\.)scale_weight$/, method: 'scaled fp8', besideCodes: 'weight' },
];

/** Names of a tensor's scales, each in the place of the tensor's own name and beside it. */
const scaleNames = ['scale', 'scales', 'weight_scale', 'weight_scales', 'scale_inv', 'codebooks', 'centroids'];

/** Names of tensors of codes, within their module: `scale` is a word of normalisations and attention too, and says nothing beside other integers. */
const codeNames = /weight|^codes$|^W_q$/;

/** Integers of these names are constants of plain models: Swin's `relative_position_index`, masks, ids. */
const plainIntegers = /(^|_)(index|indices|idx|masks?|positions?|ids?)(_|$)/;

/**
 * Recognises a checkpoint that is quantised already: by its config, by tensors that only one method writes, or by codes with scales beside them.
 * Undefined for other checkpoints; weights of 8 bits without any scale are plain values of that type. One pass over the names.
 */
export function recognizeQuantized({ tensors, config }: CheckpointParts): QuantizedCheckpoint | undefined {
  const stated = config && quantizationOfConfig(config);
  if (stated) return { method: stated.method, evidence: `'${stated.entry}' in config.json` };
  return recognizeByNames(tensors);
}

function recognizeByNames(tensors: CheckpointParts['tensors']): QuantizedCheckpoint | undefined {
  let found: { readonly rank: number; readonly checkpoint: QuantizedCheckpoint } | undefined;
  for (const { name, dtype, shape } of tensors.values()) {
    const codes = codeTypes.has(dtype);
    const rank = tellTales.findIndex(
      (tale) => tale.ending.test(name) && (tale.codes !== true || codes) && isBesideCodes(tensors, name, tale),
    );
    if (rank >= 0 && (found === undefined || rank < found.rank))
      found = { rank, checkpoint: { method: (tellTales[rank] as TellTale).method, evidence: `the tensor ${quoteName(name)}` } };
    // More surely named by what is found later, if anything is.
    if (rank < 0 && codes && shape.length >= 2 && found === undefined) {
      const scale = scaleBeside(tensors, name);
      if (scale !== undefined)
        found = {
          rank: tellTales.length,
          checkpoint: {
            method: float8.test(dtype) ? 'fp8' : `${dtype} codes with scales`,
            evidence: `the tensors ${quoteName(name)} and ${quoteName(scale)}`,
          },
        };
    }
  }
  return found?.checkpoint;
}

function isBesideCodes(tensors: CheckpointParts['tensors'], name: string, { besideCodes }: TellTale): boolean {
  if (besideCodes === undefined) return true;
  const neighbour = tensors.get(`${moduleOf(name)}${besideCodes}`);
  return neighbour !== undefined && codeTypes.has(neighbour.dtype);
}

/** The tensor that scales `name`: `a.weight_scale`, `a.weight.scale`, `a.scales` and the like for `a.weight`; only `b_scale`, `b.scale` and the like for `b`. */
function scaleBeside(tensors: CheckpointParts['tensors'], name: string): string | undefined {
  const module = moduleOf(name);
  const own = name.slice(module.length);
  if (plainIntegers.test(own)) return undefined;
  for (const scale of scaleNames) {
    const extended = [`${name}_${scale}`, `${name}.${scale}`, `${name}.${scale}_`];
    for (const candidate of codeNames.test(own) ? [`${module}${scale}`, ...extended] : extended)
      if (candidate !== name && tensors.has(candidate)) return candidate;
  }
  return undefined;
}

/** The part of a name up to and with its last dot. */
function moduleOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.') + 1);
}

/** What a container of such a checkpoint states of it, and what `inspect` says; nothing for other checkpoints. */
export function quantizationOf(
  parts: CheckpointParts & { readonly diagnostics: readonly Diagnostic[] },
  file: string,
): { readonly quantized?: QuantizedCheckpoint; readonly diagnostics: readonly Diagnostic[] } {
  const quantized = recognizeQuantized(parts);
  if (!quantized) return { diagnostics: parts.diagnostics };
  const { method, evidence } = quantized;
  const message = `This checkpoint is already quantised with ${method}, according to ${evidence}: its tensors are codes and scales, not weights.`;
  return { quantized, diagnostics: [...parts.diagnostics, { severity: 'warning', code: 'quantized-checkpoint', message, file }] };
}

/** The error for work on weights that are codes. */
export function refuseQuantized(path: string, { method, evidence }: QuantizedCheckpoint): LoomweightError {
  return new LoomweightError(
    'unsupported',
    `${path} is already quantised with ${method}, according to ${evidence}. Its tensors are codes and scales, which Loomweight cannot apply yet. ` +
      `Use the float checkpoint that it was made from.`,
    { path, method, evidence, diagnostic: 'quantized-checkpoint' },
  );
}
