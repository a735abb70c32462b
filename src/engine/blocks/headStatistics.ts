import { throwIfCancelled } from '../../protocol/errors';
import type { DecoderConfig } from '../architectures/architecture';
import { rmsNorm } from '../architectures/decoder/decoderBlock';
import { finalNormName, headMatrixName } from '../architectures/decoder/expectedTensors';
import { inputWeights } from '../architectures/decoder/inputWeights';
import { GraphBuilder } from '../graph/builder';
import type { Graph } from '../graph/graph';
import type { WeightReader } from '../models/weightReader';
import { operators } from '../ops/index';
import type { WorkContext } from '../runtime/workContext';
import type { HiddenStates } from './hiddenStates';
import { findTapKind } from './taps';
import type { Statistic, TapKind } from './taps/tap';
import { TapSums } from './tapSums';

/** Which statistics of the head's inputs are gathered. */
export interface HeadStatisticsRequest {
  readonly config: DecoderConfig;
  readonly weights: WeightReader;
  /** After the last block. */
  readonly hidden: HiddenStates;
  /** Ids of what is gathered. */
  readonly kinds: readonly string[];
  /** Windows in one run of the runtime. */
  readonly windowsPerRun: number;
}

/** Statistics of what enters the head, the outputs of the final norm, by the id of their kind. */
export async function headStatistics(
  { config, weights, hidden, kinds: ids, windowsPerRun }: HeadStatisticsRequest,
  { runtime, signal }: Pick<WorkContext, 'runtime' | 'signal'>,
): Promise<ReadonlyMap<string, Statistic>> {
  const { windows, length, hiddenSize } = hidden.layout;
  const kinds = ids.map(findTapKind);
  const session = await runtime.createFromGraph(normGraph(config, kinds), { keep: false });
  try {
    const norm = await weights.read(finalNormName);
    const name = headMatrixName(config);
    const sums = new TapSums(kinds.map((kind) => ({ kind, output: kind.id, shape: kind.shape(hiddenSize), tensors: [name] })));
    for (let first = 0; first < windows; first += windowsPerRun) {
      throwIfCancelled(signal);
      const count = Math.min(windowsPerRun, windows - first);
      sums.add(
        await session.run({
          hidden: { dtype: 'float32', shape: [count * length, hiddenSize], data: await hidden.read(first, count) },
          [finalNormName]: { dtype: 'float32', shape: [hiddenSize], data: norm },
        }),
      );
    }
    return sums.finish({ tokens: windows * length, windows }, (tensor) => tensor).get(name) ?? new Map<string, Statistic>();
  } finally {
    await session.release();
  }
}

/** hidden [rows, hiddenSize] -> one output for each kind, under its id. */
function normGraph(config: DecoderConfig, kinds: readonly TapKind[]): Graph {
  const build = new GraphBuilder(operators, 'norm_statistics');
  const hidden = build.input('hidden', { dtype: 'float32', shape: ['rows', config.hiddenSize] });
  const normed = rmsNorm(build, config, inputWeights(), finalNormName, hidden);
  for (const kind of kinds) build.output(kind.sum(build, normed), kind.id);
  return build.finish();
}
