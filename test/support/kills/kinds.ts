import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A job to kill. OUT in its words is the output that it is to write. */
export interface KilledKind {
  readonly name: string;
  readonly words: readonly string[];
}

/** Where the bundled models are, and what was made from them. */
export interface KillInputs {
  /** `media/samples`. */
  readonly samples: string;
  /** A folder with `archive`, an archive of the ONNX sample, and a recipe. */
  readonly made: string;
}

/** Commands that write what `killedKinds` reads; they run before the first kill. */
export function preparation({ samples, made }: KillInputs): readonly string[] {
  const model = join(samples, 'digits', 'digits-mlp.onnx');
  return ['compress', model, '--method', 'rtn', '--bits', '4', '--format', 'archive', '--out', join(made, 'archive')];
}

/** Writes the recipe beside its model, as recipes name models relative to their own folder. */
export function writeRecipe({ samples, made }: KillInputs): void {
  mkdirSync(made, { recursive: true });
  copyFileSync(join(samples, 'digits', 'digits-mlp.onnx'), join(made, 'digits.onnx'));
  const step = (name: string, format: string): string =>
    `  - kind: compress\n    name: ${name}\n    model: digits\n    method: rtn\n    format: ${format}\n    out: recipe/${name}\n`;
  writeFileSync(
    join(made, 'kill.loom.yaml'),
    `inputs:\n  digits: digits.onnx\nsteps:\n${step('one', 'onnx')}${step('two', 'onnx-packed')}${step('three', 'archive')}`,
  );
}

/** Every kind of job, and every format of output. */
export function killedKinds({ samples, made }: KillInputs): readonly KilledKind[] {
  const loom = join(samples, 'loom-base');
  const digits = join(samples, 'digits', 'digits-mlp.onnx');
  const data = join(samples, 'digits', 'data');
  const archive = join(made, 'archive');
  const text = join(samples, 'text', 'books.txt');
  const compress = (model: string, format: string, ...more: readonly string[]): KilledKind => ({
    name: `compress to ${format}${model === loom ? '' : ' (ONNX)'}${more.includes('--budget') ? ' with a budget' : more.includes('--max-memory') ? ' with a memory limit' : ''}`,
    words: ['compress', model, '--format', format, '--out', 'OUT', ...(more.length > 0 ? more : ['--method', 'rtn', '--bits', '4'])],
  });
  return [
    { name: 'convert an archive', words: ['compress', archive, '--method', 'none', '--format', 'onnx', '--out', 'OUT'] },
    compress(loom, 'onnx-packed'),
    { name: 'learn-bits', words: ['learn-bits', digits, '--data', data, '--steps', '300', '--out', 'OUT'] },
    { name: 'run', words: ['run', join(made, 'kill.loom.yaml')] },
    { name: 'evaluate an archive', words: ['evaluate', archive, '--data', data] },
    compress(loom, 'archive', '--budget', '3.5'),
    ...['hf', 'onnx', 'onnx-fast', 'archive'].map((format) => compress(loom, format)),
    ...['onnx', 'onnx-fast', 'onnx-packed', 'archive'].map((format) => compress(digits, format)),
    compress(loom, 'hf', '--method', 'rtn', '--bits', '8', '--max-memory', '400MiB'),
    { name: 'evaluate on text', words: ['evaluate', loom, '--text', text, '--window', '128', '--limit', '40'] },
    { name: 'generate', words: ['generate', loom, '--max-tokens', '400'] },
    { name: 'compare', words: ['compare', loom, loom] },
    { name: 'compare an archive', words: ['compare', digits, archive] },
    { name: 'inspect', words: ['inspect', loom, '--stats'] },
  ];
}
