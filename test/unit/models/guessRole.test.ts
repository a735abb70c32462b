import { expect, test } from 'vitest';
import { guessRole } from '../../../src/engine/models/guessRole';

const of = (name: string, ...shape: number[]) => guessRole({ name, shape: shape.length > 0 ? shape : [32, 32], dtype: 'float32' });

/** What the modules of these names are in transformers, timm, torchvision, mamba, RWKV, llama.cpp and whisper. */
const left: Readonly<Record<'embedding' | 'head' | 'router' | 'constant', readonly string[]>> = {
  embedding: [
    'transformer.wte.weight',
    'transformer.wpe.weight',
    'shared.weight',
    'model.shared.weight',
    'token_embd.weight',
    'model.embed_tokens.weight',
    'bert.embeddings.word_embeddings.weight',
    'bert.embeddings.token_type_embeddings.weight',
    'gpt_neox.embed_in.weight',
    'tok_embeddings.weight',
    'emb.weight',
    'backbone.embedding.weight',
    'encoder.embed_positions.weight',
    'pos_embed',
    'params/Embed_0/embedding',
    'tok_emb.weight',
  ],
  head: [
    'lm_head.weight',
    'output.weight',
    'score.weight',
    'classifier.weight',
    'classifier.dense.weight',
    'cls.predictions.transform.dense.weight',
    'qa_outputs.weight',
    'head.weight',
    'heads.head.weight',
    'fc.weight',
    'proj_out.weight',
    'model.output.weight',
    'module.head.weight',
  ],
  router: [
    'model.layers.0.block_sparse_moe.gate.weight',
    'model.layers.3.mlp.gate.weight',
    'model.layers.3.mlp.router.weight',
    'encoder.block.1.layer.1.mlp.router.classifier.weight',
    'blk.0.ffn_gate_inp.weight',
    'model.layers.0.mlp.shared_expert_gate.weight',
    'transformer.blocks.0.ffn.router.layer.weight',
  ],
  constant: [
    'backbone.layers.0.mixer.A_log',
    'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight',
    'layers.0.blocks.0.attn.relative_position_bias_table',
    'blk.0.ssm_a',
    'mel_filters',
    'stft.forward_basis_buffer',
    'quantizer.codebook.weight',
    'rwkv.blocks.0.att.time_decay',
    'prompt',
  ],
};

test.for(Object.entries(left).flatMap(([kind, names]) => names.map((name) => [kind, name] as const)))('%s: %s', ([kind, name]) => {
  const { role, leftAlone } = of(name);
  expect(leftAlone?.kind).toBe(kind);
  expect(name.toLowerCase()).toContain(leftAlone?.word.toLowerCase());
  expect(role).toBe(kind === 'embedding' || kind === 'head' ? kind : 'other');
});

test.for([
  'transformer.h.0.attn.c_attn.weight',
  'transformer.h.0.mlp.c_fc.weight',
  'model.layers.0.mlp.gate_proj.weight',
  'model.layers.0.block_sparse_moe.experts.0.w1.weight',
  'model.layers.0.mlp.shared_expert.up_proj.weight',
  'encoder.block.0.layer.0.SelfAttention.q.weight',
  'bert.encoder.layer.0.attention.output.dense.weight',
  'bert.encoder.layer.0.output.dense.weight',
  'blk.0.attn_output.weight',
  'blk.0.ffn_gate.weight',
  'blocks.0.sa.heads.0.key.weight',
  'model.decoder.layers.0.fc1.weight',
  'fc1.weight',
  'fc3.weight',
  'backbone.layers.0.mixer.in_proj.weight',
  'params/Dense_0/kernel',
])('linear: %s', (name) => expect(of(name)).toEqual({ role: 'linear' }));

test('kernels of one to three axes of places are convolutions, experts in one tensor are none', () => {
  expect(of('conv.weight', 8, 4, 3)).toEqual({ role: 'convolution' });
  expect(of('conv.weight', 8, 4, 3, 3)).toEqual({ role: 'convolution' });
  expect(of('conv.weight', 8, 4, 3, 3, 3)).toEqual({ role: 'convolution' });
  expect(of('model.layers.0.mlp.experts.gate_up_proj', 4, 8, 8)).toEqual({ role: 'other' });
  expect(of('blk.0.ffn_up_exps.weight', 4, 8, 8)).toEqual({ role: 'other' });
  expect(of('h.0.attn.bias', 1, 1, 8, 8)).toEqual({ role: 'bias' });
  expect(of('layer.weight', 8).role).toBe('bias');
  expect(guessRole({ name: 'ids.weight', shape: [4, 4], dtype: 'int64' })).toEqual({ role: 'other' });
});
