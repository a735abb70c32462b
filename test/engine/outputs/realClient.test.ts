import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AutoModelForCausalLM, AutoTokenizer, env, type Tensor } from '@huggingface/transformers';
import { beforeAll, describe, expect, test } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { createRuntime } from '../../../src/engine/runtime/runtime';
import type { CompressSpec, OutputFormat } from '../../../src/protocol/jobs';
import { temporaryFolder } from '../../support/fixtures';
import { greedyTokens } from '../../support/greedyTokens';
import { workContext } from '../../support/workContext';

const sample = fileURLToPath(new URL('../../../media/samples/loom-base', import.meta.url));
const prompts = ['The old man looked at her, and', 'It was a dark night', 'Emma said to Mr. Knightley that'];
const cache = { layers: 4, keyValueHeads: 4, headSize: 32 };

/** How transformers.js finds each file: by the suffix that belongs to a dtype, or by name. */
const cases: readonly { format: OutputFormat; bits: number; options: Record<string, unknown> }[] = [
  { format: 'onnx', bits: 4, options: { dtype: 'q8' } },
  { format: 'onnx', bits: 2, options: { dtype: 'q8' } },
  { format: 'onnx-packed', bits: 3, options: { dtype: 'fp32' } },
  { format: 'onnx-packed', bits: 4, options: { dtype: 'fp32' } },
  { format: 'onnx-fast', bits: 2, options: { dtype: 'q2' } },
  { format: 'onnx-fast', bits: 4, options: { dtype: 'q4' } },
  { format: 'onnx-fast', bits: 8, options: { dtype: 'fp32', model_file_name: 'model_q8' } },
];

describe('transformers.js runs our directories', () => {
  const folder = temporaryFolder();
  beforeAll(() => {
    env.allowRemoteModels = false;
    env.localModelPath = '';
  });

  test.each(cases)('$format, $bits bits', async ({ format, bits, options }) => {
    const spec = { kind: 'compress', model: sample, method: 'rtn', parameters: { bits, groupSize: 32 }, format } as const;
    await expectSameText({ ...spec, out: join(folder, `${format}-${bits}`) }, options);
  });

  test('a bfloat16 model, as float ONNX and as onnx-fast', async () => {
    const runtime = await createRuntime({ provider: 'cpu', threads: 1 });
    const bfloat16 = join(folder, 'bfloat16');
    const convert = { kind: 'compress', method: 'none', format: 'hf', out: bfloat16 } as const;
    await compressModel({ ...convert, model: sample, parameters: { dtype: 'bfloat16' } }, workContext(runtime));
    const spec = { kind: 'compress', model: bfloat16, parameters: {} } as const;
    await expectSameText({ ...spec, method: 'none', format: 'onnx', out: join(folder, 'bfloat16-float') }, { dtype: 'fp32' });
    await expectSameText({ ...spec, method: 'rtn', format: 'onnx-fast', out: join(folder, 'bfloat16-fast') }, { dtype: 'q4' });
  });

  /** Compresses, then generates with transformers.js from the directory and with our own loop from the file. */
  async function expectSameText(spec: CompressSpec, options: Record<string, unknown>): Promise<void> {
    const { out } = spec;
    const runtime = await createRuntime({ provider: 'cpu', threads: 1 });
    const report = await compressModel(spec, workContext(runtime));
    expect(report.verification.passed).toBe(true);
    expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toMatchObject({ kind: 'compress', primary: report.primary });

    const tokenizer = await AutoTokenizer.from_pretrained(out, { local_files_only: true });
    const model = await AutoModelForCausalLM.from_pretrained(out, {
      local_files_only: true,
      device: 'cpu',
      ...options,
      session_options: { intraOpNumThreads: 1, logSeverityLevel: 3 },
    } as never);
    // The same settings as a plain client: everything at its default but the number of threads.
    const session = await runtime.createFromFile(join(out, report.primary), { exactMatMulNBits: false });
    try {
      for (const prompt of prompts) {
        const inputs = tokenizer(prompt) as { input_ids: Tensor };
        const ids = Array.from(inputs.input_ids.data as BigInt64Array, Number);
        const generated = (await model.generate({ ...inputs, max_new_tokens: 32, do_sample: false, eos_token_id: -1 } as never)) as Tensor;
        const theirs = Array.from(generated.data as BigInt64Array, Number).slice(ids.length);
        expect(theirs.length).toBe(32);
        expect(await greedyTokens(session, cache, ids, 32)).toEqual(theirs);
      }
    } finally {
      await session.release();
      await model.dispose();
    }
  }
});
