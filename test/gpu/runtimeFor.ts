import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { cpuProvider, readProfile, shareByProvider, type NodeRun } from '../../src/engine/runtime/profile';
import { thisMachine } from '../../src/engine/runtime/machine';
import { createRuntime } from '../../src/engine/runtime/runtime';
import type { Runtime } from '../../src/engine/runtime/types';
import type { WorkContext } from '../../src/engine/runtime/workContext';
import type { CheckedProvider, Measurement, PartRequest } from './document';

/** The engine's runtime on a provider. With `trust` the device checks are taken to have passed: only a trial product decides. */
export function runtimeFor(provider: CheckedProvider, { trust }: Pick<PartRequest, 'trust'>): Promise<Runtime> {
  const machine = thisMachine();
  return createRuntime({ provider, ...(trust ? { machine: { ...machine, exists: () => true, run: () => 'GPU, 999.0, 0\n' } } : {}) });
}

/** What jobs of the engine are given; nothing is reported. */
export function quietContext(runtime: Runtime): WorkContext {
  return { runtime, signal: undefined, memoryLimit: 16e9, seed: 0, progress: () => undefined, note: () => undefined };
}

/** Runs work whose sessions all write profiles, and gives what each provider ran. */
export async function measureShares(
  request: PartRequest,
  name: string,
  work: (runtime: Runtime) => Promise<void>,
): Promise<Measurement & { readonly sessions: number }> {
  const folder = path.join(request.scratch, `profile-${name}`);
  mkdirSync(folder, { recursive: true });
  const runtime = profiled(await runtimeFor(request.provider, request), folder);
  try {
    await work(runtime);
  } finally {
    await runtime.dispose();
  }
  return sharesIn(folder, request.provider);
}

/** What the profiles in a folder say. Nodes of different sessions are different nodes, whatever their names. */
export function sharesIn(folder: string, provider: CheckedProvider): Measurement & { readonly sessions: number } {
  const files = readdirSync(folder);
  function* runs(): Generator<NodeRun> {
    for (const file of files) for (const run of readProfile(path.join(folder, file))) yield { ...run, node: `${file}/${run.node}` };
  }
  const shares = shareByProvider(runs());
  const onCpu = shares.find((share) => share.provider === cpuProvider);
  return { shares, nodesOnCpu: provider === 'cpu' ? 0 : (onCpu?.nodes ?? 0), sessions: files.length };
}

function profiled(runtime: Runtime, folder: string): Runtime {
  let sessions = 0;
  const profile = () => path.join(folder, `session${sessions++}`);
  return {
    get environment() {
      return runtime.environment;
    },
    createFromGraph: (graph, options) => runtime.createFromGraph(graph, { ...options, profile: profile() }),
    createFromFile: (file, options) => runtime.createFromFile(file, { ...options, profile: profile() }),
    notes: () => runtime.notes(),
    releaseIdle: () => runtime.releaseIdle(),
    dispose: () => runtime.dispose(),
  };
}
