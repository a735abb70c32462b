import type { LearnedTensor } from '../../formats/archive/learnedTensor';
import type { HostState, TrainableModel, TrainableParameter } from '../../train/contract';
import { transposeMatrix } from '../../kernels/host/transposeMatrix';

/** What training has made of a model's tensors, under every name that is stored. */
export interface TrainedTensors {
  /** With learned widths, by name on disk. */
  readonly learned: ReadonlyMap<string, LearnedTensor>;
  /** Everything else that training changed and that keeps a float type, in the order in which it is stored, by name on disk. */
  readonly rest: ReadonlyMap<string, Float32Array>;
}

/**
 * The trained tensors of a model: `realized` ones, the other parameters, and statistics of batches. A tied tensor that the file holds under several names
 * is there under each of them, transposed where it is stored so. `isStored`: whether the file has a tensor of that name.
 */
export function trainedTensors(
  model: Pick<TrainableModel, 'parameters' | 'buffers'>,
  state: HostState,
  realized: readonly LearnedTensor[],
  isStored: (name: string) => boolean,
): TrainedTensors {
  const learned = new Map(realized.map((tensor) => [tensor.name, tensor]));
  const rest = new Map<string, Float32Array>();
  for (const parameter of model.parameters) {
    const { name, tiedTo, transposedCopies = [] } = parameter;
    const tensor = learned.get(name);
    const values = tensor ? undefined : storedOrder(parameter, state.parameter(name));
    if (values) rest.set(name, values);
    for (const copy of tiedTo.filter(isStored)) {
      const turned = transposedCopies.includes(copy);
      if (tensor) learned.set(copy, { ...tensor, name: copy, transposed: tensor.transposed !== turned });
      if (values) rest.set(copy, turned ? transposeMatrix(values, ...storedShape(parameter)) : values);
    }
  }
  for (const { name } of model.buffers) rest.set(name, state.parameter(name));
  return { learned, rest };
}

/** Rows and columns of a matrix as it is stored. */
function storedShape({ held, heldShape, storedTransposed }: TrainableParameter): readonly [number, number] {
  const [first = 1, second = 1] = heldShape;
  return held === 'transposed' && !storedTransposed ? [second, first] : [first, second];
}

/** [in, out] weights are stored so or as [out, in]; everything else is held as it is stored. */
function storedOrder({ held, heldShape, storedTransposed }: TrainableParameter, values: Float32Array): Float32Array {
  if (held === 'canonical' || storedTransposed) return values;
  return transposeMatrix(values, heldShape[0] as number, heldShape[1] as number);
}
