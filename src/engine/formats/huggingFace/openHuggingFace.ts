import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { LoomweightError } from '../../../protocol/errors';
import { archiveName, openArchive } from '../archive/openArchive';
import type { TensorContainer } from '../container';
import { FileContainer } from '../fileContainer';
import { readJsonObject } from '../files/readText';
import { malformedFile } from '../malformed';
import { quantizationOf } from '../quantized/quantizedCheckpoint';
import { readSafetensorsHeader } from '../safetensors/openSafetensors';
import { readShards, type ShardedTensors } from '../safetensors/shardIndex';
import { containedPath } from './containedPath';

/** Names of files that belong to a model and are copied to its outputs. config.json is included. */
const companionPattern =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|preprocessor_config|processor_config|chat_template)\.json$|^(merges\.txt|vocab\.txt|tokenizer\.model|spiece\.model|sentencepiece\.bpe\.model|chat_template\.jinja)$|^(LICENSE|NOTICE|USE_POLICY|README)(\.(md|txt))?$/i;

const indexName = 'model.safetensors.index.json';

/** True if a folder's file names make it a Hugging Face model: config.json and safetensors weights, or an archive. */
export function isHuggingFaceListing(names: readonly string[]): boolean {
  const weights = (name: string) => name === indexName || name === archiveName || name.endsWith('.safetensors');
  return names.includes('config.json') && names.some(weights);
}

/**
 * Opens a folder with config.json and safetensors weights, in one file or in shards, or with an archive in their place. config is returned
 * as written (`rope_theta` and `torch_dtype`, or `rope_parameters` and `dtype`): interpreting it is up to the architecture. Errors:
 * `not-found`, `unsupported` (weights in another format), `malformed-file`.
 */
export async function openHuggingFace(directory: string, { limited = false } = {}): Promise<TensorContainer> {
  const folder = path.resolve(directory);
  const names = (await readdir(folder)).sort();
  if (!names.includes('config.json'))
    throw new LoomweightError(
      'unsupported',
      `A Hugging Face folder needs config.json, but ${folder} has none. Add it, or name the weights file itself.`,
      {
        path: folder,
        diagnostic: 'missing-config',
      },
    );
  const configFile = await containedPath(folder, 'config.json', path.join(folder, 'config.json'), limited);
  const config = await readJsonObject(configFile);
  const companions: string[] = [];
  for (const name of names.filter((candidate) => companionPattern.test(candidate))) {
    const companion = await containedPath(folder, name, path.join(folder, name), limited);
    // They are copied later, and reading a pipe would block forever.
    if (!(await stat(companion)).isFile()) throw malformedFile(companion, 0, 'not-a-file', 'Not a regular file');
    companions.push(companion);
  }
  const format = 'hugging-face' as const;
  if (names.includes(archiveName) && !names.some((name) => name.endsWith('.safetensors')))
    return openArchive(await containedPath(folder, archiveName, path.join(folder, archiveName), limited), {
      format,
      path: folder,
      config,
      companions,
    });
  const weights = await readWeights(folder, names, limited);
  const quantization = quantizationOf({ ...weights, config }, configFile);
  return new FileContainer({ format, path: folder, config, companions, ...weights, ...quantization });
}

async function readWeights(folder: string, names: readonly string[], limited: boolean): Promise<ShardedTensors> {
  if (names.includes('model.safetensors')) return readOne(folder, 'model.safetensors', limited);
  if (names.includes(indexName))
    return readShards(folder, await containedPath(folder, indexName, path.join(folder, indexName), limited), limited);
  const others = names.filter((name) => name.endsWith('.safetensors'));
  if (others.length === 1) return readOne(folder, others[0] as string, limited);
  const pickles = names.filter((name) => /\.(bin|pt|pth|ckpt|h5|msgpack)$/.test(name));
  const found =
    others.length > 1
      ? `${others.length} .safetensors files and no ${indexName}`
      : pickles.length > 0
        ? `only ${pickles[0]}, in a format that can run code when read`
        : 'no weights';
  throw new LoomweightError(
    'unsupported',
    `A Hugging Face folder needs model.safetensors or ${indexName}, but ${folder} has ${found}. Convert the weights to safetensors, or name one file.`,
    {
      path: folder,
      diagnostic: 'missing-weights',
    },
  );
}

async function readOne(folder: string, name: string, limited: boolean): Promise<ShardedTensors> {
  const file = await containedPath(folder, name, path.join(folder, name), limited);
  const { tensors, metadata, diagnostics } = await readSafetensorsHeader(file);
  return { tensors, metadata, diagnostics, weightFiles: [file] };
}
