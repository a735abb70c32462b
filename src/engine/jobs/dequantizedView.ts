import path from 'node:path';
import { globMatcher } from '../../common/glob';
import type { ParamValues } from '../../common/params';
import { LoomweightError } from '../../protocol/errors';
import type { CompressReport } from '../../protocol/report';
import { dequantizeLinear } from '../outputs/storage/dequantizeLinear';
import { embeddingRows } from '../outputs/storage/embeddingRows';
import { matMulNBits } from '../outputs/storage/matMulNBits';
import type { MatrixForm, MatrixLayout, TensorBytes } from '../outputs/storage/matrixForm';
import { selfUnpacking } from '../outputs/storage/selfUnpacking';
import { transposeInto } from '../kernels/host/transpose';
import { findOnnxWeights } from '../models/compressibleWeights';
import { dequantize } from '../compress/quantizeTensor';
import { groupingOf } from '../compress/quantizers/parameters';
import type { TensorContainer, TensorEntry } from '../formats/container';
import { readJsonObject } from '../formats/files/readText';

/** A container as another one's names see it. */
export interface View {
  readonly container: TensorContainer;
  /** Sentences on what was done and what is left out. */
  readonly notes: readonly string[];
}

interface Layer {
  readonly shape: readonly number[];
  readonly transposed: boolean;
  readonly form: MatrixForm;
  readonly layout: MatrixLayout;
  /** Name in the file by the ending of the piece. */
  readonly pieces: Readonly<Record<string, string>>;
}

/**
 * An ONNX output of Loomweight with the names of the model it was made from: compressed layers as float32 values, decoded from their stored
 * pieces as the report beside the file says; constants of the graph itself are left out. Other containers are given back as they are.
 */
export async function dequantizedView(container: TensorContainer, other: TensorContainer): Promise<View> {
  const report = container.format === 'onnx' ? await reportBeside(container.path) : undefined;
  if (!report) return { container, notes: [] };
  const turned = other.format === 'onnx' ? await findOnnxWeights(other.path) : undefined;
  const layers = new Map<string, Layer>();
  const stored = new Set<string>();
  for (const { name, shape, bits } of report.layers) {
    const pieces = piecesOf(container, name);
    const transposed = turned?.get(name)?.transposed === true;
    const form = formOf(container, pieces, report.format);
    if (!form) continue;
    for (const piece of Object.values(pieces)) stored.add(piece);
    layers.set(name, { shape, transposed, form, layout: layoutOf(name, shape, bits, transposed, report.settings), pieces });
  }
  const kept = [...container.tensors.values()].filter(({ name }) => !stored.has(name));
  const shared = kept.filter(({ name }) => other.tensors.has(name));
  const tensors = new Map<string, TensorEntry>(shared.map((entry) => [entry.name, entry]));
  for (const [name, { shape, layout }] of layers)
    tensors.set(name, { name, dtype: 'float32', shape, location: undefined, bytes: 4 * layout.rows * layout.columns });
  const left = kept.length - shared.length;
  let last: { readonly name: string; readonly values: Promise<Uint8Array> } | undefined;
  return {
    container: {
      ...container,
      tensors,
      read: async (name, range) => {
        const layer = layers.get(name);
        if (!layer) return container.read(name, range);
        // Chunks of a tensor are asked for one after the other: it is decoded once.
        if (last?.name !== name) last = { name, values: decodeLayer(container, name, layer) };
        const values = await last.values;
        return range ? values.subarray(range.offset, range.offset + range.length) : values;
      },
      close: () => container.close(),
    },
    notes: [
      `${container.path}: ${layers.size} compressed layers are compared as the values that they stand for.` +
        (left === 0 ? '' : ` ${left} constants that belong to the graph alone are left out.`),
    ],
  };
}

async function reportBeside(file: string): Promise<CompressReport | undefined> {
  for (const folder of [path.dirname(path.dirname(file)), path.dirname(file)]) {
    const report = await readJsonObject(path.join(folder, 'report.json')).catch(() => undefined);
    if (
      (report?.['kind'] !== 'compress' && report?.['kind'] !== 'learn') ||
      typeof report['primary'] !== 'string' ||
      !isLayers(report['layers'])
    )
      continue;
    if (path.join(folder, report['primary']) === path.normalize(file)) return report as unknown as CompressReport;
  }
  return undefined;
}

function isLayers(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.every((layer: Partial<Record<string, unknown>> | null) => {
      const shape = layer?.['shape'];
      return (
        typeof layer?.['name'] === 'string' &&
        Number.isInteger(layer['bits']) &&
        Array.isArray(shape) &&
        shape.length >= 2 &&
        shape.every((length) => Number.isSafeInteger(length) && length > 0)
      );
    })
  );
}

function piecesOf(container: TensorContainer, name: string): Readonly<Record<string, string>> {
  const pieces: Record<string, string> = {};
  for (const stored of container.tensors.keys()) {
    const ending = stored.startsWith(`${name}.`) ? stored.slice(name.length + 1) : '';
    if (/^(part\d+\.)?(plane\d+|codes|scales|zeros)$/.test(ending)) pieces[ending] = stored;
  }
  return pieces;
}

/** The form is seen in the pieces: a fast kernel that has no place in a graph was replaced by DequantizeLinear. */
function formOf(container: TensorContainer, pieces: Readonly<Record<string, string>>, format: string): MatrixForm | undefined {
  if (pieces['part0.scales'] !== undefined) return selfUnpacking();
  const codes = container.tensors.get(pieces['codes'] ?? '');
  if (!codes || pieces['scales'] === undefined) return undefined;
  return codes.shape.length === 2 ? dequantizeLinear : format === 'onnx-fast' ? matMulNBits : embeddingRows;
}

function layoutOf(
  name: string,
  shape: readonly number[],
  bits: number,
  transposed: boolean,
  settings: CompressReport['settings'],
): MatrixLayout {
  const [first, ...rest] = shape as readonly [number, ...number[]];
  const others = rest.reduce((product, length) => product * length, 1);
  const [rows, columns] = transposed ? [others, first] : [first, others];
  const overrides = (settings['overrides'] ?? []) as readonly { readonly glob: string; readonly parameters: ParamValues }[];
  const override = overrides.filter(({ glob }) => globMatcher(glob)(name)).at(-1);
  const parameters = { ...(settings as ParamValues), ...override?.parameters };
  return {
    rows,
    columns,
    bits,
    ...groupingOf(rows, columns, parameters),
    symmetric: parameters['symmetric'] === true,
    scaleDType: parameters['scales'] === 'float32' ? 'float32' : 'float16',
  };
}

async function decodeLayer(container: TensorContainer, name: string, layer: Layer): Promise<Uint8Array> {
  const read: Record<string, TensorBytes> = {};
  for (const [piece, stored] of Object.entries(layer.pieces)) {
    const entry = container.tensors.get(stored) as TensorEntry;
    read[piece] = { dtype: entry.dtype, shape: entry.shape, bytes: await container.read(stored) };
  }
  const { layout } = layer;
  try {
    const values = dequantize({ ...layout, ...layer.form.decode(read, layout) });
    const turned = layer.transposed ? transposeInto(values, layout.columns, 0, layout.rows, new Float32Array(values.length)) : values;
    return new Uint8Array(turned.buffer, turned.byteOffset, turned.byteLength);
  } catch (error) {
    throw new LoomweightError(
      'malformed-file',
      `The pieces of '${name}' in ${container.path} do not fit what report.json says of it. Compress the model again.`,
      { tensor: name, path: container.path },
      { cause: error },
    );
  }
}
