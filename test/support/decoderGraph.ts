import { join } from 'node:path';
import { floatWeights } from '../../src/engine/architectures/decoder/floatWeights';
import { recognizeModel } from '../../src/engine/architectures/index';
import { openContainer } from '../../src/engine/models/openContainer';
import type { Graph } from '../../src/engine/graph/graph';
import { loadFloatWeights } from './loadFloatWeights';

/** The language model of a folder in this repository as a graph with float32 weights. */
export async function decoderGraph(folder: string): Promise<Graph> {
  const container = await openContainer(join(import.meta.dirname, '../..', folder));
  try {
    const { architecture, config } = recognizeModel(container.config ?? {});
    return architecture.buildLanguageModel(config, floatWeights(await loadFloatWeights(container)));
  } finally {
    await container.close();
  }
}
