import { LoomweightError } from '../../../protocol/errors';
import type { Diagnostic } from '../../../protocol/model';
import type { TensorEntry } from '../container';
import { readJsonObject } from '../files/readText';
import { containedPath } from '../huggingFace/containedPath';
import { malformedFile, quoteName } from '../malformed';
import { readSafetensorsHeader } from './openSafetensors';

/** Tensors of all shards of a model. */
export interface ShardedTensors {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly diagnostics: readonly Diagnostic[];
  readonly weightFiles: readonly string[];
}

/** More shards than any real model has; bounds how many files a hostile index can make us open. */
const mostShards = 10_000;

/**
 * Reads `model.safetensors.index.json` and the headers of all shards that it names. A tensor that the index places in a shard without it is
 * an error; one that the index does not list is still read, with a warning. Errors: `malformed-file` (`path-escape`, `missing-file`,
 * `missing-tensor`, `duplicate-name` and those of each header).
 */
export async function readShards(folder: string, index: string, limited: boolean): Promise<ShardedTensors> {
  const content = await readJsonObject(index);
  const map = content['weight_map'];
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw malformedFile(index, 0, 'invalid-index', 'A shard index needs an object "weight_map" that maps tensors to files');
  const placed = new Map<string, string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== 'string')
      throw malformedFile(index, 0, 'invalid-index', `The file of tensor ${quoteName(tensor)} must be a string`);
    placed.set(tensor, shard);
  }
  const names = [...new Set(placed.values())].sort();
  if (names.length > mostShards)
    throw new LoomweightError('unsupported', `${index} lists ${names.length} shards, but at most ${mostShards} can be read.`);
  const tensors = new Map<string, TensorEntry>();
  const metadata: Record<string, string> = {};
  const diagnostics: Diagnostic[] = [];
  const weightFiles: string[] = [];
  for (const name of names) {
    const file = await containedPath(folder, name, index, limited);
    const header = await readSafetensorsHeader(file);
    weightFiles.push(file);
    Object.assign(metadata, header.metadata);
    diagnostics.push(...header.diagnostics);
    for (const [tensor, entry] of header.tensors) {
      const before = tensors.get(tensor);
      if (before)
        throw malformedFile(
          file,
          0,
          'duplicate-name',
          `Tensor ${quoteName(tensor)} is in two shards; the other is ${before.location?.file}`,
        );
      tensors.set(tensor, entry);
      const expected = placed.get(tensor);
      if (expected !== name) diagnostics.push(misplaced(index, tensor, name, expected));
    }
  }
  const unknown = new Set(diagnostics.filter(({ code }) => code === 'unknown-dtype').map(({ subject }) => subject));
  for (const [tensor, shard] of placed) {
    if (!tensors.has(tensor) && !unknown.has(tensor))
      throw malformedFile(
        index,
        0,
        'missing-tensor',
        `The index places tensor ${quoteName(tensor)} in ${quoteName(shard)}, which does not contain it`,
      );
  }
  return { tensors, metadata, diagnostics, weightFiles };
}

function misplaced(index: string, tensor: string, found: string, expected: string | undefined): Diagnostic {
  const claim = expected === undefined ? 'does not list it' : `places it in ${quoteName(expected)}`;
  const message = `Tensor ${quoteName(tensor)} is in ${quoteName(found)}, but the index ${claim}. It is read from the file that contains it.`;
  return { severity: 'warning', code: 'index-disagrees', message, file: index, subject: tensor };
}
