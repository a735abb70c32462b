import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetFacts } from '../../src/engine/evaluate/data/parquetRows';
import { readTable } from '../../src/engine/evaluate/data/readTable';
import { parquetInOwnProcess } from '../../src/engine/evaluate/data/tableProcess';
import { decodeToFloat32, isDecodable } from '../../src/engine/formats/decode';
import { readGraph } from '../../src/engine/formats/onnx/readGraph';
import { findGraphProblems } from '../../src/engine/graph/verifier';
import { stepKinds } from '../../src/engine/jobs/index';
import { findOnnxWeights } from '../../src/engine/models/compressibleWeights';
import { summarizeModel } from '../../src/engine/models/modelSummary';
import { openSource } from '../../src/engine/models/modelSource';
import { openContainer } from '../../src/engine/models/openContainer';
import { operators } from '../../src/engine/ops';
import { checkRecipe } from '../../src/engine/recipe/checkRecipe';
import { loadTokenizer } from '../../src/engine/text/tokenizer';
import { LoomweightError } from '../../src/protocol/errors';
import { archiveSeed } from './archiveSeed';

/** One reader of files that are not trusted. */
export interface FuzzedReader {
  readonly name: string;
  /** Sound inputs. */
  readonly seeds: readonly Uint8Array[];
  /** Reads one input; `index` counts them; `known`: it broke the promise once. Errors: LoomweightError only, none of them `internal`. */
  read(bytes: Uint8Array, index: number, known: boolean): Promise<void>;
}

/** Reads every tensor that a header promises, as jobs do. */
async function readAll(model: string): Promise<void> {
  const container = await openContainer(model);
  try {
    await summarizeModel(container);
    for (const { name, dtype, bytes } of container.tensors.values()) {
      if (bytes > 1e6) continue;
      const data = await container.read(name);
      if (isDecodable(dtype)) decodeToFloat32(dtype, data);
    }
  } finally {
    await container.close();
  }
}

/**
 * The readers with seeds from the fixtures; inputs are written into `folder`. `fixtures`: test/fixtures. `tableScript`: the program that decodes Parquet tables: decoding in this process
 * would end it with what the library throws unheard.
 */
