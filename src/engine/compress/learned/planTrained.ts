import { dequantizeLearned, learnedBits } from '../../formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import { elementCount, type DType } from '../../../protocol/dtypes';
import { LoomweightError, throwIfCancelled } from '../../../protocol/errors';
import { decodeToFloat32, encodeFromFloat32 } from '../../formats/decode';
import { transposeInto } from '../../kernels/host/transpose';
import { containerWeights } from '../../models/decoderWeights';
import type { ModelSource, SourceTensor } from '../../models/modelSource';
import type { WeightReader } from '../../models/weightReader';
import type { PlannedStore } from '../../outputs/planned/plannedStore';
import type { PlannedTensor } from '../../outputs/planned/plannedTensor';
import type { OutputWriter } from '../../outputs/writers/outputWriter';
import type { WorkContext } from '../../runtime/workContext';
import { snapWidths } from './snapWidths';

/** What training has made of a model. */
export interface TrainedValues {
  readonly source: ModelSource;
  readonly learned: ReadonlyMap<string, LearnedTensor>;
  /** Float tensors that were trained and keep a float type, in the order in which they are stored, by name on disk. */
  readonly rest: ReadonlyMap<string, Float32Array>;
  /** The rest is stored as float16 rather than float32. */
  readonly halfRest: boolean;
}

/**
 * Adds the trained tensors of a model to a store, in the order of the model: learned tensors unchanged, or rounded again if the format's kernels support few
 * widths; the rest as plain values in the type in which they are stored. Errors: `invalid-argument` for names, lengths or values that do not fit.
 */
export async function planTrained(
  trained: TrainedValues,
  writer: OutputWriter,
  store: PlannedStore,
  { signal, note }: Pick<WorkContext, 'signal' | 'note'>,
): Promise<void> {
  const { source, learned, rest } = trained;
  for (const name of [...learned.keys(), ...rest.keys()])
    if (!source.tensors.has(name)) throw misfit(name, `${source.container.path} has no such tensor`);
  const left: string[] = [];
  for (const [name, tensor] of source.tensors) {
    throwIfCancelled(signal);
    const layer = { name, role: tensor.role, storedShape: tensor.entry.shape, transposed: tensor.transposed === true };
    const own = learned.get(name);
    if (own) {
      checkLength(name, own.levels.length, tensor);
      const { planned, relativeError, text } = learnedPlan(own, { ...layer, transposed: own.transposed }, trained, writer);
      if (planned.kind === 'plain') left.push(name);
      if (text) note(text);
      await store.add({ ...layer, transposed: own.transposed }, planned, relativeError);
      continue;
    }
    const values = rest.get(name);
    if (!values) continue;
    checkLength(name, values.length, tensor);
    await store.add(
      layer,
      {
        kind: 'plain',
        dtype: restType(trained, tensor, writer),
        shape: tensor.entry.shape,
        values: restValues(trained, tensor, writer, values),
      },
      0,
    );
  }
  if (left.length > 0) note(`No fast kernel supports ${left.join(', ')}: stored as float.`);
}

/** The model with its trained values, before any format rounds them again. */
export function trainedWeights({ source, learned, rest, halfRest }: TrainedValues): WeightReader {
  const base = containerWeights(source.container);
  return {
    shapeOf: (name) => base.shapeOf(name),
    read: async (name, target) => {
      const own = learned.get(name);
      const values = rest.get(name);
      if (!own && !values) return base.read(name, target);
      const made = own ? storedOrder(own) : halfRest ? rounded('float16', values!) : values!;
      return target ? (target.set(made), target) : made;
    },
  };
}

interface LearnedPlan {
  readonly planned: PlannedTensor;
  readonly relativeError: number;
  readonly text?: string;
}

function learnedPlan(
  tensor: LearnedTensor,
  layer: Parameters<NonNullable<OutputWriter['roundsLearned']>['fits']>[0],
  { source }: TrainedValues,
  { roundsLearned }: OutputWriter,
): LearnedPlan {
  if (!roundsLearned) return { planned: { kind: 'learned', tensor }, relativeError: 0 };
  if (!roundsLearned.fits(layer, source)) {
    // The graph of an ONNX model fixes the types of its weights.
    const dtype = source.container.format === 'onnx' ? source.tensors.get(layer.name)!.entry.dtype : 'float32';
    return { planned: { kind: 'plain', dtype, shape: layer.storedShape, values: rounded(dtype, storedOrder(tensor)) }, relativeError: 0 };
  }
  const { matrix, bits, relativeError } = snapWidths(tensor, roundsLearned);
  const mean = (learnedBits(tensor) - 72 - tensor.bitsOfWidth * tensor.bits.length) / Math.max(1, tensor.levels.length);
  const text = `'${tensor.name}': ${mean.toFixed(2)} bits learned, ${bits} bits in groups of ${roundsLearned.groupSize} written, relative difference ${relativeError.toPrecision(2)}.`;
  return { planned: matrix, relativeError, text };
}

/** Values of a learned tensor in the order in which the model stores it. */
function storedOrder(tensor: LearnedTensor): Float32Array {
  const values = dequantizeLearned(tensor);
  const [rows = 1, columns = 1] = tensor.shape;
  return tensor.transposed ? transposeInto(values, columns, 0, rows, new Float32Array(values.length)) : values;
}

function restType({ source, halfRest }: TrainedValues, { entry }: SourceTensor, { keepsTypes }: OutputWriter): DType {
  if (keepsTypes || source.container.format === 'onnx') return entry.dtype;
  return halfRest ? 'float16' : 'float32';
}

/** Through float16 where the rest is stored so, in every format: all of them then hold the same numbers. */
function restValues(trained: TrainedValues, tensor: SourceTensor, writer: OutputWriter, values: Float32Array): Float32Array {
  const large = trained.halfRest ? values.find((value) => Math.abs(value) >= 65520) : undefined;
  if (large !== undefined)
    throw misfit(tensor.entry.name, `it contains ${large}, but the largest float16 is 65504; store the rest in float32 (--float32-rest)`);
  return rounded(restType(trained, tensor, writer), trained.halfRest ? rounded('float16', values) : values);
}

function rounded(dtype: DType, values: Float32Array): Float32Array {
  return dtype === 'float32' ? values : decodeToFloat32(dtype, encodeFromFloat32(dtype, values));
}

function checkLength(name: string, length: number, { entry }: SourceTensor): void {
  if (length !== elementCount(entry.shape)) throw misfit(name, `it has ${elementCount(entry.shape)} values, got ${length}`);
}

function misfit(name: string, message: string): LoomweightError {
  return new LoomweightError('invalid-argument', `The trained tensor '${name}' cannot be written: ${message}.`, { tensor: name });
}
