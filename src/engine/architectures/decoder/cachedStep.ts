import { int, type GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { DecoderConfig, WeightSource } from '../architecture';
import { causalMask, decoderBlock, rmsNorm, type BlockCache, type BlockInputs, type BlockOutputs } from './decoderBlock';
import { embeddingName, finalNormName, headMatrixName } from './expectedTensors';
import { fusedDecoderBlock, fusedLengths, type FusedPositions } from './fusedBlock';
import { axisLength } from './languageModel';
import { windowOfBlock } from './readDecoderConfig';
import { rotaryAngles } from './rope';

/** What a step of a decoder with a cache gets. */
export interface CachedStepInputs {
  /** [batch, sequence] int64. With a past that is not empty, fused blocks take one token only. */
  readonly ids: Value;
  /** One per block; may be of length 0. */
  readonly past: readonly BlockCache[];
  /** Number of tokens including the past, [] int64. */
  readonly total: Value;
  /** Tables of at least `total` positions for fused blocks; absent for standard operators. */
  readonly tables?: Pick<FusedPositions, 'cosine' | 'sine'> | undefined;
}

/** The outcome of a step. */
export interface CachedStepOutputs {
  /** Of the last token, [batch, vocabularySize]. */
  readonly logits: Value;
  readonly present: readonly BlockCache[];
}

/** The whole model from token ids to the logits of the last one, with keys and values of the tokens before. No padding: the sequences of a batch have equal lengths. */
export function cachedStep(
  build: GraphBuilder,
  config: DecoderConfig,
  weights: WeightSource,
  { ids, past, total, tables }: CachedStepInputs,
): CachedStepOutputs {
  const { hiddenSize, vocabularySize } = config;
  let hidden = weights.embedding(build, embeddingName, ids, { rows: vocabularySize, columns: hiddenSize });
  const runBlock = tables
    ? fusedBlocks(build, config, weights, { ...fusedLengths(build, total, ids), ...tables })
    : plainBlocks(build, config, weights, { ids, total });
  const present = past.map((cache, block) => {
    const result = runBlock(block, hidden, cache);
    hidden = result.hidden;
    return { key: result.key, value: result.value };
  });
  const last = build.op('Gather', [hidden, build.int64(-1, [])], { axis: int(1) });
  const normed = rmsNorm(build, config, weights, finalNormName, last);
  const logits = weights.linear(build, headMatrixName(config), normed, { out: vocabularySize, in: hiddenSize });
  return { logits, present };
}

type RunBlock = (block: number, hidden: Value, past: BlockCache) => BlockOutputs;

function fusedBlocks(build: GraphBuilder, config: DecoderConfig, weights: WeightSource, positions: FusedPositions): RunBlock {
  return (block, hidden, past) =>
    fusedDecoderBlock(build, config, weights, block, { hidden, positions, slidingWindow: windowOfBlock(config, block), past });
}

function plainBlocks(
  build: GraphBuilder,
  config: DecoderConfig,
  weights: WeightSource,
  { ids, total }: Pick<CachedStepInputs, 'ids' | 'total'>,
): RunBlock {
  const sequence = axisLength(build, ids, 1);
  const first = build.op('Sub', [total, sequence]);
  const positions = build.op('Unsqueeze', [build.op('Range', [first, total, build.int64(1)]), build.int64([0])]);
  const angles = rotaryAngles(build, config, positions);
  const masks = new Map<number | undefined, Value>();
  return (block, hidden, past) => {
    const window = windowOfBlock(config, block);
    const mask = masks.get(window) ?? causalMask(build, { sequence, total }, window);
    masks.set(window, mask);
    const inputs: BlockInputs = { hidden, angles, mask, past };
    return decoderBlock(build, config, weights, block, inputs);
  };
}
