import { GraphBuilder, int } from '../../graph/builder';
import type { Graph } from '../../graph/graph';
import { operators } from '../../ops/index';
import type { DecoderConfig } from '../architecture';
import { causalMask, decoderBlock, rmsNorm } from './decoderBlock';
import { finalNormName } from './expectedTensors';
import { fusedDecoderBlock } from './fusedBlock';
import { inputWeights } from './inputWeights';
import { axisLength } from './languageModel';
import { rotaryAngles } from './rope';

/**
 * The parts of a decoder whose weights are inputs: one block for all blocks, and final norm + head + loss. (The embedding is a
 * look-up of rows, done where they are read.) Sequences start at position 0, without padding and without a cache.
 */

/**
 * hidden [batch, sequence, hiddenSize] and the weights of block 0 by name -> next [batch, sequence, hiddenSize]. Other blocks feed
 * their weights under block 0's names. `fused` uses ONNX Runtime's own operators (CPU only).
 */
export function blockGraph(config: DecoderConfig, slidingWindow: number | undefined, fused: boolean): Graph {
  const build = new GraphBuilder(operators, `block${fused ? '_fused' : ''}${slidingWindow === undefined ? '' : `_window${slidingWindow}`}`);
  const hidden = build.input('hidden', { dtype: 'float32', shape: ['batch', 'sequence', config.hiddenSize] });
  const weights = inputWeights();
  const sequence = axisLength(build, hidden, 1);
  if (fused) {
    build.output(fusedDecoderBlock(build, config, weights, 0, { hidden, sequence, slidingWindow }), 'next');
    return build.finish();
  }
  const positions = build.op('Unsqueeze', [build.op('Range', [build.int64(0), sequence, build.int64(1)]), build.int64([0])]);
  const angles = rotaryAngles(build, config, positions);
  const mask = causalMask(build, { sequence, total: sequence }, slidingWindow);
  build.output(decoderBlock(build, config, weights, 0, { hidden, angles, mask }).hidden, 'next');
  return build.finish();
}

/**
 * Final norm and a slice of the head's rows. hidden [rows, hiddenSize], targets [rows] int64 (indices into the slice; any valid one where
 * the target lies elsewhere), `norm` [hiddenSize], `head` [slice, hiddenSize] -> total [rows] = log(sum(exp(logits))) over the slice and
 * chosen [rows] = logit of the target; float32. The logits never leave the runtime. Loss in nats of the whole: log(sum(exp(totals))) - chosen.
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
