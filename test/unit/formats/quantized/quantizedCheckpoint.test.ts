import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { quantizationOfConfig } from '../../../../src/engine/formats/quantized/quantizationConfig';
import { openContainer } from '../../../../src/engine/models/openContainer';
import { test } from '../../../support/fixtures';
import { failureOf } from '../../../support/formatFiles';
import { headerSafetensors, writeHeaderModel, type HeaderTensors } from '../../../support/headerModel';
import { propertySeed } from '../../../support/propertySeed';

const layer = 'model.layers.0.mlp.up_proj';

/** One layer as the method's own software writes it. */
const layouts: readonly (readonly [what: string, method: RegExp, tensors: HeaderTensors])[] = [
  ['FP8 with a scale per tensor', /fp8/, { [`${layer}.weight`]: ['F8_E4M3', 8, 4], [`${layer}.weight_scale`]: ['F32'] }],
  ['FP8 by blocks', /fp8 by blocks/, { [`${layer}.weight`]: ['F8_E4M3', 8, 4], [`${layer}.weight_scale_inv`]: ['F32', 1, 1] }],
  ['int8 with a scale per row', /int8/, { [`${layer}.weight`]: ['I8', 8, 4], [`${layer}.weight_scale`]: ['BF16', 8, 1] }],
  [
    'compressed-tensors, packed',
    /compressed-tensors/,
    { [`${layer}.weight_packed`]: ['I32', 8, 1], [`${layer}.weight_scale`]: ['BF16', 8, 1], [`${layer}.weight_shape`]: ['I64', 2] },
  ],
  [
    'NVFP4',
    /nvfp4/,
    { [`${layer}.weight`]: ['U8', 8, 2], [`${layer}.weight_scale`]: ['F8_E4M3', 8, 1], [`${layer}.weight_scale_2`]: ['F32'] },
  ],
  [
    'GPTQ',
    /^gptq$/,
    {
      [`${layer}.qweight`]: ['I32', 1, 8],
      [`${layer}.qzeros`]: ['I32', 1, 1],
      [`${layer}.scales`]: ['F16', 1, 8],
      [`${layer}.g_idx`]: ['I32', 8],
    },
  ],
  ['AWQ', /awq/, { [`${layer}.qweight`]: ['I32', 8, 1], [`${layer}.qzeros`]: ['I32', 1, 1], [`${layer}.scales`]: ['F16', 1, 8] }],
  ['bitsandbytes, 8 bits', /bitsandbytes/, { [`${layer}.weight`]: ['I8', 8, 4], [`${layer}.SCB`]: ['F32', 8] }],
  [
    'bitsandbytes, 4 bits',
    /bitsandbytes/,
    {
      [`${layer}.weight`]: ['U8', 16, 1],
      [`${layer}.weight.absmax`]: ['U8', 1],
      [`${layer}.weight.quant_state.bitsandbytes__nf4`]: ['U8', 9],
    },
  ],
  ['HQQ', /hqq/, { [`${layer}.W_q`]: ['U8', 8, 2], [`${layer}.scale`]: ['F16', 8, 1], [`${layer}.zero`]: ['F16', 8, 1] }],
  ['Quanto', /quanto/, { [`${layer}.weight._data`]: ['I8', 8, 4], [`${layer}.weight._scale`]: ['F32', 8, 1] }],
  ['MXFP4', /mxfp4/, { 'experts.gate_up_proj_blocks': ['U8', 2, 4, 1, 16], 'experts.gate_up_proj_scales': ['U8', 2, 4, 1] }],
  ['MLX', /uint32/, { [`${layer}.weight`]: ['U32', 8, 1], [`${layer}.scales`]: ['F16', 8, 1], [`${layer}.biases`]: ['F16', 8, 1] }],
  [
    'AQLM',
    /int8/,
    { [`${layer}.codes`]: ['I8', 8, 1, 1], [`${layer}.codebooks`]: ['F16', 1, 256, 1, 8], [`${layer}.scales`]: ['F16', 8, 1] },
  ],
  ['int8 under a name of its own', /int8/, { 'experts.w1': ['I8', 8, 4], 'experts.w1_scale': ['F32', 8] }],
  ['int8 with scales of the module', /int8/, { [`${layer}.int_weight`]: ['I8', 8, 4], [`${layer}.scale`]: ['F32', 8] }],
  ['scaled FP8 by its mark', /scaled fp8/, { 'block.weight': ['F8_E4M3', 8, 4], scaled_fp8: ['F8_E4M3', 2] }],
  ['scaled FP8 of image models', /scaled fp8/, { 'block.weight': ['F8_E4M3', 8, 4], 'block.scale_weight': ['F32'] }],
];

