import { toLoomweightError } from '../../protocol/errors';
import { GraphBuilder } from '../graph/builder';
import { operators } from '../ops/index';
import type { Runtime } from '../runtime/types';
import type { StepGraph } from './stepGraph';

/** How steps run, and why. */
export interface ModeChoice {
  readonly mode: StepGraph['mode'];
  readonly reason: string;
}

/**
 * Tries a small Loop on the provider: it carries a value, takes one from around it, and stacks one. Where it runs and is right, whole steps run inside the
 * runtime; otherwise one run is made for each.
 */
export async function chooseMode(runtime: Runtime): Promise<ModeChoice> {
  const { provider } = runtime.environment;
  try {
    const session = await runtime.createFromGraph(probeGraph(), { keep: false });
    try {
      const { total, stack } = await session.run({
        trips: { dtype: 'int64', shape: [], data: BigInt64Array.of(3n) },
        start: { dtype: 'float32', shape: [2], data: Float32Array.of(1, 2) },
        rows: { dtype: 'float32', shape: [3, 2], data: Float32Array.of(1, 0, 0, 1, 2, 2) },
      });
      const right = String(total?.data) === '4,5' && String(stack?.data) === '2,2,2,3,4,5';
      if (right) return { mode: 'loop', reason: `Whole steps run inside the runtime: a test Loop ran on ${provider}.` };
      return { mode: 'steps', reason: `One run per step: a test Loop computed wrong values on ${provider}.` };
    } finally {
      await session.release();
    }
  } catch (error) {
    return {
      mode: 'steps',
      reason: `One run per step: ${provider} cannot run a Loop (${firstLine(toLoomweightError(error).message)}).`,
    };
  }
}

function probeGraph(): ReturnType<GraphBuilder['finish']> {
  const build = new GraphBuilder(operators, 'loop_probe');
  const trips = build.input('trips', { dtype: 'int64', shape: [] });
  const start = build.input('start', { dtype: 'float32', shape: [2] });
  const rows = build.input('rows', { dtype: 'float32', shape: ['steps', 2] });
  const body = build.subgraph('probe_step');
  const index = body.input('probe/index', { dtype: 'int64', shape: [] });
  const condition = body.input('probe/condition', { dtype: 'bool', shape: [] });
  const carried = body.input('probe/carried', { dtype: 'float32', shape: [2] });
  const sum = body.op('Add', [carried, body.op('Gather', [rows, index], { axis: { kind: 'int', value: 0 } })]);
  body.output(body.op('Identity', [condition]));
  body.output(sum);
  body.output(body.op('Identity', [sum]));
  const outputs = build.node(
    'Loop',
    [trips, undefined, start],
    { body: { kind: 'graph', value: body.finish() } },
    { outputNames: ['total', 'stack'] },
  );
  for (const output of outputs) build.output(output);
  return build.finish();
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').slice(0, 200);
}
