import { elementCount, type DType } from '../../protocol/dtypes';
import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import type { EvaluateSpec } from '../../protocol/jobs';
import type { GraphSummary } from '../../protocol/model';
import { float16ToNumber } from '../../common/halfFloat';
import type { TensorContainer } from '../formats/container';
import type { RuntimeTensor } from '../runtime/types';
import type { EvaluateContext } from './context';
import { convertColumn, integersOf, type DataColumn, type DataSet } from './dataSet';
import { readDataSet } from './readDataSet';
import { areaUnderCurve, binaryLoss, classScores } from './scores';

/** What scoring data gives, before it becomes a report. */
export interface DataScore {
  readonly metric: 'accuracy' | 'auc';
  readonly value: number;
  /** Mean loss in nats per sample: cross-entropy of classes, or binary cross-entropy of the logit. */
  readonly loss: number;
  readonly samples: number;
  readonly choices: readonly string[];
}

type Port = GraphSummary['inputs'][number];

/**
 * Scores an ONNX graph on labelled samples: accuracy for outputs [batch, C > 1], AUC for a single logit, each with the mean
 * loss. Shapes are checked against the graph's inputs before anything runs.
 */
export async function evaluateData(container: TensorContainer, spec: EvaluateSpec, context: EvaluateContext): Promise<DataScore> {
  const graph = container.graph;
  if (!graph)
    throw new LoomweightError(
      'unsupported',
      `Evaluating on data needs an ONNX graph; ${container.path} has weights only. For text use --text.`,
      {
        path: container.path,
      },
    );
  const set = await readDataSet({
    data: spec.data as string,
    split: spec.split ?? 'test',
    splitGiven: spec.split !== undefined,
    inputs: graph.inputs.map(({ name }) => name),
    columns: spec.columns ?? {},
  });
  for (const input of graph.inputs) checkShape(input, set.inputs.get(input.name) as DataColumn);
  const labels = labelsOf(set);
  const batch = batchSize(graph.inputs, spec.batch);
  const feeds = new Map(
    graph.inputs.map((input) => [input.name, convertColumn(set.inputs.get(input.name) as DataColumn, input.dtype as DType)]),
  );

  const output = chooseOutput(graph);
  const session = await context.runtime.createFromFile(container.path);
  try {
    const logits: number[] = [];
    let width = 1;
    for (let first = 0; first < set.samples; first += batch) {
      throwIfCancelled(context.signal);
      context.progress?.({ phase: 'Scoring samples', done: first, total: set.samples, unit: 'samples' });
      const count = Math.min(batch, set.samples - first);
      const rows = hasFixedBatch(graph.inputs) ? batch : count;
      const results = await session.run(
        Object.fromEntries([...feeds].map(([name, tensor]) => [name, rowsOf(tensor, first, count, rows)])),
        [output],
      );
      const result = results[output] as RuntimeTensor;
      width = outputWidth(result, rows, output);
      const values = floatsOf(result);
      for (let index = 0; index < count * width; index += 1) logits.push(values(index));
    }
    context.progress?.({ phase: 'Scoring samples', done: set.samples, total: set.samples, unit: 'samples' });
    return {
      ...scoreOf(logits, width, labels, set),
      samples: set.samples,
      choices: [...set.choices, `output '${output}' taken as logits`],
    };
  } finally {
    await session.release();
  }
}

function checkShape(input: Port, column: DataColumn): void {
  const fits =
    input.shape.length === column.shape.length &&
    input.shape.every((length, axis) => axis === 0 || typeof length === 'string' || length === column.shape[axis]);
  if (!fits)
    throw new LoomweightError(
      'invalid-argument',
      `The graph's input '${input.name}' needs [${input.shape.join(', ')}], ${column.source} has [${column.shape.join(', ')}]. ` +
        'Reshape the data, or check that data and model belong together.',
      { input: input.name, expected: input.shape, actual: column.shape },
    );
}

function labelsOf({ label, samples }: DataSet): Float64Array {
  if (elementCount(label.shape) !== samples)
    throw new LoomweightError(
      'invalid-argument',
      `${label.source} needs one label for each sample, [${samples}]; it has [${label.shape.join(', ')}].`,
      {
        actual: label.shape,
      },
    );
  return integersOf(label);
}

const hasFixedBatch = (inputs: readonly Port[]) => typeof inputs[0]?.shape[0] === 'number';

/** A graph with a fixed first axis runs with that many samples (the last run filled up); others with what was asked. */
function batchSize(inputs: readonly Port[], asked: number | undefined): number {
  const fixed = inputs[0]?.shape[0];
  return typeof fixed === 'number' ? fixed : (asked ?? 256);
}

function chooseOutput(graph: GraphSummary): string {
  const names = graph.outputs.map(({ name }) => name);
  const chosen = ['logits', 'logit', 'output'].find((name) => names.includes(name)) ?? names[0];
  if (chosen === undefined) throw new LoomweightError('unsupported', 'The graph has no output.', {});
  return chosen;
}

/** Samples `first` to `first + count`, filled up to `rows` with the last one. */
function rowsOf(tensor: RuntimeTensor, first: number, count: number, rows: number): RuntimeTensor {
  const size = elementCount(tensor.shape.slice(1));
  const shape = [rows, ...tensor.shape.slice(1)];
  const part = tensor.data.subarray(first * size, (first + count) * size) as Float32Array;
  if (rows === count) return { dtype: tensor.dtype, shape, data: part };
  const filled = tensor.data.slice(0, 0).constructor as new (length: number) => Float32Array;
  const data = new filled(rows * size);
  data.set(part);
  for (let row = count; row < rows; row += 1) data.set(part.subarray((count - 1) * size), row * size);
  return { dtype: tensor.dtype, shape, data };
}

/** Logits for each sample: [rows] and [rows, 1] have one. */
function outputWidth({ shape }: RuntimeTensor, rows: number, name: string): number {
  if (shape.length >= 1 && shape.length <= 2 && shape[0] === rows) return shape[1] ?? 1;
  throw new LoomweightError(
    'unsupported',
    `Scoring needs an output [batch] or [batch, classes]; '${name}' gives [${shape.join(', ')}] for ${rows} samples.`,
    { output: name, shape },
  );
}

function floatsOf({ dtype, data }: RuntimeTensor): (index: number) => number {
  if (dtype === 'float16') return (index) => float16ToNumber(data[index] as number);
  return (index) => Number(data[index]);
}

function scoreOf(
  logits: readonly number[],
  width: number,
  labels: Float64Array,
  set: DataSet,
): Pick<DataScore, 'metric' | 'value' | 'loss'> {
  const classes = width === 1 ? 2 : width;
  const wrong = labels.find((label) => label < 0 || label >= classes);
  if (wrong !== undefined)
    throw new LoomweightError(
      'invalid-argument',
      `${set.label.source} has the label ${wrong}; the model has ${width === 1 ? 'a single logit, so labels are 0 and 1' : `${width} classes, 0 to ${width - 1}`}.`,
      { label: wrong, classes },
    );
  if (width > 1) {
    const { correct, loss } = classScores(logits, width, labels);
    return { metric: 'accuracy', value: correct / labels.length, loss: loss / labels.length };
  }
  const value = areaUnderCurve(logits, labels);
  if (value === undefined)
    throw new LoomweightError(
      'invalid-argument',
      `AUC needs samples of both labels and finite logits; ${set.label.source} or the output lacks them.`,
      {},
    );
  return { metric: 'auc', value, loss: binaryLoss(logits, labels) / labels.length };
}
