import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfCancelled } from '../../../protocol/errors';
import { editModel, type OnnxEditor } from '../../formats/onnx/editModel';
import { openOnnx } from '../../formats/onnx/openOnnx';
import { encodeFromFloat32 } from '../../formats/decode';
import { fingerprintOf } from '../planned/fingerprint';
import type { PlannedEntry } from '../planned/plannedStore';
import type { PlainValues } from '../planned/plannedTensor';
import type { Pieces } from '../storage/matrixForm';
import type { EncodedTensor } from '../storage/storedTensor';
import { layoutsOf } from './languageModel';
import { onnxReader, type StoredPlace } from './onnxReader';
import type { WriteJob, WrittenOutput } from './outputWriter';
import { inlineLimit } from './pieceStore';
import { rewriteWeight, usesOfWeight } from './rewriteWeight';

/** How an ONNX model is rewritten. */
export interface OnnxCopyOutput {
  readonly file: string;
  /** Encodes one planned tensor. `linear`: every user is a product that a kernel of the form y = x W^T can take the place of. */
  encode(name: string, linear: boolean): Promise<EncodedTensor>;
  readonly expectedBytes: number;
}

/**
 * Rewrites an ONNX model: compressed weights are replaced by their stored pieces and the nodes that make use of them, plain values take the place of the
 * source's, everything else is written as it was, unknown fields included.
 */
export async function writeOnnxCopy(job: WriteJob, output: OnnxCopyOutput): Promise<WrittenOutput> {
  const { source, planned, folder, signal } = job;
  await mkdir(join(folder, 'onnx'), { recursive: true });
  const path = join(folder, 'onnx', output.file);
  const editor = await editModel(source.container.path);
  const places = new Map<string, StoredPlace>();
  try {
    for (const entry of planned.entries())
      if (entry.layout.kind === 'plain') {
        const { dtype, values } = (await planned.get(entry.name)) as PlainValues;
        editor.replaceInitializer(entry.name, { dtype, shape: entry.storedShape, bytes: encodeFromFloat32(dtype, values) });
      }
    for (const name of planned.compressed()) {
      throwIfCancelled(signal);
      const entry = planned.entry(name) as PlannedEntry;
      const uses = usesOfWeight(editor, editor.hoistWeight(name), entry);
      const { stored, pieces } = await output.encode(name, uses.linear);
      editor.raiseOpset(stored.opset);
      const names = addPieces(editor, name, pieces);
      rewriteWeight({ editor, entry, uses, stored, pieces, names });
      places.set(name, { stored, pieces: names, ...(entry.transposed ? { transposed: true } : {}) });
      job.stored(
        name,
        Object.values(pieces).reduce((sum, piece) => sum + piece.bytes.byteLength, 0),
      );
    }
    editor.removeUnusedWeights();
    await editor.write(path, { externalData: output.expectedBytes <= inlineLimit ? 'never' : 'always' });
  } finally {
    await editor.close();
  }
  // Weights that nothing used are dropped.
  const written = await openOnnx(path);
  const values = [...source.tensors.values()].filter(
    ({ entry }) => !places.has(entry.name) && entry.dtype !== 'string' && written.tensors.has(entry.name),
  );
  await written.close();
  return {
    primary: `onnx/${output.file}`,
    integerActivations: false,
    layouts: layoutsOf(places),
    values: values.map(({ entry }) => entry.name),
    expected: fingerprintOf,
    open: () => onnxReader(path, places),
  };
}

/** Stores pieces as initialisers; gives their names. */
function addPieces(editor: OnnxEditor, weight: string, pieces: Pieces): Readonly<Record<string, string>> {
  const names: Record<string, string> = {};
  for (const [piece, { dtype, shape, bytes }] of Object.entries(pieces)) {
    const name = editor.uniqueName(`${weight}.${piece}`);
    editor.addInitializer(name, { dtype, shape, bytes });
    names[piece] = name;
  }
  return names;
}
