import { GraphBuilder, int } from '../../graph/builder';
import type { Graph, Value } from '../../graph/graph';
import { operators } from '../../ops/index';
import type { DecoderConfig, WeightSource } from '../architecture';
import { causalMask, decoderBlock, rmsNorm } from './decoderBlock';
import { embeddingName, finalNormName, headName } from './expectedTensors';
import { windowOfBlock } from './readDecoderConfig';
import { rotaryAngles } from './rope';

/**
 * The whole model as ONNX with Optimum's names and a cache, using only standard operators of opset 21 (as far as the weight source does).
 * Inputs: input_ids [batch, sequence], attention_mask [batch, past + sequence], position_ids [batch, sequence], all int64;
 * past_key_values.N.key and .value [batch, keyValueHeads, past, headSize] float32, past may be 0. Outputs: logits [batch, sequence,
 * vocabulary] and present.N.key and .value [batch, keyValueHeads, past + sequence, headSize].
 */
export function buildDecoderLanguageModel(config: DecoderConfig, weights: WeightSource): Graph {
  const build = new GraphBuilder(operators, config.architecture);
  const ids = build.input('input_ids', { dtype: 'int64', shape: ['batch_size', 'sequence_length'] });
  const attentionMask = build.input('attention_mask', { dtype: 'int64', shape: ['batch_size', 'past_sequence_length + sequence_length'] });
  const positions = build.input('position_ids', { dtype: 'int64', shape: ['batch_size', 'sequence_length'] });
  const cacheType = {
    dtype: 'float32' as const,
    shape: ['batch_size', config.keyValueHeads, 'past_sequence_length', config.headSize],
  };
  const past = Array.from({ length: config.layers }, (_, block) => ({
    key: build.input(`past_key_values.${block}.key`, cacheType),
    value: build.input(`past_key_values.${block}.value`, cacheType),
  }));

  const lengths = { sequence: axisLength(build, ids, 1), total: axisLength(build, attentionMask, 1) };
  const masks = new Map<number | undefined, Value>();
  const maskFor = (window: number | undefined): Value => {
    const mask = masks.get(window) ?? causalMask(build, lengths, window, attentionMask);
    masks.set(window, mask);
    return mask;
  };
  const angles = rotaryAngles(build, config, positions);
  let hidden = weights.embedding(build, embeddingName, ids, { rows: config.vocabularySize, columns: config.hiddenSize });
  const present: { readonly name: string; readonly value: Value }[] = [];
  for (const [block, cache] of past.entries()) {
    const mask = maskFor(windowOfBlock(config, block));
    const result = decoderBlock(build, config, weights, block, { hidden, angles, mask, past: cache });
    hidden = result.hidden;
    present.push({ name: `present.${block}.key`, value: result.key }, { name: `present.${block}.value`, value: result.value });
  }
  const normed = rmsNorm(build, config, weights, finalNormName, hidden);
  const logits = weights.linear(build, config.tiedEmbeddings ? embeddingName : headName, normed, {
    out: config.vocabularySize,
    in: config.hiddenSize,
  });
  build.output(logits, 'logits', ['batch_size', 'sequence_length', config.vocabularySize]);
  const presentShape = ['batch_size', config.keyValueHeads, 'past_sequence_length + sequence_length', config.headSize];
  for (const { name, value } of present) build.output(value, name, presentShape);
  return build.finish();
}

/** Length of an axis as an int64 scalar. */
export function axisLength(build: GraphBuilder, x: Value, axis: number): Value {
  return build.op('Squeeze', [build.op('Shape', [x], { start: int(axis), end: int(axis + 1) }), build.int64([0])]);
}
