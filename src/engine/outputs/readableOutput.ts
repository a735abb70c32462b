import path from 'node:path';
import { elementCount } from '../../protocol/dtypes';
import { LoomweightError, toErrorData } from '../../protocol/errors';
import type { Diagnostic } from '../../protocol/model';
import type { LayerLayout, LayerReport } from '../../protocol/report';
import type { TensorContainer, TensorEntry } from '../formats/container';
import { readJsonObject } from '../formats/files/readText';
import { transposeInto } from '../kernels/host/transpose';
import { openContainer } from '../models/openContainer';
import type { OpenOptions } from '../models/openContainer';
import { openStored } from './storage/openStored';
import { LayoutMismatch } from './storage/pieceTypes';
import { GraphTraces } from './graphTraces';
import { decodePlace, type StoredPlace } from './writers/onnxReader';

/** A container as the model that it was made from would name its tensors. */
export interface ReadableOutput {
  readonly container: TensorContainer;
  /** Sentences on what was done and what is left out. */
  readonly notes: readonly string[];
}

interface Layer {
  readonly shape: readonly number[];
  readonly place: StoredPlace;
}

/** An output with its compressed layers under the names of the source, decoded when they are read, in place of their pieces. */
interface LayerView {
  readonly container: TensorContainer;
  readonly layers: ReadonlySet<string>;
  readonly reported: Reported;
}

/**
 * An ONNX output of Loomweight with the names of the model it was made from: compressed layers as float32 values, decoded from their stored pieces by the
 * layouts in the report beside the file. Constants of the graph itself are left out: those that `other` has no name for, and those that a writer added, which may have the
 * same names in two outputs and mean different things. Other containers, which hold values under their names already, are given back as they are. Errors when a layer is read: `malformed-file` where report and file do not fit.
 */
export async function readableOutput(container: TensorContainer, other: TensorContainer): Promise<ReadableOutput> {
  const view = await viewLayers(container);
  if (!view) return { container, notes: [] };
  const { layers } = view;
  const added = await addedConstants(view.reported, other);
  const isShared = (name: string) => layers.has(name) || (other.tensors.has(name) && !added(name));
  const tensors = new Map([...view.container.tensors].filter(([name]) => isShared(name)));
  const left = view.container.tensors.size - tensors.size;
  return {
    container: { ...view.container, tensors },
    notes: [
      `${container.path}: ${layers.size} compressed layers are compared by the values that they store.` +
        (left === 0 ? '' : ` ${left} constants of the graph itself are not compared.`),
    ],
  };
}

/**
 * Opens a model to look at it. An ONNX output of Loomweight that is opened by its folder shows its compressed layers under the names of the model it was made from, as float32
 * values with the bytes that they take in the file; opened by the file itself it shows what is stored. Layouts that make no sense leave the file as it is, with a diagnostic.
 * Errors: those of `openContainer`; when a layer is read, those of `readableOutput`.
 */
export async function openForInspection(model: string, options: Pick<OpenOptions, 'limited' | 'within'> = {}): Promise<TensorContainer> {
  const container = await openContainer(model, options);
  if (options.limited === true || container.path === path.resolve(model)) return container;
  try {
    return (await viewLayers(container))?.container ?? container;
  } catch (error) {
    const { message } = toErrorData(error);
    const note: Diagnostic = { severity: 'warning', code: 'unreadable-layouts', message, file: container.path };
    return {
      ...container,
      diagnostics: [...container.diagnostics, note],
      read: (name, range) => container.read(name, range),
      close: () => container.close(),
    };
  }
}

async function viewLayers(container: TensorContainer): Promise<LayerView | undefined> {
  const reported = await reportBeside(container);
  if (!reported) return undefined;
  const layers = new Map<string, Layer>();
  const pieces = new Set<string>();
  for (const { name, shape, layout } of reported.layers) {
    if (!layout.pieces) continue;
    const stored = openStored(name, layout);
    layers.set(name, { shape, place: { stored, pieces: layout.pieces, ...(layout.transposed ? { transposed: true } : {}) } });
    for (const piece of Object.values(layout.pieces)) pieces.add(piece);
  }
  const tensors = new Map<string, TensorEntry>();
  for (const [name, { shape, place }] of layers) {
    const storedBytes = Object.values(place.pieces).reduce((sum, piece) => sum + (container.tensors.get(piece)?.bytes ?? 0), 0);
    tensors.set(name, { name, dtype: 'float32', shape, location: undefined, bytes: 4 * elementCount(shape), storedBytes });
  }
  for (const entry of container.tensors.values()) if (!pieces.has(entry.name) && !layers.has(entry.name)) tensors.set(entry.name, entry);
  let traces: Promise<GraphTraces> | undefined;
  const tracesOf = () => (traces ??= GraphTraces.of(container.path));
  let last: { readonly name: string; readonly values: Promise<Uint8Array> } | undefined;
  // Layers have no bytes of their own in the file.
  const { readInto: _, ...rest } = container;
  return {
    container: {
      ...rest,
      tensors,
      read: async (name, range) => {
        const layer = layers.get(name);
        if (!layer) return container.read(name, range);
        // Chunks of a tensor are asked for one after the other: it is decoded once.
        if (last?.name !== name) last = { name, values: decodeLayer(container, name, layer, tracesOf) };
        const values = await last.values;
        return range ? values.subarray(range.offset, range.offset + range.length) : values;
      },
      close: () => container.close(),
    },
    layers: new Set(layers.keys()),
    reported,
  };
}

