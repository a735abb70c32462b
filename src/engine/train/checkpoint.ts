import { open, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LoomweightError } from '../../protocol/errors';
import type { TrainingEvaluation } from '../../protocol/training';
import { createOutputFile } from '../formats/files/outputFolder';
import { openSafetensors } from '../formats/safetensors/openSafetensors';
import { buildHeader } from '../formats/safetensors/writer';
import type { CheckpointOwner } from './checkpointOwner';
import type { SavedCurve } from './curve';
import type { StateTensor, StateValues } from './state';

/** Everything that a training needs to resume as if it had never stopped. */
export interface Checkpoint {
  /** Steps done. */
  readonly step: number;
  /** What the results depend on; a checkpoint of other settings is refused. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly curve: SavedCurve;
  readonly evaluations: readonly TrainingEvaluation[];
  /** Numbers of threads with which it ran, in turn. Checkpoints of earlier versions do not state them. */
  readonly threads?: readonly number[];
  readonly state: StateValues;
  /** Variables of the best evaluation so far, and its rank. */
  readonly best?: { readonly step: number; readonly rank: readonly number[]; readonly state: StateValues } | undefined;
}

/** checkpoint.json: the last file written, and the one that says which others count. */
interface Manifest extends Omit<Checkpoint, 'state' | 'best'> {
  readonly version: typeof manifestVersion;
  readonly stateFile: string;
  readonly best?: BestFile;
}

/** The file of the best state, and its rank. */
interface BestFile {
  readonly step: number;
  readonly rank: readonly number[];
  readonly file: string;
}

/** Of the manifest's form; 1 knew no ranks and named a model's tensors only. */
const manifestVersion = 2;
export const manifestName = 'checkpoint.json';
/** Names of tensor files. A checkpoint names no others: it may have come from elsewhere, and nothing outside of its folder is read. */
const tensorFile = /^(state|best)-\d+\.safetensors$/;

/**
 * Checkpoints of one training in a folder: tensors as safetensors, the rest as JSON. Every file is written under a temporary name, synced and renamed; the
 * JSON comes last and names the tensors' files, so that a crash at any time leaves the checkpoint before or the new one.
 */
export class CheckpointFolder {
  private bestWritten: BestFile | undefined;

  constructor(
    /** Absolute path. */
    readonly folder: string,
    private readonly layout: readonly StateTensor[],
    private readonly owner?: CheckpointOwner,
  ) {}

  /** Errors: `invalid-argument` where another training has taken the folder; its checkpoint is left alone. */
  async save(checkpoint: Checkpoint): Promise<void> {
    await this.owner?.requireOwned();
    const { state, best, ...rest } = checkpoint;
    const stateFile = `state-${checkpoint.step}.safetensors`;
    await this.writeTensors(stateFile, state);
    if (best && this.bestWritten?.step !== best.step) {
      const file = `best-${best.step}.safetensors`;
      await this.writeTensors(file, best.state);
      this.bestWritten = { step: best.step, rank: best.rank, file };
    }
    const manifest: Manifest = { version: manifestVersion, ...rest, stateFile, ...(this.bestWritten ? { best: this.bestWritten } : {}) };
    const output = await createOutputFile(join(this.folder, manifestName));
    try {
      await writeFile(output.path, `${JSON.stringify(manifest, undefined, 2)}\n`);
      await output.commit();
    } finally {
      await output.discard();
    }
    await this.removeOthers([manifestName, stateFile, ...(this.bestWritten ? [this.bestWritten.file] : [])]);
  }

