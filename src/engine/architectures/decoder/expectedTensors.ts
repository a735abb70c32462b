import type { TensorRole } from '../../../protocol/model';
import type { DecoderConfig, ExpectedTensor } from '../architecture';

/** Names of the tensors outside the blocks. */
export const embeddingName = 'model.embed_tokens.weight';
export const finalNormName = 'model.norm.weight';
export const headName = 'lm_head.weight';

/** Name of the head's matrix [vocabulary, hiddenSize]: `lm_head.weight`, or the embedding if the two are tied. */
export function headMatrixName({ tiedEmbeddings }: DecoderConfig): string {
  return tiedEmbeddings ? embeddingName : headName;
}

/** Names of one block's tensors. */
export function blockNames(block: number) {
  const prefix = `model.layers.${block}`;
  return {
    inputNorm: `${prefix}.input_layernorm.weight`,
    query: `${prefix}.self_attn.q_proj`,
    key: `${prefix}.self_attn.k_proj`,
    value: `${prefix}.self_attn.v_proj`,
    output: `${prefix}.self_attn.o_proj`,
    postNorm: `${prefix}.post_attention_layernorm.weight`,
    gate: `${prefix}.mlp.gate_proj`,
    up: `${prefix}.mlp.up_proj`,
    down: `${prefix}.mlp.down_proj`,
  };
}

/** Every weight of a Llama-like model under its Hugging Face name. Linear weights are [out, in]. A tied head is not listed. */
export function expectedDecoderTensors(config: DecoderConfig): readonly ExpectedTensor[] {
  const result: ExpectedTensor[] = [
    { name: embeddingName, shape: [config.vocabularySize, config.hiddenSize], role: 'embedding', block: undefined },
  ];
  for (let block = 0; block < config.layers; block += 1) result.push(...blockTensors(config, block));
  result.push({ name: finalNormName, shape: [config.hiddenSize], role: 'norm', block: undefined });
  if (!config.tiedEmbeddings)
    result.push({ name: headName, shape: [config.vocabularySize, config.hiddenSize], role: 'head', block: undefined });
  return result;
}

/** The weights of one decoder block. */
export function blockTensors(config: DecoderConfig, block: number): readonly ExpectedTensor[] {
  const { hiddenSize: hidden, intermediateSize: inner, biases } = config;
  const queries = config.heads * config.headSize;
  const keys = config.keyValueHeads * config.headSize;
  const names = blockNames(block);
  const linear = (name: string, role: TensorRole, out: number, columns: number, bias: boolean): ExpectedTensor[] => [
    { name: `${name}.weight`, shape: [out, columns], role, block },
    ...(bias ? [{ name: `${name}.bias`, shape: [out], role: 'bias' as const, block }] : []),
  ];
  return [
    { name: names.inputNorm, shape: [hidden], role: 'norm', block },
    ...linear(names.query, 'query', queries, hidden, biases.queryKeyValue),
    ...linear(names.key, 'key', keys, hidden, biases.queryKeyValue),
    ...linear(names.value, 'value', keys, hidden, biases.queryKeyValue),
    ...linear(names.output, 'attention-output', hidden, queries, biases.output),
    { name: names.postNorm, shape: [hidden], role: 'norm', block },
    ...linear(names.gate, 'gate', inner, hidden, biases.mlp),
    ...linear(names.up, 'up', inner, hidden, biases.mlp),
    ...linear(names.down, 'down', hidden, inner, biases.mlp),
  ];
}
