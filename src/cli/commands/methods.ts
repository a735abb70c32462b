import { describeAllowed, flagOf } from '../../common/params';
import { describeAllMethods } from '../../engine/services/allMethods';
import type { MethodDescription } from '../../protocol/methods';
import { defineCommand } from '../command';
import { formatPairs } from '../table';

/** `loomweight methods`. */
export const methods = defineCommand<readonly MethodDescription[]>({
  name: 'methods',
  summary: 'List the methods of compress and learn-bits with their parameters and sources.',
  positionals: [],
  options: [],
  examples: ['loomweight methods'],
  run: () => Promise.resolve(describeAllMethods()),
  text: (list) =>
    list
      .map(
        (method) =>
          `${method.id}: ${method.label}\n${method.summary}\nSource: ${method.source.title}, ${method.source.url}\n` +
          formatPairs(
            method.parameters.map((spec) => [`  ${flagOf(spec)}`, `${spec.doc} ${describeAllowed(spec)}; default ${spec.default}`]),
          ),
      )
      .join('\n'),
});