  /**
   * The checkpoint, or undefined if there is none. Errors: `invalid-argument` naming what differs if it was made with other settings,
   * `malformed-file`.
   */
  async load(settings: Readonly<Record<string, unknown>>): Promise<Checkpoint | undefined> {
    const file = join(this.folder, manifestName);
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if ((error as { code?: string }).code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    const manifest = parseManifest(text, file);
    this.requireSame(manifest.settings, settings);
    const { version: _version, stateFile, best, ...rest } = manifest;
    this.bestWritten = best;
    return {
      ...rest,
      state: await this.readTensors(stateFile, this.layout),
      ...(best
        ? {
            best: {
              step: best.step,
              rank: best.rank,
              state: await this.readTensors(
                best.file,
                this.layout.filter(({ slotOf }) => !slotOf),
              ),
            },
          }
        : {}),
    };
  }

  /** Removes the checkpoint, and its folder if that is then empty: a folder of that name may have existed before. */
  async discard(): Promise<void> {
    const present = await readdir(this.folder).catch(() => []);
    if (present.length === 0) return;
    await rm(join(this.folder, manifestName), { force: true });
    await this.removeOthers([]);
    await rmdir(this.folder).catch((error: unknown) => {
      if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as { code?: string }).code ?? '')) throw error;
    });
  }

  private requireSame(saved: Readonly<Record<string, unknown>>, asked: Readonly<Record<string, unknown>>): void {
    const keys = [...new Set([...Object.keys(saved), ...Object.keys(asked)])];
    const different = keys.filter((key) => JSON.stringify(saved[key]) !== JSON.stringify(asked[key]));
    if (different.length === 0) return;
    const sentences = different.map((key) => `${key} was ${shown(saved[key])} and is ${shown(asked[key])}`);
    throw new LoomweightError(
      'invalid-argument',
      `The checkpoint ${this.folder} was made with different settings: ${sentences.join('; ')}. Use the same settings, or delete the folder to start over.`,
      { folder: this.folder, different },
    );
  }

  private async writeTensors(name: string, values: StateValues): Promise<void> {
    const tensors = this.layout
      .filter(({ key }) => values.has(key))
      .map(({ key, shape }) => ({ name: key, dtype: 'float32' as const, shape }));
    const { header, offsets } = buildHeader(tensors, {});
    const output = await createOutputFile(join(this.folder, name));
    try {
      const handle = await open(output.path, 'wx');
      try {
        await handle.writeFile(header);
        for (const { name: key } of [...tensors].sort((a, b) => (offsets.get(a.name) ?? 0) - (offsets.get(b.name) ?? 0))) {
          const { buffer, byteOffset, byteLength } = values.get(key) as Float32Array;
          // In pieces: one write takes at most 2 GiB.
          for (let done = 0; done < byteLength; done += 2 ** 30)
            await handle.writeFile(new Uint8Array(buffer, byteOffset + done, Math.min(2 ** 30, byteLength - done)));
        }
      } finally {
        await handle.close();
      }
      await output.commit();
    } finally {
      await output.discard();
    }
  }

  private async readTensors(name: string, tensors: readonly StateTensor[]): Promise<StateValues> {
    const container = await openSafetensors(join(this.folder, name));
    try {
      const values = new Map<string, Float32Array>();
      for (const { key, shape } of tensors) {
        if (container.tensors.get(key)?.shape.join() !== shape.join())
          throw new LoomweightError('malformed-file', `The checkpoint ${container.path} has no '${key}' of shape [${shape.join(', ')}].`, {
            path: container.path,
            tensor: key,
          });
        values.set(key, new Float32Array(new Uint8Array(await container.read(key)).buffer));
      }
      return values;
    } finally {
      await container.close();
    }
  }

  private async removeOthers(kept: readonly string[]): Promise<void> {
    for (const name of await readdir(this.folder))
      if (!kept.includes(name) && tensorFile.test(name)) await rm(join(this.folder, name), { force: true });
  }
}

function parseManifest(text: string, file: string): Manifest {
  const value = parseJson(text) as Partial<Manifest> | undefined;
  if (typeof value?.version === 'number' && value.version !== manifestVersion)
    throw new LoomweightError(
      'unsupported',
      `${file} was written by another version of Loomweight (format ${String(value.version)}, this one reads ${manifestVersion}). ` +
        'Resume with that version, or delete the folder to start over.',
      { path: file, version: value.version },
    );
  if (value && isManifest(value)) return value;
  throw new LoomweightError('malformed-file', `${file} is not a checkpoint. Delete the folder to start over.`, { path: file });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isManifest(value: Partial<Manifest>): value is Manifest {
  const { version, step, stateFile = '', best, settings, evaluations, threads } = value;
  return (
    version === manifestVersion &&
    Number.isSafeInteger(step) &&
    tensorFile.test(stateFile) &&
    (best === undefined || (tensorFile.test(best.file) && Array.isArray(best.rank))) &&
    typeof settings === 'object' &&
    settings !== null &&
    Array.isArray(evaluations) &&
    (threads === undefined || (Array.isArray(threads) && threads.every((count) => Number.isInteger(count))))
  );
}

function shown(value: unknown): string {
  const text = value === undefined ? 'not set' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
