import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ggufFile, onnxFile, safetensorsFile, wave } from './modelFiles';
import { root } from './paths';

/** A tensor of loom-base, named in the text files below. */
export const knownTensor = 'model.layers.0.self_attn.q_proj.weight';

/** The recipe of the workspace: compresses the model, keeps one layer at 8 bits, and evaluates the result. */
const recipe = `name: Four bits, one layer at eight
inputs:
  base: loom-base
  books: books.txt
steps:
  - kind: compress
    name: small
    model: base
    method: rtn
    parameters: { bits: 4, groupSize: 32 }
    overrides:
      - glob: ${knownTensor}
        parameters: { bits: 8 }
    format: onnx-fast
    out: recipe-output
  - kind: evaluate
    model: small
    text: books
    window: 128
    limit: 4
`;

/** A text so long that evaluating the model on it takes minutes. */
export function writeLongText(folder: string): void {
  const text = readFileSync(join(root, 'media/samples/text/books.txt'), 'utf8');
  writeFileSync(join(folder, 'long.txt'), text.repeat(60));
}

/** A workspace with a language model, one small file of each format, a recipe and text files that name a tensor. */
export function fullWorkspace(folder: string): void {
  cpSync(join(root, 'media/samples/loom-base'), join(folder, 'loom-base'), { recursive: true });
  cpSync(join(root, 'media/samples/text/books.txt'), join(folder, 'books.txt'));
  mkdirSync(join(folder, 'small'), { recursive: true });
  const weight = { name: 'fc1.weight', shape: [24, 40], values: wave(960) };
  const bias = { name: 'fc1.bias', shape: [24], values: wave(24) };
  writeFileSync(join(folder, 'small/plain.safetensors'), safetensorsFile([weight, bias]));
  writeFileSync(
    join(folder, 'small/plain.gguf'),
    ggufFile('Plain', [
      { ...weight, name: 'blk.0.attn_q.weight' },
      { ...bias, name: 'output_norm.weight' },
    ]),
  );
  writeFileSync(join(folder, 'small/plain.onnx'), onnxFile(weight));
  writeFileSync(join(folder, 'small/broken.safetensors'), Buffer.from('this is not a model'));
  writeFileSync(join(folder, 'recipe.loom.yaml'), recipe);
  writeFileSync(join(folder, 'notes.txt'), 'Nothing of interest.\n');
  writeFileSync(join(folder, 'layers.yaml'), `tensor: ${knownTensor}\n`);
  writeFileSync(join(folder, 'layers.json'), `${JSON.stringify({ tensor: knownTensor }, null, 2)}\n`);
  writeFileSync(join(folder, 'layers.py'), `weights = state["${knownTensor}"]\n`);
}
