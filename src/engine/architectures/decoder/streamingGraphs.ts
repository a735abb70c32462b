import { GraphBuilder, int } from '../../graph/builder';
import type { Graph, Value } from '../../graph/graph';
import { operators } from '../../ops/index';
import type { DecoderConfig, WeightSource } from '../architecture';
import { causalMask, decoderBlock, rmsNorm } from './decoderBlock';
import { finalNormName } from './expectedTensors';
import { fusedDecoderBlock, fusedLengths, rotaryTables } from './fusedBlock';
import { inputWeights } from './inputWeights';
import { axisLength } from './languageModel';
import { rotaryAngles } from './rope';

/**
 * The parts of a decoder with weights as inputs: one graph for all blocks, and one for final norm, head and loss. (The embedding is a row
 * lookup, done where the rows are read.) Sequences start at position 0, without padding and without a cache.
 */

/** Options of the block graph. */
export interface BlockGraphOptions {
  readonly slidingWindow: number | undefined;
  /** Uses ONNX Runtime's own operators (CPU only). */
  readonly fused: boolean;
  /** Source of the block's weights. Default: graph inputs. A decorator of it may add outputs to the graph. */
  readonly weights?: WeightSource;
  /** False omits the output `next`, for graphs whose weights add their own outputs. Default true. */
  readonly next?: boolean;
}

/**
 * hidden [batch, sequence, hiddenSize] and the weights of block 0 by name -> next [batch, sequence, hiddenSize]. Other blocks feed their
 * weights under the names of block 0.
 */
export function blockGraph(
  config: DecoderConfig,
  { slidingWindow, fused, weights = inputWeights(), next = true }: BlockGraphOptions,
): Graph {
  const build = new GraphBuilder(operators, `block${fused ? '_fused' : ''}${slidingWindow === undefined ? '' : `_window${slidingWindow}`}`);
  const hidden = build.input('hidden', { dtype: 'float32', shape: ['batch', 'sequence', config.hiddenSize] });
  const sequence = axisLength(build, hidden, 1);
  const output = fused
    ? fusedBlock(build, config, weights, { hidden, sequence, slidingWindow })
    : plainBlock(build, config, weights, { hidden, sequence, slidingWindow });
  if (next) build.output(output, 'next');
  return build.finish();
}

/** What a block sees: hidden [batch, sequence, hiddenSize], sequence [] int64. */
interface StreamedBlock {
  readonly hidden: Value;
  readonly sequence: Value;
  readonly slidingWindow: number | undefined;
}

function fusedBlock(
  build: GraphBuilder,
  config: DecoderConfig,
  weights: WeightSource,
  { hidden, sequence, slidingWindow }: StreamedBlock,
): Value {
  const positions = { ...fusedLengths(build, sequence, hidden), ...rotaryTables(build, config, sequence) };
  return fusedDecoderBlock(build, config, weights, 0, { hidden, positions, slidingWindow }).hidden;
}

function plainBlock(
  build: GraphBuilder,
  config: DecoderConfig,
  weights: WeightSource,
  { hidden, sequence, slidingWindow }: StreamedBlock,
): Value {
  const positions = build.op('Unsqueeze', [build.op('Range', [build.int64(0), sequence, build.int64(1)]), build.int64([0])]);
  const angles = rotaryAngles(build, config, positions);
  const mask = causalMask(build, { sequence, total: sequence }, slidingWindow);
  return decoderBlock(build, config, weights, 0, { hidden, angles, mask }).hidden;
}

/**
 * Final norm and a slice of the head's rows. hidden [rows, hiddenSize], targets [rows] int64 (indices into the slice; any valid index if
 * the target is in another slice), `norm` [hiddenSize], `head` [slice, hiddenSize] -> total [rows] = log(sum(exp(logits))) over the slice
 * and chosen [rows] = logit of the target; float32. The logits never leave the runtime. The total loss in nats: log(sum(exp(totals))) -
 * chosen.
 */
export function headLossGraph(config: DecoderConfig): Graph {
  const build = new GraphBuilder(operators, 'head_loss');
  const hidden = build.input('hidden', { dtype: 'float32', shape: ['rows', config.hiddenSize] });
  const targets = build.input('targets', { dtype: 'int64', shape: ['rows'] });
  const head = build.input('head', { dtype: 'float32', shape: ['slice', config.hiddenSize] });
  const normed = rmsNorm(build, config, inputWeights(), finalNormName, hidden);
  const logits = build.op('Gemm', [normed, head], { transB: int(1) });
  const axis = build.int64([-1]);
  const largest = build.op('ReduceMax', [logits, axis], { keepdims: int(1) });
  const sum = build.op('ReduceSum', [build.op('Exp', [build.op('Sub', [logits, largest])]), axis], { keepdims: int(1) });
  build.output(build.op('Squeeze', [build.op('Add', [build.op('Log', [sum]), largest]), axis]), 'total');
  const chosen = build.op('GatherElements', [logits, build.op('Unsqueeze', [targets, axis])], { axis: int(1) });
  build.output(build.op('Squeeze', [chosen, axis]), 'chosen');
  return build.finish();
}
