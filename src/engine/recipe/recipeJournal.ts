import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { protocolVersion } from '../../protocol/version';
import type { JobReport } from '../../protocol/report';
import type { PlannedStep } from './analyzeRecipe';

interface JournalStep {
  /** Hash of the specification and of the state of all inputs before the step ran. */
  readonly key: string;
  /** Hash of the state of what the step wrote; empty where it writes nothing. */
  readonly written: string;
  readonly report: JobReport;
}

interface JournalFile {
  readonly version: number;
  readonly recipe: string;
  readonly steps: Readonly<Record<string, JournalStep>>;
}

/** Files of a folder that are looked at; a model has a few, a data folder some dozen. */
const mostFiles = 10_000;

/**
 * Remembers which steps of a recipe are finished. It is in the user's state folder, one file per recipe, because the
 * recipe's own folder may be read-only. The state of a file is its size and time of change, as in make: hashing gigabytes would
 * cost as much as many steps. Losing the journal means that everything runs again.
 */
export class RecipeJournal {
  private constructor(
    private readonly path: string,
    private readonly recipe: string,
    private readonly steps: Record<string, JournalStep>,
  ) {}

  static async open(recipe: string, stateFolder: string): Promise<RecipeJournal> {
    const absolute = resolve(recipe);
    const path = join(stateFolder, 'recipes', `${createHash('sha256').update(absolute).digest('hex').slice(0, 24)}.json`);
    const steps: Record<string, JournalStep> = Object.create(null) as Record<string, JournalStep>;
    try {
      const file = JSON.parse(await readFile(path, 'utf8')) as JournalFile;
      if (file.version === protocolVersion && file.recipe === absolute) Object.assign(steps, file.steps);
    } catch {
      // No journal, or a damaged one: nothing is finished.
    }
    return new RecipeJournal(path, absolute, steps);
  }

  /** The report of a step that need not run again. */
  async find(step: PlannedStep): Promise<JobReport | undefined> {
    const known = this.steps[step.name];
    if (!known || known.key !== (await this.keyOf(step))) return undefined;
    return known.written === (await writtenState(step)) ? known.report : undefined;
  }

  /** What the outcome of a step rests on, as a hash. */
  async keyOf({ kind, spec }: PlannedStep): Promise<string> {
    const states = await Promise.all(kind.inputs(spec).map(pathState));
    return createHash('sha256')
      .update(JSON.stringify([protocolVersion, spec, states]))
      .digest('hex');
  }

  /** Notes a finished step. A journal that cannot be written does not fail the recipe. */
  async note(step: PlannedStep, key: string, report: JobReport): Promise<void> {
    this.steps[step.name] = { key, written: await writtenState(step), report };
    const temporary = `${this.path}.${process.pid}.tmp`;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      const file: JournalFile = { version: protocolVersion, recipe: this.recipe, steps: this.steps };
      await writeFile(temporary, JSON.stringify(file));
      await rename(temporary, this.path);
    } catch {
      // Without a journal --resume runs everything again, which is right.
    }
  }
}

/** State of all that a step writes; empty where it writes nothing. */
async function writtenState({ kind, spec }: PlannedStep): Promise<string> {
  return (await Promise.all(kind.outputs(spec).map(pathState))).join('\n');
}

/** Names, sizes and times of change of a file or of everything in a folder; `missing` where it is not there. */
async function pathState(path: string): Promise<string> {
  try {
    const info = await stat(path);
    if (!info.isDirectory()) return `${info.size}:${info.mtimeMs}`;
    const names = (await readdir(path, { recursive: true })).sort().slice(0, mostFiles);
    const states = await Promise.all(
      names.map(async (name) => {
        const file = await stat(join(path, name));
        return file.isDirectory() ? `${name}/` : `${name}:${file.size}:${file.mtimeMs}`;
      }),
    );
    return createHash('sha256').update(states.join('\n')).digest('hex');
  } catch {
    return 'missing';
  }
}
