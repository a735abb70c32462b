import type { ProviderChoice } from '../../protocol/jobs';
import { LoomweightError } from '../../protocol/errors';
import { cudaChecks } from './cudaChecks';
import type { DeviceCheck } from './cudaChecks';
import { coremlChecks, directmlChecks, webgpuChecks } from './graphicsChecks';
import type { Ort, RuntimePackage } from './loadOrt';
import type { Machine } from './machine';
import { checkProvider, largeProbe, relativeError, smallProbe, timeProvider } from './probe';
import type { ProbeResult, ProbeSize } from './probe';
import type { Provider } from './session';

/** A provider and the reason for choosing it, as one sentence. */
export interface ChosenProvider {
  readonly provider: Provider;
  readonly reason: string;
}

/** Factor by which WebGPU must beat the CPU in the probe: below it, the transfers of real work outweigh the gain. */
const webgpuAdvantage = 1.3;
/** A software driver is already apparent in the small probe: a GPU needs a few milliseconds, most of them latency. */
const hopelessMs = 20;
const hopelessFactor = 10;
/** Maximum relative error of the probe's result compared with the CPU's. */
const probeTolerance = 1e-2;

/** The checks of a provider. The CPU needs none. */
export function checksOf(provider: Provider, machine: Machine, found: RuntimePackage): readonly DeviceCheck[] {
  switch (provider) {
    case 'cpu':
      return [];
    case 'cuda':
      return cudaChecks(machine, found);
    case 'webgpu':
      return webgpuChecks(machine, found);
    case 'dml':
      return directmlChecks(machine, found);
    case 'coreml':
      return coremlChecks(machine);
  }
}

/** What is missing, as one sentence; undefined if every check passed. */
export function missingPieces(checks: readonly DeviceCheck[]): string | undefined {
  const failed = checks.filter(({ passed }) => !passed);
  if (failed.length === 0) return undefined;
  return failed.map(({ name, found, advice }) => `${name}: ${found}.${advice ? ` ${advice}` : ''}`).join(' ');
}

/**
 * Chooses where to run. A named provider is used or refused with what is missing, but never replaced by another. `auto` uses CUDA if it
 * loads, otherwise WebGPU if a timed probe shows it to be faster than the CPU with the same result, otherwise the CPU.
 */
export async function chooseProvider(
  ort: Ort,
  found: RuntimePackage,
  asked: ProviderChoice,
  threads: number,
  machine: Machine,
): Promise<ChosenProvider> {
  if (asked === 'cpu') return { provider: 'cpu', reason: 'The CPU was requested.' };
  if (asked !== 'auto') {
    await requireProvider(ort, found, asked, machine);
    return { provider: asked, reason: `${asked} was requested.` };
  }
  const refusals: string[] = [];
  const missingCuda = missingPieces(cudaChecks(machine, found));
  if (missingCuda === undefined) {
    const failure = await failureOf(() => checkProvider(ort, 'cuda'));
    if (failure === undefined) return { provider: 'cuda', reason: 'CUDA is complete and works.' };
    refusals.push(`CUDA failed to load: ${failure}`);
  } else {
    refusals.push('CUDA is not set up.');
  }
  const webgpu = await judgeWebgpu(ort, found, threads, machine);
  if (webgpu.wins) return { provider: 'webgpu', reason: webgpu.reason };
  return { provider: 'cpu', reason: [...refusals, webgpu.reason].join(' ') };
}

async function requireProvider(ort: Ort, found: RuntimePackage, provider: Exclude<Provider, 'cpu'>, machine: Machine): Promise<void> {
  const details = { provider, runtime: found.folder, version: found.version };
  const missing = missingPieces(checksOf(provider, machine, found));
  if (missing !== undefined)
    throw new LoomweightError('unsupported', `Provider ${provider} cannot be used here. ${missing}`, {
      ...details,
      checks: checksOf(provider, machine, found),
    });
  const backends = ort.listSupportedBackends().map(({ name }) => name);
  if (!backends.includes(provider))
    throw new LoomweightError(
      'unsupported',
      `This build of ONNX Runtime (${found.folder}) does not include the provider ${provider}; it has ${backends.join(', ')}.`,
      details,
    );
  const failure = await failureOf(() => checkProvider(ort, provider));
  if (failure !== undefined)
    throw new LoomweightError('unsupported', `Provider ${provider} is installed but does not work: ${failure}`, details);
}

async function judgeWebgpu(
  ort: Ort,
  found: RuntimePackage,
  threads: number,
  machine: Machine,
): Promise<{ readonly wins: boolean; readonly reason: string }> {
  if (missingPieces(webgpuChecks(machine, found)) !== undefined) return { wins: false, reason: 'No graphics driver for WebGPU was found.' };
  const refused = await failureOf(() => checkProvider(ort, 'webgpu'));
  if (refused !== undefined) return { wins: false, reason: `WebGPU does not work: ${refused}` };
  const race = async (size: ProbeSize): Promise<{ readonly cpu: ProbeResult; readonly webgpu: ProbeResult }> => ({
    cpu: await timeProvider(ort, 'cpu', threads, size),
    webgpu: await timeProvider(ort, 'webgpu', threads, size),
  });
  const first = await race(smallProbe);
  const hopeless = first.webgpu.milliseconds > Math.max(hopelessMs, hopelessFactor * first.cpu.milliseconds);
  const { cpu, webgpu } = hopeless ? first : await race(largeProbe);
  const figures = `${webgpu.milliseconds.toFixed(1)} ms on WebGPU, ${cpu.milliseconds.toFixed(1)} ms on the CPU`;
  const error = relativeError(webgpu.output, cpu.output);
  if (!(error < probeTolerance))
    return { wins: false, reason: `WebGPU's result differs from the CPU's (relative error ${error.toExponential(1)}).` };
  return cpu.milliseconds > webgpu.milliseconds * webgpuAdvantage
    ? { wins: true, reason: `WebGPU wins the probe: ${figures}.` }
    : { wins: false, reason: `WebGPU does not win the probe: ${figures}.` };
}

async function failureOf(action: () => Promise<void>): Promise<string | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
