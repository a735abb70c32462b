import { GraphBuilder, int } from '../graph/builder';
import type { Graph } from '../graph/graph';
import { operators } from '../ops/index';
import type { Runtime, RuntimeTensor, Session } from '../runtime/types';

/** Rows of a run hold about this much of logits: near the caches' size, and little memory. */
const rowsBytes = 8e6;

/**
 * Sum of log(sum(exp(logits))) - logit of the target over rows of logits, in the runtime: a loop in JavaScript takes as long as half of a small
 * model's own run. Rows are summed in float64.
 */
export class LogitsLoss {
  private constructor(private readonly session: Session) {}

  /** `dtype` of the logits: float32 or float16. */
  static async create(runtime: Runtime, dtype: 'float32' | 'float16'): Promise<LogitsLoss> {
    return new LogitsLoss(await runtime.createFromGraph(lossGraph(dtype), { keep: false }));
  }

  /** Loss in nats. `logits` [..., vocabulary], `targets` [rows]. */
  async score(logits: RuntimeTensor, targets: BigInt64Array): Promise<number> {
    const vocabulary = logits.shape[logits.shape.length - 1] as number;
    const data = logits.data as Float32Array;
    const step = Math.max(1, Math.floor(rowsBytes / (4 * vocabulary)));
    let loss = 0;
    for (let row = 0; row < targets.length; row += step) {
      const end = Math.min(row + step, targets.length);
      const results = await this.session.run({
        logits: { dtype: logits.dtype, shape: [end - row, vocabulary], data: data.subarray(row * vocabulary, end * vocabulary) },
        targets: { dtype: 'int64', shape: [end - row], data: targets.subarray(row, end) },
      });
      for (const value of (results['loss'] as RuntimeTensor).data as Float32Array) loss += value;
    }
    return loss;
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** logits [rows, vocabulary] and targets [rows] int64 -> loss [rows] float32. */
function lossGraph(dtype: 'float32' | 'float16'): Graph {
  const build = new GraphBuilder(operators, 'logits_loss');
  const given = build.input('logits', { dtype, shape: ['rows', 'vocabulary'] });
  const targets = build.input('targets', { dtype: 'int64', shape: ['rows'] });
  const logits = dtype === 'float32' ? given : build.op('Cast', [given], { to: int(1) });
  const axis = build.int64([-1]);
  const largest = build.op('ReduceMax', [logits, axis], { keepdims: int(1) });
  const sum = build.op('ReduceSum', [build.op('Exp', [build.op('Sub', [logits, largest])]), axis], { keepdims: int(1) });
  const chosen = build.op('GatherElements', [logits, build.op('Unsqueeze', [targets, axis])], { axis: int(1) });
  // The difference to the largest first: small numbers keep their digits.
  build.output(build.op('Squeeze', [build.op('Sub', [build.op('Log', [sum]), build.op('Sub', [chosen, largest])]), axis]), 'loss');
  return build.finish();
}
