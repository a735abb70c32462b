import { execFileSync } from 'node:child_process';
import path from 'node:path';
import type { DevicesReport } from '../../../src/protocol/devices';
import { findRuntimePackage, loadOrt } from '../../../src/engine/runtime/loadOrt';
import { checkProvider } from '../../../src/engine/runtime/probe';
import { toLoomweightError } from '../../../src/protocol/errors';
import type { PartRequest, PartEnd } from '../document';

/**
 * What the packed command line says about this machine, and whether the provider computes a small product, asked apart from that. They agree, or the device
 * checks are wrong.
 */
export async function runDevices({ provider, folder }: PartRequest): Promise<PartEnd> {
  const failure = await failureOf(provider);
  const text = execFileSync(process.execPath, [path.join(folder, 'dist', 'cli.js'), 'devices', '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const report = JSON.parse(text) as DevicesReport;
  const device = report.devices.find((each) => each.provider === provider);
  const computes = failure === undefined;
  const found = { computes, ...(failure === undefined ? {} : { failure }), usable: device?.usable === true, report };
  if (computes && device?.usable) return { status: 'agrees', ...found };
  if (!computes && !device?.usable)
    return { status: 'skipped', note: `${provider} cannot be used here: ${device?.reason ?? failure}`, ...found };
  // A product needs no cuDNN: without it the provider computes, but convolutions fail.
  const missing = device?.checks.filter(({ passed }) => !passed).map(({ name }) => name) ?? [];
  if (computes && missing.length > 0 && missing.every((name) => name === 'cuDNN'))
    return { status: 'measured', note: `${provider} computes, but not everything: ${device?.reason}`, ...found };
  const note = computes
    ? `${provider} computes, but "loomweight devices" says: ${device?.reason ?? 'nothing about it'}`
    : `"loomweight devices" says that ${provider} is usable, but: ${failure}`;
  return { status: 'disagrees', note, ...found };
}

async function failureOf(provider: PartRequest['provider']): Promise<string | undefined> {
  try {
    await checkProvider(loadOrt(findRuntimePackage()), provider);
    return undefined;
  } catch (error) {
    return toLoomweightError(error).message.slice(0, 1000);
  }
}
