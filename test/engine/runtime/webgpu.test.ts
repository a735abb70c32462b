import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { RunEnvironment } from '../../../src/protocol/report';
import { bundleForNode } from '../../support/bundle';

/** Chromium's software Vulkan driver: WebGPU without a graphics card. */
const driver = '/usr/lib/chromium/vk_swiftshader_icd.json';

interface Trial {
  readonly errors: Readonly<Record<string, number>>;
  readonly environment: RunEnvironment;
  readonly notes: readonly string[];
  readonly automatic: RunEnvironment;
}

// Where the driver is missing, the machine has nothing to test; the choice of provider is tested everywhere (devices.test.ts).
if (existsSync(driver))
  test('WebGPU on a software driver matches the CPU and reports what fell back', async () => {
    const script = await bundleForNode('test/engine/runtime/webgpuTrial.ts');
    const { stdout } = await promisify(execFile)(process.execPath, [script], {
      env: {
        ...process.env,
        VK_DRIVER_FILES: driver,
        LD_LIBRARY_PATH: '/usr/lib/chromium',
        LOOMWEIGHT_RUNTIME_PATH: resolve('node_modules/onnxruntime-node'),
      },
      timeout: 170_000,
    });
    const line = stdout.split('\n').find((text) => text.startsWith('RESULT ')) as string;
    const { errors, environment, notes, automatic } = JSON.parse(line.slice(7)) as Trial;
    expect(Object.keys(errors)).toEqual(['product', 'block', 'mixed']);
    // Float32 sums in another order; values are of the order 1 (10 for `mixed`).
    for (const error of Object.values(errors)) expect(error).toBeLessThan(2e-4);
    expect(environment.provider).toBe('webgpu');
    expect(environment.providerReason).toContain('webgpu was requested.');
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/^These operators of 'mixed' ran on the CPU instead of webgpu: .*Mul/);
    // Software loses to the processor it runs on, and auto says by how much.
    expect(automatic.provider).toBe('cpu');
    expect(automatic.providerReason).toMatch(/WebGPU does not win the probe: [\d.]+ ms on WebGPU, [\d.]+ ms on the CPU\./);
  }, 180_000);
else test('WebGPU is not tested: there is no software Vulkan driver here', () => expect(existsSync(driver)).toBe(false));
