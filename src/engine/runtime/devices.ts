import { cpus } from 'node:os';
import type { DeviceStatus, DevicesReport } from '../../protocol/devices';
import { checksOf, chooseProvider, missingPieces } from './chooseProvider';
import { findNvidiaCard } from './cudaChecks';
import { findRuntimePackage, loadOrt } from './loadOrt';
import type { Ort, RuntimePackage } from './loadOrt';
import { thisMachine } from './machine';
import type { Machine } from './machine';
import { checkProvider } from './probe';
import type { Provider } from './session';
import { chooseThreads, usableCores } from './threads';

/** Known limits of the machine's memory, in bytes. */
export interface MemoryFigures {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

/** Providers in the order in which they are listed. */
const listed: readonly Provider[] = ['cpu', 'cuda', 'webgpu', 'dml', 'coreml'];

/**
 * The devices of this machine. A provider is only usable if it has just computed a small product; for the others, the checks state what is
 * missing and what to do. Errors: as for `findRuntimePackage` if the runtime itself is missing.
 */
export async function describeDevices(
  request: { readonly runtimePath?: string; readonly memory: MemoryFigures },
  machine: Machine = thisMachine(),
): Promise<DevicesReport> {
  const found = findRuntimePackage(request.runtimePath);
  const ort = loadOrt(found);
  const devices: DeviceStatus[] = [];
  for (const provider of listed) devices.push(await describeDevice(ort, found, provider, machine));
  const choice = await chooseProvider(ort, found, 'auto', chooseThreads(undefined), machine);
  return {
    platform: `${machine.platform}-${machine.arch}`,
    runtime: `onnxruntime-node ${found.version}`,
    runtimePath: found.folder,
    cores: usableCores(),
    memoryBytes: request.memory.totalBytes,
    memoryAvailableBytes: request.memory.availableBytes,
    devices,
    automatic: { provider: choice.provider, reason: choice.reason },
  };
}

async function describeDevice(ort: Ort, found: RuntimePackage, provider: Provider, machine: Machine): Promise<DeviceStatus> {
  const checks = checksOf(provider, machine, found);
  const name = deviceName(provider, machine);
  const missing = missingPieces(checks);
  if (missing !== undefined) return { provider, usable: false, name, reason: firstAdvice(checks) ?? missing, checks };
  const backends = ort.listSupportedBackends().map((backend) => backend.name);
  if (!backends.includes(provider))
    return { provider, usable: false, name, reason: `This build of ONNX Runtime only has ${backends.join(', ')}.`, checks };
  try {
    await checkProvider(ort, provider);
    return {
      provider,
      usable: true,
      name,
      reason: provider === 'cpu' ? 'Always available.' : 'A test matrix product was computed correctly.',
      checks,
    };
  } catch (error) {
    return { provider, usable: false, name, reason: error instanceof Error ? error.message : String(error), checks };
  }
}

function firstAdvice(checks: DeviceStatus['checks']): string | undefined {
  return checks.find(({ passed, advice }) => !passed && advice !== undefined)?.advice;
}

function deviceName(provider: Provider, machine: Machine): string {
  if (provider === 'cpu') return cpus()[0]?.model.trim() ?? 'processor';
  if (provider === 'cuda') return findNvidiaCard(machine)?.name ?? '';
  return '';
}
