import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SafetensorsWriter } from '../../src/engine/formats/safetensors/writer';
import { openContainer } from '../../src/engine/models/openContainer';

/** A model whose output layer is tied to the embedding, which its file has once. */
export const tiedModel = fileURLToPath(new URL('../fixtures/models/tiny-llama-linear', import.meta.url));

/** Writes that model with the embedding again as `lm_head.weight`; returns its folder. */
export async function modelWithHeadCopy(folder: string): Promise<string> {
  const model = join(folder, 'copied');
  cpSync(tiedModel, model, { recursive: true, filter: (name) => !name.endsWith('.safetensors') });
  const source = await openContainer(tiedModel);
  const embedding = source.tensors.get('model.embed_tokens.weight')!;
  const entries = [...source.tensors.values()];
  const writer = await SafetensorsWriter.create(
    model,
    [...entries, { ...embedding, name: 'lm_head.weight' }].map(({ name, dtype, shape }) => ({ name, dtype, shape })),
  );
  for (const { name } of entries) await writer.write(name, await source.read(name));
  await writer.write('lm_head.weight', await source.read(embedding.name));
  await writer.finish();
  await source.close();
  return model;
}
