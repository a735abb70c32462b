import { expect, test } from 'vitest';
import { devicesText } from '../../../src/cli/commands/devices';

test('devices: what is missing and what to do', () => {
  expect(
    devicesText(
      {
        platform: 'linux-x64',
        runtime: 'onnxruntime-node 1.30.0',
        runtimePath: '/x',
        cores: 2,
        memoryBytes: 8 * 2 ** 30,
        memoryAvailableBytes: 4 * 2 ** 30,
        devices: [
          {
            provider: 'cpu',
            usable: true,
            name: 'Processor',
            reason: 'Always available.',
            checks: [{ name: 'a', passed: true, found: 'yes' }],
          },
          {
            provider: 'cuda',
            usable: false,
            name: '',
            reason: 'No driver.',
            checks: [{ name: 'NVIDIA driver', passed: false, found: 'not found', advice: 'Install the NVIDIA driver.' }],
          },
        ],
        automatic: { provider: 'cpu', reason: 'No GPU is usable.' },
      },
      false,
    ),
  ).toMatchInlineSnapshot(`
    "Provider  Usable  Device     Why
    cpu       yes     Processor  Always available.
    cuda      no                 No driver.

    cuda
      --  NVIDIA driver  not found
                         Install the NVIDIA driver.

    Automatic  cpu: No GPU is usable.
    Machine    linux-x64, 2 cores, 4.00 GiB of 8.00 GiB free
    Runtime    onnxruntime-node 1.30.0 (/x)
    "
  `);
});