/** What a report says of the file beside it. */
interface Reported {
  readonly layers: readonly (LayerReport & { readonly layout: LayerLayout })[];
  /** True for a rewritten ONNX model, which keeps the constants of its source. */
  readonly rewritten: boolean;
}

/** Names of constants as a graph builder gives them. */
const unnamed = /^constant(_\d+)*$/;

/**
 * Tells which tensors of an output its writer added. A language model is built anew: all constants without a name are the writer's. A rewritten ONNX model has them under the names of
 * its compressed layers, where `other`, if no output itself, may have tensors of the same names.
 */
async function addedConstants({ layers, rewritten }: Reported, other: TensorContainer): Promise<(name: string) => boolean> {
  if (!rewritten) return (name) => unnamed.test(name);
  if (!(await reportBeside(other))) return () => false;
  const names = new Set(layers.map(({ name }) => name));
  return (name) => {
    const dot = name.lastIndexOf('.');
    return names.has(name.slice(0, dot)) && unnamed.test(name.slice(dot + 1));
  };
}

/** The report that names this ONNX file as its primary and has layers with layouts. */
async function reportBeside({ format, path: file }: TensorContainer): Promise<Reported | undefined> {
  if (format !== 'onnx') return undefined;
  for (const folder of [path.dirname(path.dirname(file)), path.dirname(file)]) {
    const report: Readonly<Record<string, unknown>> | undefined = await readJsonObject(path.join(folder, 'report.json')).catch(
      () => undefined,
    );
    const primary = report?.['primary'];
    if (typeof primary !== 'string' || path.join(folder, primary) !== path.normalize(file)) continue;
    const layers = report?.['layers'];
    if (!Array.isArray(layers)) continue;
    const sound = layers.filter(isStoredLayer);
    if (sound.length > 0) return { layers: sound, rewritten: isFromOnnx(report?.['source']) };
  }
  return undefined;
}

/** True for the `source` of a report whose model was an ONNX file. */
function isFromOnnx(source: unknown): boolean {
  const { files } = (typeof source === 'object' && source !== null ? source : {}) as Readonly<Record<string, unknown>>;
  const paths = Array.isArray(files) ? files.map((file: { readonly path?: unknown } | null) => file?.path) : [];
  return paths.some((each) => typeof each === 'string' && each.toLowerCase().endsWith('.onnx'));
}

function isStoredLayer(value: unknown): value is LayerReport & { readonly layout: LayerLayout } {
  const layer = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<string, unknown>>;
  const layout = (typeof layer['layout'] === 'object' && layer['layout'] !== null ? layer['layout'] : {}) as Partial<
    Record<string, unknown>
  >;
  const { shape } = layer;
  const { rows, columns, pieces } = layout;
  if (typeof layer['name'] !== 'string' || typeof layout['form'] !== 'string' || !Array.isArray(shape)) return false;
  if (
    pieces !== undefined &&
    !(typeof pieces === 'object' && pieces !== null && Object.values(pieces).every((name) => typeof name === 'string'))
  )
    return false;
  const lengths = shape.every((length) => Number.isSafeInteger(length) && (length as number) > 0);
  return lengths && typeof rows === 'number' && typeof columns === 'number' && elementCount(shape as number[]) === rows * columns;
}

async function decodeLayer(
  container: TensorContainer,
  name: string,
  { shape, place }: Layer,
  graph: () => Promise<GraphTraces>,
): Promise<Uint8Array> {
  const { rows, columns } = place.stored;
  try {
    const [first, second] = shape;
    if (shape.length === 2 && (place.transposed ? second : first) !== rows)
      throw new LayoutMismatch('shape', place.transposed ? `[${columns}, ${rows}]` : `[${rows}, ${columns}]`, `[${first}, ${second}]`);
    if (place.stored.traces.length > 0) (await graph()).check(place.stored.traces, place.pieces);
    const values = (await decodePlace(container, place)).weights();
    const stored = place.transposed ? transposeInto(values, columns, 0, rows, new Float32Array(values.length)) : values;
    return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
  } catch (error) {
    const mismatch = error instanceof LayoutMismatch ? error : undefined;
    throw new LoomweightError(
      'malformed-file',
      `The pieces of '${name}' in ${container.path} do not fit what report.json says of it${mismatch ? ` (${mismatch.message})` : ''}. ` +
        `Compress the model again.`,
      {
        tensor: name,
        path: container.path,
        ...(mismatch ? { piece: mismatch.subject, expected: mismatch.expected, got: mismatch.got } : {}),
      },
      { cause: error },
    );
  }
}
