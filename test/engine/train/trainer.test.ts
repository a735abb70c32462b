import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSafetensors } from '../../../src/engine/formats/safetensors/openSafetensors';
import { qat } from '../../../src/engine/train/methods/qat';
import { openTrainable } from '../../../src/engine/train/models/openTrainable';
import { digitsSpec, trainWith } from '../../support/trainDigits';
import { openRuntime } from '../../support/fixtures';

const runtime = await openRuntime();

test('a small network learns the digits from scratch', async () => {
  const result = await trainWith(digitsSpec(), runtime);
  expect(result.mode).toBe('loop');
  expect(result.evaluations.at(-1)?.metric).toBe('accuracy');
  expect(result.evaluations.at(-1)?.value).toBeGreaterThan(0.9);
  expect(result.curve[0]?.loss).toBeGreaterThan(result.curve.at(-1)?.loss as number);
});

test('only the named tensors of a model are trained; the others are unchanged and not part of the state', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-frozen-'));
  try {
    const spec = digitsSpec({ start: 'trained', steps: 20, method: 'qat', parameters: { bits: 3 } });
    const model = await openTrainable(spec.model);
    const options = {
      weightMethod: qat,
      checkpointFolder: folder,
      trained: ({ name }: { readonly name: string }) => name.startsWith('fc3'),
    };
    const { state, result, curve } = await trainWith(spec, runtime, options);
    for (const { name, initial } of model.parameters) {
      const before = await initial();
      if (name.startsWith('fc3')) expect(state.parameter(name), name).not.toEqual(before);
      else expect(state.parameter(name), name).toEqual(before);
    }
    // Frozen or not, what the method rounds is rounded.
    expect(result.quantized.map(({ name }) => name)).toEqual(model.parameters.map(({ name }) => name));
    expect(curve.at(-1)?.loss).toBeLessThan(curve[0]?.loss as number);
    const container = await openSafetensors(join(folder, readdirSync(folder).find((name) => name.startsWith('state-')) as string));
    const names = ['parameter/fc3.bias', 'parameter/fc3.weight'];
    const kept = names.flatMap((name) => [name, `moment1/${name}`, `moment2/${name}`]);
    expect([...container.tensors.keys()].sort()).toEqual(kept.sort());
    await container.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
