import { readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LoomweightError } from '../../protocol/errors';
import { createOutputFile } from '../formats/files/outputFolder';
import { HiddenStates, type HiddenLayout } from './hiddenStates';
import type { BlockFingerprint } from './blockFingerprint';

/** Where a walk resumes. */
export interface BlockCheckpoint {
  /** The block that runs next. */
  readonly block: number;
  /** States before it; the caller closes them. */
  readonly hidden: HiddenStates;
}

/** checkpoint.json: the last file written, and the one that says which states count. */
interface Manifest {
  readonly version: 1;
  readonly fingerprint: BlockFingerprint;
  readonly layout: HiddenLayout;
  readonly block: number;
}

const manifestName = 'checkpoint.json';
const statesFile = /^hidden-\d+\.f32$/;

/**
 * Checkpoints of one walk over blocks in its own folder: the hidden states before the block that runs next, as raw float32, and a JSON file that says which
 * block that is. A crash at any time leaves either the previous checkpoint or the new one. Other results of a walk (planned tensors) are stored by the code that produces them.
 */
export class BlockCheckpoints {
  constructor(
    /** Absolute path. */
    readonly folder: string,
    private readonly fingerprint: BlockFingerprint,
  ) {}

  /**
   * The checkpoint, or undefined if there is none. Errors: `invalid-argument` naming what differs if it was made with another model, sample or other
   * settings, `malformed-file`.
   */
  async load(layout: HiddenLayout): Promise<BlockCheckpoint | undefined> {
    const file = join(this.folder, manifestName);
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if ((error as { code?: string }).code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    const manifest = parseManifest(text, file);
    this.requireSame(manifest, layout);
    return { block: manifest.block, hidden: await HiddenStates.fromFile(layout, this.pathOf(manifest.block)) };
  }

  /** A file for the states after a block. It counts once it was saved; one that never was is removed by the next `save` or `discard`. */
  async statesAfter(block: number, layout: HiddenLayout): Promise<HiddenStates> {
    return HiddenStates.newFile(layout, this.pathOf(block + 1));
  }

  /** Makes the states before `block` the checkpoint, in place of the one before. */
  async save(block: number, hidden: HiddenStates): Promise<void> {
    await hidden.sync();
    const manifest: Manifest = { version: 1, fingerprint: this.fingerprint, layout: hidden.layout, block };
    const output = await createOutputFile(join(this.folder, manifestName));
    try {
      await writeFile(output.path, `${JSON.stringify(manifest, undefined, 2)}\n`);
      await output.commit();
    } finally {
      await output.discard();
    }
    await this.removeStates(block);
  }

  /** Removes the checkpoint, and its folder if that is then empty. */
  async discard(): Promise<void> {
    await rm(join(this.folder, manifestName), { force: true });
    await this.removeStates(undefined);
    await rmdir(this.folder).catch((error: unknown) => {
      if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as { code?: string }).code ?? '')) throw error;
    });
  }

  private pathOf(block: number): string {
    return join(this.folder, `hidden-${block}.f32`);
  }

  private async removeStates(kept: number | undefined): Promise<void> {
    for (const name of await readdir(this.folder).catch(() => []))
      if (statesFile.test(name) && name !== `hidden-${kept}.f32`) await rm(join(this.folder, name), { force: true });
  }

  private requireSame({ fingerprint, layout }: Manifest, asked: HiddenLayout): void {
    const parts = [...new Set([...Object.keys(fingerprint), ...Object.keys(this.fingerprint)])] as (keyof BlockFingerprint)[];
    const different = [
      ...parts.filter((part) => fingerprint[part] !== this.fingerprint[part]),
      ...(JSON.stringify(sizes(layout)) === JSON.stringify(sizes(asked)) ? [] : ['layout']),
    ];
    if (different.length === 0) return;
    throw new LoomweightError(
      'invalid-argument',
      `The checkpoint ${this.folder} was made with a different ${different.join(' and ')}. Use the same, or delete the folder to start over.`,
      { folder: this.folder, different },
    );
  }
}

function sizes({ windows, length, hiddenSize }: HiddenLayout): readonly number[] {
  return [windows, length, hiddenSize];
}

function parseManifest(text: string, file: string): Manifest {
  try {
    const value = JSON.parse(text) as Manifest;
    const whole = [value.block, value.layout.windows, value.layout.length, value.layout.hiddenSize];
    if (value.version === 1 && whole.every((number) => Number.isSafeInteger(number) && number > 0) && typeof value.fingerprint === 'object')
      return value;
  } catch {
    // Reported below, together with values of another form.
  }
  throw new LoomweightError('malformed-file', `${file} is not a checkpoint. Delete the folder to start over.`, { path: file });
}