export async function fuzzedReaders(folder: string, fixtures: string, tableScript: string): Promise<readonly FuzzedReader[]> {
  const file = (name: string) => join(folder, name);
  const fixture = (...parts: string[]) => readFileSync(join(fixtures, ...parts));
  const golden = (name: string) =>
    Buffer.from((JSON.parse(readFileSync(join(fixtures, '..', 'golden', 'formats', name), 'utf8')) as { file: string }).file, 'base64');
  const overFile =
    (name: string, use: (path: string, index: number, known: boolean) => Promise<unknown>) =>
    async (bytes: Uint8Array, index: number, known: boolean): Promise<void> => {
      writeFileSync(file(name), bytes);
      await use(file(name), index, known);
    };
  /** A copy of a model folder, one file of which is replaced by each input. */
  const overFolder = (model: string, replaced: string, use: (folder: string) => Promise<unknown>) => {
    const at = file(`${model}-${replaced}`.replaceAll('.', '-'));
    cpSync(join(fixtures, 'models', model), at, { recursive: true });
    return async (bytes: Uint8Array): Promise<void> => {
      writeFileSync(join(at, replaced), bytes);
      await use(at);
    };
  };
  const closing = async (model: string): Promise<void> => {
    const source = await openSource(model);
    await source.container.close();
  };
  mkdirSync(file('report'), { recursive: true });
  writeFileSync(join(file('report'), 'w.safetensors'), golden('safetensors.json'));
  const report = JSON.stringify({
    ...{ kind: 'compress', version: '1', primary: 'w.safetensors', settings: {}, source: { path: 'm', files: [] }, verification: {} },
    ...{ method: 'rtn', bitsPerWeight: 4, parameterCount: 3, layers: [{ name: 'w', shape: [2, 3], bits: 4 }], outputs: [] },
  });
  const recipes = readdirSync(join(fixtures, '..', '..', 'media', 'samples')).filter((name) => name.endsWith('.loom.yaml'));
  return [
    { name: 'safetensors', seeds: [golden('safetensors.json')], read: overFile('a.safetensors', readAll) },
    {
      name: 'gguf',
      seeds: [golden('gguf.json'), ...readdirSync(join(fixtures, 'gguf')).map((name) => fixture('gguf', name))].filter(
        ({ length }) => length < 200_000,
      ),
      read: overFile('a.gguf', async (path, index) => (index % 4 === 0 ? closing(path) : readAll(path))),
    },
    { name: 'npy', seeds: npySeeds(), read: overFile('a.npy', readAll) },
    { name: 'archive', seeds: [await archiveSeed(folder)], read: overFile('a.loomq', readAll) },
    {
      name: 'onnx',
      seeds: ['external.onnx', 'old-ir3.onnx', 'storages.onnx', 'nested.onnx', 'tabular-dynamo.onnx'].map((name) => fixture('onnx', name)),
      read: overFile('a.onnx', async (path, index) => {
        if (index % 2 === 0) return readAll(path);
        findGraphProblems(await readGraph(path, { operators }), operators);
        await findOnnxWeights(path);
      }),
    },
    {
      name: 'config.json',
      seeds: [fixture('models', 'tiny-llama', 'config.json'), fixture('models', 'tiny-qwen2', 'config.json')],
      read: overFolder('tiny-llama', 'config.json', closing),
    },
    {
      name: 'shard index',
      seeds: [fixture('models', 'tiny-qwen2', 'model.safetensors.index.json')],
      read: overFolder('tiny-qwen2', 'model.safetensors.index.json', closing),
    },
    {
      name: 'tokenizer.json',
      seeds: [fixture('models', 'tiny-llama', 'tokenizer.json')],
      read: overFolder('tiny-llama', 'tokenizer.json', async (at) => (await loadTokenizer([at])).encode('Hello, world! 12\n\tünï')),
    },
    {
      name: 'report.json',
      seeds: [Buffer.from(report)],
      read: async (bytes) => {
        writeFileSync(join(file('report'), 'report.json'), bytes);
        await readAll(file('report'));
      },
    },
    {
      name: 'csv',
      seeds: [Buffer.from('a,b,"c ""d"""\n1,2.5,"x\ny"\n-3,4e5,\n'), Buffer.from('input,label\n1,0\n2,1\n')],
      read: overFile('a.csv', readTable),
    },
    {
      // The decoder runs in a process of its own; its start takes a hundred times as long as the check of the footer.
      name: 'parquet',
      seeds: [fixture('tables', 'digits-test.parquet')],
      read: overFile('a.parquet', (path, index, known) =>
        known || index % 500 === 0 ? parquetInOwnProcess(path, { script: tableScript }) : parquetFacts(path),
      ),
    },
    {
      name: 'recipe',
      seeds: recipes.map((name) => readFileSync(join(fixtures, '..', '..', 'media', 'samples', name))),
      read: async (bytes) => {
        const findings = await checkRecipe({ file: file('a.loom.yaml'), text: new TextDecoder().decode(bytes) }, stepKinds);
        const first = findings.find(({ severity }) => severity === 'error');
        if (first) throw new LoomweightError('malformed-file', first.message);
      },
    },
  ];
}

function npySeeds(): readonly Buffer[] {
  return ['<f4', '<i8', '|b1', '<f2'].map((descr) => {
    const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (3, 4), }`.padEnd(117).concat('\n');
    const head = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
    head.writeUInt16LE(text.length, 8);
    return Buffer.concat([head, Buffer.from(text), Buffer.alloc(12 * Number(descr[2]), 1)]);
  });
}
