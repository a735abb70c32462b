import type { DType } from '../../../protocol/dtypes';
import type { ModelSource } from '../../models/modelSource';
import { encodeFromFloat32 } from '../../formats/decode';
import { editModel } from '../../formats/onnx/editModel';
import type { RuntimeTensor } from '../../runtime/types';
import type { PlannedStore } from '../planned/plannedStore';
import { runnableFile, type RunnableFile } from './runnableFile';

/** The source with its planned values in place of its own, ready to run. */
export interface PlannedGraph {
  readonly file: RunnableFile;
  /** Planned values that are fed to the graph, read again each time: nobody holds them longer than a run. */
  values(): Promise<Readonly<Record<string, RuntimeTensor>>>;
}

/**
 * Writes the graph of the source with planned values into a folder of the caller. Where the runtime takes their type as an input, they are fed to the graph without
 * them: nothing the size of the model is written or loaded.
 */
export async function writePlannedGraph(source: ModelSource, planned: PlannedStore, folder: string): Promise<PlannedGraph> {
  const editor = await editModel(source.container.path);
  try {
    const fed: string[] = [];
    for (const { name } of planned.entries()) {
      const { dtype, shape } = source.tensors.get(name)!.entry;
      if (feedTypes.includes(dtype)) {
        fed.push(name);
        editor.emptyWeight(name);
      } else editor.replaceInitializer(name, { dtype, shape, bytes: encodeFromFloat32(dtype, await planned.storedValues(name)) });
    }
    const file = await runnableFile(editor, folder, 'planned', { copy: true });
    return {
      file,
      values: async () => {
        const values: Record<string, RuntimeTensor> = {};
        for (const name of fed) values[name] = await fedTensor(source, planned, name);
        return values;
      },
    };
  } finally {
    await editor.close();
  }
}

const feedTypes: readonly DType[] = ['float32', 'float64', 'float16'];

async function fedTensor(source: ModelSource, planned: PlannedStore, name: string): Promise<RuntimeTensor> {
  const { dtype, shape } = source.tensors.get(name)!.entry;
  const floats = await planned.storedValues(name);
  // The arrays are given back after the run; those of plain values belong to the store.
  if (dtype === 'float32') return { dtype, shape, data: planned.isCompressed(name) ? floats : floats.slice() };
  if (dtype === 'float64') return { dtype, shape, data: Float64Array.from(floats) };
  return { dtype, shape, data: new Uint16Array(encodeFromFloat32(dtype, floats).buffer) };
}
