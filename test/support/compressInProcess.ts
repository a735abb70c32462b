import { compressModel } from '../../src/engine/compress/compressModel';
import { estimateCompress } from '../../src/engine/compress/estimateCompress';
import { createRuntime } from '../../src/engine/runtime/runtime';
import type { CompressSpec } from '../../src/protocol/jobs';
import { workContext } from './workContext';

/**
 * Estimates, then runs a compression in its own process, and prints what was forecast and what the system counted as its peak.
 * Arguments: the specification as JSON; a memory limit in bytes.
 */
async function main(): Promise<void> {
  const [json = '', limit] = process.argv.slice(2);
  const spec = JSON.parse(json) as CompressSpec;
  const memory = limit === undefined ? {} : { memoryLimit: Number(limit) };
  const estimate = await estimateCompress(spec, memory);
  const report = await compressModel(spec, workContext(await createRuntime({ provider: 'cpu' }), memory));
  const written = report.outputs.reduce((sum, { bytes }) => sum + bytes, 0);
  const { scope, passed } = report.verification;
  console.log(JSON.stringify({ estimate, peak: process.resourceUsage().maxRSS * 1024, written, scope, passed, seconds: report.seconds }));
}

void main();
