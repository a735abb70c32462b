import { compressModel } from '../../src/engine/compress/compressModel';
import { createRuntime } from '../../src/engine/runtime/runtime';
import { workContext } from './workContext';

/** Compresses a model on two threads and then does nothing more: the process must end by itself. Arguments: the model and the output folder. */
async function main(): Promise<void> {
  const [model = '', out = ''] = process.argv.slice(2);
  const runtime = await createRuntime({ provider: 'cpu', threads: 2 });
  const spec = { kind: 'compress', model, method: 'rtn', parameters: {}, format: 'onnx-fast', out } as const;
  const { notes } = await compressModel(spec, workContext(runtime));
  await runtime.dispose();
  console.log(JSON.stringify({ notes, threads: process.getActiveResourcesInfo().filter((name) => /Worker|MessagePort/.test(name)) }));
}

void main();
