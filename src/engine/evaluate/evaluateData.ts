import { throwIfCancelled, LoomweightError } from '../../protocol/errors';
import type { OutputReading } from '../../protocol/jobs';
import type { GraphSummary } from '../../protocol/model';
import { elementCount } from '../../protocol/dtypes';
import type { FinalActivation } from '../graph/passes/finalActivation';
import type { Session } from '../runtime/types';
import type { TaskContext } from '../runtime/workContext';
import { checkSplit, sliceSamples, type DataSplit, type SampleArray } from './data/dataSplit';
import { classScores, type ClassScores } from './classScores';
import { binaryAuc, classAccuracy, type Metric, type MetricResult } from './metrics';

/** Samples of one run unless told otherwise. */
const defaultBatch = 64;

/**
 * Runs a graph over a split of a data set and scores its first output: [batch, C > 1] is classes (accuracy, cross-entropy),
 * [batch] or [batch, 1] a single score (AUC, log loss); `classScores` decides between logits and probabilities. Data is checked against the graph's inputs before the first run; a graph whose first
 * axis has a fixed length runs in batches of that length, the last one filled up with repeated samples that are not scored.
 */
export async function evaluateOnData(
  session: Session,
  graph: Pick<GraphSummary, 'inputs' | 'outputs'>,
  split: DataSplit,
  options: { readonly batch?: number; readonly outputs?: OutputReading; readonly activation?: FinalActivation['kind'] },
  context: Pick<TaskContext, 'signal' | 'progress'>,
): Promise<MetricResult & { readonly samples: number; readonly reading: string }> {
  checkSplit(split, graph.inputs);
  const output = graph.outputs[0]?.name;
  if (output === undefined) throw new LoomweightError('unsupported', 'The graph has no output, so nothing can be scored.');
  const fixed = graph.inputs.map(({ shape }) => shape[0]).find((axis): axis is number => typeof axis === 'number');
  const batch = fixed ?? options.batch ?? defaultBatch;
  let metric: Metric | undefined;
  let reading: ClassScores | undefined;
  for (let start = 0; start < split.samples; start += batch) {
    throwIfCancelled(context.signal);
    context.progress({ phase: 'Evaluating', done: start, total: split.samples, unit: 'samples' });
    const count = Math.min(batch, split.samples - start);
    // A fixed batch reaches back into samples that were scored already.
    const first = fixed === undefined ? start : Math.max(0, Math.min(start, split.samples - batch));
    const runCount = fixed ?? count;
    if (runCount > split.samples)
      throw new LoomweightError(
        'invalid-argument',
        `The graph takes batches of ${runCount} samples, but ${split.description} has only ${split.samples}.`,
        { batch: runCount, samples: split.samples },
      );
    const feeds = Object.fromEntries(
      graph.inputs.map(({ name, dtype }) => [name, sliceSamples(split.inputs.get(name) as SampleArray, first, runCount, dtype)]),
    );
    const result = (await session.run(feeds, [output]))[output];
    if (!result || result.shape[0] !== runCount || result.shape.length > 2)
      throw new LoomweightError(
        'unsupported',
        `Output '${output}' must have shape [batch, classes] or [batch] to be scored, got [${result?.shape.join(', ') ?? ''}] for a batch of ${runCount}.`,
        { output, shape: result?.shape },
      );
    const classes = elementCount(result.shape.slice(1));
    metric ??= classes > 1 ? classAccuracy(classes) : binaryAuc();
    const values = sliceSamples(result, start - first, count, 'float32').data as Float32Array;
    reading ??= classScores(options.outputs ?? 'auto', options.activation, output, values, classes);
    const scores = reading.logits(values, classes);
    const labels = Array.from(split.labels.data.subarray(start, start + count) as ArrayLike<number | bigint>, Number);
    metric.add(scores, labels, start);
  }
  context.progress({ phase: 'Evaluating', done: split.samples, total: split.samples, unit: 'samples' });
  return { ...(metric as Metric).result(), samples: split.samples, reading: (reading as ClassScores).description };
}
