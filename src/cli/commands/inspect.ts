import { resolve } from 'node:path';
import { globMatcher } from '../../common/glob';
import { summaryText } from '../../engine/reports/summaryText';
import type { Inspection } from '../../engine/reports/summaryText';
import type { InspectSpec } from '../../protocol/jobs';
import { throwIfCancelled } from '../../protocol/errors';
import { usageError } from '../arguments';
import { defineCommand } from '../command';
import { withEngine } from '../withEngine';

const histogramBins = 32;

/** `loomweight inspect MODEL`. */
export const inspect = defineCommand<Inspection>({
  name: 'inspect',
  summary: "Show a model's format, architecture and tensors; --stats adds statistics of their values.",
  details: [
    'Only headers are read, so models of any size open at once; --stats reads the values of the listed tensors, block by block, and takes no --max-memory.',
    'The folder of an ONNX output of Loomweight lists its compressed layers by name, with the values that their codes stand for; the .onnx file itself lists what is stored.',
  ],
  positionals: [
    { name: 'MODEL', doc: 'A file (.safetensors, .onnx, .gguf, .npy), a Hugging Face directory or a folder that Loomweight wrote.' },
  ],
  options: [
    {
      name: 'stats',
      kind: 'switch',
      doc: 'Show minimum, maximum, mean, standard deviation, zeros and non-finite values of every listed tensor.',
    },
    {
      name: 'tensor',
      kind: 'text',
      value: 'GLOB',
      doc: "List only tensors whose name matches, such as 'model.layers.0.*'. * matches any text, ? one character.",
    },
  ],
  examples: [
    'loomweight inspect loom-base',
    "loomweight inspect loom-base --stats --tensor '*.layers.0.*'",
    'loomweight inspect model.onnx --json',
  ],
  run: async ({ arguments: given, terminal, runJob }) => {
    const model = resolve(terminal.folder, given.positional(0));
    const { maxMemory } = given.shared;
    if (maxMemory !== undefined && given.isOn('stats'))
      throw usageError(
        '--max-memory limits the reading of headers; --stats reads values, in pieces, in a process without a limit. Omit one of them.',
        {
          maxMemory,
        },
      );
    // A limit is that of a process which may be ended; reading the headers again afterwards takes no more than it did there.
    if (maxMemory !== undefined) await runJob({ kind: 'inspect', model, maxMemory } as InspectSpec, terminal);
    return withEngine(async (engine, signal) => {
      const summary = await engine.inspect({ model });
      throwIfCancelled(signal);
      const glob = given.text('tensor');
      const matches = glob === undefined ? () => true : globMatcher(glob);
      const tensors = summary.tensors.filter(({ name }) => matches(name));
      if (glob !== undefined && tensors.length === 0)
        throw usageError(
          `No tensor of ${summary.name} matches '${glob}'. It has ${summary.tensors.length} tensors; 'loomweight inspect' lists them.`,
          { glob },
        );
      if (!given.isOn('stats')) return { ...summary, tensors };
      const measured: Inspection['tensors'][number][] = [];
      for (const tensor of tensors)
        measured.push({ ...tensor, statistics: await engine.statistics({ model, tensor: tensor.name, bins: histogramBins }, { signal }) });
      return { ...summary, tensors: measured };
    });
  },
  text: (report, { arguments: given, terminal }) => summaryText(report, { verbose: terminal.verbose || given.has('tensor') }),
});
