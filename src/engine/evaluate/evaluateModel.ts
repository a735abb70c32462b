import { LoomweightError } from '../../protocol/errors';
import type { EvaluateSpec } from '../../protocol/jobs';
import type { EvaluateReport } from '../../protocol/report';
import type { TensorContainer } from '../formats/container';
import { finalActivation, type FinalActivation } from '../graph/passes/finalActivation';
import { openContainer } from '../models/openContainer';
import type { WorkContext } from '../runtime/workContext';
import { openJobData, type JobData } from './data/jobData';
import { checkSplit } from './data/dataSplit';
import { evaluateOnData } from './evaluateData';
import { evaluateText } from './evaluateText';
import { readableGraph } from './readableGraph';

/**
 * Measures a model: perplexity on a text, or accuracy or AUC on data, always with the mean loss. Checks everything that can be
 * checked (files, inputs, shapes) before anything runs. `data`: the job's data, where it was opened already. Errors: `invalid-argument`, `unsupported`, `malformed-file`,
 * `insufficient-memory`, `cancelled`.
 */
export async function evaluateModel(spec: EvaluateSpec, context: WorkContext, data?: JobData): Promise<EvaluateReport> {
  const given = [spec.text, spec.data].filter((value) => value !== undefined).length;
  if (given !== 1)
    throw new LoomweightError(
      'invalid-argument',
      `Evaluation requires either a text or data, got ${given === 0 ? 'neither' : 'both'}.`,
      {},
    );
  const start = performance.now();
  const container = await openContainer(spec.model, { asHuggingFace: true });
  try {
    if (spec.text !== undefined) {
      const score = await evaluateText(container, spec, context);
      const seconds = (performance.now() - start) / 1000;
      return {
        kind: 'evaluate',
        metric: 'perplexity',
        value: Math.exp(score.loss),
        ...score,
        environment: context.runtime.environment,
        seconds,
        tokensPerSecond: score.tokens / score.scoringSeconds,
        peakRssBytes: peakRss(),
      };
    }
    const source = data ?? openJobData({ data: spec.data as string, columns: spec.columns, memoryLimit: context.memoryLimit });
    return await scoreData(container, source, spec, context, start);
  } finally {
    await container.close();
  }
}

async function scoreData(
  container: TensorContainer,
  data: JobData,
  spec: EvaluateSpec,
  context: WorkContext,
  start: number,
): Promise<EvaluateReport> {
  const { graph } = container;
  if (!graph)
    throw new LoomweightError(
      'unsupported',
      `Evaluating on data requires an ONNX graph, but ${container.path} has only weights. Evaluate language models with --text.`,
      { path: container.path },
    );
  const split = await data.read(spec.split ?? 'test', graph.inputs);
  checkSplit(split, graph.inputs);
  const session = await context.runtime.createFromFile(container.path);
  try {
    const activation = await activationOf(container.path);
    const { reading, ...score } = await evaluateOnData(session, graph, split, { ...spec, activation }, context);
    return {
      kind: 'evaluate',
      ...score,
      choices: [split.description, reading],
      environment: context.runtime.environment,
      seconds: (performance.now() - start) / 1000,
      peakRssBytes: peakRss(),
    };
  } finally {
    await session.release();
  }
}

/** The activation behind the first output; undefined also for a graph that only the runtime can read: its outputs are then judged by their values. */
async function activationOf(path: string): Promise<FinalActivation['kind'] | undefined> {
  const graph = await readableGraph(path);
  return graph && finalActivation(graph)?.kind;
}

/** Largest resident size of this process so far; Node gives it in KiB. */
function peakRss(): number {
  return process.resourceUsage().maxRSS * 1024;
}
