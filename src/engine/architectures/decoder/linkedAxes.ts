import type { DecoderConfig, LinkedAxis, ScaleFold, AxisUse } from '../architecture';
import { blockNames, embeddingName, expectedDecoderTensors, finalNormName, headMatrixName, headName } from './expectedTensors';

/**
 * The axes of a model of the Llama family that share their units, each named once: `vocabulary` and `hidden` of the whole model; in each block `intermediate`,
 * `key-value-heads` (with the query heads that read them) and `query-heads` (within the group of one key head). The channels within a head are no such axis: rotary
 * angles give each its own frequency. Every axis of every tensor is in one of them, the axes of heads in two.
 */
export function linkedDecoderAxes(config: DecoderConfig): readonly LinkedAxis[] {
  const { layers, heads, keyValueHeads, headSize, tiedEmbeddings } = config;
  const tensors = expectedDecoderTensors(config);
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  /** Rows of linear layers with their biases, where the model has them. */
  const rowsOf = (linears: readonly string[], run: number): AxisUse[] =>
    linears
      .flatMap((linear) => [`${linear}.weight`, `${linear}.bias`])
      .flatMap((tensor) => (shapes.has(tensor) ? [{ tensor, axis: 0, run }] : []));
  const columnsOf = (linears: readonly string[], run: number): AxisUse[] =>
    linears.map((linear) => ({ tensor: `${linear}.weight`, axis: 1, run }));

  const group = heads / keyValueHeads;
  const hidden: AxisUse[] = [{ tensor: embeddingName, axis: 1, run: 1 }];
  const inBlocks: LinkedAxis[] = [];
  for (let block = 0; block < layers; block += 1) {
    const { inputNorm, postNorm, query, key, value, output, gate, up, down } = blockNames(block);
    hidden.push({ tensor: inputNorm, axis: 0, run: 1 }, ...columnsOf([query, key, value], 1), ...rowsOf([output], 1));
    hidden.push({ tensor: postNorm, axis: 0, run: 1 }, ...columnsOf([gate, up], 1), ...rowsOf([down], 1));
    inBlocks.push(
      { kind: 'intermediate', block, units: config.intermediateSize, uses: [...rowsOf([gate, up], 1), ...columnsOf([down], 1)] },
      {
        kind: 'key-value-heads',
        block,
        units: keyValueHeads,
        uses: [...rowsOf([key, value], headSize), ...rowsOf([query], headSize * group), ...columnsOf([output], headSize * group)],
      },
      {
        kind: 'query-heads',
        block,
        units: heads,
        within: group,
        uses: [...rowsOf([query], headSize), ...columnsOf([output], headSize)],
      },
    );
  }
  hidden.push({ tensor: finalNormName, axis: 0, run: 1 });
  const vocabulary: AxisUse[] = [{ tensor: embeddingName, axis: 0, run: 1 }];
  if (!tiedEmbeddings) {
    hidden.push({ tensor: headName, axis: 1, run: 1 });
    vocabulary.push({ tensor: headName, axis: 0, run: 1 });
  }
  return [
    { kind: 'vocabulary', block: undefined, units: config.vocabularySize, uses: vocabulary },
    { kind: 'hidden', block: undefined, units: config.hiddenSize, uses: hidden },
    ...inBlocks,
  ];
}

/**
 * Where a scale of each channel can move from one tensor into those that read it, without a change of the model's outputs: from a norm into the linear layers
 * after it, from `up` into `down`, from `value` into `output`. A head that is tied to the embedding takes no scale of the final norm.
 */
export function decoderScaleFolds(config: DecoderConfig): readonly ScaleFold[] {
  const { layers, heads, keyValueHeads, headSize, hiddenSize, intermediateSize, biases, tiedEmbeddings } = config;
  const weights = (...linears: readonly string[]) => linears.map((linear) => `${linear}.weight`);
  const withBias = (linear: string, bias: boolean) => (bias ? [`${linear}.weight`, `${linear}.bias`] : [`${linear}.weight`]);
  const folds: ScaleFold[] = [];
  for (let block = 0; block < layers; block += 1) {
    const { inputNorm, postNorm, query, key, value, output, gate, up, down } = blockNames(block);
    folds.push(
      { block, channels: hiddenSize, from: [inputNorm], to: weights(query, key, value) },
      {
        block,
        channels: keyValueHeads * headSize,
        from: withBias(value, biases.queryKeyValue),
        to: weights(output),
        repeated: { run: headSize, times: heads / keyValueHeads },
      },
      { block, channels: hiddenSize, from: [postNorm], to: weights(gate, up) },
      { block, channels: intermediateSize, from: withBias(up, biases.mlp), to: weights(down) },
    );
  }
  if (!tiedEmbeddings) folds.push({ block: undefined, channels: hiddenSize, from: [finalNormName], to: [headMatrixName(config)] });
  return folds;
}
