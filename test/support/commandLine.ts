import { build } from 'esbuild';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';

const root = join(__dirname, '..', '..');

/** How a command line ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line, the engine and its worker threads, bundled as the build does, in a folder of their own. */
export class CommandLine {
  private constructor(
    readonly folder: string,
    readonly script: string,
  ) {}

  /** Builds into `.tmp`, where onnxruntime-node is found by walking up, so that tests need no `npm run build` before. */
  static async build(): Promise<CommandLine> {
    await mkdir(join(root, '.tmp'), { recursive: true });
    const folder = await mkdtemp(join(root, '.tmp', 'command-line-'));
    await build({
      absWorkingDir: root,
      entryPoints: [
        { in: 'src/cli/main.ts', out: 'cli' },
        { in: 'src/engine/main.ts', out: 'engine' },
        { in: 'src/engine/worker.ts', out: 'worker' },
        { in: 'src/engine/table.ts', out: 'table' },
      ],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      target: 'node20',
      external: ['onnxruntime-node'],
      outdir: folder,
      logLevel: 'error',
    });
    return new CommandLine(folder, join(folder, 'cli.js'));
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }

  /** Starts `loomweight`; the caller follows the process. State goes into the build's folder, not into the user's. */
  start(words: readonly string[], options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {}): ChildProcess {
    return spawn(process.execPath, [this.script, ...words], {
      cwd: options.cwd ?? this.folder,
      env: { ...process.env, LOOMWEIGHT_STATE: join(this.folder, 'state'), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** Runs `loomweight` to its end. */
  run(words: readonly string[], options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {}): Promise<Ended> {
    return ended(this.start(words, options));
  }

  /** Runs a command with --json and gives its document; anything else on stdout fails here. */
  async json<Report>(words: readonly string[], options: { readonly cwd?: string } = {}): Promise<Report> {
    const { code, stdout, stderr } = await this.run([...words, '--json'], options);
    if (code !== 0) throw new Error(`loomweight ${words.join(' ')} ended with ${code}\n${stdout}${stderr}`);
    return JSON.parse(stdout) as Report;
  }
}

/** Collects what a process writes until it is gone. */
export function ended(child: ChildProcess): Promise<Ended> {
  const text = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (part: string) => (text.stdout += part));
  child.stderr?.setEncoding('utf8').on('data', (part: string) => (text.stderr += part));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...text }));
  });
}