describe('a quantised checkpoint without a word in its config', () => {
  test.for(layouts)('%s is refused for work and opened to be looked at', async ([, method, tensors], { folder }) => {
    const plain: HeaderTensors = { 'norm.weight': ['F32', 4], 'embed.weight': ['F32', 16, 4] };
    const directory = writeHeaderModel(folder, 'model', { ...plain, ...tensors });
    const file = join(folder, 'alone.safetensors');
    writeFileSync(file, headerSafetensors({ ...tensors, ...plain }));
    for (const model of [directory, file]) {
      const { code, message, details } = await failureOf(() => openContainer(model, { asHuggingFace: true }));
      expect(code).toBe('unsupported');
      expect(details).toMatchObject({ diagnostic: 'quantized-checkpoint', method: expect.stringMatching(method) as string });
      expect(message).toContain(model);
      const container = await openContainer(model);
      expect(container.diagnostics.map(({ code }) => code)).toEqual(['quantized-checkpoint']);
      expect(container.tensors.size).toBe(Object.keys({ ...plain, ...tensors }).length);
      await container.close();
    }
  });

  test('plain weights with names that only sound alike are not refused', async ({ folder }) => {
    const sound: readonly HeaderTensors[] = [
      { 'attention.W_q': ['F32', 4, 4], 'attention.W_k': ['F32', 4, 4] },
      { 'layer.weight': ['F32', 4, 4], 'layer.scale': ['F32', 4], 'layer.weight_scale': ['F32', 4] },
      { 'layer.weight': ['F8_E4M3', 4, 4], 'layer.bias': ['F32', 4] },
      { 'table.indices': ['I32', 4, 4], 'position.ids': ['I64', 1, 4], 'attention.mask': ['U8', 4, 4] },
      { down_blocks: ['F32', 4, 4], codes: ['F32', 4], codebooks: ['F32', 4, 4] },
      // Swin and others: a normalised attention has a scale beside its integers, and some norms call their weight a scale.
      { 'attn.relative_position_index': ['I32', 4, 4], 'attn.scale': ['F32', 4], 'attn.qkv.weight': ['F32', 12, 4] },
      { 'attn.mask': ['U8', 4, 4], 'attn.scale': ['F32', 4], 'attn.mask_scale': ['F32'] },
      { 'attn.table': ['I16', 4, 4], 'attn.scales': ['F32', 4] },
      { 'norm.scale_weight': ['F32', 4], 'norm.weight': ['F32', 4], scaled_fp8: ['F32', 1] },
    ];
    for (const [index, tensors] of sound.entries()) {
      const container = await openContainer(writeHeaderModel(folder, String(index), tensors), { asHuggingFace: true });
      expect(container.diagnostics).toEqual([]);
      await container.close();
    }
  });
});

describe('what config.json says', () => {
  test.for<readonly [config: Record<string, unknown>, method: string, entry: string]>([
    [{ quantization_config: { quant_method: 'gptq', bits: 4, group_size: 128 } }, 'gptq (4 bits, groups of 128)', 'quantization_config'],
    [
      { quantization_config: { quant_method: 'awq', w_bit: 4, q_group_size: -1 } },
      'awq (4 bits, one group per row)',
      'quantization_config',
    ],
    [
      { quantization_config: { quant_method: 'fp8', fmt: 'e4m3', weight_block_size: [128, 128] } },
      'fp8 (e4m3, blocks of 128 x 128)',
      'quantization_config',
    ],
    [{ quantization_config: { load_in_4bit: true, bnb_4bit_quant_type: 'nf4' } }, 'bitsandbytes (4 bits, nf4)', 'quantization_config'],
    [{ quantization_config: { load_in_4bit: false, quant_method: 'gptq', bits: 4 } }, 'gptq (4 bits)', 'quantization_config'],
    [{ quantization_config: { load_in_4bit: false, load_in_8bit: true } }, 'bitsandbytes (8 bits)', 'quantization_config'],
    [{ quantization_config: { quant_method: 'modelopt', quant_algo: 'NVFP4' } }, 'modelopt', 'quantization_config'],
    [{ compression_config: { format: 'int-quantized' } }, 'an unnamed method (int-quantized)', 'compression_config'],
    [{ quantization: { group_size: 64, bits: 4 } }, 'groups of codes (4 bits, groups of 64)', 'quantization'],
    [{ text_config: { quantization_config: { quant_method: 'torchao' } } }, 'torchao', 'text_config.quantization_config'],
    [{ quantization_config: 'int8' }, 'an unnamed method', 'quantization_config'],
    [{ quantization_config: { quant_method: '[x](command:y)' } }, '"[x](command:y)"', 'quantization_config'],
  ])('%j', ([config, method, entry]) => {
    expect(quantizationOfConfig(config)).toEqual({ method, entry });
  });

  test('nothing is said by other entries', () => {
    const off = { load_in_4bit: false, load_in_8bit: false };
    for (const config of [
      {},
      { quantization_config: null },
      { quantization: true },
      { text_config: { hidden_size: 4 } },
      { a_config: [] },
      { quantization_config: {} },
      { quantization_config: off, text_config: { quantization_config: { bits: null } } },
      { quantization_config: { ...off, _load_in_4bit: false, quant_method: 'bitsandbytes', llm_int8_threshold: 6 } },
    ])
      expect(quantizationOfConfig(config)).toBeUndefined();
  });

  test('any JSON is read without failing, and a stated config is found whatever is beside it', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), (config, settings) => {
        quantizationOfConfig(config as Record<string, unknown>);
        const found = quantizationOfConfig({ ...config, quantization_config: settings });
        const said = typeof settings === 'object' && settings !== null && !Array.isArray(settings) ? Object.values(settings) : [settings];
        if (said.some((each) => each !== null && each !== false)) expect(found?.entry).toBe('quantization_config');
        else expect(found?.entry).not.toBe('quantization_config');
      }),
      { seed: propertySeed, numRuns: 300 },
    );
  });
});
