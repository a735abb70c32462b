/**
 * Compresses a sparse Llama of 7B shape to onnx-fast at 4 bits under a memory limit, in this process: design section 11. Prints JSON: forecast, seconds, processor
 * seconds, peak of the resident size, checks. The full shape (32 layers) needs 5 GB of disk.
 * Usage: npm run bench compressLarge [-- layers [limit in GB [folder]]]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { compressModel } from '../../src/engine/compress/compressModel';
import { estimateCompress } from '../../src/engine/compress/estimateCompress';
import { createRuntime } from '../../src/engine/runtime/runtime';
import { workContext } from '../support/workContext';

const [layers = '4', gigabytes = '3', parent = tmpdir()] = process.argv.slice(2);
const folder = mkdtempSync(path.join(parent, 'loomweight-large-'));
try {
  const model = path.join(folder, 'model');
  execFileSync(process.execPath, [path.resolve('test/support/makeSparseLlama.mjs'), model, layers]);
  const memoryLimit = Number(gigabytes) * 1e9;
  const spec = { kind: 'compress', model, method: 'rtn', parameters: {}, format: 'onnx-fast', out: path.join(folder, 'out') } as const;
  const forecast = await estimateCompress(spec, { memoryLimit });
  const start = process.resourceUsage();
  const report = await compressModel(spec, workContext(await createRuntime({ provider: 'cpu' }), { memoryLimit }));
  const end = process.resourceUsage();
  const phases = report.verification.checks.map(({ name, measured, limit }) => ({ name, measured, limit }));
  console.log(
    JSON.stringify(
      {
        layers: Number(layers),
        parameters: report.parameterCount,
        gigabytesBefore: report.bytesBefore / 1e9,
        gigabytesAfter: report.bytesAfter / 1e9,
        bitsPerWeight: report.bitsPerWeight,
        forecast: { gigabytes: forecast.hostMemoryBytes / 1e9, seconds: forecast.seconds },
        seconds: report.seconds,
        processorSeconds: (end.userCPUTime + end.systemCPUTime - start.userCPUTime - start.systemCPUTime) / 1e6,
        peakGigabytes: (end.maxRSS * 1024) / 1e9,
        passed: report.verification.passed,
        scope: report.verification.scope,
        checks: phases,
      },
      undefined,
      2,
    ),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
