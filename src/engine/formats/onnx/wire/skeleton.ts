import { fromBinary } from '@bufbuild/protobuf';
import { randomBytes } from 'node:crypto';
import { LoomweightError } from '../../../../protocol/errors';
import { ModelProtoSchema, type ModelProto, type TensorProto } from '../generated/onnx';
import { eachTensor } from '../walk';
import { scanModel, type ScannedModel } from './scanModel';
import { ScanReport } from './scanReport';
import { scanTensor, type ScannedTensor } from './scanTensor';
import { WireReader, type WireField } from './wireReader';
import type { FileWindow } from './fileWindow';
import { invalidOnnx } from '../refusals';

/** A model without its weights: messages of the schema, and the positions of large tensors' values in the file. */
export interface ModelSkeleton {
  readonly model: ModelProto;
  /** Tensors whose data fields were removed from `model`. */
  readonly weights: ReadonlyMap<TensorProto, ScannedTensor>;
  readonly scanned: ScannedModel;
}

/** Tensors with less data than this stay in the messages. */
const cutFrom = 1024;
/** Nodes, names and small tensors of the largest real models take tens of megabytes. */
const largestSkeleton = 512 * 2 ** 20;
/** Each level of bodies is four messages deep; the library itself stops at 100. */
const deepestMessage = 100;
/** The highest field number that protobuf allows; a random key ensures that a mark is ours. */
const markField = 0x1fffffff;

type Kind = 'model' | 'training' | 'function' | 'graph' | 'node' | 'attribute' | 'sparse' | 'tensor';

/** Fields through which a tensor can be reached, from onnx-ml.proto. */
const children: Readonly<Record<Kind, Readonly<Record<number, Kind>>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: {},
};

/** Fields of a TensorProto that store values. */
const dataFields: ReadonlySet<number> = new Set([4, 5, 6, 7, 9, 10, 11]);

/**
 * Reads a model of any size as messages of the schema, without the values of tensors of 1 KiB or more: those bytes are removed while the
 * file is copied, the lengths of the enclosing messages are rewritten, and the library parses the rest. Everything else is preserved,
 * including unknown fields. Throws `malformed-file` for a broken file.
 */
export function readSkeleton(window: FileWindow): ModelSkeleton {
  const reader = new WireReader(window);
  // First the checks of a listing: sizes, depth, a graph.
  const scanned = scanModel(reader);
  const copy = new Copy(reader, randomBytes(16));
  const pieces = copy.message('model', 0, window.size, 0);
  let model: ModelProto;
  try {
    model = fromBinary(ModelProtoSchema, Buffer.concat(pieces));
  } catch (error) {
    throw invalidOnnx(window.path, error instanceof Error ? error.message : String(error), { cause: error });
  }
  const weights = new Map<TensorProto, ScannedTensor>();
  eachTensor(model, (tensor) => {
    const tensorWeights = copy.takeMark(tensor);
    if (tensorWeights !== undefined) weights.set(tensor, tensorWeights);
  });
  return { model, weights, scanned };
}

class Copy {
  private readonly cut: ScannedTensor[] = [];
  private total = 0;

  constructor(
    private readonly reader: WireReader,
    private readonly key: Buffer,
  ) {}

  /** Pieces of a message with its large values removed. */
  message(kind: Kind, start: number, end: number, depth: number): Buffer[] {
    if (depth > deepestMessage) throw this.reader.malformed(start, `messages are nested more than ${deepestMessage} deep`);
    const pieces: Buffer[] = [];
    let runStart = start;
    const flush = (runEnd: number) => {
      if (runEnd > runStart) pieces.push(this.keep(runStart, runEnd - runStart));
    };
    this.reader.eachField(start, end, (field) => {
      const child = children[kind][field.number];
      if (child === undefined || field.wire !== 2 || field.end - field.start < cutFrom) return;
      flush(field.tag);
      runStart = field.end;
      const inner = child === 'tensor' ? this.tensor(field) : this.message(child, field.start, field.end, depth + 1);
      const length = inner.reduce((sum, piece) => sum + piece.length, 0);
      pieces.push(header(field.number, length), ...inner);
    });
    flush(end);
    return pieces;
  }

  /** The tensor of the mark in a parsed message; the mark is removed. */
  takeMark(tensor: TensorProto): ScannedTensor | undefined {
    const index =
      tensor.$unknown?.findIndex((field) => field.no === markField && Buffer.from(field.data).subarray(1, 17).equals(this.key)) ?? -1;
    const mark = tensor.$unknown?.[index];
    if (tensor.$unknown === undefined || mark === undefined) return undefined;
    tensor.$unknown.splice(index, 1);
    if (tensor.$unknown.length === 0) tensor.$unknown = undefined;
    return this.cut[Buffer.from(mark.data).readUInt32LE(17)];
  }

  private tensor(field: WireField): Buffer[] {
    const pieces: Buffer[] = [];
    this.reader.eachField(field.start, field.end, (inner) => {
      if (!dataFields.has(inner.number)) pieces.push(this.keep(inner.tag, inner.end - inner.tag));
    });
    // The report of the scan already lists the problems.
    const scanned = scanTensor(this.reader, field, new ScanReport(this.reader.window.path));
    if (scanned.payload === 0) return pieces;
    const mark = Buffer.alloc(20);
    this.key.copy(mark);
    mark.writeUInt32LE(this.cut.length, 16);
    this.cut.push(scanned);
    return [...pieces, header(markField, mark.length), mark];
  }

  private keep(offset: number, length: number): Buffer {
    this.total += length;
    if (this.total > largestSkeleton)
      throw new LoomweightError(
        'unsupported',
        `The graph of this ONNX file is too large, with more than ${largestSkeleton} bytes without its weights: ${this.reader.window.path}.`,
        { path: this.reader.window.path },
      );
    return this.reader.window.bytesAt(offset, length);
  }
}

/** Tag and length of a length-delimited field. */
function header(field: number, length: number): Buffer {
  const bytes: number[] = [];
  for (const value of [field * 8 + 2, length]) {
    let rest = value;
    while (rest > 127) {
      bytes.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    bytes.push(rest);
  }
  return Buffer.from(bytes);
}
