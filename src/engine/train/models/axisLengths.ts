import { LoomweightError } from '../../../protocol/errors';
import type { JobData } from '../../evaluate/data/jobData';
import type { Value } from '../../graph/graph';
import type { BatchInput } from '../batches';

/** Data that a model will be trained on: that of the job, or the shapes of arrays by input, samples first. */
export type TrainingArrays = { readonly data: JobData } | { readonly shapes: ReadonlyMap<string, readonly number[]> };

const inputTypes: readonly string[] = ['float32', 'int64', 'int32', 'bool', 'uint8'] satisfies BatchInput['dtype'][];

/**
 * The inputs of one batch of an imported graph. The first axis is the batch; other axes have the lengths that the graph gives them, or, where it
 * only names them (the tokens of a text), those of the arrays of the split `train`: a step is compiled for one length, so all samples have the same.
 * Errors: `unsupported` for other types, for inputs without axes, for lengths that neither graph nor data tell, and, from the result, for a graph with another fixed
 * batch; as `readDataSplit`.
 */
export async function batchInputs(
  values: readonly Value[],
  path: string,
  arrays: TrainingArrays | undefined,
): Promise<(batch: number) => readonly BatchInput[]> {
  const unknown = values.filter((value) => inputTypes.includes(value.type.dtype) && isOpen(value));
  const shapes = arrays && unknown.length > 0 ? await shapesOfData(values, arrays) : undefined;
  const inner = values.map((value): readonly number[] => {
    const { name, type } = value;
    const declared = type.shape;
    const given = isOpen(value) ? shapes?.get(name) : (declared as readonly (number | string)[]);
    const fits =
      given !== undefined &&
      given.length > 0 &&
      (declared === undefined || declared.length === given.length) &&
      inputTypes.includes(type.dtype);
    if (fits)
      return given.slice(1).map((length, axis) => (typeof declared?.[axis + 1] === 'number' ? declared[axis + 1] : length) as number);
    throw new LoomweightError(
      'unsupported',
      `Training requires inputs of type ${inputTypes.join(', ')} with the batch as first axis and all other lengths fixed, by the graph or by arrays ` +
        `of the data, but '${name}' of ${path} is ${type.dtype} [${declared?.join(', ') ?? 'unknown'}]` +
        `${given === undefined ? '' : `, and its data [${given.join(', ')}]`}.`,
      { input: name, dtype: type.dtype, shape: declared },
    );
  });
  return (batch) => {
    const fixed = values.find(({ type }) => typeof type.shape?.[0] === 'number' && type.shape[0] !== batch);
    if (fixed)
      throw new LoomweightError(
        'unsupported',
        `Training takes batches of ${batch} samples, but input '${fixed.name}' of ${path} is [${fixed.type.shape?.join(', ')}], with a fixed batch. ` +
          `Export the model with a free batch axis${fixed.type.shape?.[0] === 1 ? '' : `, or use --batch ${fixed.type.shape?.[0]}`}.`,
        { input: fixed.name, shape: fixed.type.shape, batch },
      );
    return values.map(({ name, type }, index) => ({
      name,
      dtype: type.dtype as BatchInput['dtype'],
      shape: [batch, ...(inner[index] as readonly number[])],
    }));
  };
}

/** True if the graph leaves a length other than the batch's open. */
function isOpen({ type }: Value): boolean {
  return type.shape === undefined || type.shape.slice(1).some((length) => typeof length !== 'number');
}

async function shapesOfData(values: readonly Value[], arrays: TrainingArrays): Promise<ReadonlyMap<string, readonly number[]>> {
  if ('shapes' in arrays) return arrays.shapes;
  const inputs = values.map(({ name, type }) => ({ name, dtype: type.dtype, shape: type.shape ?? ['batch'] }));
  const split = await arrays.data.read('train', inputs);
  return new Map([...split.inputs].map(([name, { shape }]) => [name, shape]));
}
