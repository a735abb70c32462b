import type { ModelSource } from '../../models/modelSource';
import { encodeFromFloat32 } from '../../formats/decode';
import { editModel } from '../../formats/onnx/editModel';
import type { RuntimeTensor } from '../../runtime/types';
import type { PlannedStore } from '../planned/plannedStore';
import { runnableFile, type RunnableFile } from './runnableFile';

/** The source with its planned values in place of its own, ready to run. */
export interface PlannedGraph {
  readonly file: RunnableFile;
  /** Planned values that are fed to the graph. */
  readonly values: Readonly<Record<string, RuntimeTensor>>;
}

/**
 * Writes the graph of the source with planned values into a folder of the caller. Where the runtime takes their type as an input, they are fed to the graph without
 * them: nothing the size of the model is written or loaded.
 */
export async function writePlannedGraph(source: ModelSource, planned: PlannedStore, folder: string): Promise<PlannedGraph> {
  const editor = await editModel(source.container.path);
  try {
    const values: Record<string, RuntimeTensor> = {};
    for (const { name } of planned.entries()) {
      const { dtype, shape } = source.tensors.get(name)!.entry;
      const floats = await planned.storedValues(name);
      if (dtype === 'float32') values[name] = { dtype, shape, data: floats };
      else if (dtype === 'float64') values[name] = { dtype, shape, data: Float64Array.from(floats) };
      else if (dtype === 'float16') values[name] = { dtype, shape, data: new Uint16Array(encodeFromFloat32(dtype, floats).buffer) };
      else editor.replaceInitializer(name, { dtype, shape, bytes: encodeFromFloat32(dtype, floats) });
      if (values[name]) editor.emptyWeight(name);
    }
    return { file: await runnableFile(editor, folder, 'planned', { copy: true }), values };
  } finally {
    await editor.close();
  }
}
