import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors } from '../../src/engine/formats/safetensors/openSafetensors';

/** Every tensor of the last checkpoint in a folder, slots included, as hexadecimal bytes. */
export function finalState(checkpoint: string): Promise<ReadonlyMap<string, string>> {
  return tensorBytes(checkpoint, 'state-');
}

/** Every tensor of the best state in a folder's checkpoint, as hexadecimal bytes. */
export function bestState(checkpoint: string): Promise<ReadonlyMap<string, string>> {
  return tensorBytes(checkpoint, 'best-');
}

async function tensorBytes(checkpoint: string, prefix: string): Promise<ReadonlyMap<string, string>> {
  const files = readdirSync(checkpoint).filter((name) => name.startsWith(prefix));
  if (files.length !== 1) throw new Error(`${checkpoint} has ${files.length} files that start with '${prefix}', not one.`);
  const container = await openSafetensors(join(checkpoint, files[0] as string));
  const bytes = new Map<string, string>();
  for (const name of container.tensors.keys()) bytes.set(name, Buffer.from(await container.read(name)).toString('hex'));
  await container.close();
  return bytes;
}
